"""Queries of accounts."""

from coatcheck.app import Services
from coatcheck.members.verified_accounts import verified_accounts
from coatcheck.model.accounts import Account, accounts_of_member
from coatcheck.model.users import User
from tests.factories import make_account


async def verified(services: Services, account: Account) -> list[str]:
    """The guids of the verified accounts of the account's member."""
    async with services.db.connection() as connection:
        found = await verified_accounts(connection, account.user_guid, account.member_guid)
    return [each.guid for each in found]


async def test_verified_accounts_are_only_those_of_this_member(services: Services, user: User) -> None:
    mine, other = await make_account(services, user), await make_account(services, user)
    assert await verified(services, mine) == [mine.guid]
    assert await verified(services, other) == [other.guid]


async def test_a_closed_an_unverified_and_a_loan_account_are_not_verified_accounts(
    services: Services, user: User
) -> None:
    assert await verified(services, await make_account(services, user, is_closed=True)) == []
    assert await verified(services, await make_account(services, user, account_number=None)) == []
    assert await verified(services, await make_account(services, user, type="LOAN")) == []
    savings = await make_account(services, user, type="SAVINGS")
    assert await verified(services, savings) == [savings.guid]


async def test_an_account_is_not_verified_by_the_numbers_of_another_account(
    services: Services, user: User
) -> None:
    verified_one = await make_account(services, user)
    unverified = await make_account(services, user, account_number=None)
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE account SET member_guid = %s WHERE user_guid = %s AND guid = %s",
            (verified_one.member_guid, user.guid, unverified.guid),
        )
    assert await verified(services, verified_one) == [verified_one.guid]


async def test_accounts_of_a_member_are_only_those_of_this_member(services: Services, user: User) -> None:
    mine = await make_account(services, user)
    await make_account(services, user)
    async with services.db.connection() as connection:
        found = await accounts_of_member(connection, user.guid, mine.member_guid)
    assert [each.guid for each in found] == [mine.guid]
