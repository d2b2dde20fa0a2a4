"""The data of a login at a given time, as the records of the connector contract."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankTransaction,
    Institution,
)
from coatcheck.connectors.sandbox import ledger
from coatcheck.connectors.sandbox.household import Account, Household, first_day, month_of
from coatcheck.connectors.sandbox.ledger import DAY, LONGEST_LAG, Month, Movement
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.numbers import account_number, digits, routing_number, seeded
from coatcheck.connectors.sandbox.people import OwnerTraits, owner

EMPTY: Mapping[str, date] = MappingProxyType({})
_UNSETTLED = 5 * DAY
"""With `pending_only`, movements of the last five days have not posted. In minutes."""
UNKNOWN_TYPE = "DIGITAL_WALLET"
"""With `schema_drift`, the type of the first account. MX has no such type."""
_CENT = Decimal("0.01")
_JOINT_INSTITUTION = "mxcu_oauth"
"""MX's test institution with several owners for each account."""
_FULL_NAME_INSTITUTIONS = frozenset({"mxbank", "mx_bank_oauth"})
"""Institutions that send an owner's full name without its parts."""


@dataclass(frozen=True, slots=True, repr=False)
class BankRecords:
    """The household of a login, and the movements of its accounts up to a time."""

    seed: int
    institution: Institution
    login: Login
    household: Household
    first_month: int
    """The first month that is read; it is before the month of `at`."""
    last_month: int
    """The month of `at`."""
    months: Callable[[int], Month]
    new: Sequence[Movement]
    """Movements in checking, in addition to those of the months."""
    at: int
    """The time in the ledger's minutes; later movements are left out."""
    settled: int
    """Movements that post later than this are pending."""

    @property
    def is_canadian(self) -> bool:
        return self.institution.iso_country_code == "CA" or self.login.has("canadian")

    @property
    def currency_code(self) -> str:
        return "CAD" if self.is_canadian or self.login.has("currency_cad") else "USD"

    @property
    def is_business(self) -> bool:
        return self.household.persona.is_business or self.login.has("business")

    @property
    def today(self) -> date:
        return date.fromordinal(self.at // DAY)

    @property
    def shared(self) -> Sequence[int]:
        """The positions of the accounts that the bank lists."""
        if self.login.has("scope_reduced"):
            return (0,)
        chosen = self.login.side.accounts
        return [
            position
            for position, account in enumerate(self.household.accounts)
            if chosen is None or account.kind.label in chosen
        ]

    def balance(self, position: int, at: int) -> int:
        """The posted balance of an account at a time; debt is negative."""
        return self.balances([position], at)[position]

    def balances(self, positions: Iterable[int], at: int) -> Mapping[int, int]:
        """The posted balances of these accounts at a time, by their positions."""
        months = [self.months(number) for number in self._months_with(at, at)]
        cents = {}
        for position in positions:
            cents[position] = months[0].openings[position]
            for month in months:
                cents[position] += month.posted[position].until(at)
        if self.new and 0 in cents:
            cents[0] += sum(each.cents for each in self.new if each.posted <= at)
        return cents

    def between(self, start: int, end: int) -> Iterator[Movement]:
        """The movements of all accounts in this time, its end included."""
        for number in self._months_with(start, end):
            month = self.months(number)
            yield from month.ordered[bisect_left(month.times, start) : bisect_right(month.times, end)]
        yield from (each for each in self.new if start <= each.at <= end)

    def posted(self, position: int, start: int, end: int) -> Sequence[Movement]:
        """The movements of an account that post in this time, its end included, in the order of their posting."""
        months = (self.months(number).movements for number in self._months_with(start, end))
        return sorted(
            (
                each
                for each in chain(*months, self.new)
                if each.position == position and start <= each.posted <= end
            ),
            key=lambda each: each.posted,
        )

    def pending(self) -> Mapping[int, int]:
        """The authorized cents of each account's pending movements, by its position."""
        cents: Counter[int] = Counter()
        for each in self.between(self.settled - LONGEST_LAG, self.at):
            if each.posted > self.settled:
                cents[each.position] += each.authorized_cents
        return cents

    def _months_with(self, start: int, end: int) -> range:
        """The months whose movements can be in this time; at least one of those that are read."""
        last = min(_month_at(end), self.last_month)
        first = max(min(_month_at(start - LONGEST_LAG), last), self.first_month)
        return range(first, max(last, first) + 1)


def records_of(
    seed: int, institution: Institution, login: Login, household: Household, *, since: date, now: datetime
) -> BankRecords:
    """The records from `since`, or from the month before last if that is earlier, until `now`.

    All months are generated, so that a caller can do it in a thread.
    """
    records = lazy_records_of(seed, institution, login, household, since=since, now=now)
    for number in range(records.first_month, records.last_month + 1):
        records.months(number)
    return records


def lazy_records_of(
    seed: int, institution: Institution, login: Login, household: Household, *, since: date, now: datetime
) -> BankRecords:
    """As `records_of`, but a month is generated when it is first read."""
    month, at = month_of(now.date()), ledger.minutes_of(now)
    return BankRecords(
        seed=seed,
        institution=institution,
        login=login,
        household=household,
        first_month=min(month_of(since), month) - 1,
        last_month=month,
        months=ledger.months_of(household),
        new=[*ledger.new_movements(household, login.side.new_transactions)],
        at=at,
        settled=at - _UNSETTLED if login.has("pending_only") else at,
    )


def accounts(records: BankRecords) -> tuple[BankAccount, ...]:
    positions, pending = records.shared, records.pending()
    posted = records.balances(positions, records.settled)
    same: dict[str, Any] = {
        "currency_code": records.currency_code,
        "account_ownership": _ownership(records),
        "is_business": records.is_business,
    }
    return tuple(
        BankAccount(**same, **_account(records, each, posted[each], pending.get(each, 0)))
        for each in positions
    )


def numbers(records: BankRecords, member_guid: str) -> tuple[BankNumbers, ...]:
    """The numbers of checking and savings accounts, which can receive payments."""
    if records.login.has("scope_reduced"):
        return ()
    return tuple(
        _numbers(records, account, member_guid)
        for account in (records.household.accounts[position] for position in records.shared)
        if account.kind.type in {"CHECKING", "SAVINGS"}
    )


def owners(records: BankRecords) -> tuple[BankOwner, ...]:
    if records.login.has("no_owner") or records.login.has("scope_reduced"):
        return ()
    # The name is a seed only: a suffix gives a different owner, and it is not shown.
    has = records.login.has
    name = records.login.name + ("'s stranger" if has("name_mismatch") else "")
    if changed := records.login.side.owner_changed:
        name = f"{name}'s successor {changed}"
    return tuple(
        owner(
            records.seed,
            name,
            position,
            account.id,
            OwnerTraits(
                is_company=records.is_business and position == 0,
                in_canada=records.is_canadian,
                has_name_parts=records.institution.code not in _FULL_NAME_INSTITUTIONS,
                spells_name_otherwise=has("name_variant"),
                has_phone=not has("no_phone"),
                has_post_office_box=has("po_box"),
            ),
        )
        for account in (records.household.accounts[shared] for shared in records.shared)
        for position in range(2 if _is_joint(records) else 1)
    )


def transactions(
    records: BankRecords, since: date, known_since: Mapping[str, date] = EMPTY
) -> tuple[BankTransaction, ...]:
    """The transactions since that date, or since a later one by the id of their account; oldest first."""
    if records.login.has("no_tx"):
        return ()
    starts = _starts(records, since, known_since)
    if not starts:
        return ()
    pending_only = records.login.has("pending_only")
    listed = [
        each
        for each in records.between(min(starts.values()), records.at)
        if each.position in starts
        and each.at >= starts[each.position]
        and not (pending_only and each.posted <= records.settled)
    ]
    listed.sort(key=lambda each: (each.at, each.position, each.id))
    ids, currency = [account.id for account in records.household.accounts], records.currency_code
    return tuple(_transaction(each, ids[each.position], records.settled, currency) for each in listed)


def money(cents: int) -> Decimal:
    return Decimal(cents) * _CENT


def to_datetime(minutes: int) -> datetime:
    return datetime.fromtimestamp(minutes * 60 - ledger.UNIX_EPOCH, UTC)


def _starts(records: BankRecords, since: date, known_since: Mapping[str, date]) -> Mapping[int, int]:
    """The time from which the transactions of each listed account are read, by its position."""
    accounts = records.household.accounts
    return {
        position: max(since, known_since.get(accounts[position].id, since)).toordinal() * DAY
        for position in records.shared
    }


def _month_at(minutes: int) -> int:
    return month_of(date.fromordinal(minutes // DAY))


def _account(records: BankRecords, position: int, posted: int, pending: int) -> Mapping[str, Any]:
    """The fields that differ between the accounts of a login.

    Args:
        records: of the login.
        position: of the account in the household.
        posted: the balance in cents; debt is negative.
        pending: the sum of the pending movements.
    """
    account = records.household.accounts[position]
    kind = account.kind
    fields = {
        "id": account.id,
        "name": account.name,
        "type": UNKNOWN_TYPE if position == 0 and records.login.has("schema_drift") else kind.type,
        "subtype": kind.subtype,
        "balance": money(-posted if kind.is_debt else posted),
        "account_number_mask": account.number[-4:],
        "started_on": account.opened_on,
        "is_closed": account.is_closed,
    }
    if kind.term:
        return fields | _loan_terms(records, position, posted)
    if kind.is_debt:
        return fields | _credit_terms(records, position, posted + pending)
    if kind.type == "INVESTMENT":
        return fields | _holdings(records, account, posted)
    return fields | _deposit_terms(records, account, posted + pending)


def _deposit_terms(records: BankRecords, account: Account, available: int) -> dict[str, Any]:
    kind = account.kind
    matures_on = None
    if kind.subtype == "CERTIFICATE_OF_DEPOSIT":
        # A certificate matures on every anniversary.
        anniversary = account.opened_on.replace(year=records.today.year)
        matures_on = anniversary.replace(year=records.today.year + (anniversary <= records.today))
    return {
        "available_balance": money(0 if records.login.has("frozen") else available),
        "apy": _percent(kind.rate) if kind.rate else None,
        "interest_rate": _percent(kind.rate) if kind.rate else None,
        "minimum_balance": Decimal("1000.00") if kind.subtype == "MONEY_MARKET" else None,
        "matures_on": matures_on,
        "federal_insurance_status": "INSURED",
    }


def _credit_terms(records: BankRecords, position: int, available: int) -> dict[str, Any]:
    account = records.household.accounts[position]
    limit = account.credit_limit
    statement = -records.balance(position, first_day(records.last_month) * DAY)
    last = _last_payment(records, position)
    return {
        "apr": _percent(account.kind.rate),
        "interest_rate": _percent(account.kind.rate),
        "credit_limit": money(limit),
        "available_credit": money(limit + available),
        "statement_balance": money(statement),
        "minimum_payment": money(min(statement, max(2500, statement // 50))),
        "payment_due_at": _next_payment_at(records, account),
        "last_payment": money(last.cents) if last else None,
        "last_payment_at": to_datetime(last.posted) if last else None,
    }


def _loan_terms(records: BankRecords, position: int, posted: int) -> dict[str, Any]:
    account = records.household.accounts[position]
    month = records.last_month
    disbursed_month = month - account.age(month)
    last = _last_payment(records, position)
    return {
        "interest_rate": _percent(account.kind.rate),
        "apr": _percent(account.kind.rate),
        "original_balance": money(account.principal),
        "payoff_balance": money(-posted),
        "minimum_payment": money(account.payment),
        "payment_due_at": _next_payment_at(records, account),
        "last_payment": money(last.cents) if last else None,
        "last_payment_at": to_datetime(last.posted) if last else None,
        "started_on": date.fromordinal(first_day(disbursed_month)),
        "matures_on": date.fromordinal(first_day(disbursed_month + account.kind.term)),
    }


def _holdings(records: BankRecords, account: Account, posted: int) -> dict[str, Any]:
    """The ledger has the cash of an investment account. The value of its holdings is computed."""
    cash = money(posted)
    value = money(posted + account.market_value(records.at // DAY))
    return {
        "balance": value,
        "available_balance": cash,
        "cash_balance": cash,
        "total_account_value": value,
    }


def _last_payment(records: BankRecords, position: int) -> Movement | None:
    payments = (
        records.months(number).payments[position]
        for number in range(records.last_month, records.first_month - 1, -1)
    )
    return next((each for each in payments if each and each.posted <= records.settled), None)


def _next_payment_at(records: BankRecords, account: Account) -> datetime:
    month = records.last_month
    due = ledger.transfer_time(account, month)
    return to_datetime(due if due > records.at else ledger.transfer_time(account, month + 1))


@lru_cache
def _percent(rate: float) -> Decimal:
    return Decimal(round(rate * 10_000)).scaleb(-2)


def _is_joint(records: BankRecords) -> bool:
    return records.institution.code == _JOINT_INSTITUTION or records.login.has("joint")


def _ownership(records: BankRecords) -> str:
    if records.login.has("no_owner"):
        return "UNKNOWN"
    return "JOINT" if _is_joint(records) else "INDIVIDUAL"


def _numbers(records: BankRecords, account: Account, member_guid: str) -> BankNumbers:
    login = records.login
    numbers = BankNumbers(
        account_id=account.id,
        account_number=account.number,
        passed_validation=not login.has("wrong_number"),
        is_tokenized=login.has("tokenized_number"),
    )
    if login.has("tokenized_number"):
        parts = [
            account.key,
            member_guid,
            *([login.side.numbers_changed] if login.side.numbers_changed else []),
        ]
        numbers = replace(numbers, account_number=account_number(seeded("token", *parts)))
    if records.is_canadian:
        institution_number, transit_number = _canadian(records.institution)
        return replace(numbers, institution_number=institution_number, transit_number=transit_number)
    return replace(numbers, routing_number=_routing_number(records.institution, login))


def _routing_number(institution: Institution, login: Login) -> str:
    number = institution.routing_numbers[0]
    if login.has("leading_zeros"):
        number = routing_number(f"0{number[1:8]}")
    if login.has("wrong_number"):
        number = f"{number[:8]}{(int(number[8]) + 1) % 10}"
    return number


def _canadian(institution: Institution) -> tuple[str, str]:
    """Institution number of 3 digits and transit number of 5, from the form 0YYYXXXXX (Payments Canada)."""
    electronic = institution.routing_numbers[0]
    if institution.iso_country_code != "CA":
        electronic = f"09{digits(seeded('canadian', institution.code), 7)}"
    return electronic[1:4], electronic[4:]


def _transaction(each: Movement, account_id: str, settled: int, currency_code: str) -> BankTransaction:
    entry, is_posted = each.entry, each.posted <= settled
    cents, transacted_at = each.cents if is_posted else each.authorized_cents, to_datetime(each.at)
    return BankTransaction(
        account_id=account_id,
        id=each.id,
        amount=money(abs(cents)),
        type="CREDIT" if cents > 0 else "DEBIT",
        status="POSTED" if is_posted else "PENDING",
        date=transacted_at.date(),
        description=entry.description,
        original_description=entry.original_description,
        transacted_at=transacted_at,
        posted_at=to_datetime(each.posted) if is_posted else None,
        currency_code=currency_code,
        memo=each.memo,
        category=entry.category,
        check_number_string=each.check,
        merchant=entry.merchant,
        merchant_category_code=entry.merchant_category_code,
        extended_transaction_type=entry.extended_transaction_type,
        is_bill_pay=entry.is_bill_pay,
        is_direct_deposit=entry.is_direct_deposit,
        is_fee=entry.is_fee,
        is_income=entry.is_income,
        is_international=entry.is_international,
        is_overdraft_fee=entry.is_overdraft_fee,
        is_recurring=entry.is_recurring,
        is_subscription=entry.is_subscription,
        recurrence=entry.recurrence,
        city=entry.city,
        state=entry.state,
        country=entry.country,
    )
