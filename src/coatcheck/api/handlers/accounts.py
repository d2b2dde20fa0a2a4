"""Accounts: aggregated from a bank, or manual."""

from msgspec import Struct

from coatcheck.api.query import read_use_case
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.accounts import (
    AccountCreateRequestBody,
    AccountsMergeRequestBody,
    AccountUpdateRequestBody,
    account_body,
    accounts_body,
)
from coatcheck.http.decoding import given_fields, parse
from coatcheck.http.query import read_flag, read_page
from coatcheck.model.accounts import Account, find_account, list_accounts
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page, PageRequest


async def list_of_user(request: ApiRequest) -> Struct:
    """All members are managed by their users: `member_is_managed_by_user=false` returns an empty list."""
    user = await request.readable_user()
    page = read_page(request.query)
    # MX has members that the client manages. Here every one is managed by its user.
    if read_flag(request.query, "member_is_managed_by_user") is False:
        return accounts_body(request.version, _empty(page))
    accounts = await list_accounts(
        request.connection,
        user.guid,
        page,
        is_manual=read_flag(request.query, "is_manual"),
        use_case=read_use_case(request.query),
    )
    return accounts_body(request.version, accounts)


async def list_of_member(request: ApiRequest) -> Struct:
    user = await request.readable_user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    page = read_page(request.query)
    if read_flag(request.query, "member_is_managed_by_user") is False:
        return accounts_body(request.version, _empty(page))
    accounts = await list_accounts(request.connection, user.guid, page, member_guid=member.guid)
    return accounts_body(request.version, accounts)


async def create(request: ApiRequest) -> Struct:
    user = await request.readable_user()
    fields = parse(request.body, AccountCreateRequestBody).account
    account = await request.services.accounts.create(
        request.connection, user, given_fields(fields), actor=request.client.guid
    )
    return account_body(request.version, account)


async def read(request: ApiRequest) -> Struct:
    return account_body(request.version, await _find(request))


async def update(request: ApiRequest) -> Struct:
    account = await _find(request)
    fields = parse(request.body, AccountUpdateRequestBody).account
    updated = await request.services.accounts.update(
        request.connection, account, given_fields(fields), actor=request.client.guid
    )
    return account_body(request.version, updated)


async def delete(request: ApiRequest) -> None:
    await request.services.accounts.delete(
        request.connection, await _find(request), actor=request.client.guid
    )


async def block(request: ApiRequest) -> Struct:
    blocked = await request.services.accounts.block(
        request.connection, await _find(request), actor=request.client.guid
    )
    return account_body(request.version, blocked)


async def merge(request: ApiRequest) -> Struct:
    user = await request.readable_user()
    guids = parse(request.body, AccountsMergeRequestBody).account.account_guids
    merged = await request.services.accounts.merge(request.connection, user, guids, actor=request.client.guid)
    return account_body(request.version, merged)


def _empty(page: PageRequest) -> Page[Account]:
    return Page([], 0, page)


async def _find(request: ApiRequest) -> Account:
    user = await request.readable_user()
    member_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    return await find_account(request.connection, user.guid, request.path["account"], member_guid=member_guid)
