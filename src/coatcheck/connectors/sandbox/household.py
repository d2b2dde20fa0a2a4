"""The household of a login: the accounts of one invented customer, and their balances at the start of any month.

    opening(account, month) + the sum of the month's movements = opening(account, month + 1)

The opening balance is a closed formula, so any month can be computed without the earlier months. Months are
counted from year 0: 24311 is December 2025. Money is in cents, and debt is negative.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

from coatcheck.connectors.contract import Institution
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.merchants import Entry, pay
from coatcheck.connectors.sandbox.numbers import account_number, digits, seeded
from coatcheck.connectors.sandbox.personas import PERSONAS, Kind, Persona

_SAVING_MONTHS = 24
"""Savings grow for this many months, and then shrink for as many."""
_FRIDAY = 738_890
"""The ordinal of a Friday."""
_NSF_CENTS = 731
KEPT_HOUSEHOLDS = 256
"""Households that stay in memory, about 5 kB each."""
_KEPT_CHANCES = 1024


@dataclass(frozen=True, repr=False)
class Account:
    id: str
    kind: Kind
    name: str
    number: str
    key: str
    """The seed of the account's random values."""
    monthly: int
    """The household's monthly income. The amounts of the kind are shares of it."""
    phase: int
    """Months by which the cycle of saving, or the term of the loan, is shifted."""
    fixed_balance: int | None = None
    """With `nsf`, the balance. Every movement is offset immediately."""
    is_closed: bool = False
    extra: int = 0
    """With `many_tx`, additional transactions in 730 days."""

    @property
    def payment(self) -> int:
        return round(self.kind.payment * self.monthly)

    @cached_property
    def principal(self) -> int:
        """The original amount of a loan."""
        rate = self.kind.rate / 12
        return round(self.payment * (1 - (1 + rate) ** -self.kind.term) / rate)

    @property
    def contribution(self) -> int:
        return round(self.kind.contributes * self.monthly)

    @cached_property
    def credit_limit(self) -> int:
        """More than the highest debt, in steps of 500.00."""
        most = self.kind.base + _SAVING_MONTHS * self.kind.step + 2.4 * self.kind.spends
        return (round(1.25 * most * self.monthly) // 50_000 + 1) * 50_000

    @cached_property
    def opened_on(self) -> date:
        day = date.fromordinal(_FRIDAY - 1100 - int(4000 * chance(self.key, "opened")))
        # Every year has the anniversary of such a day, when a certificate matures.
        return day.replace(day=min(day.day, 28))

    def age(self, month: int) -> int:
        """Months since the loan was disbursed. A repaid loan is disbursed again."""
        return (month + self.phase) % (self.kind.term + 1)

    def standing_balance(self, month: int) -> int:
        """The balance that interest is computed on."""
        rise = abs((month + self.phase) % (2 * _SAVING_MONTHS) - _SAVING_MONTHS) * self.kind.step
        balance = round((self.kind.base + rise) * self.monthly)
        return -balance if self.kind.is_debt else balance

    def budget(self, month: int) -> int:
        """The sum of the month's purchases."""
        return round(self.kind.spends * self.monthly * (0.88 + 0.24 * chance(self.key, "budget", month)))

    def market_value(self, day: int) -> int:
        """The value of an investment's holdings on a day, which is a date's ordinal."""
        week, rest = divmod(day, 7)
        noise = chance(self.key, week) * (7 - rest) + chance(self.key, week + 1) * rest
        growth = 1 + 0.06 * (day - _FRIDAY) / 365.25
        return round(self.kind.base * self.monthly * max(growth, 0.2) * (0.97 + 0.06 * noise / 7))


@dataclass(frozen=True, slots=True, repr=False)
class Household:
    key: str
    persona_name: str
    persona: Persona
    accounts: tuple[Account, ...]
    """The first is the checking account."""
    pay: int
    """The lowest pay on a payday."""
    payday: int
    """The ordinal of one payday; the others follow from it."""
    payers: tuple[Entry, ...]

    def __hash__(self) -> int:
        # Of all fields it would take longer than to generate a day. Households with one key are compared.
        return hash(self.key)

    @property
    def monthly(self) -> int:
        return self.accounts[0].monthly


@lru_cache(maxsize=KEPT_HOUSEHOLDS)
def household_of(seed: int, institution: Institution, login: Login) -> Household:
    """The household of the login."""
    key = f"{seed}|{institution.code}|{login.name}"
    rng = seeded("household", key)
    name = _persona_name(login, rng.random())
    persona = PERSONAS[name]
    # The persona is a part of the key: with `persona=` a login gets other accounts, with other ids.
    key = f"{key}|{name}"
    low, high = persona.pay
    payday = low + int(rng.random() * (high - low))
    every = persona.every or 15
    monthly = round(payday * 30.44 / every) if persona.every else 2 * payday
    payers = persona.payers
    # Paid every two weeks means one employer; the other personas have several payers.
    if persona.every == 14:
        payers = (payers[int(rng.random() * len(payers))],)
    return Household(
        key=key,
        persona_name=name,
        persona=persona,
        accounts=tuple(
            _account(key, institution, login, kind, position, monthly)
            for position, kind in enumerate(persona.kinds)
        ),
        pay=payday,
        payday=_FRIDAY + 7 * int(rng.random() * 2),
        payers=tuple(pay(payer) for payer in payers),
    )


def opening(household: Household, position: int, month: int) -> int:
    """The balance at the start of the month, with all earlier movements posted."""
    account = household.accounts[position]
    if account.is_closed:
        return 0
    if account.fixed_balance is not None:
        return account.fixed_balance
    if position == 0:
        return _checking_opening(household, month)
    if account.kind.term:
        return -_owed_on_loan(account, account.age(month))
    if account.kind.type == "INVESTMENT":
        return account.monthly // 20
    return account.standing_balance(month) - (account.budget(month - 1) if account.kind.is_debt else 0)


@lru_cache(maxsize=_KEPT_CHANCES)
def chance(*parts: str | int) -> float:
    """A number from 0 to 1 that is the same for the same parts."""
    return seeded(*parts).random()


def month_of(day: date) -> int:
    return day.year * 12 + day.month - 1


@lru_cache(maxsize=1024)
def first_day(month: int) -> int:
    """The ordinal of the month's first day."""
    return date(month // 12, month % 12 + 1, 1).toordinal()


def _persona_name(login: Login, draw: float) -> str:
    if login.has("persona"):
        return str(login.argument("persona"))
    if login.name == "mxuser":
        return "salaried"
    return tuple(PERSONAS)[int(draw * len(PERSONAS))]


def _account(
    key: str, institution: Institution, login: Login, kind: Kind, position: int, monthly: int
) -> Account:
    # Seeded with the kind, not the position, so that a change of a persona's list keeps the other accounts.
    account_key = f"{key}|{kind.label}"
    rng = seeded("account", account_key)
    is_deposit = kind.type in {"CHECKING", "SAVINGS"}
    return Account(
        id=f"{int(rng.random() * 2**48):012x}",
        kind=kind,
        name=f"{institution.name.partition(' (')[0]} {kind.label}",
        number=_number(rng.random(), login, institution, account_key),
        key=account_key,
        monthly=monthly,
        phase=int(rng.random() * 2 * _SAVING_MONTHS),
        fixed_balance=_NSF_CENTS if login.has("nsf") and is_deposit else None,
        is_closed=position == 0 and login.has("closed_account"),
        extra=int(login.argument("many_tx")) if position == 0 and login.has("many_tx") else 0,
    )


def _number(draw: float, login: Login, institution: Institution, key: str) -> str:
    """The account number. Its last four digits are the same in every form."""
    changed = login.side.numbers_changed
    rng = seeded("number", key, draw, *([changed] if changed else []))
    number = account_number(rng)
    if login.has("canadian") or institution.iso_country_code == "CA":
        number = number[-7:]
    if login.has("seventeen_digits"):
        number = f"{digits(rng, 7)}{number:0>10}"
        # Over 2^53 and odd: no floating-point number has this value.
        number = str(int(f"{1 + int(number[0]) % 9}{number[1:]}") | 1)
    if login.has("leading_zeros"):
        number = f"00{number[2:]}"
    return number


def _checking_opening(household: Household, month: int) -> int:
    """The reserve, plus the rest of the last pay if it is spent evenly until the next."""
    reserve = (
        household.persona.reserve + 0.06 * (chance(household.key, "cushion", month) - 0.5)
    ) * household.monthly
    if not household.persona.every:
        return round(reserve)
    elapsed = (first_day(month) - 1 - household.payday) % household.persona.every + 1
    return round(reserve + household.pay * (1 - elapsed / household.persona.every))


def _owed_on_loan(account: Account, age: int) -> int:
    """The debt after `age - 1` instalments of an annuity."""
    if age == 0:
        return 0
    rate = account.kind.rate / 12
    grown = (1 + rate) ** (age - 1)
    return max(round(account.principal * grown - account.payment * (grown - 1) / rate), 0)
