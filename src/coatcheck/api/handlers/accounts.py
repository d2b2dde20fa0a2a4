"""A user's accounts: those a bank told of, and those the user keeps by hand."""

from collections.abc import Sequence

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.request import Call, Reply
from coatcheck.api.schemas.requests import (
    AccountCreateBody,
    AccountsMergeBody,
    AccountUpdateBody,
    given,
    parse,
)
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.ids import new
from coatcheck.model.accounts import (
    Account,
    change_account,
    find_account,
    list_accounts,
    merge_accounts,
    put_account,
    remove_account,
)
from coatcheck.model.members import find_member, manual_member
from coatcheck.model.paging import Listing, Page

CLIENTS_OWN = ("is_business", "is_hidden", "metadata")
"""What of an aggregated account is the client's to say; the rest is the bank's (MX docs: update account)."""


async def list_of_user(call: Call) -> bytes:
    """Every member here is managed by its user, so that `member_is_managed_by_user=false` finds nothing."""
    user = await call.readable_user()
    page = read_page(call.query)
    if read_flag(call.query, "member_is_managed_by_user") is False:
        return call.wire.show_accounts(_nothing(page))
    accounts = await list_accounts(
        call.connection,
        user.guid,
        page,
        is_manual=read_flag(call.query, "is_manual"),
        use_case=read_text(call.query, "use_case"),
    )
    return call.wire.show_accounts(accounts)


async def list_of_member(call: Call) -> bytes:
    user = await call.readable_user()
    member = await find_member(call.connection, user.guid, call.path["member"])
    page = read_page(call.query)
    if read_flag(call.query, "member_is_managed_by_user") is False:
        return call.wire.show_accounts(_nothing(page))
    accounts = await list_accounts(call.connection, user.guid, page, member_guid=member.guid)
    return call.wire.show_accounts(accounts)


async def create(call: Call) -> bytes:
    """A manual account, below the user's manual member, which is made for the first one."""
    user = await call.readable_user()
    fields = parse(call.body, AccountCreateBody).account
    now = call.house.clock.now()
    member = await manual_member(call.connection, user, now)
    account = Account(
        guid=new("ACT"),
        user_guid=user.guid,
        client_guid=user.client_guid,
        member_guid=member.guid,
        is_manual=True,
        created_at=now,
        updated_at=now,
        **given(fields),
    )
    await put_account(call.connection, account)
    await call.record("account.created", account.guid)
    return call.wire.show_account(await find_account(call.connection, user.guid, account.guid))


async def read(call: Call) -> bytes:
    return call.wire.show_account(await _find(call))


async def update(call: Call) -> bytes:
    """Everything of a manual account; of another what `CLIENTS_OWN` says, and the rest is left alone.

    Raises:
        ConstraintNotMet: nothing that was sent can be changed.
    """
    account = await _find(call)
    fields = parse(call.body, AccountUpdateBody).account
    changes = given(fields) if account.is_manual else given(fields, *CLIENTS_OWN)
    if not changes:
        raise ConstraintNotMet(f"Of an aggregated account only {', '.join(CLIENTS_OWN)} can be updated.")
    now = call.house.clock.now()
    await change_account(call.connection, account.user_guid, account.guid, changes, now)
    await call.record("account.updated", account.guid)
    return call.wire.show_account(await find_account(call.connection, account.user_guid, account.guid))


async def delete(call: Call) -> Reply:
    account = await _find(call)
    if not account.is_manual:
        raise ConstraintNotMet("Only a manual account can be deleted; delete the member instead.")
    await remove_account(call.connection, account.user_guid, account.guid)
    await call.record("account.deleted", account.guid)
    return Reply(204)


async def merge(call: Call) -> bytes:
    """The first account named stays, with its guid, its numbers and its tokens; the others are gone for good.

    What they knew of the past comes to the first: transactions and statements it does not have itself. What a
    bank tells of them later is dropped, so that the duplicate does not return. Tokens on them end at once.
    """
    user = await call.readable_user()
    guids = dict.fromkeys(parse(call.body, AccountsMergeBody).account.account_guids)
    if len(guids) < 2:
        raise InvalidRequest("account_guids names at least two accounts.")
    kept, *others = [await find_account(call.connection, user.guid, guid) for guid in guids]
    await _merge(call, kept, others)
    return call.wire.show_account(await find_account(call.connection, user.guid, kept.guid))


async def _merge(call: Call, kept: Account, others: Sequence[Account]) -> None:
    dropped = await merge_accounts(call.connection, kept, others, call.house.clock.now())
    for statement_guid in dropped:
        await call.house.vault.forget(call.connection, owner_guid=kept.user_guid, record_guid=statement_guid)
    for other in others:
        await call.record("account.merged", other.guid)


def _nothing(page: Page) -> Listing[Account]:
    return Listing([], 0, page)


async def _find(call: Call) -> Account:
    user = await call.readable_user()
    member_guid = None
    if "member" in call.path:
        member_guid = (await find_member(call.connection, user.guid, call.path["member"])).guid
    return await find_account(call.connection, user.guid, call.path["account"], member_guid=member_guid)
