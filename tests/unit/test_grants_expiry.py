"""What time causes: each event once, with its due time, however late the worker is."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.expiry import NEXT_EXPIRY, NOTICE, ExpiryAnnouncer
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_code, make_token

pytestmark = pytest.mark.own_database


@pytest.fixture
def expiry(services: Services) -> ExpiryAnnouncer:
    return ExpiryAnnouncer(services.clock, services.db, services.journal)


async def announced(services: Services, owner: Keyed | None = None) -> Sequence[tuple[Any, ...]]:
    """Type, object and due time of the events that time caused, in the order of their announcement."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT type, object, due_at, occurred_at FROM event
               WHERE format = 'coatcheck' AND type LIKE '%%.expir%%'
                 AND (%(owner)s::text IS NULL OR owner_guid = %(owner)s)
               ORDER BY position""",
            {"owner": owner and owner.guid},
        )
        return await cursor.fetchall()


async def expiry_of(services: Services) -> tuple[str, datetime]:
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT guid, expires_at FROM access_token")
        ((guid, expires_at),) = await cursor.fetchall()
    return guid, expires_at


async def test_a_grant_is_announced_seven_days_before_its_expiry_and_at_it_to_client_and_processor(
    services: Services,
    expiry: ExpiryAnnouncer,
    account: Account,
    client: Keyed,
    processor: Keyed,
    clock: MovableClock,
) -> None:
    await make_token(services, account, processor)
    guid, expires_at = await expiry_of(services)
    notice = expires_at - timedelta(days=7)
    for at, types in (
        (notice - timedelta(seconds=1), []),
        (notice + timedelta(seconds=1), ["token.expiring"]),
        (expires_at - timedelta(seconds=1), ["token.expiring"]),
        (expires_at + timedelta(seconds=1), ["token.expiring", "token.expired"]),
        (expires_at + timedelta(days=30), ["token.expiring", "token.expired"]),
    ):
        clock.advance(at - clock.instant())
        await expiry.sweep()
        await expiry.sweep()
        for owner in (client, processor):
            assert [type_ for type_, *_ in await announced(services, owner)] == types
    for owner in (client, processor):
        found = await announced(services, owner)
        assert [(subject, due) for _, subject, due, _ in found] == [(guid, notice), (guid, expires_at)]
        assert all(due <= occurred for *_, due, occurred in found)


async def test_what_was_announced_is_not_announced_again_after_the_clock_was_set_back(
    services: Services, expiry: ExpiryAnnouncer, account: Account, processor: Keyed, clock: MovableClock
) -> None:
    await make_token(services, account, processor)
    _, expires_at = await expiry_of(services)
    clock.advance(expires_at + timedelta(seconds=1) - clock.instant())
    await expiry.sweep()
    before = await announced(services)
    for move in (-timedelta(days=20), timedelta(days=20)):
        clock.advance(move)
        await expiry.sweep()
    assert before
    assert await announced(services) == before


async def test_a_code_that_nobody_redeemed_is_announced_to_its_client_alone(
    services: Services,
    expiry: ExpiryAnnouncer,
    account: Account,
    client: Keyed,
    processor: Keyed,
    clock: MovableClock,
) -> None:
    await make_code(services, account)
    await make_token(services, account, processor)
    clock.advance(services.settings.code_ttl + timedelta(seconds=1))
    await expiry.sweep()
    ((type_, subject, due_at, _),) = await announced(services)
    assert (type_, subject) == ("code.expired", account.guid)
    assert clock.instant() - due_at < timedelta(seconds=30)
    assert len(await announced(services, client)) == 1


async def test_a_revoked_grant_and_one_for_less_than_a_week_are_not_announced_as_expiring(
    services: Services,
    expiry: ExpiryAnnouncer,
    account: Account,
    processor: Keyed,
    clock: MovableClock,
) -> None:
    from_now = "expires-in:500000"
    await make_token(services, account, processor, atoms=from_now)
    clock.advance(timedelta(days=6))
    await expiry.sweep()
    assert [type_ for type_, *_ in await announced(services)] == ["token.expired"] * 2
    await make_token(services, account, processor)
    async with services.db.connection() as connection:
        newest, *_ = await services.tokens.list(connection, account.client_guid)
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=newest.guid)
    clock.advance(timedelta(days=100))
    await expiry.sweep()
    assert len(await announced(services)) == 2


async def test_two_workers_that_were_away_announce_everything_once_in_the_order_of_the_due_times(
    services: Services,
    expiry: ExpiryAnnouncer,
    account: Account,
    client: Keyed,
    processor: Keyed,
    clock: MovableClock,
) -> None:
    for _ in range(20):
        await make_token(services, account, processor)
        await make_code(services, account)
        clock.advance(timedelta(hours=7))
    async with services.db.connection() as connection:
        cursor = await connection.execute(NEXT_EXPIRY, {"notice": NOTICE})
        (first,) = await cursor.fetchone()
    clock.advance(timedelta(days=100))
    workers = [ExpiryAnnouncer(services.clock, services.db, services.journal) for _ in range(4)]
    await asyncio.gather(*(worker.sweep() for worker in workers))
    await expiry.sweep()
    found = await announced(services, client)
    assert [type_ for type_, *_ in found].count("token.expiring") == 20
    assert [type_ for type_, *_ in found].count("token.expired") == 20
    assert [type_ for type_, *_ in found].count("code.expired") == 20
    dues = [due for *_, due, _ in found]
    assert dues == sorted(dues)
    assert first == dues[0]
    async with services.db.connection() as connection:
        cursor = await connection.execute(NEXT_EXPIRY, {"notice": NOTICE})
        assert await cursor.fetchone() == (None,)
