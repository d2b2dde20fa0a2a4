"""Keeping what a bank gave, again and again."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.connectors.collected import CollectedData
from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    Finished,
    JobKind,
)
from coatcheck.members.account_rows import describe_transaction, put_account
from coatcheck.members.ingest import Ingester
from coatcheck.members.records import MemberJob
from coatcheck.model.accounts import accounts_of_member
from coatcheck.vault.vault import ClientReader, SecretKind
from tests.member_setup import make_home

CHECKING = BankAccount(
    id="a", name="Checking", type="CHECKING", balance=Decimal("10.50"), account_number_mask="6789"
)
SAVINGS = BankAccount(id="b", name="Savings", type="SAVINGS", balance=Decimal("99.00"))
COFFEE = BankTransaction(
    account_id="a",
    id="t1",
    amount=Decimal("4.20"),
    type="DEBIT",
    status="POSTED",
    date=date(2026, 3, 1),
    description="Coffee",
    original_description="POS 4711 COFFEE",
    category="Coffee Shops",
)
ROWS = """SELECT t.id, t.guid, t.status, t.amount, t.description, t.created_at, t.updated_at, t.metadata
          FROM transaction t WHERE user_guid = %(user)s ORDER BY t.id"""


class Field:
    """A member whose rows a test ingests by hand."""

    def __init__(self, home, member, ingester):
        self.home, self.member, self.ingester = home, member, ingester

    def job(self, kind=JobKind.AGGREGATION, *, include_transactions=True):
        return MemberJob(
            user_guid=self.member.user_guid,
            guid="JOB-test",
            client_guid=self.member.client_guid,
            member_guid=self.member.guid,
            institution_code=self.member.institution_code,
            kind=kind.value,
            attempt=1,
            claims=1,
            is_background=False,
            include_transactions=include_transactions,
            follow_ups=[],
            callback_payload=None,
            requested_by="test",
        )

    async def bring_in(
        self,
        accounts=(),
        *,
        numbers=(),
        owners=(),
        transactions=(),
        statements=(),
        removed=(),
        finished=None,
        kind=JobKind.AGGREGATION,
        **more,
    ):
        """Saves what a run added."""
        data = CollectedData()
        data.add_accounts(accounts)
        data.add_numbers(numbers)
        data.add_owners(owners)
        data.add_transactions(transactions)
        data.add_statements(statements)
        for account_id, id in removed:
            data.remove_transactions(account_id, [id])
        async with self.home.services.db.transaction() as connection:
            return await self.ingester.save(
                connection,
                self.job(kind, **more),
                finished or Finished(),
                data,
                self.home.services.clock.now(),
            )

    async def accounts(self):
        async with self.home.services.db.connection() as connection:
            found = await accounts_of_member(connection, self.member.user_guid, self.member.guid)
        return {account.id: account for account in found}

    async def numbers(self):
        reader = ClientReader(self.member.client_guid, self.member.user_guid, self.member.guid)
        async with self.home.services.db.connection() as connection:
            shown = await self.home.services.vault.disclose_numbers(connection, reader)
        return [(each.guid, each.account_number, each.routing_number) for each in shown.items]


@pytest.fixture
async def field(services):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    return Field(home, member, Ingester(services.vault, services.registry))


async def test_accounts_come_in_with_every_field_and_a_mask_at_most(field):
    due = datetime(2026, 4, 17, 12, tzinfo=UTC)
    card = replace(
        CHECKING, id="c", type="CREDIT_CARD", payment_due_at=due, apr=Decimal("19.99"),
        credit_limit=Decimal(5000), is_business=True, matures_on=date(2030, 1, 1),
    )  # fmt: skip
    await field.bring_in((CHECKING, card))
    accounts = await field.accounts()
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


async def test_a_second_harvest_keeps_guids_and_what_the_client_changed(field):
    await field.bring_in((CHECKING, SAVINGS))
    before = (await field.accounts())["a"]
    async with field.home.services.db.transaction() as connection:
        await put_account(connection, replace(before, is_hidden=True, metadata="mine", is_business=True))
    field.home.services.clock.advance(timedelta(hours=1))
    richer = replace(CHECKING, balance=Decimal("11.00"), name="Checking Plus", is_business=False)
    await field.bring_in((richer, SAVINGS))
    after = (await field.accounts())["a"]
    assert (after.guid, after.created_at) == (before.guid, before.created_at)
    assert (after.balance, after.name) == (Decimal("11.00"), "Checking Plus")
    assert (after.is_hidden, after.metadata, after.is_business) == (True, "mine", True)
    assert after.updated_at > before.updated_at


async def test_an_account_the_bank_no_longer_shows_is_closed_and_opens_again_when_it_does(field):
    await field.bring_in((CHECKING, SAVINGS))
    await field.bring_in((CHECKING,))
    assert {id: account.is_closed for id, account in (await field.accounts()).items()} == {
        "a": False,
        "b": True,
    }
    await field.bring_in((CHECKING, SAVINGS))
    assert not (await field.accounts())["b"].is_closed


async def test_an_account_that_a_partial_run_does_not_list_stays_open(field):
    await field.bring_in((CHECKING, SAVINGS))
    await field.bring_in((CHECKING,), finished=Finished(lists_all_accounts=False))
    assert not any(account.is_closed for account in (await field.accounts()).values())


async def test_pending_transactions_that_a_run_of_changes_does_not_list_stay(field):
    pending = replace(COFFEE, status="PENDING")
    await field.bring_in((CHECKING,), transactions=(pending, replace(COFFEE, id="t2")))
    await field.bring_in((CHECKING,), finished=Finished(lists_all_transactions=False))
    assert [row[0] for row in await field.home.rows(ROWS)] == ["t1", "t2"]


async def test_what_the_institution_withdraws_is_deleted_from_the_member_s_accounts_alone(field):
    await field.bring_in((CHECKING, SAVINGS), transactions=(COFFEE, replace(COFFEE, account_id="b")))
    other = Field(field.home, await field.home.connect("other", skip_aggregation=True), field.ingester)
    await other.bring_in((CHECKING,), transactions=(COFFEE,))
    await field.bring_in((CHECKING, SAVINGS), removed=[("a", "t1"), ("unknown", "t1"), ("b", "unknown")])
    left = await field.home.rows(
        """SELECT t.member_guid, a.id FROM transaction t
           JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
           WHERE t.user_guid = %(user)s"""
    )
    assert sorted(left) == sorted([(field.member.guid, "b"), (other.member.guid, "a")])


async def test_a_manual_account_is_left_alone(field):
    await field.bring_in((CHECKING,))
    async with field.home.services.db.transaction() as connection:
        manual = replace((await field.accounts())["a"], guid="ACT-manual", id=None, is_manual=True)
        await put_account(connection, manual)
    await field.bring_in(())
    accounts = await field.accounts()
    assert (accounts[None].is_closed, accounts["a"].is_closed) == (False, True)


async def test_transactions_are_counted_as_new_changed_or_neither(field):
    other = replace(COFFEE, id="t2", amount=Decimal(7))
    first = await field.bring_in((CHECKING,), transactions=(COFFEE, other))
    field.home.services.clock.advance(timedelta(hours=1))
    changed = replace(other, amount=Decimal(8))
    second = await field.bring_in((CHECKING,), transactions=(COFFEE, changed, replace(COFFEE, id="t3")))
    assert (first.transactions_created_count, first.transactions_updated_count) == (2, 0)
    assert (second.transactions_created_count, second.transactions_updated_count) == (1, 1)
    same, changed, _ = await field.home.rows(ROWS)
    assert same[5] == same[6], "an unchanged row keeps its updated_at"
    assert (changed[3], changed[6] > changed[5]) == (Decimal(8), True)


async def test_what_was_pending_posts_under_the_same_guid(field):
    pending = replace(COFFEE, status="PENDING")
    await field.bring_in((CHECKING,), transactions=(pending,))
    ((_, guid, status, *_),) = await field.home.rows(ROWS)
    assert status == "PENDING"
    await field.bring_in((CHECKING,), transactions=(COFFEE,))
    ((_, same, status, *_),) = await field.home.rows(ROWS)
    assert (same, status) == (guid, "POSTED")


async def test_what_was_pending_and_vanished_is_dropped_but_not_by_a_job_without_transactions(field):
    pending, posted = replace(COFFEE, status="PENDING"), replace(COFFEE, id="t2")
    await field.bring_in((CHECKING,), transactions=(pending, posted))
    await field.bring_in((CHECKING,), kind=JobKind.BALANCE)
    await field.bring_in((CHECKING,), include_transactions=False)
    assert len(await field.home.rows(ROWS)) == 2
    await field.bring_in((CHECKING,), transactions=())
    assert [row[0] for row in await field.home.rows(ROWS)] == ["t2"], "what posted stays"


async def test_the_users_own_description_survives_until_the_banks_text_changes(field):
    await field.bring_in((CHECKING,), transactions=(COFFEE,))
    ((_, guid, *_),) = await field.home.rows(ROWS)
    async with field.home.services.db.transaction() as connection:
        await describe_transaction(
            connection,
            field.member.user_guid,
            guid,
            description="With Grace",
            now=field.home.services.clock.now(),
        )
    await field.bring_in((CHECKING,), transactions=(replace(COFFEE, amount=Decimal(5)),))
    assert (await field.home.rows(ROWS))[0][4] == "With Grace"
    await field.bring_in((CHECKING,), transactions=(replace(COFFEE, original_description="NEW"),))
    assert (await field.home.rows(ROWS))[0][4] == "Coffee"


async def test_categories_and_merchants_come_with_their_guids(field):
    merchant = field.home.services.registry.merchants()[0]
    rent = replace(COFFEE, id="t2", category="Credit Card Payment", merchant=merchant.merchant.name)
    odd = replace(COFFEE, id="t3", category="No such category", type="CREDIT")
    await field.bring_in((CHECKING,), transactions=(COFFEE, rent, odd))
    rows = await field.home.rows(
        """SELECT category, top_level_category, merchant_guid, merchant_location_guid, is_expense
           FROM transaction WHERE user_guid = %(user)s ORDER BY id"""
    )
    assert rows == [
        ("Coffee Shops", "Food & Dining", None, None, True),
        ("Credit Card Payment", "Transfer", merchant.guid, merchant.location_guid, False),
        ("Uncategorized", "Uncategorized", None, None, False),
    ]


async def test_of_two_transactions_with_one_id_the_last_counts(field):
    twice = (COFFEE, replace(COFFEE, amount=Decimal(9)))
    ingested = await field.bring_in((CHECKING,), transactions=twice)
    assert ingested.transactions_created_count == 1
    assert (await field.home.rows(ROWS))[0][3] == Decimal(9)


async def test_the_same_id_on_two_accounts_is_two_transactions(field):
    both = (COFFEE, replace(COFFEE, account_id="b"))
    ingested = await field.bring_in((CHECKING, SAVINGS), transactions=both)
    assert ingested.transactions_created_count == 2


async def test_numbers_and_owners_go_to_the_vault_and_are_replaced(field):
    numbers = BankNumbers(account_id="a", account_number="0012345", routing_number="091000019")
    owner = BankOwner(account_id="a", owner_name="Ada Example", city="Duluth")
    ingested = await field.bring_in((CHECKING,), numbers=(numbers,), owners=(owner,))
    assert ingested.numbered_account_guids == ((await field.accounts())["a"].guid,)
    ((guid, *first),) = await field.numbers()
    await field.bring_in((CHECKING,), numbers=(replace(numbers, account_number="0099999"),))
    ((same, *second),) = await field.numbers()
    assert (first, second) == (["0012345", "091000019"], ["0099999", "091000019"])
    assert same == guid
    in_clear = "SELECT a::text || n::text FROM account a, account_number n WHERE a.user_guid = %(user)s"
    assert "0099999" not in str(await field.home.rows(in_clear))


async def test_statements_keep_their_guid_and_only_a_new_pdf_replaces_the_old(field):
    statement = BankStatement(account_id="a", id="2026-02", pdf=b"%PDF one")
    rows = "SELECT guid, content_hash, created_at, updated_at FROM statement WHERE user_guid = %(user)s"

    async def bring_in(pdf):
        field.home.services.clock.advance(timedelta(hours=1))
        return await field.bring_in((CHECKING,), statements=(replace(statement, pdf=pdf),))

    assert (await bring_in(b"%PDF one")).statements_created_count == 1
    (first,) = await field.home.rows(rows)
    assert (await bring_in(b"%PDF one")).statements_created_count == 0
    assert await field.home.rows(rows) == [first]
    assert (await bring_in(b"%PDF two")).statements_created_count == 0
    (second,) = await field.home.rows(rows)
    assert (second[0], second[1] != first[1], second[3] > first[3]) == (first[0], True, True)
    async with field.home.services.db.connection() as connection:
        pdf = await field.home.services.vault.disclose_secret(
            connection,
            owner_guid=field.member.user_guid,
            record_guid=first[0],
            kind=SecretKind.STATEMENT,
            reader=ClientReader(field.member.client_guid, field.member.user_guid),
        )
    assert pdf == b"%PDF two"


async def test_10000_transactions_are_kept_and_bringing_them_again_changes_nothing(field):
    many = [replace(COFFEE, id=f"t{number}", amount=Decimal(number) / 100) for number in range(10_000)]
    for expected in (10_000, 0):
        ingested = await field.bring_in((CHECKING,), transactions=many)
        assert ingested.transactions_created_count == expected
        assert ingested.transactions_updated_count == 0


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
async def test_whatever_comes_in_whichever_order_the_rows_are_what_a_simple_model_says(services, runs):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    field = Field(home, member, Ingester(services.vault, services.registry))
    model: dict[tuple[str, str], tuple[int, str]] = {}
    guids: dict[tuple[str, str], str] = {}
    for ingested in runs:
        given = [
            replace(COFFEE, account_id=account, id=id, amount=Decimal(amount), status=status)
            for (account, id), (amount, status) in ingested.items()
        ]
        counted = await field.bring_in((CHECKING, SAVINGS), transactions=given)
        assert counted.transactions_created_count == len(ingested.keys() - model.keys())
        assert counted.transactions_updated_count == sum(
            model[key] != value for key, value in ingested.items() if key in model
        )
        model |= ingested
        model = {key: row for key, row in model.items() if row[1] == "POSTED" or key in ingested}
        rows = await home.rows(
            """SELECT a.id, t.id, t.amount, t.status, t.guid FROM transaction t
               JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
               WHERE t.user_guid = %(user)s"""
        )
        assert {(account, id): (int(amount), status) for account, id, amount, status, _ in rows} == model
        for account, id, *_, guid in rows:
            assert guids.setdefault((account, id), guid) == guid, "a row that stays keeps its guid"
        guids = {key: guid for key, guid in guids.items() if key in model}
