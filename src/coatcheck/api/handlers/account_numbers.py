"""Full account numbers and owners. The vault records each disclosure."""

from msgspec import Struct

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.account_numbers import (
    AccountOwnersResponseBody,
    account_numbers_body,
    account_owners_body,
)
from coatcheck.http.query import read_page
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.vault.vault import ClientReader


async def list_numbers(request: ApiRequest) -> Struct:
    """Of the member or account in the path; empty until a verification has succeeded."""
    numbers = await request.services.vault.disclose_numbers(
        request.connection, await _reader(request), read_page(request.query)
    )
    return account_numbers_body(request.version, numbers)


async def list_owners(request: ApiRequest) -> AccountOwnersResponseBody:
    """Of the member in the path; empty until an identification has succeeded."""
    return account_owners_body(
        await request.services.vault.disclose_owners(
            request.connection, await _reader(request), read_page(request.query)
        )
    )


async def _reader(request: ApiRequest) -> ClientReader:
    user = await request.readable_user()
    member_guid = account_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    if "account" in request.path:
        account_guid = (await find_account(request.connection, user.guid, request.path["account"])).guid
    return ClientReader(request.client.guid, user.guid, member_guid, account_guid)
