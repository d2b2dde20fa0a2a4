"""One login's household: its accounts, and the plan that every account follows.

    opening(account, month) + what the month's ledger adds up to = opening(account, month + 1)

The plan is a closed formula, so any month can be computed without those before it, at any date. A month is
counted from year 0: 24311 is December 2025. Money is in cents, and what is owed is negative.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from coatcheck.connectors.contract import Institution
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.merchants import Entry, pay
from coatcheck.connectors.sandbox.numbers import account_number, digits, seeded
from coatcheck.connectors.sandbox.personas import PERSONAS, Kind, Persona
from coatcheck.errors import CredentialsDenied

_HALF_WAVE = 24
"""Months for which savings grow, before they shrink for as long."""
_FRIDAY = 738_890
"""The ordinal of a Friday."""
_NSF_CENTS = 731


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    id: str
    kind: Kind
    name: str
    number: str
    key: str
    """What its chance is seeded with."""
    monthly: int
    """The household's income, the measure of the kind's shares."""
    phase: int
    """Months by which its wave or its loan is ahead of others'."""
    held_at: int | None = None
    """Swept every day to this balance, where the tester asked for it."""
    is_closed: bool = False
    extra: int = 0
    """More transactions in 730 days than its life explains."""

    @property
    def payment(self) -> int:
        return round(self.kind.payment * self.monthly)

    @property
    def principal(self) -> int:
        """What a loan was for."""
        rate = self.kind.rate / 12
        return round(self.payment * (1 - (1 + rate) ** -self.kind.term) / rate)

    @property
    def contribution(self) -> int:
        return round(self.kind.contributes * self.monthly)

    @property
    def credit_limit(self) -> int:
        """Above what is ever owed, in steps of 500.00."""
        most = self.kind.base + _HALF_WAVE * self.kind.step + 2.4 * self.kind.spends
        return (round(1.25 * most * self.monthly) // 50_000 + 1) * 50_000

    @property
    def opened_on(self) -> date:
        day = date.fromordinal(_FRIDAY - 1100 - int(4000 * chance(self.key, "opened")))
        return day.replace(day=min(day.day, 28))

    def age(self, month: int) -> int:
        """Months since a loan was given; it is given anew when it is paid."""
        return (month + self.phase) % (self.kind.term + 1)

    def carried(self, month: int) -> int:
        """What earns or costs interest."""
        rise = abs((month + self.phase) % (2 * _HALF_WAVE) - _HALF_WAVE) * self.kind.step
        held = round((self.kind.base + rise) * self.monthly)
        return -held if self.kind.is_debt else held

    def budget(self, month: int) -> int:
        """What is bought with it in the month."""
        return round(self.kind.spends * self.monthly * (0.88 + 0.24 * chance(self.key, "budget", month)))

    def market_value(self, day: int) -> int:
        """What an investment's holdings are worth; `day` is a date's ordinal."""
        week, rest = divmod(day, 7)
        mood = chance(self.key, week) * (7 - rest) + chance(self.key, week + 1) * rest
        growth = 1 + 0.06 * (day - _FRIDAY) / 365.25
        return round(self.kind.base * self.monthly * max(growth, 0.2) * (0.97 + 0.06 * mood / 7))


@dataclass(frozen=True, slots=True, repr=False)
class Household:
    key: str
    persona: Persona
    accounts: tuple[Account, ...]
    """The first is the checking account."""
    pay: int
    """The least that a payday brings."""
    payday: int
    """The ordinal of any payday."""
    payers: tuple[Entry, ...]

    @property
    def monthly(self) -> int:
        return self.accounts[0].monthly


def household(seed: int, institution: Institution, login: Login) -> Household:
    """Whom the login belongs to.

    Raises:
        CredentialsDenied: the login names a persona there is not.
    """
    key = f"{seed}|{institution.code}|{login.name}"
    rng = seeded("household", key)
    name = _persona_name(login, rng.random())
    persona = PERSONAS[name]
    key = f"{key}|{name}"
    low, high = persona.pay
    payday = low + int(rng.random() * (high - low))
    every = persona.every or 15
    monthly = round(payday * 30.44 / every) if persona.every else 2 * payday
    payers = persona.payers
    if persona.every == 14:
        payers = (payers[int(rng.random() * len(payers))],)
    return Household(
        key=key,
        persona=persona,
        accounts=tuple(
            _account(key, institution, login, kind, place, monthly)
            for place, kind in enumerate(persona.kinds)
        ),
        pay=payday,
        payday=_FRIDAY + 7 * int(rng.random() * 2),
        payers=tuple(pay(payer) for payer in payers),
    )


def opening(home: Household, place: int, month: int) -> int:
    """What stands in an account as a month begins, when all that was bought before has posted."""
    account = home.accounts[place]
    if account.is_closed:
        return 0
    if account.held_at is not None:
        return account.held_at
    if place == 0:
        return _checking_opening(home, month)
    if account.kind.term:
        return -_owed_on_loan(account, account.age(month))
    if account.kind.type == "INVESTMENT":
        return account.monthly // 20
    return account.carried(month) - (account.budget(month - 1) if account.kind.is_debt else 0)


def chance(*parts: object) -> float:
    """0 to 1, the same for the same parts."""
    return seeded(*parts).random()


def month_of(day: date) -> int:
    return day.year * 12 + day.month - 1


@lru_cache(maxsize=1024)
def first_day(month: int) -> int:
    """The ordinal of the month's first day."""
    return date(month // 12, month % 12 + 1, 1).toordinal()


def _persona_name(login: Login, draw: float) -> str:
    if login.has("persona"):
        name = login.controls["persona"].replace("-", "_")
        if name not in PERSONAS:
            raise CredentialsDenied("The sandbox bank has no such persona.")
        return name
    if login.name == "mxuser":
        return "salaried"
    return tuple(PERSONAS)[int(draw * len(PERSONAS))]


def _account(
    key: str, institution: Institution, login: Login, kind: Kind, place: int, monthly: int
) -> Account:
    own = f"{key}|{kind.label}"
    rng = seeded("account", own)
    is_deposit = kind.type in {"CHECKING", "SAVINGS"}
    return Account(
        id=f"{int(rng.random() * 2**48):012x}",
        kind=kind,
        name=f"{institution.name.partition(' (')[0]} {kind.label}",
        number=_number(rng.random(), login, institution, own),
        key=own,
        monthly=monthly,
        phase=int(rng.random() * 2 * _HALF_WAVE),
        held_at=_NSF_CENTS if login.has("nsf") and is_deposit else None,
        is_closed=place == 0 and login.has("closed_account"),
        extra=int(login.number("many_tx", 10_000)) if place == 0 and login.has("many_tx") else 0,
    )


def _number(draw: float, login: Login, institution: Institution, key: str) -> str:
    """The account number; its last four digits stay whatever form the tester asks for."""
    rng = seeded("number", key, draw)
    number = account_number(rng)
    if login.has("canadian") or institution.iso_country_code == "CA":
        number = number[-7:]
    if login.has("seventeen_digits"):
        number = f"{digits(rng, 7)}{number:0>10}"
        number = f"{1 + int(number[0]) % 9}{number[1:]}"
    if login.has("leading_zeros"):
        number = f"00{number[2:]}"
    return number


def _checking_opening(home: Household, month: int) -> int:
    """The cushion, and what is left of the last pay if it is spent evenly until the next."""
    cushion = (home.persona.cushion + 0.06 * (chance(home.key, "cushion", month) - 0.5)) * home.monthly
    if not home.persona.every:
        return round(cushion)
    elapsed = (first_day(month) - 1 - home.payday) % home.persona.every + 1
    return round(cushion + home.pay * (1 - elapsed / home.persona.every))


def _owed_on_loan(account: Account, age: int) -> int:
    """What is left after `age - 1` instalments of an annuity."""
    if age == 0:
        return 0
    rate = account.kind.rate / 12
    grown = (1 + rate) ** (age - 1)
    return max(round(account.principal * grown - account.payment * (grown - 1) / rate), 0)
