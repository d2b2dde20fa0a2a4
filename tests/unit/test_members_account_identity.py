"""Accounts under other ids: read by another connector, or connected again after a deletion."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from coatcheck.connectors.contract import BankNumbers, Finished, JobKind
from coatcheck.members.account_identity import delete_former_accounts
from coatcheck.members.ingest import Ingester
from tests.ingest_tester import CHECKING, COFFEE, ROWS, SAVINGS, IngestTester
from tests.member_setup import make_end_user

NUMBERS = (
    BankNumbers("a", account_number="1234567801", routing_number="091000019"),
    BankNumbers("b", account_number="1234567802", routing_number="091000019"),
)
OTHER_CHECKING, OTHER_SAVINGS = replace(CHECKING, id="x"), replace(SAVINGS, id="y")
OTHER_NUMBERS = (replace(NUMBERS[0], account_id="x"), replace(NUMBERS[1], account_id="y"))


@pytest.fixture
async def end_user(services):
    return await make_end_user(services)


@pytest.fixture
async def tester(end_user):
    return await connected(end_user)


async def connected(end_user, login="mxuser"):
    member = await end_user.connect(login, skip_aggregation=True)
    return IngestTester(end_user, member, Ingester(end_user.services.dependencies))


async def disconnect(tester):
    async with tester.end_user.services.db.transaction() as connection:
        await tester.end_user.services.members.disconnect(connection, tester.member)


async def guids(tester):
    return {id: account.guid for id, account in (await tester.accounts()).items()}


# --- another connector ---------------------------------------------------------------------------------------


async def test_an_account_that_another_connector_lists_with_its_number_keeps_its_guid(tester):
    await tester.ingest((CHECKING, SAVINGS), numbers=NUMBERS)
    before = await guids(tester)
    result = await tester.ingest((OTHER_CHECKING, OTHER_SAVINGS), numbers=OTHER_NUMBERS)
    assert await guids(tester) == {"x": before["a"], "y": before["b"]}
    assert (list(result.renumbered_account_guids), result.closed_account_guids) == ([], [])


async def test_without_its_number_it_is_a_new_account_and_the_old_one_is_closed(tester):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    before = await guids(tester)
    await tester.ingest((OTHER_CHECKING,))
    accounts = await tester.accounts()
    assert accounts["x"].guid != before["a"]
    assert accounts["a"].is_closed


@pytest.mark.parametrize(
    "other",
    [
        {"account_number": "1234567899"},
        {"routing_number": "091000022"},
        {"routing_number": None},
    ],
)
async def test_another_number_or_bank_is_another_account(tester, other):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    before = await guids(tester)
    await tester.ingest((OTHER_CHECKING,), numbers=[replace(OTHER_NUMBERS[0], **other)])
    assert (await guids(tester))["x"] != before["a"]


async def test_two_accounts_with_one_number_are_not_told_apart(tester):
    shared = [replace(each, account_number="1234567801") for each in NUMBERS]
    await tester.ingest((CHECKING, SAVINGS), numbers=shared)
    before = await guids(tester)
    await tester.ingest((OTHER_CHECKING,), numbers=OTHER_NUMBERS[:1])
    assert (await guids(tester))["x"] not in before.values()


async def test_an_account_that_is_still_listed_under_its_id_is_not_taken_over(tester):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    before = await guids(tester)
    await tester.ingest((CHECKING, OTHER_CHECKING), numbers=[*NUMBERS[:1], *OTHER_NUMBERS[:1]])
    after = await guids(tester)
    assert after["a"] == before["a"] != after["x"]


async def test_transactions_of_the_new_connector_replace_those_of_the_old(tester):
    today = tester.end_user.services.clock.now().date()
    tea = replace(COFFEE, id="t2", date=today, amount=Decimal("2.00"))
    coffee = replace(COFFEE, date=today)
    old = replace(COFFEE, id="t0", date=today - timedelta(days=400))
    await tester.ingest(
        (CHECKING,), numbers=NUMBERS[:1], transactions=(old, coffee, tea), kind=JobKind.HISTORY
    )
    before = {row[0]: row[1] for row in await tester.end_user.rows(ROWS)}
    listed = [
        replace(coffee, account_id="x", id="n1", description="COFFEE SHOP"),
        replace(coffee, account_id="x", id="n2"),
    ]
    await tester.ingest((OTHER_CHECKING,), numbers=OTHER_NUMBERS[:1], transactions=listed)
    after = {row[0]: row[1] for row in await tester.end_user.rows(ROWS)}
    # Older than the run covers: kept. The same day and amount: one keeps its guid. Not listed: deleted.
    assert set(after) == {"t0", "n1", "n2"}
    assert (after["t0"], after["n1"]) == (before["t0"], before["t1"])
    # A run that goes further back replaces the rest.
    await tester.ingest(
        (OTHER_CHECKING,),
        transactions=[*listed, replace(old, account_id="x", id="n0")],
        kind=JobKind.HISTORY,
    )
    final = {row[0]: row[1] for row in await tester.end_user.rows(ROWS)}
    assert final == {"n0": before["t0"], "n1": after["n1"], "n2": after["n2"]}


async def test_transactions_of_an_account_that_the_new_connector_cannot_read_yet_stay(tester):
    today = tester.end_user.services.clock.now().date()
    coffee = replace(COFFEE, date=today)
    await tester.ingest((CHECKING, SAVINGS), numbers=NUMBERS, transactions=(coffee,))
    before = await tester.end_user.rows(ROWS)
    # The accounts are recognised, and no transaction is read.
    await tester.ingest((OTHER_CHECKING, OTHER_SAVINGS), numbers=OTHER_NUMBERS, kind=JobKind.BALANCE)
    await tester.ingest((OTHER_SAVINGS,), finished=Finished(unread_accounts=["x"]))
    assert await tester.end_user.rows(ROWS) == before
    await tester.ingest(
        (OTHER_CHECKING, OTHER_SAVINGS), transactions=(replace(coffee, account_id="x", id="n1"),)
    )
    ((id, guid, *_),) = await tester.end_user.rows(ROWS)
    assert (id, guid) == ("n1", before[0][1])


async def test_transactions_that_the_new_connector_could_not_read_are_replaced_when_it_can(tester):
    coffee = replace(COFFEE, date=tester.end_user.services.clock.now().date())
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1], transactions=(coffee,))
    before = await tester.end_user.rows(ROWS)
    unread = Finished(unread_transactions=["x"])
    await tester.ingest((OTHER_CHECKING,), numbers=OTHER_NUMBERS[:1], finished=unread)
    assert await tester.end_user.rows(ROWS) == before
    await tester.ingest((OTHER_CHECKING,), transactions=(replace(coffee, account_id="x", id="n1"),))
    ((id, guid, *_),) = await tester.end_user.rows(ROWS)
    assert (id, guid) == ("n1", before[0][1])


async def test_an_account_that_the_first_run_of_a_new_connector_cannot_read_is_recognised_later(tester):
    await tester.ingest((CHECKING, SAVINGS), numbers=NUMBERS)
    before = await guids(tester)
    unread = Finished(unread_accounts=["x"])
    result = await tester.ingest((OTHER_SAVINGS,), numbers=OTHER_NUMBERS[1:], finished=unread)
    assert result.closed_account_guids == []
    await tester.ingest((OTHER_CHECKING, OTHER_SAVINGS), numbers=OTHER_NUMBERS[:1])
    accounts = await tester.accounts()
    assert {id: each.guid for id, each in accounts.items()} == {"x": before["a"], "y": before["b"]}
    assert not any(each.is_closed for each in accounts.values())


async def test_an_unread_account_that_the_client_blocked_keeps_no_other_account_open(tester):
    await tester.ingest((CHECKING, SAVINGS))
    await tester.end_user.rows(
        """INSERT INTO blocked_account (user_guid, member_guid, id, blocked_at)
           VALUES (%(user)s, %(member)s, 'z', now())""",
        member=tester.member.guid,
    )
    await tester.ingest((CHECKING,), finished=Finished(unread_accounts=["z"]))
    assert (await tester.accounts())["b"].is_closed


async def test_an_account_that_is_listed_without_its_data_is_not_taken_over(tester):
    await tester.ingest((CHECKING, SAVINGS), numbers=NUMBERS)
    before = await guids(tester)
    await tester.ingest(
        (SAVINGS, OTHER_CHECKING), numbers=OTHER_NUMBERS[:1], finished=Finished(unread_accounts=["a"])
    )
    after = await guids(tester)
    assert after["a"] == before["a"] != after["x"]


# --- connected again -----------------------------------------------------------------------------------------


async def test_a_deleted_account_gets_its_guid_back_by_the_banks_id(tester):
    await tester.ingest((CHECKING, SAVINGS))
    before = await guids(tester)
    await disconnect(tester)
    again = await connected(tester.end_user)
    await again.ingest((CHECKING, SAVINGS))
    assert await guids(again) == before


async def test_a_deleted_account_gets_its_guid_back_by_its_number(tester):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    before = await guids(tester)
    await disconnect(tester)
    again = await connected(tester.end_user)
    await again.ingest((OTHER_CHECKING,), numbers=OTHER_NUMBERS[:1])
    assert await guids(again) == {"x": before["a"]}


async def test_a_guid_is_kept_for_30_days(tester):
    await tester.ingest((CHECKING,))
    before = await guids(tester)
    await disconnect(tester)
    tester.end_user.services.clock.advance(timedelta(days=30))
    again = await connected(tester.end_user)
    await again.ingest((CHECKING,))
    assert (await guids(again))["a"] != before["a"]
    async with tester.end_user.services.db.connection() as connection:
        await delete_former_accounts(connection, tester.end_user.services.clock.now())
    assert not await tester.end_user.rows("SELECT guid FROM former_account WHERE user_guid = %(user)s")


async def test_a_guid_that_is_in_use_is_not_given_again(tester):
    await tester.ingest((CHECKING,))
    await disconnect(tester)
    first = await connected(tester.end_user)
    second = await connected(tester.end_user, "another")
    await first.ingest((CHECKING,))
    await second.ingest((CHECKING,))
    assert (await guids(first))["a"] != (await guids(second))["a"]


async def test_another_user_does_not_get_the_guid(tester, services):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    before = await guids(tester)
    await disconnect(tester)
    other = await connected(await make_end_user(services))
    await other.ingest((CHECKING,), numbers=NUMBERS[:1])
    assert (await guids(other))["a"] != before["a"]


async def test_only_keyed_hashes_are_stored(tester):
    await tester.ingest((CHECKING,), numbers=NUMBERS[:1])
    (stored,) = await tester.end_user.rows("SELECT number_hashes FROM account WHERE user_guid = %(user)s")
    await disconnect(tester)
    former = await tester.end_user.rows("SELECT identity FROM former_account WHERE user_guid = %(user)s")
    hashes = [*stored[0], *(row[0] for row in former)]
    assert {len(each) for each in hashes} == {32}
    assert not any(b"1234567801" in each for each in hashes)


async def test_deleting_the_user_deletes_the_kept_guids(tester):
    await tester.ingest((CHECKING,))
    await disconnect(tester)
    services, user = tester.end_user.services, tester.end_user.user
    async with services.db.transaction() as connection:
        await services.users.delete(connection, user, actor=user.client_guid)
    assert not await tester.end_user.rows("SELECT guid FROM former_account WHERE user_guid = %(user)s")
