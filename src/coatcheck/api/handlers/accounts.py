"""A user's accounts: those a bank told of, and those the user keeps by hand."""

from collections.abc import Sequence

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.requests import (
    AccountCreateBody,
    AccountsMergeBody,
    AccountUpdateBody,
    given,
    parse,
)
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.ids import new
from coatcheck.members.account_rows import change_account, delete_account, merge_accounts, put_account
from coatcheck.members.member_rows import manual_member
from coatcheck.model.accounts import Account, find_account, list_accounts
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page, PageRequest

CLIENTS_OWN = ("is_business", "is_hidden", "metadata")
"""What of an aggregated account is the client's to say; the rest is the bank's (MX docs: update account)."""


async def list_of_user(request: ApiRequest) -> bytes:
    """Every member here is managed by its user, so that `member_is_managed_by_user=false` finds nothing."""
    user = await request.readable_user()
    page = read_page(request.query)
    if read_flag(request.query, "member_is_managed_by_user") is False:
        return request.presenter.show_accounts(_nothing(page))
    accounts = await list_accounts(
        request.connection,
        user.guid,
        page,
        is_manual=read_flag(request.query, "is_manual"),
        use_case=read_text(request.query, "use_case"),
    )
    return request.presenter.show_accounts(accounts)


async def list_of_member(request: ApiRequest) -> bytes:
    user = await request.readable_user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    page = read_page(request.query)
    if read_flag(request.query, "member_is_managed_by_user") is False:
        return request.presenter.show_accounts(_nothing(page))
    accounts = await list_accounts(request.connection, user.guid, page, member_guid=member.guid)
    return request.presenter.show_accounts(accounts)


async def create(request: ApiRequest) -> bytes:
    """A manual account, below the user's manual member, which is made for the first one."""
    user = await request.readable_user()
    fields = parse(request.body, AccountCreateBody).account
    now = request.services.clock.now()
    member = await manual_member(request.connection, user, now)
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
    await put_account(request.connection, account)
    await request.record("account.created", account.guid)
    return request.presenter.show_account(await find_account(request.connection, user.guid, account.guid))


async def read(request: ApiRequest) -> bytes:
    return request.presenter.show_account(await _find(request))


async def update(request: ApiRequest) -> bytes:
    """Everything of a manual account; of another what `CLIENTS_OWN` says, and the rest is left alone.

    Raises:
        ConstraintNotMet: nothing that was sent can be changed.
    """
    account = await _find(request)
    fields = parse(request.body, AccountUpdateBody).account
    changes = given(fields) if account.is_manual else given(fields, *CLIENTS_OWN)
    if not changes:
        raise ConstraintNotMet(f"Of an aggregated account only {', '.join(CLIENTS_OWN)} can be updated.")
    now = request.services.clock.now()
    await change_account(request.connection, account.user_guid, account.guid, changes, now)
    await request.record("account.updated", account.guid)
    return request.presenter.show_account(
        await find_account(request.connection, account.user_guid, account.guid)
    )


async def delete(request: ApiRequest) -> ApiResponse:
    account = await _find(request)
    if not account.is_manual:
        raise ConstraintNotMet("Only a manual account can be deleted; delete the member instead.")
    await delete_account(request.connection, account.user_guid, account.guid)
    await request.record("account.deleted", account.guid)
    return ApiResponse(204)


async def merge(request: ApiRequest) -> bytes:
    """The first account named stays, with its guid, its numbers and its tokens; the others are gone for good.

    What they knew of the past comes to the first: transactions and statements it does not have itself. What a
    bank tells of them later is dropped, so that the duplicate does not return. Tokens on them end at once.
    """
    user = await request.readable_user()
    guids = dict.fromkeys(parse(request.body, AccountsMergeBody).account.account_guids)
    if len(guids) < 2:
        raise InvalidRequest("account_guids names at least two accounts.")
    kept, *others = [await find_account(request.connection, user.guid, guid) for guid in guids]
    await _merge(request, kept, others)
    return request.presenter.show_account(await find_account(request.connection, user.guid, kept.guid))


async def _merge(request: ApiRequest, kept: Account, others: Sequence[Account]) -> None:
    dropped = await merge_accounts(request.connection, kept, others, request.services.clock.now())
    for statement_guid in dropped:
        await request.services.vault.delete(
            request.connection, owner_guid=kept.user_guid, record_guid=statement_guid
        )
    for other in others:
        await request.record("account.merged", other.guid)


def _nothing(page: PageRequest) -> Page[Account]:
    return Page([], 0, page)


async def _find(request: ApiRequest) -> Account:
    user = await request.readable_user()
    member_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    return await find_account(request.connection, user.guid, request.path["account"], member_guid=member_guid)
