"""Accounts: aggregated from a bank, or manual."""

from collections.abc import Sequence

from msgspec import Struct

from coatcheck.api.query import read_flag, read_page, read_text
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.accounts import (
    AccountCreateRequestBody,
    AccountsMergeRequestBody,
    AccountUpdateRequestBody,
    account_body,
    accounts_body,
)
from coatcheck.api.schemas.decoding import given_fields, parse
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.ids import new
from coatcheck.members.account_rows import change_account, delete_account, merge_accounts, put_account
from coatcheck.members.member_rows import manual_member
from coatcheck.model.accounts import Account, find_account, list_accounts
from coatcheck.model.members import find_member
from coatcheck.model.paging import Page, PageRequest

UPDATABLE = ("is_business", "is_hidden", "metadata")
"""The fields of an aggregated account that a client can update (MX docs: update account)."""


async def list_of_user(request: ApiRequest) -> Struct:
    """All members are managed by their users: `member_is_managed_by_user=false` returns an empty list."""
    user = await request.readable_user()
    page = read_page(request.query)
    if read_flag(request.query, "member_is_managed_by_user") is False:
        return accounts_body(request.version, _empty(page))
    accounts = await list_accounts(
        request.connection,
        user.guid,
        page,
        is_manual=read_flag(request.query, "is_manual"),
        use_case=read_text(request.query, "use_case"),
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
    """Creates a manual account of the user's manual member, which is created with the first account."""
    user = await request.readable_user()
    fields = parse(request.body, AccountCreateRequestBody).account
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
        **given_fields(fields),
    )
    await put_account(request.connection, account)
    await request.record("account.created", account.guid)
    return account_body(request.version, await find_account(request.connection, user.guid, account.guid))


async def read(request: ApiRequest) -> Struct:
    return account_body(request.version, await _find(request))


async def update(request: ApiRequest) -> Struct:
    """Updates any field of a manual account, and `UPDATABLE` of an aggregated one; ignores other fields.

    Raises:
        ConstraintNotMet: none of the fields can be updated.
    """
    account = await _find(request)
    fields = parse(request.body, AccountUpdateRequestBody).account
    changes = given_fields(fields) if account.is_manual else given_fields(fields, *UPDATABLE)
    if not changes:
        raise ConstraintNotMet(f"Of an aggregated account only {', '.join(UPDATABLE)} can be updated.")
    now = request.services.clock.now()
    await change_account(request.connection, account.user_guid, account.guid, changes, now)
    await request.record("account.updated", account.guid)
    return account_body(
        request.version, await find_account(request.connection, account.user_guid, account.guid)
    )


async def delete(request: ApiRequest) -> None:
    account = await _find(request)
    if not account.is_manual:
        raise ConstraintNotMet("Only a manual account can be deleted; delete the member instead.")
    await delete_account(request.connection, account.user_guid, account.guid)
    await request.record("account.deleted", account.guid)


async def merge(request: ApiRequest) -> Struct:
    """Merges accounts into the first one named, which keeps its guid, its numbers and its tokens.

    The other accounts are deleted and their tokens revoked. Their transactions and statements move to the
    first account unless it has them already. Later data of the deleted accounts is ignored.
    """
    user = await request.readable_user()
    guids = dict.fromkeys(parse(request.body, AccountsMergeRequestBody).account.account_guids)
    if len(guids) < 2:
        raise InvalidRequest("account_guids must contain at least two accounts.")
    target, *others = [await find_account(request.connection, user.guid, guid) for guid in guids]
    await _merge(request, target, others)
    return account_body(request.version, await find_account(request.connection, user.guid, target.guid))


async def _merge(request: ApiRequest, target: Account, others: Sequence[Account]) -> None:
    dropped = await merge_accounts(request.connection, target, others, request.services.clock.now())
    for statement_guid in dropped:
        await request.services.vault.delete(
            request.connection, owner_guid=target.user_guid, record_guid=statement_guid
        )
    for other in others:
        await request.record("account.merged", other.guid)


def _empty(page: PageRequest) -> Page[Account]:
    return Page([], 0, page)


async def _find(request: ApiRequest) -> Account:
    user = await request.readable_user()
    member_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    return await find_account(request.connection, user.guid, request.path["account"], member_guid=member_guid)
