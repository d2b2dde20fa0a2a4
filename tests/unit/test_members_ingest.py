"""Saving the data of runs: accounts, transactions, numbers, owners and statements."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.connectors.contract import (
    BankNumbers,
    BankOwner,
    BankStatement,
    Finished,
    JobKind,
)
from coatcheck.members.account_rows import describe_transaction, put_account
from coatcheck.members.ingest import Ingester
from coatcheck.vault.vault import ClientReader, SecretKind
from tests.ingest_tester import CHECKING, COFFEE, ROWS, SAVINGS, IngestTester
from tests.member_setup import make_end_user


@pytest.fixture
async def tester(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    return IngestTester(end_user, member, Ingester(services.dependencies))


async def transactions_read_at(tester):
    return dict(
        await tester.end_user.rows("SELECT id, transactions_read_at FROM account WHERE user_guid = %(user)s")
    )


async def test_accounts_have_every_field_and_only_a_masked_number(tester):
    due = datetime(2026, 4, 17, 12, tzinfo=UTC)
    card = replace(
        CHECKING, id="c", type="CREDIT_CARD", payment_due_at=due, apr=Decimal("19.99"),
        credit_limit=Decimal(5000), is_business=True, matures_on=date(2030, 1, 1),
    )  # fmt: skip
    await tester.ingest((CHECKING, card))
    accounts = await tester.accounts()
    assert (accounts["a"].account_number, accounts["a"].balance) == ("6789", Decimal("10.50"))
    assert accounts["a"].guid.startswith("ACT-")
    kept = accounts["c"]
    assert (kept.payment_due_at, kept.day_payment_is_due) == (due, 17)
    assert (kept.apr, kept.credit_limit, kept.matures_on) == (
        Decimal("19.99"),
        Decimal(5000),
        date(2030, 1, 1),
    )
    assert (kept.is_business, kept.is_hidden, kept.is_manual, kept.is_closed) == (True, False, False, False)


async def test_a_second_run_keeps_guids_and_the_clients_changes(tester):
    await tester.ingest((CHECKING, SAVINGS))
    before = (await tester.accounts())["a"]
    async with tester.end_user.services.db.transaction() as connection:
        await put_account(connection, replace(before, is_hidden=True, metadata="mine", is_business=True))
    tester.end_user.services.clock.advance(timedelta(hours=1))
    richer = replace(CHECKING, balance=Decimal("11.00"), name="Checking Plus", is_business=False)
    await tester.ingest((richer, SAVINGS))
    after = (await tester.accounts())["a"]
    assert (after.guid, after.created_at) == (before.guid, before.created_at)
    assert (after.balance, after.name) == (Decimal("11.00"), "Checking Plus")
    assert (after.is_hidden, after.metadata, after.is_business) == (True, "mine", True)
    assert after.updated_at > before.updated_at


async def test_an_account_that_is_not_listed_is_closed_until_it_is_listed_again(tester):
    await tester.ingest((CHECKING, SAVINGS))
    await tester.ingest((CHECKING,))
    assert {id: account.is_closed for id, account in (await tester.accounts()).items()} == {
        "a": False,
        "b": True,
    }
    await tester.ingest((CHECKING, SAVINGS))
    assert not (await tester.accounts())["b"].is_closed


async def test_an_account_that_a_partial_run_does_not_list_stays_open(tester):
    await tester.ingest((CHECKING, SAVINGS))
    await tester.ingest((CHECKING,), finished=Finished(lists_all_accounts=False))
    assert not any(account.is_closed for account in (await tester.accounts()).values())


async def test_an_account_that_is_listed_without_its_data_stays_open_as_it_was(tester):
    pending = replace(COFFEE, account_id="b", status="PENDING")
    await tester.ingest((CHECKING, SAVINGS), transactions=(pending,))
    read_at = (await tester.accounts())["b"].fetched_at
    tester.end_user.services.clock.advance(timedelta(hours=1))
    result = await tester.ingest((CHECKING,), finished=Finished(unread_accounts=["b", "never-read"]))
    accounts = await tester.accounts()
    assert result.closed_account_guids == []
    assert (accounts["b"].is_closed, accounts["b"].balance) == (False, SAVINGS.balance)
    assert accounts["b"].fetched_at == read_at < accounts["a"].fetched_at
    assert [row[2] for row in await tester.end_user.rows(ROWS)] == ["PENDING"]


async def test_an_account_that_was_read_and_is_named_as_unread_is_read(tester):
    await tester.ingest((CHECKING,))
    richer = replace(CHECKING, balance=Decimal("11.00"), is_closed=True)
    result = await tester.ingest((richer,), finished=Finished(unread_accounts=["a"]))
    account = (await tester.accounts())["a"]
    assert (account.balance, account.is_closed) == (Decimal("11.00"), True)
    assert result.closed_account_guids == [account.guid]


async def test_a_run_that_lists_only_changes_keeps_pending_transactions(tester):
    pending = replace(COFFEE, status="PENDING")
    await tester.ingest((CHECKING,), transactions=(pending, replace(COFFEE, id="t2")))
    await tester.ingest((CHECKING,), finished=Finished(lists_all_transactions=False))
    assert [row[0] for row in await tester.end_user.rows(ROWS)] == ["t1", "t2"]


async def test_transactions_that_could_not_be_read_stay_and_are_read_since_the_last_run_that_could(tester):
    pending = replace(COFFEE, status="PENDING")
    await tester.ingest((CHECKING, SAVINGS), transactions=(pending, replace(pending, account_id="b")))
    before = await transactions_read_at(tester)
    tester.end_user.services.clock.advance(timedelta(days=1))
    await tester.ingest((CHECKING, SAVINGS), finished=Finished(unread_transactions=["a"]))
    after = await transactions_read_at(tester)
    assert after["a"] == before["a"]
    # The clock runs meanwhile.
    assert timedelta(days=1) <= after["b"] - before["b"] < timedelta(days=1, minutes=1)
    left = await tester.end_user.rows(
        """SELECT a.id FROM transaction t JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
           WHERE t.user_guid = %(user)s"""
    )
    assert left == [("a",)]


async def test_removed_transactions_are_deleted_from_the_accounts_of_this_member_only(tester):
    await tester.ingest((CHECKING, SAVINGS), transactions=(COFFEE, replace(COFFEE, account_id="b")))
    other = IngestTester(
        tester.end_user, await tester.end_user.connect("other", skip_aggregation=True), tester.ingester
    )
    await other.ingest((CHECKING,), transactions=(COFFEE,))
    await tester.ingest((CHECKING, SAVINGS), removed=[("a", "t1"), ("unknown", "t1"), ("b", "unknown")])
    left = await tester.end_user.rows(
        """SELECT t.member_guid, a.id FROM transaction t
           JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
           WHERE t.user_guid = %(user)s"""
    )
    assert sorted(left) == sorted([(tester.member.guid, "b"), (other.member.guid, "a")])


async def test_a_manual_account_is_not_closed(tester):
    await tester.ingest((CHECKING,))
    async with tester.end_user.services.db.transaction() as connection:
        manual = replace((await tester.accounts())["a"], guid="ACT-manual", id=None, is_manual=True)
        await put_account(connection, manual)
    await tester.ingest(())
    accounts = await tester.accounts()
    assert (accounts[None].is_closed, accounts["a"].is_closed) == (False, True)


async def test_created_and_updated_transactions_are_counted(tester):
    other = replace(COFFEE, id="t2", amount=Decimal(7))
    first = await tester.ingest((CHECKING,), transactions=(COFFEE, other))
    tester.end_user.services.clock.advance(timedelta(hours=1))
    changed = replace(other, amount=Decimal(8))
    second = await tester.ingest((CHECKING,), transactions=(COFFEE, changed, replace(COFFEE, id="t3")))
    assert (first.transaction_counts.created, first.transaction_counts.updated) == (2, 0)
    assert (second.transaction_counts.created, second.transaction_counts.updated) == (1, 1)
    same, changed, _ = await tester.end_user.rows(ROWS)
    assert same[5] == same[6], "an unchanged row keeps its updated_at"
    assert (changed[3], changed[6] > changed[5]) == (Decimal(8), True)


async def test_a_pending_transaction_posts_under_the_same_guid(tester):
    pending = replace(COFFEE, status="PENDING")
    await tester.ingest((CHECKING,), transactions=(pending,))
    ((_, guid, status, *_),) = await tester.end_user.rows(ROWS)
    assert status == "PENDING"
    await tester.ingest((CHECKING,), transactions=(COFFEE,))
    ((_, same, status, *_),) = await tester.end_user.rows(ROWS)
    assert (same, status) == (guid, "POSTED")


async def test_an_unlisted_pending_transaction_is_deleted_only_by_a_job_that_reads_transactions(tester):
    pending, posted = replace(COFFEE, status="PENDING"), replace(COFFEE, id="t2")
    await tester.ingest((CHECKING,), transactions=(pending, posted))
    await tester.ingest((CHECKING,), kind=JobKind.BALANCE)
    await tester.ingest((CHECKING,), include_transactions=False)
    assert len(await tester.end_user.rows(ROWS)) == 2
    await tester.ingest((CHECKING,), transactions=())
    assert [row[0] for row in await tester.end_user.rows(ROWS)] == ["t2"], "a posted transaction is kept"


async def test_the_users_description_is_kept_until_the_banks_text_changes(tester):
    await tester.ingest((CHECKING,), transactions=(COFFEE,))
    ((_, guid, *_),) = await tester.end_user.rows(ROWS)
    async with tester.end_user.services.db.transaction() as connection:
        await describe_transaction(
            connection,
            tester.member.user_guid,
            guid,
            description="With Grace",
            now=tester.end_user.services.clock.now(),
        )
    await tester.ingest((CHECKING,), transactions=(replace(COFFEE, amount=Decimal(5)),))
    assert (await tester.end_user.rows(ROWS))[0][4] == "With Grace"
    await tester.ingest((CHECKING,), transactions=(replace(COFFEE, original_description="NEW"),))
    assert (await tester.end_user.rows(ROWS))[0][4] == "Coffee"


async def test_transactions_have_the_guids_of_their_category_and_merchant(tester):
    merchant = tester.end_user.services.registry.merchants()[0]
    rent = replace(COFFEE, id="t2", category="Credit Card Payment", merchant=merchant.merchant.name)
    odd = replace(COFFEE, id="t3", category="No such category", type="CREDIT")
    await tester.ingest((CHECKING,), transactions=(COFFEE, rent, odd))
    rows = await tester.end_user.rows(
        """SELECT category, top_level_category, merchant_guid, merchant_location_guid, is_expense
           FROM transaction WHERE user_guid = %(user)s ORDER BY id"""
    )
    assert rows == [
        ("Coffee Shops", "Food & Dining", None, None, True),
        ("Credit Card Payment", "Transfer", merchant.guid, merchant.location_guid, False),
        ("Uncategorized", "Uncategorized", None, None, False),
    ]


async def test_the_last_of_two_transactions_with_the_same_id_is_saved(tester):
    twice = (COFFEE, replace(COFFEE, amount=Decimal(9)))
    ingested = await tester.ingest((CHECKING,), transactions=twice)
    assert ingested.transaction_counts.created == 1
    assert (await tester.end_user.rows(ROWS))[0][3] == Decimal(9)


async def test_the_same_id_on_two_accounts_is_two_transactions(tester):
    both = (COFFEE, replace(COFFEE, account_id="b"))
    ingested = await tester.ingest((CHECKING, SAVINGS), transactions=both)
    assert ingested.transaction_counts.created == 2


async def test_numbers_and_owners_are_sealed_and_replaced(tester):
    numbers = BankNumbers(account_id="a", account_number="0012345", routing_number="091000019")
    owner = BankOwner(account_id="a", owner_name="Ada Example", city="Duluth")
    ingested = await tester.ingest((CHECKING,), numbers=(numbers,), owners=(owner,))
    assert ingested.numbered_account_guids == ((await tester.accounts())["a"].guid,)
    ((guid, *first),) = await tester.numbers()
    await tester.ingest((CHECKING,), numbers=(replace(numbers, account_number="0099999"),))
    ((same, *second),) = await tester.numbers()
    assert (first, second) == (["0012345", "091000019"], ["0099999", "091000019"])
    assert same == guid
    plain_text = "SELECT a::text || n::text FROM account a, account_number n WHERE a.user_guid = %(user)s"
    assert "0099999" not in str(await tester.end_user.rows(plain_text))


async def test_a_statement_keeps_its_guid_and_is_written_only_if_its_pdf_changes(tester):
    statement = BankStatement(account_id="a", id="2026-02", pdf=b"%PDF one")
    rows = "SELECT guid, content_hash, created_at, updated_at FROM statement WHERE user_guid = %(user)s"

    async def ingest(pdf):
        tester.end_user.services.clock.advance(timedelta(hours=1))
        return await tester.ingest((CHECKING,), statements=(replace(statement, pdf=pdf),))

    assert (await ingest(b"%PDF one")).statements_created_count == 1
    (first,) = await tester.end_user.rows(rows)
    assert (await ingest(b"%PDF one")).statements_created_count == 0
    assert await tester.end_user.rows(rows) == [first]
    assert (await ingest(b"%PDF two")).statements_created_count == 0
    (second,) = await tester.end_user.rows(rows)
    assert (second[0], second[1] != first[1], second[3] > first[3]) == (first[0], True, True)
    async with tester.end_user.services.db.connection() as connection:
        pdf = await tester.end_user.services.vault.disclose_secret(
            connection,
            owner_guid=tester.member.user_guid,
            record_guid=first[0],
            kind=SecretKind.STATEMENT,
            reader=ClientReader(tester.member.client_guid, tester.member.user_guid),
        )
    assert pdf == b"%PDF two"


async def test_saving_10000_transactions_twice_changes_nothing(tester):
    many = [replace(COFFEE, id=f"t{number}", amount=Decimal(number) / 100) for number in range(10_000)]
    for expected in (10_000, 0):
        ingested = await tester.ingest((CHECKING,), transactions=many)
        assert ingested.transaction_counts.created == expected
        assert ingested.transaction_counts.updated == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "2", "3", "4"])),
            st.tuples(st.integers(1, 3), st.sampled_from(["PENDING", "POSTED"])),
        ),
        min_size=1,
        max_size=5,
    )
)
async def test_any_sequence_of_runs_gives_the_rows_of_a_simple_model(services, runs):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    tester = IngestTester(end_user, member, Ingester(services.dependencies))
    model: dict[tuple[str, str], tuple[int, str]] = {}
    guids: dict[tuple[str, str], str] = {}
    for ingested in runs:
        given = [
            replace(COFFEE, account_id=account, id=id, amount=Decimal(amount), status=status)
            for (account, id), (amount, status) in ingested.items()
        ]
        counted = await tester.ingest((CHECKING, SAVINGS), transactions=given)
        assert counted.transaction_counts.created == len(ingested.keys() - model.keys())
        assert counted.transaction_counts.updated == sum(
            model[key] != value for key, value in ingested.items() if key in model
        )
        model |= ingested
        model = {key: row for key, row in model.items() if row[1] == "POSTED" or key in ingested}
        rows = await end_user.rows(
            """SELECT a.id, t.id, t.amount, t.status, t.guid FROM transaction t
               JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
               WHERE t.user_guid = %(user)s"""
        )
        assert {(account, id): (int(amount), status) for account, id, amount, status, _ in rows} == model
        for account, id, *_, guid in rows:
            assert guids.setdefault((account, id), guid) == guid, "a row keeps its guid"
        guids = {key: guid for key, guid in guids.items() if key in model}
