"""What moved on a user's accounts."""

from coatcheck.api.paging import read_includes, read_page, read_transaction_filter
from coatcheck.api.presenter import NO_MERCHANTS, Include
from coatcheck.api.request import Call
from coatcheck.api.schemas.requests import TransactionUpdateBody, parse
from coatcheck.errors import NotFound
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.model.paging import Listing, Page
from coatcheck.model.transactions import (
    Transaction,
    describe_transaction,
    find_transaction,
    list_transactions,
)


async def list_(call: Call) -> bytes:
    """All of the user's, or those below the member, the account, or both, that the path names."""
    user_guid, member_guid, account_guid = await _place(call)
    wanted = read_transaction_filter(
        call.query, call.house.clock.now(), member_guid=member_guid, account_guid=account_guid
    )
    found = await list_transactions(call.connection, user_guid, read_page(call.query), wanted)
    return show(call, found)


async def read(call: Call) -> bytes:
    """A list of one, as MX's spec has it (mx-contract Q33)."""
    return show(call, Listing([await _find(call)], 1, Page()))


async def update(call: Call) -> bytes:
    """The description is the user's own; the bank's stays in `original_description`."""
    transaction = await _find(call)
    description = parse(call.body, TransactionUpdateBody).transaction.description
    changed = await describe_transaction(
        call.connection,
        transaction.user_guid,
        transaction.guid,
        description=description,
        now=call.house.clock.now(),
    )
    return call.wire.show_transaction(changed)


def show(call: Call, transactions: Listing[Transaction]) -> bytes:
    """The page, with what `includes` asks for."""
    includes = read_includes(call.query)
    merchants = call.house.registry.merchants_by_guid if Include.MERCHANTS in includes else NO_MERCHANTS
    return call.wire.show_transactions(transactions, includes, merchants)


async def _place(call: Call) -> tuple[str, str | None, str | None]:
    """The guids of the user, the member and the account that the path names; each stands below the one before.

    Raises:
        NotFound: one of them does not.
        UserDisabled: the client disabled the user.
    """
    user = await call.readable_user()
    member_guid = account_guid = None
    if "member" in call.path:
        member_guid = (await find_member(call.connection, user.guid, call.path["member"])).guid
    if "account" in call.path:
        account_guid = (
            await find_account(call.connection, user.guid, call.path["account"], member_guid=member_guid)
        ).guid
    return user.guid, member_guid, account_guid


async def _find(call: Call) -> Transaction:
    user_guid, member_guid, account_guid = await _place(call)
    transaction = await find_transaction(call.connection, user_guid, call.path["transaction"])
    is_below_member = member_guid in {None, transaction.member_guid}
    is_below_account = account_guid in {None, transaction.account_guid}
    if not (is_below_member and is_below_account):
        raise NotFound
    return transaction
