"""Account numbers and owners in full: the vault shows them, and writes down that it did."""

from coatcheck.api.paging import read_page
from coatcheck.api.request import ApiRequest
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.vault.vault import ClientReader


async def account_numbers(request: ApiRequest) -> bytes:
    """Of the member or the account that the path names; none, and no error, while nothing is verified."""
    numbers = await request.services.vault.disclose_numbers(
        request.connection, await _reader(request), read_page(request.query)
    )
    return request.presenter.show_account_numbers(numbers)


async def account_owners(request: ApiRequest) -> bytes:
    """Of the member that the path names; none, and no error, while nobody is identified."""
    owners = await request.services.vault.disclose_owners(
        request.connection, await _reader(request), read_page(request.query)
    )
    return request.presenter.show_account_owners(owners)


async def _reader(request: ApiRequest) -> ClientReader:
    user = await request.readable_user()
    member_guid = account_guid = None
    if "member" in request.path:
        member_guid = (await find_member(request.connection, user.guid, request.path["member"])).guid
    if "account" in request.path:
        account_guid = (await find_account(request.connection, user.guid, request.path["account"])).guid
    return ClientReader(request.client.guid, user.guid, member_guid, account_guid)
