"""MX's types of accounts, and of property (MX docs: accounts)."""

from typing import Literal, TypeAlias

AccountType: TypeAlias = Literal[
    "ANY",
    "CASH",
    "CHECKING",
    "CHECKING_LINE_OF_CREDIT",
    "CREDIT_CARD",
    "LOAN",
    "LINE_OF_CREDIT",
    "SAVINGS",
    "INVESTMENT",
    "MORTGAGE",
    "INSURANCE",
    "PREPAID",
    "PROPERTY",
]
PropertyType: TypeAlias = Literal[
    "APPLIANCES",
    "ART",
    "COMPUTER",
    "ELECTRONICS",
    "FURNITURE",
    "JEWELRY",
    "MISCELLANEOUS",
    "REAL_ESTATE",
    "SPORTS_EQUIPMENT",
    "VEHICLE",
]
