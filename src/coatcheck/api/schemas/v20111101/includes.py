"""The objects that `includes` adds to a transaction."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from coatcheck.api.presenter import Include
from coatcheck.api.schemas.v20111101 import schemas
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.model.transactions import Transaction

REFUNDS = frozenset({"Returned Purchase", "Reimbursement"})


def extras(
    transaction: Transaction, includes: Collection[Include], merchants: Mapping[str, ListedMerchant]
) -> dict[str, Any]:
    """The keys that were asked for; null where there is nothing to say."""
    found: dict[str, Any] = {}
    if Include.CLASSIFICATIONS in includes:
        found["classification"] = _classification(parent_class(transaction))
    if Include.GEOLOCATIONS in includes:
        found["geolocation"] = _geolocation(transaction)
    if Include.MERCHANTS in includes:
        found["merchant"] = _merchant(merchants.get(transaction.merchant_guid or ""))
    if Include.REPEATING_TRANSACTIONS in includes:
        found["repeating_transaction"] = _repeating(transaction)
    return found


def parent_class(transaction: Transaction) -> str:
    """MX's coarse class of a transaction; the first that fits."""
    is_credit = transaction.type == "CREDIT"
    if transaction.is_fee or transaction.is_overdraft_fee:
        return "Fees"
    if transaction.top_level_category == "Investments":
        return transaction.category if transaction.category in {"Buy", "Sell"} else "Investment"
    if transaction.top_level_category == "Transfer":
        return "Transfer"
    if is_credit and transaction.category in REFUNDS:
        return "Refunds"
    if is_credit and (transaction.category == "Paycheck" or transaction.is_direct_deposit):
        return "Payroll"
    if is_credit and transaction.is_income:
        return "Income"
    return "Deposit" if is_credit else "Spend"


@cache
def _classification(name: str) -> schemas.Classification:
    return schemas.Classification(name, f"MNC-{uuid5(NAMESPACE_URL, f'coatcheck:classification:{name}')}")


def _geolocation(transaction: Transaction) -> schemas.Geolocation | None:
    if not (transaction.city or transaction.state or transaction.country or transaction.postal_code):
        return None
    return schemas.Geolocation(
        country=transaction.country,
        state=transaction.state,
        city=transaction.city,
        postal_code=transaction.postal_code,
    )


def _merchant(listed: ListedMerchant | None) -> schemas.IncludedMerchant | None:
    if listed is None:
        return None
    merchant = listed.merchant
    return schemas.IncludedMerchant(merchant.name, listed.guid, merchant.logo_url, merchant.website_url)


def _repeating(transaction: Transaction) -> schemas.RepeatingTransaction | None:
    """One guid for a whole series: the same account says the same thing again."""
    if transaction.recurrence is None:
        return None
    series = f"coatcheck:series:{transaction.account_guid}:{transaction.description}"
    return schemas.RepeatingTransaction(transaction.recurrence, f"RPT-{uuid5(NAMESPACE_URL, series)}")
