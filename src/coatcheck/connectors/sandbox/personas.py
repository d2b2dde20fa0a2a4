"""The kinds of household the sandbox knows, and the kinds of account they hold.

Every amount is a share of the household's monthly income, so that any income gives a plausible household.
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
"""Account types whose balance is what the customer owes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An account type with its habits. Amounts are in months of income."""

    label: str
    type: str
    subtype: str | None = None
    base: float = 0.0
    """What it holds, or owes, at its lowest."""
    step: float = 0.0
    """What is added each month for two years, and taken away again in the two years after."""
    rate: float = 0.0
    """Interest a year."""
    spends: float = 0.0
    """What is bought with it each month."""
    payment: float = 0.0
    """The instalment of a loan."""
    term: int = 0
    """Months until a loan is paid."""
    contributes: float = 0.0
    """What is put into an investment each month."""
    by_employer: bool = False
    """Contributions come out of the payroll, not out of checking."""

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
    """The first is the checking account that everything goes through."""
    pay: tuple[int, int]
    """The least and the most a payday brings, in cents."""
    every: int
    """Days from payday to payday; 0 is twice a month, on the 3rd and the 12th."""
    payers: tuple[str, ...]
    varies: float = 0.0
    """By how much more than the least a payday may bring."""
    cushion: float = 0.75
    """What stays in checking as a month begins, in months of income."""
    bills: tuple[Biller, ...] = (RENT, *HOUSEHOLD_BILLS)
    market: Market = EVERYDAY
    pays_fees: bool = False
    """The bank takes a monthly fee for its checking account."""
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
            cushion=0.12,
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
