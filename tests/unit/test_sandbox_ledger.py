"""The ledger of the sandbox bank: balances are the sums of its movements, at every time and for every period."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from coatcheck.connectors.contract import BankTransaction, JobKind, Task
from coatcheck.connectors.registry import Registry
from coatcheck.connectors.sandbox import bank_data, ledger, statements
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.connectors.sandbox.household import Household, household_of, month_of, opening
from coatcheck.connectors.sandbox.logins import parse_login
from coatcheck.connectors.sandbox.personas import DEBTS, PERSONAS
from coatcheck.model.categories import BY_NAME
from coatcheck.testing.connectors import Run, connector_context, run_connector

BANK = SandboxBank(connector_context(SandboxSettings(seed=1)))
MX_BANK = Registry((BANK,)).find("mxbank")
NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
TWO_YEARS_AGO = NOW.date() - timedelta(days=730)

logins = st.builds("{}+persona={}".format, st.sampled_from("abcdefghij"), st.sampled_from(sorted(PERSONAS)))
times = st.datetimes(datetime(2019, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis adds the zone)
some = settings(max_examples=12, deadline=None)
few = settings(max_examples=5, deadline=None)


async def read(login: str, now: datetime = NOW, kind: JobKind = JobKind.AGGREGATION, bank=BANK) -> Run:
    return await run_connector(bank, Task(kind, "mxbank", "MBR-1", now), {"LOGIN": login, "PASSWORD": "x"})


def household_for(login: str) -> Household:
    return household_of(1, MX_BANK, parse_login(login))


def records_for(login: str, since: date, now: datetime) -> bank_data.BankRecords:
    return bank_data.records_of(1, MX_BANK, parse_login(login), household_for(login), since=since, now=now)


def signed(transaction: BankTransaction) -> Decimal:
    return transaction.amount if transaction.type == "CREDIT" else -transaction.amount


def ledger_balance(account) -> Decimal:
    """The balance that the movements add up to: debt is negative, and market gains are excluded."""
    if account.type == "INVESTMENT":
        return account.cash_balance
    return -account.balance if account.type in DEBTS else account.balance


@some
@given(logins, times)
def test_opening_balance_plus_movements_is_the_next_opening_balance(login, now):
    household, month = household_for(login), month_of(now.date())
    sums = Counter()
    for each in ledger.movements(household, month, month):
        sums[each.position] += each.cents
    for position in range(len(household.accounts)):
        assert opening(household, position, month) + sums[position] == opening(household, position, month + 1)


@some
@given(logins, times, st.timedeltas(timedelta(0), timedelta(days=80)))
async def test_a_balance_changes_by_the_posted_transactions(login, now, later):
    before, after = await read(login, now), await read(login, now + later)
    for old, new in zip(before.accounts, after.accounts, strict=True):
        posted = (
            signed(each)
            for each in after.transactions
            if each.account_id == old.id
            and each.posted_at
            and now.replace(second=0, microsecond=0) < each.posted_at
        )
        assert ledger_balance(old) + sum(posted) == ledger_balance(new)


@some
@given(logins, times)
async def test_the_available_balance_is_the_balance_less_pending_debits(login, now):
    result = await read(login, now)
    for account in result.accounts:
        pending = sum(
            signed(each)
            for each in result.transactions
            if each.account_id == account.id and each.status == "PENDING"
        )
        if account.type in {"CHECKING", "SAVINGS", "PREPAID"}:
            assert account.available_balance == account.balance + pending
        if account.credit_limit is not None:
            assert account.available_credit == account.credit_limit - account.balance + pending
            assert account.available_credit >= 0


@few
@given(logins, times, st.integers(0, 729))
def test_a_shorter_history_is_a_part_of_a_longer_one(login, now, days):
    since, longest = now.date() - timedelta(days=days), now.date() - timedelta(days=730)
    whole = bank_data.transactions(records_for(login, longest, now), longest)
    part = bank_data.transactions(records_for(login, since, now), since)
    assert part == tuple(each for each in whole if each.date >= since)


def test_reading_the_last_day_takes_the_movements_of_two_months():
    records = bank_data.lazy_records_of(
        1, MX_BANK, parse_login("mxuser"), household_for("mxuser"), since=TWO_YEARS_AGO, now=NOW
    )
    numbers = set()

    def month(number: int) -> ledger.Month:
        numbers.add(number)
        return records.months(number)

    counted = replace(records, months=month)
    yesterday = NOW.date() - timedelta(days=1)
    accounts = bank_data.accounts(counted)
    transactions = bank_data.transactions(
        counted, TWO_YEARS_AGO, {account.id: yesterday for account in accounts}
    )
    assert {each.date for each in transactions} <= {yesterday, NOW.date()}
    assert transactions
    assert numbers == {month_of(NOW.date()) - 1, month_of(NOW.date())}


@some
@given(logins, times)
async def test_a_transfer_is_a_debit_in_one_account_and_a_credit_in_the_other(login, now):
    result = await read(login, now)
    sides: dict[str, list[BankTransaction]] = {}
    for each in result.transactions:
        if each.memo:
            sides.setdefault(each.memo, []).append(each)
    assert sides or len(result.accounts) == 1
    checking = result.accounts[0].id
    for one, other in sides.values():
        assert (one.amount, one.transacted_at) == (other.amount, other.transacted_at)
        assert {one.type, other.type} == {"CREDIT", "DEBIT"}
        assert checking in {one.account_id, other.account_id}
        assert one.account_id != other.account_id


@some
@given(logins, times)
async def test_a_pending_transaction_posts_within_three_days_under_the_same_id(login, now):
    before = (await read(login, now)).transactions
    after = {each.id: each for each in (await read(login, now + timedelta(days=3))).transactions}
    for each in before:
        later = after.get(each.id)
        if later is None:  # older than 90 days now
            assert each.status == "POSTED"
            continue
        assert later.status == "POSTED"
        assert (later.date, later.type, later.account_id) == (each.date, each.type, each.account_id)
        if each.status == "POSTED":
            assert later == each


async def test_some_pending_transactions_post_with_another_amount():
    changed = 0
    for day in range(0, 30, 3):
        before = (await read("mxuser", NOW + timedelta(days=day))).transactions
        after = {each.id: each for each in (await read("mxuser", NOW + timedelta(days=day + 3))).transactions}
        changed += sum(after[each.id].amount > each.amount for each in before if each.status == "PENDING")
    assert changed >= 3


@some
@given(logins, times)
async def test_no_transaction_is_in_the_future_and_ids_are_unique(login, now):
    result = (await read(login, now)).transactions
    assert result
    assert all(
        each.transacted_at <= now and (each.posted_at is None or each.posted_at <= now) for each in result
    )
    assert len({each.id for each in result}) == len(result)
    assert all(each.amount > 0 for each in result)


@some
@given(logins, times)
async def test_the_checking_balance_stays_in_its_limits(login, now):
    household = household_for(login)
    month = month_of(now.date())
    running, lowest, highest = opening(household, 0, month - 2), 10**12, -(10**12)
    written = sorted(
        (each for each in ledger.movements(household, month - 2, month) if each.position == 0),
        key=lambda each: each.posted,
    )
    for each in written:
        running += each.cents
        lowest, highest = min(lowest, running), max(highest, running)
    assert highest < 2 * household.monthly
    assert lowest > (-0.6 * household.monthly if household.persona.is_overdrawn else 0)


async def test_an_overdrawn_persona_has_negative_balances_and_overdraft_fees():
    records = records_for("ann+persona=overdrawn", NOW.date() - timedelta(days=365), NOW)
    days = range(NOW.date().toordinal() - 300, NOW.date().toordinal())
    assert any(records.balance(0, day * ledger.DAY) < 0 for day in days)
    assert any(each.is_overdraft_fee for each in (await read("ann+persona=overdrawn")).transactions)


@pytest.mark.parametrize("persona", PERSONAS)
async def test_balances_of_debts_and_deposits_are_positive(persona):
    for account in (await read(f"ann+persona={persona}")).accounts:
        assert account.balance >= 0 or (persona, account.type) == ("overdrawn", "CHECKING")
        assert account.balance.as_tuple().exponent == -2


async def test_some_persona_has_each_kind_of_account():
    kinds = set()
    for persona in PERSONAS:
        result = await read(f"ann+persona={persona}")
        assert 2 <= len(result.accounts) <= 8
        kinds |= {(each.type, each.subtype) for each in result.accounts}
    assert kinds >= {
        ("CHECKING", None),
        ("SAVINGS", None),
        ("SAVINGS", "MONEY_MARKET"),
        ("SAVINGS", "CERTIFICATE_OF_DEPOSIT"),
        ("CREDIT_CARD", None),
        ("MORTGAGE", None),
        ("LOAN", "AUTO"),
        ("LOAN", "STUDENT"),
        ("LOAN", "PERSONAL"),
        ("LINE_OF_CREDIT", "HELOC"),
        ("CHECKING_LINE_OF_CREDIT", None),
        ("INVESTMENT", "BROKERAGE"),
        ("INVESTMENT", "PLAN_401_K"),
        ("PREPAID", None),
    }


async def test_every_persona_is_chosen_for_some_login():
    found = {household_for(f"customer{n}").persona for n in range(100)}
    assert found == set(PERSONAS.values())


async def test_two_years_have_regular_pay_bills_cheques_and_every_category():
    result = (await read("mxuser", kind=JobKind.HISTORY)).transactions
    assert min(each.date for each in result) < NOW.date() - timedelta(days=725)
    pay = [each for each in result if each.is_direct_deposit]
    assert {(after.date - before.date).days for before, after in pairwise(pay)} == {14}
    assert {each.date.strftime("%A") for each in pay} == {"Friday"}
    assert len({each.amount for each in pay}) == 1
    cheques = [int(each.check_number_string) for each in result if each.check_number_string]
    assert cheques == list(range(cheques[0], cheques[0] + len(cheques)))
    assert len(cheques) in {24, 25}
    power = [each.amount for each in result if each.merchant == "Brightwater Power"]
    assert len(set(power)) > 12
    cash = [each.amount for each in result if each.category == "Cash"]
    assert cash
    assert all(amount % 20 == 0 for amount in cash)
    assert Counter(each.merchant for each in result if each.is_subscription)["Lumen Reel"] in {24, 25}
    found = {each.category for each in result}
    assert found >= {
        "Paycheck", "Mortgage & Rent", "Utilities", "Internet", "Mobile Phone", "Television", "Groceries",
        "Restaurants", "Coffee Shops", "Fast Food", "Gas", "Returned Purchase", "ATM Fee", "Service Fee",
        "Credit Card Payment", "Transfer", "Interest Income", "Check", "Cash", "Auto Payment",
    }  # fmt: skip
    assert any(each.is_international and each.country == "FR" for each in result)
    assert any("Pingpay" in each.description for each in result)


def test_many_tx_adds_10000_transactions_in_two_years():
    household, month = household_for("mxuser+many_tx"), month_of(NOW.date())
    written = ledger.movements(household, month - 25, month)
    days = range(NOW.date().toordinal() - 729, NOW.date().toordinal() + 1)
    extra = [
        each
        for each in written
        if each.entry.merchant == "Clatterbox Vending" and each.at // ledger.DAY in days
    ]
    assert len(extra) == 10_000
    assert sum(each.cents for each in extra) == 0
    assert len({each.id for each in written}) == len(written)


async def test_categories_and_merchants_exist():
    merchants = {each.name for each in BANK.merchants()}
    for persona in PERSONAS:
        for each in (await read(f"ann+persona={persona}", kind=JobKind.HISTORY)).transactions:
            assert each.category in BY_NAME
            assert each.merchant is None or each.merchant in merchants


async def test_rent_is_paid_by_those_without_a_mortgage():
    for persona, mortgaged in (("salaried", True), ("gig", False)):
        result = await read(f"ann+persona={persona}")
        assert ("MORTGAGE" in {each.type for each in result.accounts}) == mortgaged
        assert any(each.category == "Mortgage & Rent" for each in result.transactions)


def test_the_same_inputs_give_the_same_outputs_in_another_process():
    program = f"""
import asyncio, hashlib
from datetime import UTC, datetime
from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.testing.connectors import connector_context, run_connector
bank = SandboxBank(connector_context(SandboxSettings(seed=1)))
task = Task(JobKind.HISTORY, "mxbank", "MBR-1", datetime.fromisoformat("{NOW.isoformat()}"))
result = asyncio.run(run_connector(bank, task, {{"LOGIN": "mxuser", "PASSWORD": "x"}}))
print(hashlib.sha256(repr((result.accounts, result.transactions)).encode()).hexdigest())
"""
    here = bank_data.transactions(records_for("mxuser", TWO_YEARS_AGO, NOW), TWO_YEARS_AGO)
    accounts = bank_data.accounts(records_for("mxuser", NOW.date(), NOW))
    expected = hashlib.sha256(repr((accounts, here)).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


@pytest.fixture(scope="module")
async def statement_run() -> Run:
    return await read("mxuser", kind=JobKind.STATEMENT)


async def test_a_deposit_account_has_twelve_statements_with_the_same_bytes_each_time(statement_run):
    assert statement_run.statements == (await read("mxuser", kind=JobKind.STATEMENT)).statements
    months = Counter(each.account_id for each in statement_run.statements)
    assert months == {each.id: 12 for each in statement_run.accounts if each.type in {"CHECKING", "SAVINGS"}}
    first = statement_run.accounts[0].id
    assert {each.id for each in statement_run.statements if each.account_id == first} >= {
        f"{first}-{month}" for month in ("2025-11", "2026-02", "2026-10")
    }
    assert len({each.id for each in statement_run.statements}) == len(statement_run.statements)


async def test_a_statement_contains_the_balances_and_not_the_account_number(statement_run):
    number = household_for("mxuser").accounts[0].number
    records = records_for("mxuser", NOW.date() - timedelta(days=372), NOW)
    for bank_statement, expected in zip(
        statement_run.statements[:3], statements.statements(records), strict=False
    ):
        text = "".join(page.extract_text() for page in PdfReader(BytesIO(bank_statement.pdf)).pages)
        assert f"Opening balance: {expected.opening:,.2f}" in text
        assert f"Closing balance: {expected.closing:,.2f}" in text
        assert f"ending in {number[-4:]}" in text
        assert number not in text
        assert all(f"{line.balance:,.2f}" in text for line in expected.lines)


@few
@given(logins, times)
def test_each_statement_opens_with_the_previous_closing_balance(login, now):
    records = records_for(login, now.date() - timedelta(days=372), now)
    expected = list(statements.statements(records))
    assert expected
    for one, following in pairwise(expected):
        assert one.opening + sum((line.amount for line in one.lines), Decimal(0)) == one.closing
        if one.account_id == following.account_id:
            assert (one.closing, one.end + timedelta(days=1)) == (following.opening, following.start)


def test_importing_the_registry_does_not_import_reportlab():
    program = "import sys, coatcheck.connectors.registry; sys.exit('reportlab' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


DIGESTS = {
    "mxuser": "ad2db50fbd681c3d7184f53d391ab6b70db7d26e14c7daff2d8792468dd09454",
    "ann+persona=gig": "f8cd7a99b818820c17cb8272f3a5bba82073e1e185fbacf12d2709eb65a66f61",
    "ann+persona=business+joint": "758be5b6174685956312abf9f81a12947acb2fed790ddedc34a78f318635ae7f",
    "ann+canadian+persona=affluent": "16edc720a68ad5636b875b71c4c67e1f8e2df56c40f117e82be73b27cbaaf8fc",
}
"""Digests of all data of a login, without the PDF files, which change with reportlab."""


@pytest.mark.parametrize(("login", "expected"), DIGESTS.items())
async def test_a_login_has_the_same_data_in_every_version(login, expected):
    digest = hashlib.sha256()
    for kind in JobKind:
        result = await read(login, kind=kind)
        for row in (
            *result.accounts,
            *result.numbers,
            *result.owners,
            *result.transactions,
            *result.statements,
        ):
            values = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "pdf"}
            digest.update(repr([(name, value) for name, value in values.items() if value]).encode())
    assert digest.hexdigest() == expected
