"""Transactions, with the objects that `includes` adds to them."""

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import fields, replace

from coatcheck.connectors.registry import ListedMerchant
from coatcheck.http.decoding import Name, RequestSchema
from coatcheck.http.doc import (
    CATEGORY,
    MERCHANT,
    TRANSACTION,
    AccountGuid,
    CreatedAt,
    MemberGuid,
    UpdatedAt,
    UserGuid,
    UserOwnId,
    doc,
)
from coatcheck.http.encoding import Timestamp
from coatcheck.http.pagination import Pagination, pagination
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
    description: Annotated[Name, doc("The description that your user sees.", "Groceries")]


class TransactionUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    transaction: Annotated[TransactionUpdateRequest, doc("The fields to change.")]


class ClassificationResponse(Struct, frozen=True):
    parent_class: Annotated[str, doc("A coarse class.", "Spend")]
    guid: Annotated[str, doc("The guid of the class.", "MNC-0197c4a3-4e00-7d8f-9a0b-1c2d3e4f5a6b")]


class GeolocationResponse(Struct, frozen=True):
    country: Annotated[str | None, doc("The country.", "US")]
    state: Annotated[str | None, doc("The state or province.", "UT")]
    city: Annotated[str | None, doc("The city.", "Lehi")]
    postal_code: Annotated[str | None, doc("The postal code. MX spells the key with a space.", "84043")] = (
        field(name="postal code")
    )
    """MX spells this key with a space."""


class IncludedMerchantResponse(Struct, frozen=True):
    name: Annotated[str, doc("The name.", "Comcast")]
    guid: Annotated[str, doc("The guid of the merchant.", MERCHANT)]
    logo_url: Annotated[str | None, doc("An image of the logo.")]
    website_url: Annotated[str | None, doc("The website.", "https://www.xfinity.com")]


class RepeatingTransactionResponse(Struct, frozen=True):
    repeating_transaction_type: Annotated[
        str, doc("The kind of series.", "BILL", enum=["BILL", "SUBSCRIPTION", "INCOME"])
    ]
    guid: Annotated[str, doc("The guid of the series.", "RPT-0197c4a3-5f10-7e9a-8b1c-2d3e4f5a6b7c")]
    recurrence_type: Annotated[str | None, doc("Null: MX's SDKs refuse most values.")] = None
    """Null: the only value in MX's spec is EVERY_OTHER_WEEK, and its SDKs refuse any other."""


class TransactionResponse(Struct, frozen=True):
    """First what differs between transactions, then what is the same for all.

    The last four keys are present only if `includes` names them.
    """

    account_guid: AccountGuid
    account_id: Annotated[str | None, doc("The identifier of the account at the institution.")]
    amount: Annotated[Decimal, doc("The amount, without a sign: `type` says the direction.", 61.11)]
    category: Annotated[str | None, doc("The name of the category.", "Internet")]
    category_guid: Annotated[str | None, doc("The guid of the category.", CATEGORY)]
    check_number_string: Annotated[str | None, doc("Of a check: its number.")]
    created_at: CreatedAt
    currency_code: Annotated[str | None, doc("The ISO 4217 code.", "USD")]
    date: Annotated[date, doc("The day of the transaction, as the institution reports it.", "2026-11-20")]
    description: Annotated[str | None, doc("The description, cleaned, or your own.", "Comcast")]
    extended_transaction_type: Annotated[
        str | None, doc("How it was made, such as `ACH` or `POINT_OF_SALE`.", "ACH")
    ]
    guid: Annotated[str, doc("The guid of the transaction.", TRANSACTION)]
    id: Annotated[str | None, doc("The identifier of the transaction at the institution.")]
    is_bill_pay: Annotated[bool, doc("Whether it pays a bill.")]
    is_direct_deposit: Annotated[bool, doc("Whether it is a direct deposit.")]
    is_expense: Annotated[bool, doc("Whether it is an expense.", True)]
    is_fee: Annotated[bool, doc("Whether it is a fee.")]
    is_income: Annotated[bool, doc("Whether it is income.")]
    is_international: Annotated[bool, doc("Whether it was made abroad.")]
    is_overdraft_fee: Annotated[bool, doc("Whether it is a fee for an overdraft.")]
    is_payroll_advance: Annotated[bool, doc("Whether it is an advance on wages.")]
    is_recurring: Annotated[bool, doc("Whether it belongs to a series.", True)]
    is_subscription: Annotated[bool, doc("Whether it pays a subscription.")]
    member_guid: MemberGuid
    memo: Annotated[str | None, doc("A text of the institution.")]
    merchant_category_code: Annotated[int | None, doc("The ISO 18245 code of the merchant's trade.", 4899)]
    merchant_guid: Annotated[str | None, doc("The guid of the merchant.", MERCHANT)]
    merchant_location_guid: Annotated[str | None, doc("The guid of the merchant's location.")]
    metadata: Annotated[str | None, doc("Your own text.")]
    original_description: Annotated[
        str | None, doc("The description as the institution wrote it.", "COMCAST CABLE 8005551234")
    ]
    posted_at: Annotated[
        Timestamp | None, doc("When it was posted. Null while it is pending.", "2026-11-20T12:00:00Z")
    ]
    status: Annotated[str, doc("Whether it is final.", "POSTED", enum=["POSTED", "PENDING"])]
    top_level_category: Annotated[
        str | None, doc("The name of the category at the top.", "Bills & Utilities")
    ]
    transacted_at: Annotated[Timestamp | None, doc("When it was made.", "2026-11-19T12:00:00Z")]
    type: Annotated[
        str, doc("The direction, from the account's point of view.", "DEBIT", enum=["CREDIT", "DEBIT"])
    ]
    updated_at: UpdatedAt
    user_guid: UserGuid
    user_id: UserOwnId
    is_manual: Annotated[bool, doc("Always false: institutions report all transactions.")] = False
    latitude: Annotated[Decimal | None, doc("Null: no connector reports places.")] = None
    localized_description: Annotated[str | None, doc("Null.")] = None
    localized_memo: Annotated[str | None, doc("Null.")] = None
    longitude: Annotated[Decimal | None, doc("Null: no connector reports places.")] = None
    member_is_managed_by_user: Annotated[bool, doc("Always true: end users manage their members.", True)] = (
        True
    )
    classification: Annotated[
        ClassificationResponse | UnsetType | None, doc("With `includes=classifications`.", None)
    ] = UNSET
    geolocation: Annotated[
        GeolocationResponse | UnsetType | None, doc("With `includes=geolocations`.", None)
    ] = UNSET
    merchant: Annotated[
        IncludedMerchantResponse | UnsetType | None, doc("With `includes=merchants`.", None)
    ] = UNSET
    repeating_transaction: Annotated[
        RepeatingTransactionResponse | UnsetType | None, doc("With `includes=repeating_transactions`.", None)
    ] = UNSET


_own_values = attrgetter(*(each.name for each in fields(TransactionResponse) if each.required))


class TransactionResponseBody(Struct, frozen=True):
    transaction: Annotated[TransactionResponse, doc("The transaction.")]


class TransactionsResponseBody(Struct, frozen=True):
    transactions: Annotated[
        list[TransactionResponse], doc("The transactions on this page, the newest first.")
    ]
    pagination: Pagination


def transaction_body(transaction: Transaction) -> TransactionResponseBody:
    """The answer to an update; reading one transaction returns a list of one (spec: readTransaction)."""
    return TransactionResponseBody(_response(transaction))


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
    items = list(map(_response, transactions.items))
    if includes:
        items = [
            replace(response, **_included(record, includes, merchants))
            for response, record in zip(items, transactions.items, strict=True)
        ]
    return TransactionsResponseBody(items, pagination(transactions))


def _response(transaction: Transaction) -> TransactionResponse:
    # `to_schema` takes six times as long: msgspec raises an exception for each attribute that a record lacks. Nothing
    # checks the types here; a test compares them.
    return TransactionResponse(*_own_values(transaction))


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
