"""What moved on a user's accounts."""

from coatcheck.api.paging import read_includes, read_page, read_transaction_filter
from coatcheck.api.presenter import NO_MERCHANTS, Include
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.requests import TransactionUpdateBody, parse
from coatcheck.errors import NotFound
from coatcheck.members.account_rows import describe_transaction
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.transactions import Transaction, find_transaction, list_transactions


async def list_(request: ApiRequest) -> bytes:
    """All of the user's, or those below the member, the account, or both, that the path names."""
    user_guid, member_guid, account_guid = await _place(request)
    wanted = read_transaction_filter(
        request.query, request.services.clock.now(), member_guid=member_guid, account_guid=account_guid
    )
    found = await list_transactions(request.connection, user_guid, read_page(request.query), wanted)
    return show(request, found)


async def read(request: ApiRequest) -> bytes:
    """A list of one, as MX's spec has it (mx-contract Q33)."""
    return show(request, Page([await _find(request)], 1, PageRequest()))


async def update(request: ApiRequest) -> bytes:
    """The description is the user's own; the bank's stays in `original_description`."""
    transaction = await _find(request)
    description = parse(request.body, TransactionUpdateBody).transaction.description
    changed = await describe_transaction(
        request.connection,
        transaction.user_guid,
        transaction.guid,
        description=description,
        now=request.services.clock.now(),
    )
    return request.presenter.show_transaction(changed)


def show(request: ApiRequest, transactions: Page[Transaction]) -> bytes:
    """The page, with what `includes` asks for."""
    includes = read_includes(request.query)
    merchants = request.services.registry.merchants_by_guid if Include.MERCHANTS in includes else NO_MERCHANTS
    return request.presenter.show_transactions(transactions, includes, merchants)


async def _place(request: ApiRequest) -> tuple[str, str | None, str | None]:
    """The guids of the user, the member and the account that the path names; each stands below the one before.

    Raises:
        NotFound: one of them does not.
        UserDisabled: the client disabled the user.
    """
    user = await request.readable_user()
    member_guid = account_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    if "account" in request.path:
        account_guid = (
            await find_account(
                request.connection, user.guid, request.path["account"], member_guid=member_guid
            )
        ).guid
    return user.guid, member_guid, account_guid


async def _find(request: ApiRequest) -> Transaction:
    user_guid, member_guid, account_guid = await _place(request)
    transaction = await find_transaction(request.connection, user_guid, request.path["transaction"])
    is_below_member = member_guid in {None, transaction.member_guid}
    is_below_account = account_guid in {None, transaction.account_guid}
    if not (is_below_member and is_below_account):
        raise NotFound
    return transaction
