"""Transactions, with the objects that `includes` adds to them."""

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from coatcheck.connectors.registry import ListedMerchant
from coatcheck.http.decoding import Name, RequestSchema
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page
from coatcheck.model.transactions import Transaction

NO_MERCHANTS: Mapping[str, ListedMerchant] = MappingProxyType({})
REFUND_CATEGORIES = frozenset({"Returned Purchase", "Reimbursement"})


class Include(StrEnum):
    """The objects that a list of transactions can contain in addition (MX docs: `includes`)."""

    REPEATING_TRANSACTIONS = "repeating_transactions"
    MERCHANTS = "merchants"
    CLASSIFICATIONS = "classifications"
    GEOLOCATIONS = "geolocations"


class TransactionUpdateRequest(RequestSchema, frozen=True, kw_only=True):
    description: Name


class TransactionUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    transaction: TransactionUpdateRequest


class ClassificationResponse(Struct, frozen=True):
    parent_class: str
    guid: str


class GeolocationResponse(Struct, frozen=True):
    country: str | None
    state: str | None
    city: str | None
    postal_code: str | None = field(name="postal code")
    """MX spells this key with a space."""


class IncludedMerchantResponse(Struct, frozen=True):
    name: str
    guid: str
    logo_url: str | None
    website_url: str | None


class RepeatingTransactionResponse(Struct, frozen=True):
    repeating_transaction_type: str
    guid: str
    recurrence_type: str | None = None
    """Null: the only value in MX's spec is EVERY_OTHER_WEEK, and its SDKs refuse any other."""


class TransactionResponse(Struct, frozen=True, kw_only=True):
    """The last four keys are present only if `includes` names them."""

    account_guid: str
    account_id: str | None
    amount: Decimal
    category: str | None
    category_guid: str | None
    check_number_string: str | None
    created_at: Timestamp
    currency_code: str | None
    date: date
    description: str | None
    extended_transaction_type: str | None
    guid: str
    id: str | None
    is_bill_pay: bool
    is_direct_deposit: bool
    is_expense: bool
    is_fee: bool
    is_income: bool
    is_international: bool
    is_manual: bool = False
    is_overdraft_fee: bool
    is_payroll_advance: bool
    is_recurring: bool
    is_subscription: bool
    latitude: Decimal | None = None
    localized_description: str | None = None
    localized_memo: str | None = None
    longitude: Decimal | None = None
    member_guid: str
    member_is_managed_by_user: bool = True
    memo: str | None
    merchant_category_code: int | None
    merchant_guid: str | None
    merchant_location_guid: str | None
    metadata: str | None
    original_description: str | None
    posted_at: Timestamp | None
    status: str
    top_level_category: str | None
    transacted_at: Timestamp | None
    type: str
    updated_at: Timestamp
    user_guid: str
    user_id: str | None
    classification: ClassificationResponse | UnsetType | None = UNSET
    geolocation: GeolocationResponse | UnsetType | None = UNSET
    merchant: IncludedMerchantResponse | UnsetType | None = UNSET
    repeating_transaction: RepeatingTransactionResponse | UnsetType | None = UNSET


class TransactionResponseBody(Struct, frozen=True):
    transaction: TransactionResponse


class TransactionsResponseBody(Struct, frozen=True):
    transactions: list[TransactionResponse]
    pagination: PaginationResponse


def transaction_body(transaction: Transaction) -> TransactionResponseBody:
    """The answer to an update; reading one transaction returns a list of one (spec: readTransaction)."""
    return TransactionResponseBody(to_schema(transaction, TransactionResponse))


def transactions_body(
    transactions: Page[Transaction],
    includes: Collection[Include] = (),
    merchants: Mapping[str, ListedMerchant] = NO_MERCHANTS,
) -> TransactionsResponseBody:
    """A page of transactions.

    Args:
        transactions: the page.
        includes: the objects to add to each transaction.
        merchants: by guid; read only for `Include.MERCHANTS`.
    """
    items = to_schemas(transactions.items, TransactionResponse)
    if includes:
        items = [
            replace(response, **_included(record, includes, merchants))
            for response, record in zip(items, transactions.items, strict=True)
        ]
    return TransactionsResponseBody(items, pagination(transactions))


def parent_class(transaction: Transaction) -> str:
    """MX's coarse classification of a transaction; the first rule that matches."""
    is_credit = transaction.type == "CREDIT"
    if transaction.is_fee or transaction.is_overdraft_fee:
        return "Fees"
    if transaction.top_level_category == "Investments":
        return transaction.category if transaction.category in {"Buy", "Sell"} else "Investment"
    if transaction.top_level_category == "Transfer":
        return "Transfer"
    if is_credit and transaction.category in REFUND_CATEGORIES:
        return "Refunds"
    if is_credit and (transaction.category == "Paycheck" or transaction.is_direct_deposit):
        return "Payroll"
    if is_credit and transaction.is_income:
        return "Income"
    return "Deposit" if is_credit else "Spend"


def _included(
    transaction: Transaction, includes: Collection[Include], merchants: Mapping[str, ListedMerchant]
) -> dict[str, Any]:
    """The requested keys; null if nothing is known."""
    values: dict[str, Any] = {}
    if Include.CLASSIFICATIONS in includes:
        values["classification"] = _classification(parent_class(transaction))
    if Include.GEOLOCATIONS in includes:
        values["geolocation"] = _geolocation(transaction)
    if Include.MERCHANTS in includes:
        values["merchant"] = _merchant(merchants.get(transaction.merchant_guid or ""))
    if Include.REPEATING_TRANSACTIONS in includes:
        values["repeating_transaction"] = _repeating(transaction)
    return values


@cache
def _classification(name: str) -> ClassificationResponse:
    return ClassificationResponse(name, f"MNC-{uuid5(NAMESPACE_URL, f'coatcheck:classification:{name}')}")


def _geolocation(transaction: Transaction) -> GeolocationResponse | None:
    if not (transaction.city or transaction.state or transaction.country or transaction.postal_code):
        return None
    return GeolocationResponse(
        country=transaction.country,
        state=transaction.state,
        city=transaction.city,
        postal_code=transaction.postal_code,
    )


def _merchant(listed: ListedMerchant | None) -> IncludedMerchantResponse | None:
    if listed is None:
        return None
    merchant = listed.merchant
    return IncludedMerchantResponse(merchant.name, listed.guid, merchant.logo_url, merchant.website_url)


def _repeating(transaction: Transaction) -> RepeatingTransactionResponse | None:
    """The transactions of a series, with the same account and description, have the same guid."""
    if transaction.recurrence is None:
        return None
    series = f"coatcheck:series:{transaction.account_guid}:{transaction.description}"
    return RepeatingTransactionResponse(transaction.recurrence, f"RPT-{uuid5(NAMESPACE_URL, series)}")
