"""Transactions."""

from collections.abc import Collection

from coatcheck.api.query import read_includes, read_transaction_filter
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.transactions import (
    NO_MERCHANTS,
    Include,
    TransactionResponseBody,
    TransactionsResponseBody,
    TransactionUpdateRequestBody,
    transaction_body,
    transactions_body,
)
from coatcheck.errors import NotFound
from coatcheck.http.decoding import parse
from coatcheck.http.query import read_page
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.transactions import Transaction, find_transaction, list_transactions


async def list_(request: ApiRequest) -> TransactionsResponseBody:
    """Of the user in the path; of the member, the account or both if the path names them."""
    user_guid, member_guid, account_guid = await _find_owners(request)
    filters = read_transaction_filter(
        request.query, request.services.clock.now(), member_guid=member_guid, account_guid=account_guid
    )
    includes = read_includes(request.query)
    page = await list_transactions(request.connection, user_guid, read_page(request.query), filters)
    return page_with_includes(request, page, includes)


async def read(request: ApiRequest) -> TransactionsResponseBody:
    """A list of one, as MX's specs declare it."""
    includes = read_includes(request.query)
    return page_with_includes(request, Page([await _find(request)], 1, PageRequest()), includes)


async def update(request: ApiRequest) -> TransactionResponseBody:
    """Changes `description`; `original_description` keeps the bank's text."""
    transaction = await _find(request)
    changed = await request.services.accounts.describe(
        request.connection,
        request.client.guid,
        transaction,
        parse(request.body, TransactionUpdateRequestBody).transaction.description,
        actor=request.client.guid,
    )
    return transaction_body(changed)


def page_with_includes(
    request: ApiRequest, transactions: Page[Transaction], includes: Collection[Include]
) -> TransactionsResponseBody:
    """The page, with the objects that `includes` names."""
    merchants = request.services.registry.merchants_by_guid if Include.MERCHANTS in includes else NO_MERCHANTS
    return transactions_body(transactions, includes, merchants)


async def _find_owners(request: ApiRequest) -> tuple[str, str | None, str | None]:
    """The guids of the user, the member and the account in the path.

    Raises:
        NotFound: one of them does not exist or does not belong to the one before it.
        UserDisabled: the client disabled the user.
    """
    user = await request.readable_user()
    member_guid = account_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    if "account" in request.path:
        account = await find_account(
            request.connection, user.guid, request.path["account"], member_guid=member_guid
        )
        account_guid = account.guid
    return user.guid, member_guid, account_guid


async def _find(request: ApiRequest) -> Transaction:
    user_guid, member_guid, account_guid = await _find_owners(request)
    transaction = await find_transaction(request.connection, user_guid, request.path["transaction"])
    is_of_member = member_guid in {None, transaction.member_guid}
    is_of_account = account_guid in {None, transaction.account_guid}
    if not (is_of_member and is_of_account):
        raise NotFound
    return transaction
