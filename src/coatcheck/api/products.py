"""The products of v20250224, and the job that reads each. MX spells the history product in two ways."""

from collections.abc import Iterable
from enum import StrEnum

from coatcheck.connectors.contract import JobKind


class Product(StrEnum):
    ACCOUNT_VERIFICATION = "account_verification"
    IDENTITY_VERIFICATION = "identity_verification"
    TRANSACTIONS = "transactions"
    TRANSACTION_HISTORY = "transaction_history"
    HISTORY = "history"
    STATEMENTS = "statements"
    INVESTMENTS = "investments"
    REWARDS = "rewards"


KINDS = {
    Product.ACCOUNT_VERIFICATION: JobKind.VERIFICATION,
    Product.IDENTITY_VERIFICATION: JobKind.IDENTIFICATION,
    Product.TRANSACTIONS: JobKind.AGGREGATION,
    Product.TRANSACTION_HISTORY: JobKind.HISTORY,
    Product.HISTORY: JobKind.HISTORY,
    Product.STATEMENTS: JobKind.STATEMENT,
}
"""No job reads investments or rewards."""


def job_kinds(products: Iterable[str]) -> list[JobKind]:
    """The jobs that read the products, without duplicates, in the order of the products."""
    found = (KINDS.get(Product(name)) for name in products)
    return list(dict.fromkeys(kind for kind in found if kind))
