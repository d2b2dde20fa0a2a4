"""The connector of SimpleFIN reads our own SimpleFIN server, over a real wire."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.connectors.contract import ConnectorContext, HttpClients, JobKind, Task
from coatcheck.connectors.simplefin.connector import SimplefinConnector, SimplefinSettings
from coatcheck.directory.apps import NewSetupToken
from coatcheck.errors import ConsentRevoked
from coatcheck.grants.revocation import Selector
from coatcheck.members.records import NewMember
from coatcheck.model.accounts import Account, accounts_of_member
from coatcheck.model.members import find_member
from coatcheck.model.transactions import TransactionFilter
from coatcheck.model.users import User
from coatcheck.testing.connectors import run_connector
from coatcheck.vault.vault import AccountNumbers
from coatcheck.worker_services import build_worker, run_pending
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_processor,
    make_token,
    make_transaction,
    make_user,
)
from tests.processes import Serving, serving

PROCESSORS = 20
DAYS = 7
NAIVE = PROCESSORS * 24
"""Upstream calls on one day if every read were passed on."""
BUDGET = 24


@dataclass(frozen=True)
class Upstream:
    """A user of the upstream with two accounts, and a setup token for them."""

    client: Keyed
    user: User
    checking: Account
    card: Account
    setup_token: str


@pytest.fixture(scope="module")
def server(file_url: str, master_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    environment = {
        "COATCHECK_DATABASE_URL": file_url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
    }
    with serving(environment, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def settings(settings: Settings, server: Serving) -> Settings:
    """Of both: the setup tokens of the upstream, and a connector that may call this machine."""
    return replace(
        settings,
        base_url=server.base_url,
        connectors=("sandbox", "simplefin"),
        webhook_allow_private=True,
    )


@pytest.fixture
async def upstream(services: Services) -> Upstream:
    client = await make_client(services)
    user = await make_user(services, client)
    checking = await make_account(services, user)
    card = await make_account(
        services, user, name="Visa card", type="CREDIT_CARD", balance=Decimal("250.10"), account_number=None
    )
    today = services.clock.now().date()
    for days in (1, 80, 400):
        await make_transaction(services, checking, date=today - timedelta(days=days))
    await make_transaction(services, card, status="PENDING", date=today)
    new = NewSetupToken(account_guids=[checking.guid, card.guid], app_name="Another Coatcheck")
    async with services.db.transaction() as connection:
        created = await services.apps.create_setup_token(connection, user, new, actor=client.guid)
    return Upstream(client, user, checking, card, created.token)


async def test_the_connector_reads_our_own_server_until_its_access_is_revoked(
    services: Services, upstream: Upstream
) -> None:
    connector = SimplefinConnector(
        ConnectorContext(
            name="simplefin",
            settings=SimplefinSettings(),
            clock=services.clock,
            base_url="http://coatcheck.test",
            http=HttpClients(guard=lambda client: client),
        )
    )
    credentials = {"SETUP_TOKEN": upstream.setup_token}
    task = Task(JobKind.AGGREGATION, "simplefin", "MBR-1", services.clock.now())
    run = await run_connector(connector, task, credentials)
    assert {each.id: (each.type, each.balance) for each in run.accounts} == {
        upstream.checking.guid: ("CHECKING", Decimal("1000.00")),
        upstream.card.guid: ("CREDIT_CARD", Decimal("250.10")),
    }
    assert sorted(each.status for each in run.transactions) == ["PENDING", "POSTED", "POSTED"]
    state = run.saved_states[-1]
    history = await run_connector(connector, replace(task, kind=JobKind.HISTORY), credentials, state=state)
    assert len(history.transactions) == 4
    await services.revocations.revoke_all(
        client_guid=upstream.client.guid, selector=Selector(user_guid=upstream.user.guid)
    )
    with pytest.raises(ConsentRevoked):
        await run_connector(connector, task, credentials, state=state)
    await connector.close()


@pytest.mark.slow
async def test_20_processors_that_read_hourly_for_a_week_cause_at_most_24_upstream_calls_a_day(
    services: Services, upstream: Upstream, clock: MovableClock
) -> None:
    account, client = await linked_account(services, upstream.setup_token)
    tokens = [
        services.access.parse_token(
            await make_token(services, account, await make_processor(services, client))
        )
        for _ in range(PROCESSORS)
    ]
    calls: list[int] = []
    before = await upstream_calls(services, upstream)
    for _ in range(DAYS):
        for _ in range(24):
            clock.advance(timedelta(hours=1))
            await build_worker(services).scheduler.refresh()
            await run_pending(services)
            reads = await asyncio.gather(
                *(services.access.transactions(each, TransactionFilter()) for each in tokens)
            )
            assert {read.total for read in reads if read} == {2}
        after = await upstream_calls(services, upstream)
        calls.append(after - before)
        before = after
    assert max(calls) <= BUDGET, calls
    assert sum(calls) >= DAYS - 1, "the data is refreshed each day"
    print(f"upstream calls on each day: {calls}; passed on: {NAIVE}")


async def linked_account(services: Services, setup_token: str) -> tuple[Account, Keyed]:
    """The checking account of a user that pasted the setup token, with numbers that another source verified."""
    client = await make_client(services)
    user = await make_user(services, client)
    (field,) = services.registry.find("simplefin").credentials
    new = NewMember(institution_code="simplefin", credentials={field.guid: setup_token})
    async with services.db.transaction() as connection:
        member = (await services.members.connect(connection, user, new)).member
    await run_pending(services)
    async with services.db.connection() as connection:
        connected = await find_member(connection, user.guid, member.guid)
        assert connected.connection_status == "CONNECTED"
        (account,) = [
            each
            for each in await accounts_of_member(connection, user.guid, member.guid)
            if each.type == "CHECKING"
        ]
    await give_numbers(services, account)
    return account, client


async def give_numbers(services: Services, account: Account) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(
                    account_guid=account.guid, account_number="1234567890", routing_number="091000019"
                )
            ],
        )


async def upstream_calls(services: Services, upstream: Upstream) -> int:
    """How many requests the upstream answered: each reads both accounts, and writes a disclosure for each."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM disclosure WHERE record_guid = %s", (upstream.checking.guid,)
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0
