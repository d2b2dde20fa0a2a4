"""After a member is deleted, its access at the upstream is ended; nothing of its secrets is kept longer than that."""

from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import Disconnection
from coatcheck.errors import BankError, BankUnavailable, ConsentRevoked
from coatcheck.members.disconnections import KEPT, LEASE
from coatcheck.worker_services import build_worker, run_pending
from tests.member_setup import EndUser, make_end_user


class Upstream:
    """Records what it is asked to end, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, dict[str, str], bytes | None]] = []
        self.errors: list[Exception] = []
        self.rotated: bytes | None = None

    async def disconnect(self, disconnection: Disconnection) -> None:
        if self.rotated is not None:
            rotated, self.rotated = self.rotated, None

            async def exchange() -> bytes:
                return rotated

            await disconnection.rotate(exchange)
        if self.errors:
            raise self.errors.pop(0)
        self.ended.append((disconnection.member.guid, dict(disconnection.credentials), disconnection.state))


@pytest.fixture
def upstream(services: Services, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """The sandbox bank, as one whose members leave something there."""
    upstream, bank = Upstream(), services.registry.connector_for("mxbank")
    monkeypatch.setattr(type(bank), "has_disconnect", True)
    monkeypatch.setattr(bank, "disconnect", upstream.disconnect)
    return upstream


async def delete(end_user: EndUser, member: Any) -> None:
    async with end_user.services.db.transaction() as connection:
        await end_user.services.members.disconnect(connection, member)


async def kept(end_user: EndUser) -> int:
    """How many disconnections are open, each with the key of its secrets."""
    rows = await end_user.rows(
        """SELECT guid FROM disconnection WHERE user_guid = %(user)s""",
    )
    keys = await end_user.rows(
        "SELECT owner_guid FROM sealed_secret WHERE owner_guid = ANY (%(guids)s) GROUP BY owner_guid",
        guids=[guid for (guid,) in rows],
    )
    assert len(keys) == len(rows)
    return len(rows)


async def audited(end_user: EndUser, action: str) -> list[str]:
    """The guids of the members of which the audit log says this."""
    rows = await end_user.rows(
        "SELECT body::jsonb FROM audit_entry WHERE client_guid = %(client)s", client=end_user.client.guid
    )
    return [body["subject"] for (body,) in rows if body["action"] == action]


async def test_a_worker_ends_the_access_of_a_deleted_member_with_its_secrets(
    services: Services, upstream: Upstream
) -> None:
    end_user = await make_end_user(services)
    member = await end_user.connected("ann")
    await delete(end_user, member)
    assert upstream.ended == []
    await run_pending(services)
    ((guid, credentials, state),) = upstream.ended
    assert (guid, credentials["LOGIN"], state) == (member.guid, "ann", None)
    assert await kept(end_user) == 0
    assert await end_user.rows("SELECT FROM data_key WHERE owner_guid LIKE 'DSC-%%'") == []
    assert await audited(end_user, "member.access_ended") == [member.guid]


async def test_the_access_of_every_member_of_a_deleted_user_is_ended(
    services: Services, upstream: Upstream
) -> None:
    end_user = await make_end_user(services)
    members = [await end_user.connected(login) for login in ("ann", "ben")]
    async with services.db.transaction() as connection:
        await services.users.delete(connection, end_user.user, actor=end_user.client.guid)
    assert await end_user.rows("SELECT FROM data_key WHERE owner_guid = %(user)s") == []
    await run_pending(services)
    assert {guid for guid, _, _ in upstream.ended} == {each.guid for each in members}
    assert await kept(end_user) == 0


async def test_a_connector_that_leaves_nothing_at_its_upstream_keeps_no_secrets(services: Services) -> None:
    end_user = await make_end_user(services)
    await delete(end_user, await end_user.connected())
    assert await kept(end_user) == 0


async def test_a_deletion_that_is_rolled_back_ends_no_access(services: Services, upstream: Upstream) -> None:
    end_user = await make_end_user(services)
    member = await end_user.connected()
    async with services.db.connection() as connection, connection.transaction(force_rollback=True):
        await services.members.disconnect(connection, member)
    await run_pending(services)
    assert upstream.ended == []


@pytest.mark.parametrize("error", [BankUnavailable(), RuntimeError("with a secret in it")])
async def test_an_attempt_that_fails_is_repeated_after_pauses_that_double(
    services: Services, clock: MovableClock, upstream: Upstream, error: Exception
) -> None:
    end_user = await make_end_user(services)
    await delete(end_user, await end_user.connected())
    upstream.errors = [error, error]
    for minutes in (1, 2):
        await run_pending(services)
        clock.advance(timedelta(minutes=minutes) - timedelta(seconds=2))
        await run_pending(services)
        assert await kept(end_user) == 1
        clock.advance(timedelta(seconds=3))
    await run_pending(services)
    assert len(upstream.ended) == 1
    assert await kept(end_user) == 0


async def test_access_that_the_upstream_calls_ended_is_ended(services: Services, upstream: Upstream) -> None:
    end_user = await make_end_user(services)
    member = await end_user.connected()
    await delete(end_user, member)
    upstream.errors = [ConsentRevoked()]
    await run_pending(services)
    assert await kept(end_user) == 0
    assert await audited(end_user, "member.access_ended") == [member.guid]


async def test_after_a_week_the_secrets_are_destroyed_although_the_access_was_not_ended(
    services: Services, clock: MovableClock, upstream: Upstream
) -> None:
    end_user = await make_end_user(services)
    member = await end_user.connected()
    await delete(end_user, member)
    errors: list[BankError] = [BankUnavailable() for _ in range(100)]
    upstream.errors = [*errors]
    while await kept(end_user):
        await run_pending(services)
        clock.advance(timedelta(hours=6))
    assert upstream.ended == []
    assert await audited(end_user, "member.access_not_ended") == [member.guid]
    assert 100 - len(upstream.errors) > KEPT / timedelta(hours=6)


async def test_a_secret_that_an_attempt_rotated_is_used_by_the_next(
    services: Services, clock: MovableClock, upstream: Upstream
) -> None:
    end_user = await make_end_user(services)
    await delete(end_user, await end_user.connected())
    upstream.rotated, upstream.errors = b"new secret", [BankUnavailable()]
    await run_pending(services)
    clock.advance(timedelta(minutes=2))
    await run_pending(services)
    ((_, _, state),) = upstream.ended
    assert state == b"new secret"


async def test_a_worker_that_lost_its_lease_rotates_and_changes_nothing(
    services: Services, clock: MovableClock, upstream: Upstream
) -> None:
    end_user = await make_end_user(services)
    await delete(end_user, await end_user.connected())
    disconnector = build_worker(services).disconnector
    (slow,) = await disconnector.claim(8)
    assert await disconnector.claim(8) == []
    clock.advance(LEASE + timedelta(seconds=1))
    (taken,) = await disconnector.claim(8)
    upstream.rotated = b"spent"
    await disconnector.run(slow)
    assert upstream.ended == []
    assert await kept(end_user) == 1
    await disconnector.run(taken)
    assert len(upstream.ended) == 1
