"""The sandbox's money adds up: every balance follows from the ledger, however and whenever it is read."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import fields
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
from coatcheck.connectors.sandbox.household import Household, household, month_of, opening
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


def home_of(login: str) -> Household:
    return household(1, MX_BANK, parse_login(login))


def visit_of(login: str, since: date, now: datetime) -> bank_data.BankRecords:
    return bank_data.records_of(1, MX_BANK, parse_login(login), home_of(login), since=since, now=now)


def signed(transaction: BankTransaction) -> Decimal:
    return transaction.amount if transaction.type == "CREDIT" else -transaction.amount


def locked(account) -> Decimal:
    """From the holder's side: what is owed is negative, what the market did is left out."""
    if account.type == "INVESTMENT":
        return account.cash_balance
    return -account.balance if account.type in DEBTS else account.balance


@some
@given(logins, times)
def test_every_month_ends_where_the_next_begins(login, now):
    home, month = home_of(login), month_of(now.date())
    sums = Counter()
    for each in ledger.movements(home, month, month):
        sums[each.position] += each.cents
    for position in range(len(home.accounts)):
        assert opening(home, position, month) + sums[position] == opening(home, position, month + 1)


@some
@given(logins, times, st.timedeltas(timedelta(0), timedelta(days=80)))
async def test_a_balance_moves_by_exactly_what_posts(login, now, later):
    before, after = await read(login, now), await read(login, now + later)
    for old, new in zip(before.accounts, after.accounts, strict=True):
        posted = (
            signed(each)
            for each in after.transactions
            if each.account_id == old.id
            and each.posted_at
            and now.replace(second=0, microsecond=0) < each.posted_at
        )
        assert locked(old) + sum(posted) == locked(new)


@some
@given(logins, times)
async def test_what_is_available_is_the_balance_less_what_is_pending(login, now):
    told = await read(login, now)
    for account in told.accounts:
        pending = sum(
            signed(each)
            for each in told.transactions
            if each.account_id == account.id and each.status == "PENDING"
        )
        if account.type in {"CHECKING", "SAVINGS", "PREPAID"}:
            assert account.available_balance == account.balance + pending
        if account.credit_limit is not None:
            assert account.available_credit == account.credit_limit - account.balance + pending
            assert account.available_credit >= 0


@few
@given(logins, times, st.integers(0, 729))
def test_a_shorter_history_is_a_slice_of_the_longer(login, now, days):
    since, longest = now.date() - timedelta(days=days), now.date() - timedelta(days=730)
    whole = bank_data.transactions(visit_of(login, longest, now), longest)
    part = bank_data.transactions(visit_of(login, since, now), since)
    assert part == tuple(each for each in whole if each.date >= since)


@some
@given(logins, times)
async def test_what_leaves_one_account_for_another_arrives_there(login, now):
    told = await read(login, now)
    sides: dict[str, list[BankTransaction]] = {}
    for each in told.transactions:
        if each.memo:
            sides.setdefault(each.memo, []).append(each)
    assert sides or len(told.accounts) == 1
    checking = told.accounts[0].id
    for one, other in sides.values():
        assert (one.amount, one.transacted_at) == (other.amount, other.transacted_at)
        assert {one.type, other.type} == {"CREDIT", "DEBIT"}
        assert checking in {one.account_id, other.account_id}
        assert one.account_id != other.account_id


@some
@given(logins, times)
async def test_what_is_pending_posts_within_three_days_under_the_same_id(login, now):
    before = (await read(login, now)).transactions
    after = {each.id: each for each in (await read(login, now + timedelta(days=3))).transactions}
    for each in before:
        later = after.get(each.id)
        if later is None:  # now older than the 90 days
            assert each.status == "POSTED"
            continue
        assert later.status == "POSTED"
        assert (later.date, later.type, later.account_id) == (each.date, each.type, each.account_id)
        if each.status == "POSTED":
            assert later == each


async def test_some_of_what_is_pending_posts_with_another_amount():
    changed = 0
    for day in range(0, 30, 3):
        before = (await read("mxuser", NOW + timedelta(days=day))).transactions
        after = {each.id: each for each in (await read("mxuser", NOW + timedelta(days=day + 3))).transactions}
        changed += sum(after[each.id].amount > each.amount for each in before if each.status == "PENDING")
    assert changed >= 3


@some
@given(logins, times)
async def test_nothing_is_told_before_it_happens_and_ids_are_unique(login, now):
    told = (await read(login, now)).transactions
    assert told
    assert all(
        each.transacted_at <= now and (each.posted_at is None or each.posted_at <= now) for each in told
    )
    assert len({each.id for each in told}) == len(told)
    assert all(each.amount > 0 for each in told)


@some
@given(logins, times)
async def test_checking_stays_sensible(login, now):
    home = home_of(login)
    month = month_of(now.date())
    running, lowest, highest = opening(home, 0, month - 2), 10**12, -(10**12)
    written = sorted(
        (each for each in ledger.movements(home, month - 2, month) if each.position == 0),
        key=lambda each: each.posted,
    )
    for each in written:
        running += each.cents
        lowest, highest = min(lowest, running), max(highest, running)
    assert highest < 2 * home.monthly
    assert lowest > (-0.6 * home.monthly if home.persona.is_overdrawn else 0)


async def test_the_overdrawn_are_overdrawn_and_pay_for_it():
    session = visit_of("ann+persona=overdrawn", NOW.date() - timedelta(days=365), NOW)
    days = range(NOW.date().toordinal() - 300, NOW.date().toordinal())
    assert any(session.balance(0, day * ledger.DAY) < 0 for day in days)
    assert any(each.is_overdraft_fee for each in (await read("ann+persona=overdrawn")).transactions)


@pytest.mark.parametrize("persona", PERSONAS)
async def test_debts_are_what_is_owed_and_deposits_what_is_held(persona):
    for account in (await read(f"ann+persona={persona}")).accounts:
        assert account.balance >= 0 or (persona, account.type) == ("overdrawn", "CHECKING")
        assert account.balance.as_tuple().exponent == -2


async def test_every_kind_of_account_is_held_by_somebody():
    kinds = set()
    for persona in PERSONAS:
        told = await read(f"ann+persona={persona}")
        assert 2 <= len(told.accounts) <= 8
        kinds |= {(each.type, each.subtype) for each in told.accounts}
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


async def test_every_persona_is_somebodys_lot():
    lots = {home_of(f"customer{n}").persona for n in range(100)}
    assert lots == set(PERSONAS.values())


async def test_two_years_of_life_hold_everything_a_life_holds():
    told = (await read("mxuser", kind=JobKind.HISTORY)).transactions
    assert min(each.date for each in told) < NOW.date() - timedelta(days=725)
    pay = [each for each in told if each.is_direct_deposit]
    assert {(after.date - before.date).days for before, after in pairwise(pay)} == {14}
    assert {each.date.strftime("%A") for each in pay} == {"Friday"}
    assert len({each.amount for each in pay}) == 1
    cheques = [int(each.check_number_string) for each in told if each.check_number_string]
    assert cheques == list(range(cheques[0], cheques[0] + len(cheques)))
    assert len(cheques) in {24, 25}
    power = [each.amount for each in told if each.merchant == "Brightwater Power"]
    assert len(set(power)) > 12
    cash = [each.amount for each in told if each.category == "Cash"]
    assert cash
    assert all(amount % 20 == 0 for amount in cash)
    assert Counter(each.merchant for each in told if each.is_subscription)["Lumen Reel"] in {24, 25}
    found = {each.category for each in told}
    assert found >= {
        "Paycheck", "Mortgage & Rent", "Utilities", "Internet", "Mobile Phone", "Television", "Groceries",
        "Restaurants", "Coffee Shops", "Fast Food", "Gas", "Returned Purchase", "ATM Fee", "Service Fee",
        "Credit Card Payment", "Transfer", "Interest Income", "Check", "Cash", "Auto Payment",
    }  # fmt: skip
    assert any(each.is_international and each.country == "FR" for each in told)
    assert any("Pingpay" in each.description for each in told)


def test_many_tx_is_ten_thousand_more_in_any_two_years():
    home, month = home_of("mxuser+many_tx"), month_of(NOW.date())
    written = ledger.movements(home, month - 25, month)
    days = range(NOW.date().toordinal() - 729, NOW.date().toordinal() + 1)
    extra = [
        each
        for each in written
        if each.entry.merchant == "Clatterbox Vending" and each.at // ledger.DAY in days
    ]
    assert len(extra) == 10_000
    assert sum(each.cents for each in extra) == 0
    assert len({each.id for each in written}) == len(written)


async def test_categories_and_merchants_are_ones_that_are_known():
    merchants = {each.name for each in BANK.merchants()}
    for persona in PERSONAS:
        for each in (await read(f"ann+persona={persona}", kind=JobKind.HISTORY)).transactions:
            assert each.category in BY_NAME
            assert each.merchant is None or each.merchant in merchants


async def test_rent_is_paid_by_those_without_a_mortgage():
    for persona, mortgaged in (("salaried", True), ("gig", False)):
        told = await read(f"ann+persona={persona}")
        assert ("MORTGAGE" in {each.type for each in told.accounts}) == mortgaged
        assert any(each.category == "Mortgage & Rent" for each in told.transactions)


def test_the_same_inputs_give_the_same_outputs_in_another_process():
    program = f"""
import asyncio, hashlib
from datetime import UTC, datetime
from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.testing.connectors import connector_context, run_connector
bank = SandboxBank(connector_context(SandboxSettings(seed=1)))
task = Task(JobKind.HISTORY, "mxbank", "MBR-1", datetime.fromisoformat("{NOW.isoformat()}"))
told = asyncio.run(run_connector(bank, task, {{"LOGIN": "mxuser", "PASSWORD": "x"}}))
print(hashlib.sha256(repr((told.accounts, told.transactions)).encode()).hexdigest())
"""
    here = bank_data.transactions(visit_of("mxuser", TWO_YEARS_AGO, NOW), TWO_YEARS_AGO)
    accounts = bank_data.accounts(visit_of("mxuser", NOW.date(), NOW))
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
async def printed() -> Run:
    return await read("mxuser", kind=JobKind.STATEMENT)


async def test_statements_are_twelve_a_deposit_account_and_the_same_bytes_each_time(printed):
    assert printed.statements == (await read("mxuser", kind=JobKind.STATEMENT)).statements
    months = Counter(each.account_id for each in printed.statements)
    assert months == {each.id: 12 for each in printed.accounts if each.type in {"CHECKING", "SAVINGS"}}
    first = printed.accounts[0].id
    assert {each.id for each in printed.statements if each.account_id == first} >= {
        f"{first}-{month}" for month in ("2025-11", "2026-02", "2026-10")
    }
    assert len({each.id for each in printed.statements}) == len(printed.statements)


async def test_a_statement_shows_the_balances_and_never_the_number(printed):
    number = home_of("mxuser").accounts[0].number
    session = visit_of("mxuser", NOW.date() - timedelta(days=372), NOW)
    for given_out, drawn in zip(printed.statements[:3], statements.statements(session), strict=False):
        text = "".join(page.extract_text() for page in PdfReader(BytesIO(given_out.pdf)).pages)
        assert f"Opening balance: {drawn.opening:,.2f}" in text
        assert f"Closing balance: {drawn.closing:,.2f}" in text
        assert f"ending in {number[-4:]}" in text
        assert number not in text
        assert all(f"{line.balance:,.2f}" in text for line in drawn.lines)


@few
@given(logins, times)
def test_each_statement_opens_where_the_last_one_closed(login, now):
    session = visit_of(login, now.date() - timedelta(days=372), now)
    drawn = list(statements.statements(session))
    assert drawn
    for one, following in pairwise(drawn):
        assert one.opening + sum((line.amount for line in one.lines), Decimal(0)) == one.closing
        if one.account_id == following.account_id:
            assert (one.closing, one.end + timedelta(days=1)) == (following.opening, following.start)


def test_a_web_process_that_prints_nothing_never_loads_reportlab():
    program = "import sys, coatcheck.connectors.registry; sys.exit('reportlab' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


DIGESTS = {
    "mxuser": "ad2db50fbd681c3d7184f53d391ab6b70db7d26e14c7daff2d8792468dd09454",
    "ann+persona=gig": "f8cd7a99b818820c17cb8272f3a5bba82073e1e185fbacf12d2709eb65a66f61",
    "ann+persona=business+joint": "758be5b6174685956312abf9f81a12947acb2fed790ddedc34a78f318635ae7f",
    "ann+canadian+persona=affluent": "16edc720a68ad5636b875b71c4c67e1f8e2df56c40f117e82be73b27cbaaf8fc",
}
"""Of all that a login has, but for the statements' PDF, which is reportlab's."""


@pytest.mark.parametrize(("login", "expected"), DIGESTS.items())
async def test_a_login_has_the_same_data_in_every_version(login, expected):
    digest = hashlib.sha256()
    for kind in JobKind:
        given = await read(login, kind=kind)
        for row in (*given.accounts, *given.numbers, *given.owners, *given.transactions, *given.statements):
            values = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "pdf"}
            digest.update(repr([(name, value) for name, value in values.items() if value]).encode())
    assert digest.hexdigest() == expected
