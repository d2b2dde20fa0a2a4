"""The personas of the sandbox bank, and their kinds of account.

Amounts are shares of the household's monthly income, so that they are plausible for every income.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coatcheck.connectors.sandbox.merchants import (
    COMMERCIAL,
    COMMERCIAL_BILLS,
    CUSTOMERS,
    EMPLOYERS,
    EVERYDAY,
    HOUSEHOLD_BILLS,
    PLATFORMS,
    RENT,
    SPARSE_BILLS,
    Biller,
    Market,
)

DEBTS = frozenset({"CREDIT_CARD", "LOAN", "MORTGAGE", "LINE_OF_CREDIT", "CHECKING_LINE_OF_CREDIT"})
"""Account types whose balance is a debt."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of account. Amounts are in months of income."""

    label: str
    type: str
    subtype: str | None = None
    base: float = 0.0
    """The lowest balance or debt."""
    step: float = 0.0
    """Added each month for two years, and subtracted each month for the next two."""
    rate: float = 0.0
    """Yearly interest."""
    spends: float = 0.0
    """The sum of a month's purchases."""
    payment: float = 0.0
    """The instalment of a loan."""
    term: int = 0
    """Months until a loan is repaid."""
    contributes: float = 0.0
    """The monthly contribution to an investment."""
    by_employer: bool = False
    """The employer contributes; otherwise the money comes from checking."""

    @property
    def is_debt(self) -> bool:
        return self.type in DEBTS


CHECKING = Kind("Checking", "CHECKING")
SAVINGS = Kind("Savings", "SAVINGS", base=1.5, step=0.06, rate=0.0375)
MONEY_MARKET = Kind("Money Market", "SAVINGS", "MONEY_MARKET", base=4.0, step=0.04, rate=0.042)
CERTIFICATE = Kind("12-Month Certificate", "SAVINGS", "CERTIFICATE_OF_DEPOSIT", base=5.0, rate=0.0455)
CARD = Kind("Rewards Card", "CREDIT_CARD", rate=0.2199, spends=0.22)
CARRIED_CARD = Kind("Everyday Card", "CREDIT_CARD", base=0.9, step=0.02, rate=0.2749, spends=0.12)
BUSINESS_CARD = Kind("Business Card", "CREDIT_CARD", rate=0.1999, spends=0.10)
MORTGAGE = Kind("Home Mortgage", "MORTGAGE", rate=0.0585, payment=0.25, term=360)
AUTO_LOAN = Kind("Auto Loan", "LOAN", "AUTO", rate=0.0699, payment=0.08, term=72)
STUDENT_LOAN = Kind("Student Loan", "LOAN", "STUDENT", rate=0.0553, payment=0.05, term=120)
PERSONAL_LOAN = Kind("Personal Loan", "LOAN", "PERSONAL", rate=0.1399, payment=0.06, term=48)
BUSINESS_LOAN = Kind("Equipment Loan", "LOAN", "SMALL_BUSINESS", rate=0.0825, payment=0.06, term=84)
HOME_EQUITY = Kind("Home Equity Line", "LINE_OF_CREDIT", "HELOC", base=2.0, step=0.03, rate=0.0875)
BUSINESS_LINE = Kind("Business Line of Credit", "LINE_OF_CREDIT", base=0.6, step=0.02, rate=0.0975)
OVERDRAFT_LINE = Kind("Overdraft Line", "CHECKING_LINE_OF_CREDIT", base=0.1, step=0.01, rate=0.18)
PREPAID = Kind("Prepaid Card", "PREPAID", base=0.15, spends=0.10)
BROKERAGE = Kind("Brokerage", "INVESTMENT", "BROKERAGE", base=9.0, contributes=0.06)
RETIREMENT = Kind("401(k)", "INVESTMENT", "PLAN_401_K", base=14.0, contributes=0.08, by_employer=True)
ROTH = Kind("Roth IRA", "INVESTMENT", "ROTH_IRA", base=7.0, contributes=0.02)


@dataclass(frozen=True, slots=True)
class Persona:
    kinds: tuple[Kind, ...]
    """The first is the checking account, which every transfer goes through."""
    pay: tuple[int, int]
    """The range of the pay on a payday, in cents."""
    every: int
    """Days between paydays; 0 means the 3rd and the 12th of each month."""
    payers: tuple[str, ...]
    varies: float = 0.0
    """The largest difference between the pays of two paydays, as a share of the lowest pay."""
    reserve: float = 0.75
    """The balance of checking at the start of a month, in months of income."""
    bills: tuple[Biller, ...] = (RENT, *HOUSEHOLD_BILLS)
    market: Market = EVERYDAY
    pays_fees: bool = False
    """The checking account has a monthly fee."""
    is_overdrawn: bool = False
    is_business: bool = False


PERSONAS: Mapping[str, Persona] = MappingProxyType(
    {
        "salaried": Persona(
            (CHECKING, SAVINGS, CARD, MORTGAGE, AUTO_LOAN, RETIREMENT),
            (190_000, 340_000),
            14,
            EMPLOYERS,
            bills=HOUSEHOLD_BILLS,
        ),
        "gig": Persona((CHECKING, SAVINGS, CARD, PREPAID), (52_000, 88_000), 7, PLATFORMS, varies=0.5),
        "student": Persona(
            (CHECKING, SAVINGS, STUDENT_LOAN),
            (48_000, 82_000),
            14,
            EMPLOYERS,
            bills=(RENT, *SPARSE_BILLS),
            pays_fees=True,
        ),
        "retired": Persona(
            (CHECKING, SAVINGS, MONEY_MARKET, CERTIFICATE, ROTH),
            (190_000, 320_000),
            0,
            ("Gable & Finch Pension", "Federal Retirement Benefit"),
        ),
        "business": Persona(
            (CHECKING, SAVINGS, BUSINESS_CARD, BUSINESS_LINE, BUSINESS_LOAN),
            (380_000, 920_000),
            7,
            CUSTOMERS,
            varies=0.6,
            bills=COMMERCIAL_BILLS,
            market=COMMERCIAL,
            is_business=True,
        ),
        "thin_file": Persona(
            (CHECKING, PREPAID),
            (38_000, 60_000),
            14,
            EMPLOYERS,
            bills=(RENT, *SPARSE_BILLS[:1]),
            pays_fees=True,
        ),
        "overdrawn": Persona(
            (CHECKING, OVERDRAFT_LINE, CARRIED_CARD, PERSONAL_LOAN),
            (92_000, 128_000),
            14,
            EMPLOYERS,
            reserve=0.12,
            pays_fees=True,
            is_overdrawn=True,
        ),
        "affluent": Persona(
            (CHECKING, SAVINGS, MONEY_MARKET, CERTIFICATE, CARD, MORTGAGE, HOME_EQUITY, BROKERAGE),
            (520_000, 980_000),
            14,
            EMPLOYERS,
            bills=HOUSEHOLD_BILLS,
        ),
    }
)
