"""The data of a login at a given time, as the records of the connector contract."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankTransaction,
    Institution,
)
from coatcheck.connectors.sandbox import ledger
from coatcheck.connectors.sandbox.household import Account, Household, first_day, month_of, opening
from coatcheck.connectors.sandbox.ledger import DAY, Movement
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.numbers import account_number, digits, routing_number, seeded
from coatcheck.connectors.sandbox.people import OwnerTraits, owner

EMPTY: Mapping[str, date] = MappingProxyType({})
_UNSETTLED = 5 * DAY
"""With `pending_only`, movements of the last five days have not posted. In minutes."""
UNKNOWN_TYPE = "DIGITAL_WALLET"
"""With `schema_drift`, the type of the first account. MX has no such type."""
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
    """The first month of `movements`; it is before the month of `at`."""
    movements: tuple[tuple[Movement, ...], ...]
    """The movements of each account, by its position."""
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

    def balance(self, position: int, at: int | None = None) -> int:
        """The posted balance at a time, by default now; debt is negative."""
        until = self.settled if at is None else at
        posted = sum(each.cents for each in self.movements[position] if each.posted <= until)
        return opening(self.household, position, self.first_month) + posted

    def pending(self, position: int) -> Iterator[Movement]:
        return (
            each for each in self.movements[position] if each.at <= self.at and each.posted > self.settled
        )


def records_of(
    seed: int, institution: Institution, login: Login, household: Household, *, since: date, now: datetime
) -> BankRecords:
    """The records from `since`, or from the month before last if that is earlier, until `now`."""
    month = month_of(now.date())
    first_month = min(month_of(since), month) - 1
    movements: tuple[list[Movement], ...] = tuple([] for _ in household.accounts)
    for each in ledger.movements(household, first_month, month):
        movements[each.position].append(each)
    movements[0].extend(ledger.new_movements(household, login.side.new_transactions))
    at = ledger.minutes_of(now)
    return BankRecords(
        seed=seed,
        institution=institution,
        login=login,
        household=household,
        first_month=first_month,
        movements=tuple(tuple(each) for each in movements),
        at=at,
        settled=at - _UNSETTLED if login.has("pending_only") else at,
    )


def accounts(records: BankRecords) -> tuple[BankAccount, ...]:
    return tuple(
        _account(records, position, records.household.accounts[position]) for position in records.shared
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
    ids, currency = [account.id for account in records.household.accounts], records.currency_code
    starts = [max(since, known_since.get(id, since)).toordinal() * DAY for id in ids]
    pending_only = records.login.has("pending_only")
    listed = sorted(
        (each.at, position, each)
        for position in records.shared
        for each in records.movements[position]
        if starts[position] <= each.at <= records.at and not (pending_only and each.posted <= records.settled)
    )
    return tuple(_transaction(each, ids[position], records.settled, currency) for _, position, each in listed)


def money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def to_datetime(minutes: int) -> datetime:
    return datetime.fromtimestamp(minutes * 60 - ledger.UNIX_EPOCH, UTC)


def _account(records: BankRecords, position: int, account: Account) -> BankAccount:
    kind = account.kind
    bank_account = BankAccount(
        id=account.id,
        name=account.name,
        type=UNKNOWN_TYPE if position == 0 and records.login.has("schema_drift") else kind.type,
        subtype=kind.subtype,
        balance=money(-records.balance(position) if kind.is_debt else records.balance(position)),
        currency_code=records.currency_code,
        account_number_mask=account.number[-4:],
        account_ownership=_ownership(records),
        started_on=account.opened_on,
        is_closed=account.is_closed,
        is_business=records.is_business,
    )
    if kind.term:
        return _with_loan_terms(records, position, bank_account)
    if kind.is_debt:
        return _with_credit_terms(records, position, bank_account)
    if kind.type == "INVESTMENT":
        return _with_holdings(records, position, bank_account)
    return _with_deposit_terms(records, position, bank_account)


def _with_deposit_terms(records: BankRecords, position: int, bank_account: BankAccount) -> BankAccount:
    kind = records.household.accounts[position].kind
    available = records.balance(position) + sum(each.authorized_cents for each in records.pending(position))
    if records.login.has("frozen"):
        available = 0
    matures_on = None
    if kind.subtype == "CERTIFICATE_OF_DEPOSIT" and bank_account.started_on:
        # A certificate matures on every anniversary.
        has_passed = bank_account.started_on.replace(year=records.today.year) <= records.today
        matures_on = bank_account.started_on.replace(year=records.today.year + has_passed)
    return replace(
        bank_account,
        available_balance=money(available),
        apy=_percent(kind.rate) if kind.rate else None,
        interest_rate=_percent(kind.rate) if kind.rate else None,
        minimum_balance=Decimal("1000.00") if kind.subtype == "MONEY_MARKET" else None,
        matures_on=matures_on,
        federal_insurance_status="INSURED",
    )


def _with_credit_terms(records: BankRecords, position: int, bank_account: BankAccount) -> BankAccount:
    account = records.household.accounts[position]
    limit, pending = account.credit_limit, sum(each.authorized_cents for each in records.pending(position))
    statement = -records.balance(position, first_day(month_of(records.today)) * DAY)
    last = _last_payment(records, position)
    return replace(
        bank_account,
        apr=_percent(account.kind.rate),
        interest_rate=_percent(account.kind.rate),
        credit_limit=money(limit),
        available_credit=money(limit + records.balance(position) + pending),
        statement_balance=money(statement),
        minimum_payment=money(min(statement, max(2500, statement // 50))),
        payment_due_at=_next_payment_at(records, account),
        last_payment=money(last.cents) if last else None,
        last_payment_at=to_datetime(last.posted) if last else None,
    )


def _with_loan_terms(records: BankRecords, position: int, bank_account: BankAccount) -> BankAccount:
    account = records.household.accounts[position]
    month = month_of(records.today)
    disbursed_month = month - account.age(month)
    last = _last_payment(records, position)
    return replace(
        bank_account,
        interest_rate=_percent(account.kind.rate),
        apr=_percent(account.kind.rate),
        original_balance=money(account.principal),
        payoff_balance=bank_account.balance,
        minimum_payment=money(account.payment),
        payment_due_at=_next_payment_at(records, account),
        last_payment=money(last.cents) if last else None,
        last_payment_at=to_datetime(last.posted) if last else None,
        started_on=date.fromordinal(first_day(disbursed_month)),
        matures_on=date.fromordinal(first_day(disbursed_month + account.kind.term)),
    )


def _with_holdings(records: BankRecords, position: int, bank_account: BankAccount) -> BankAccount:
    """The ledger has the cash of an investment account. The value of its holdings is computed."""
    cash = records.balance(position)
    value = money(cash + records.household.accounts[position].market_value(records.at // DAY))
    return replace(
        bank_account,
        balance=value,
        available_balance=money(cash),
        cash_balance=money(cash),
        total_account_value=value,
    )


def _last_payment(records: BankRecords, position: int) -> Movement | None:
    paid = (
        each
        for each in records.movements[position]
        if each.memo and each.cents > 0 and each.posted <= records.settled
    )
    return max(paid, key=lambda each: each.posted, default=None)


def _next_payment_at(records: BankRecords, account: Account) -> datetime:
    month = month_of(records.today)
    due = ledger.transfer_time(account, month)
    return to_datetime(due if due > records.at else ledger.transfer_time(account, month + 1))


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
