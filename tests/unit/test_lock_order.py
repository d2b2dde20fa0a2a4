"""Changes at once of what belongs together: one waits for the other, and none ends with 503 in a deadlock."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.errors import CoatcheckError, NotFound, Unavailable, WrongBrowser
from coatcheck.events.endpoints import EndpointStatus
from coatcheck.grants.revocation import Selector
from coatcheck.members.account_identity import former_guids
from coatcheck.members.records import JobRequest, MemberJob
from coatcheck.model.accounts import Account
from coatcheck.model.members import find_member
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit
from coatcheck.model.users import User
from coatcheck.worker_services import build_worker
from tests.api_client import Api
from tests.factories import Keyed, make_account, make_token, make_user
from tests.races import Change, race
from tests.webhook_receiver import GONE, receiving
from tests.widget_client import oauth, open_page

pytestmark = pytest.mark.own_database

TOKEN = "SELECT FROM access_token WHERE account_guid = %s FOR UPDATE"
RIGHT = (Decimal("0.03"), Decimal("0.15"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, pool_size=20, webhook_allow_private=True)


@dataclass(frozen=True)
class Owned:
    """A user and what belongs to it, with the changes that race."""

    services: Services
    processor: Keyed
    user: User

    def then(self, change: Callable[[Connection], Awaitable[Any]]) -> Change:
        """The change in a transaction of its own."""

        async def change_alone() -> Any:
            async with self.services.db.transaction() as connection:
                return await change(connection)

        return change_alone

    @property
    def delete(self) -> Change:
        return self.then(
            lambda connection: self.services.users.delete(connection, self.user, actor=self.user.client_guid)
        )

    def disconnect(self, account: Account) -> Change:
        async def change(connection: Connection) -> None:
            member = await find_member(connection, self.user.guid, account.member_guid)
            await self.services.members.disconnect(connection, member)

        return self.then(change)

    def merge(self, *accounts: Account) -> Change:
        guids = [each.guid for each in accounts]
        return self.then(
            lambda connection: self.services.accounts.merge(
                connection, self.user, guids, actor=self.user.client_guid
            )
        )

    def block(self, account: Account) -> Change:
        return self.then(
            lambda connection: self.services.accounts.block(connection, account, actor=self.user.client_guid)
        )

    @property
    def start_all(self) -> Change:
        request = JobRequest(kinds=(JobKind.AGGREGATION,), requested_by=self.user.client_guid)
        return self.then(lambda connection: self.services.members.start_all(connection, self.user, request))

    def disable(self, *, is_disabled: bool = True) -> Change:
        return self.then(
            lambda connection: self.services.users.update(
                connection, self.user, {"is_disabled": is_disabled}, actor=self.user.client_guid
            )
        )

    async def revoke_all(self) -> None:
        await self.services.revocations.revoke_all(
            client_guid=self.user.client_guid, selector=Selector(processor_guid=self.processor.guid)
        )

    async def account(self, **overrides: Any) -> Account:
        """A verified account of a new member, with a token."""
        account = await make_account(self.services, self.user, **overrides)
        await make_token(self.services, account, self.processor)
        return account


@pytest.fixture
def owned(services: Services, processor: Keyed, user: User) -> Owned:
    return Owned(services, processor, user)


def unavailable(outcomes: list[Any]) -> list[Any]:
    return [each for each in outcomes if isinstance(each, Unavailable)]


async def test_a_member_is_deleted_while_its_user_is_deleted(owned: Owned) -> None:
    account = await owned.account(id="bank-id")
    outcomes = await race(owned.services, TOKEN, (account.guid,), owned.disconnect(account), owned.delete)
    assert unavailable(outcomes) == []


async def test_an_account_is_blocked_while_its_user_is_deleted(owned: Owned) -> None:
    account = await owned.account()
    # A writer that references the member keeps it from being deleted, and does not keep it from being locked.
    held = "SELECT FROM member WHERE guid = %s FOR KEY SHARE"
    outcomes = await race(owned.services, held, (account.member_guid,), owned.delete, owned.block(account))
    assert unavailable(outcomes) == []


async def test_accounts_are_merged_while_jobs_of_all_members_are_started(owned: Owned) -> None:
    now = owned.services.clock.now()
    first, second = sorted([await owned.account(), await owned.account()], key=lambda each: each.member_guid)
    async with owned.services.db.connection() as connection:
        # Listed the other way round.
        await connection.execute(
            "UPDATE member SET created_at = %s WHERE guid = %s", (now + timedelta(hours=1), first.member_guid)
        )
    held = "LOCK TABLE member_job IN SHARE MODE"
    outcomes = await race(owned.services, held, (), owned.start_all, owned.merge(first, second))
    assert unavailable(outcomes) == []


async def test_a_merge_and_the_end_of_all_grants_announce_in_one_order(owned: Owned) -> None:
    kept, *others = [await owned.account() for _ in range(3)]
    async with owned.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT account_guid, guid FROM access_token WHERE user_guid = %s", (owned.user.guid,)
        )
        grants = dict(await cursor.fetchall())
    last, first = sorted(others, key=lambda each: grants[each.guid], reverse=True)
    held = """INSERT INTO event_sequence (owner_guid, object, last, changed_at) VALUES (%s, %s, 1, now())
              ON CONFLICT (owner_guid, object) DO UPDATE SET last = event_sequence.last"""
    outcomes = await race(
        owned.services,
        held,
        (owned.processor.guid, grants[last.guid]),
        owned.merge(kept, last, first),
        owned.disable(),
    )
    assert unavailable(outcomes) == []


@pytest.mark.parametrize("ends", ["member", "user", "merge", "revocation"])
async def test_tokens_are_locked_by_week_and_hash(owned: Owned, ends: str) -> None:
    """So a deletion and a revocation of many, each with an index of its own, wait for each other in one direction."""
    services = owned.services
    kept, *accounts = [await owned.account() for _ in range(5 if ends == "merge" else 2)]
    for _ in range(3 if ends == "merge" else 12):
        for account in accounts:
            await make_token(services, account, owned.processor)
    chosen = [each.guid for each in (accounts if ends != "user" else [kept, *accounts])]
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT token_hash FROM access_token WHERE account_guid = ANY (%s)
               ORDER BY expires_week, token_hash""",
            (chosen,),
        )
        hashes = [found for (found,) in await cursor.fetchall()]
    changes = {
        "member": owned.disconnect(accounts[0]),
        "user": owned.delete,
        "merge": owned.merge(kept, *accounts),
        "revocation": lambda: services.revocations.revoke_all(
            client_guid=owned.user.client_guid, selector=Selector(account_guid=accounts[0].guid)
        ),
    }
    middle = len(hashes) // 2
    free: list[bytes] = []

    async def find_free() -> None:
        async with services.db.transaction() as connection:
            cursor = await connection.execute(
                "SELECT token_hash FROM access_token WHERE account_guid = ANY (%s) FOR UPDATE SKIP LOCKED",
                (chosen,),
            )
            free.extend(found for (found,) in await cursor.fetchall())

    held = "SELECT FROM access_token WHERE token_hash = %s FOR UPDATE"
    outcomes = await race(services, held, (hashes[middle],), changes[ends], find_free)
    assert unavailable(outcomes) == []
    assert sorted(free) == sorted(hashes[middle + 1 :])


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_receiver_answers_410_while_its_endpoint_is_deleted_or_disabled(
    owned: Owned, client: Keyed, is_deleted: bool
) -> None:
    services, owner = owned.services, Owner(client.guid, is_processor=False)
    endpoints, deliverer = services.webhook_endpoints, build_worker(services).deliverer
    async with receiving(GONE) as receiver:
        async with services.db.transaction() as connection:
            created = await endpoints.create(connection, owner, EndpointChanges(url=receiver.url))
        guid = created.endpoint.guid
        await owned.disable()()
        attempt = (await deliverer.claim(1))[0]

        async def end(connection: Connection) -> None:
            if is_deleted:
                await endpoints.delete(connection, owner, guid)
            else:
                disabled = EndpointChanges(status=EndpointStatus.DISABLED)
                await endpoints.update(connection, owner, guid, disabled)

        held = "LOCK TABLE failing_receiver IN SHARE MODE"
        outcomes = await race(services, held, (), lambda: deliverer.deliver(attempt), owned.then(end))
    assert unavailable(outcomes) == []


async def made_deposit(owned: Owned) -> MicroDeposit:
    account = DepositAccount(
        account_number="3333000042",
        routing_number="091000019",
        account_name="Everyday",
        email="ada@example.test",
        first_name="Ada",
        last_name="Example",
    )
    async with owned.services.db.transaction() as connection:
        deposit = await owned.services.micro_deposits.create(connection, owned.user, account, "CHECKING")
    sender = build_worker(owned.services).micro_deposits
    for claimed in await sender.claim(10):
        await sender.send(claimed)
    return deposit


async def test_micro_deposits_are_verified_while_their_user_is_deleted(owned: Owned) -> None:
    deposit = await made_deposit(owned)
    verify = owned.then(lambda connection: owned.services.micro_deposits.verify(connection, deposit, RIGHT))
    outcomes = await race(owned.services, "LOCK TABLE member IN SHARE MODE", (), verify, owned.delete)
    assert unavailable(outcomes) == []


async def test_micro_deposits_are_deleted_while_their_user_is_deleted(owned: Owned) -> None:
    deposit = await made_deposit(owned)
    delete = owned.then(lambda connection: owned.services.micro_deposits.delete(connection, deposit))
    held = "SELECT FROM data_key WHERE owner_guid = %s FOR KEY SHARE"
    outcomes = await race(owned.services, held, (owned.user.guid,), owned.delete, delete)
    assert unavailable(outcomes) == []
    assert isinstance(outcomes[1], NotFound)


async def test_of_two_deletions_of_micro_deposits_at_once_one_is_recorded(owned: Owned) -> None:
    deposit = await made_deposit(owned)
    delete = owned.then(lambda connection: owned.services.micro_deposits.delete(connection, deposit))
    held = "SELECT FROM micro_deposit WHERE guid = %s FOR UPDATE"
    outcomes = await race(owned.services, held, (deposit.guid,), delete, delete)
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "NotFound"]


async def test_a_window_is_refused_while_its_user_is_deleted(
    api: Api, services: Services, processor: Keyed, user: User
) -> None:
    page = await open_page(api, user.guid)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    state = urlsplit(member["oauth_window_uri"]).path.rsplit("/", 1)[1]
    async with services.db.transaction() as connection:
        await services.oauth.start(connection, state, None, site=None)
    owned = Owned(services, processor, user)
    claim = owned.then(lambda connection: services.oauth.claim(connection, state, "another browser"))
    held = "SELECT FROM data_key WHERE owner_guid = %s FOR KEY SHARE"
    outcomes = await race(services, held, (user.guid,), owned.delete, claim)
    assert unavailable(outcomes) == []
    assert isinstance(outcomes[1], WrongBrowser)


async def test_a_widget_starts_a_job_while_the_member_is_deleted(
    api: Api, services: Services, processor: Keyed, client: Keyed
) -> None:
    user = await make_user(services, client)
    owned = Owned(services, processor, user)
    page = await open_page(api, user.guid)
    member = await page.connect()

    async def disconnect(connection: Connection) -> None:
        found = await find_member(connection, user.guid, member["guid"])
        await services.members.disconnect(connection, found)

    async def start() -> int:
        return (await page("POST", f"/members/{member['guid']}/jobs", json={})).status_code

    held = "LOCK TABLE former_account IN SHARE MODE"
    outcomes = await race(services, held, (), owned.then(disconnect), start)
    assert outcomes == [None, 404]


async def test_two_members_that_recognise_one_deleted_account_are_read_at_once(owned: Owned) -> None:
    services, now = owned.services, owned.services.clock.now()
    identities = {"by id": b"a" * 32, "by number": b"b" * 32}
    async with services.db.connection() as connection:
        for identity in identities.values():
            await connection.execute(
                "INSERT INTO former_account (user_guid, identity, guid, deleted_at) VALUES (%s, %s, 'ACT-x', %s)",
                (owned.user.guid, identity, now),
            )

    job = MemberJob(
        user_guid=owned.user.guid,
        guid="JOB-x",
        client_guid=owned.user.client_guid,
        member_guid="MBR-x",
        institution_code="mxbank",
        kind=JobKind.AGGREGATION,
        attempt=1,
        claims=1,
        is_background=False,
        include_transactions=True,
        follow_ups=[],
        callback_payload=None,
        requested_by=owned.user.client_guid,
    )

    def reading(id: str) -> Change:
        given = {id: [identities[id]]}
        return owned.then(lambda connection: former_guids(connection, job, given, now))

    held = "LOCK TABLE former_account IN SHARE MODE"
    outcomes = await race(services, held, (), reading("by id"), reading("by number"))
    assert sorted(map(str, outcomes)) == sorted(["{}", "{'by id': 'ACT-x'}"])


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.slow)])
async def test_changes_of_one_user_in_any_order_end_without_a_deadlock(
    services: Services, client: Keyed, processor: Keyed, rounds: int
) -> None:
    random = Random(rounds)
    for _ in range(rounds):
        owned = Owned(services, processor, await make_user(services, client))
        accounts = [await owned.account(id=f"id-{number}") for number in range(4)]
        changes: list[Change] = [
            owned.start_all,
            owned.merge(accounts[0], accounts[1]),
            owned.merge(accounts[2], accounts[0]),
            owned.block(accounts[3]),
            owned.disconnect(accounts[1]),
            owned.disconnect(accounts[2]),
            owned.disable(),
            owned.disable(is_disabled=False),
            owned.revoke_all,
            owned.delete,
        ]
        random.shuffle(changes)
        outcomes = await asyncio.gather(*(each() for each in changes), return_exceptions=True)
        assert [each for each in outcomes if isinstance(each, BaseException) and not is_refusal(each)] == []


def is_refusal(error: BaseException) -> bool:
    return isinstance(error, CoatcheckError) and not isinstance(error, Unavailable)
