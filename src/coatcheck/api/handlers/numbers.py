"""Account numbers and owners in full: the vault shows them, and writes down that it did."""

from coatcheck.api.paging import read_page
from coatcheck.api.request import Call
from coatcheck.model.accounts import find_account
from coatcheck.model.members import find_member
from coatcheck.vault.vault import ClientReader


async def account_numbers(call: Call) -> bytes:
    """Of the member or the account that the path names; none, and no error, while nothing is verified."""
    numbers = await call.house.vault.show_numbers(call.connection, await _reader(call), read_page(call.query))
    return call.wire.show_account_numbers(numbers)


async def account_owners(call: Call) -> bytes:
    """Of the member that the path names; none, and no error, while nobody is identified."""
    owners = await call.house.vault.show_owners(call.connection, await _reader(call), read_page(call.query))
    return call.wire.show_account_owners(owners)


async def _reader(call: Call) -> ClientReader:
    user = await call.readable_user()
    member_guid = account_guid = None
    if "member" in call.path:
        member_guid = (await find_member(call.connection, user.guid, call.path["member"])).guid
    if "account" in call.path:
        account_guid = (await find_account(call.connection, user.guid, call.path["account"])).guid
    return ClientReader(call.client.guid, user.guid, member_guid, account_guid)
