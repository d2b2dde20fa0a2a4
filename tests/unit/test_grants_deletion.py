"""The tokens of a deleted account end at the instant of the deletion, by the clock of the program."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection
from coatcheck.model.accounts import Account
from coatcheck.model.members import find_member
from coatcheck.model.users import find_user
from tests.factories import Keyed, make_account, make_token

Delete = Callable[[Services, Connection, Account], Awaitable[object]]


async def delete_member(services: Services, connection: Connection, account: Account) -> None:
    member = await find_member(connection, account.user_guid, account.member_guid)
    await services.members.disconnect(connection, member)


async def delete_user(services: Services, connection: Connection, account: Account) -> None:
    user = await find_user(connection, account.client_guid, account.user_guid)
    await services.users.delete(connection, user, actor=account.client_guid)


async def merge(services: Services, connection: Connection, account: Account) -> None:
    user = await find_user(connection, account.client_guid, account.user_guid)
    other = await make_account(services, user)
    await services.accounts.merge(connection, user, [other.guid, account.guid], actor=account.client_guid)


@pytest.mark.parametrize("delete", [delete_member, delete_user, merge])
async def test_a_token_ends_at_the_instant_at_which_its_account_is_deleted(
    services: Services, clock: MovableClock, account: Account, processor: Keyed, delete: Delete
) -> None:
    await make_token(services, account, processor)
    clock.advance(timedelta(days=3))
    before = clock.instant()
    async with services.db.transaction() as connection:
        await delete(services, connection, account)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT revoked_at, revoked_because FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        [(revoked_at, because)] = await cursor.fetchall()
    assert before <= revoked_at <= clock.instant()
    assert because == "its account was deleted"
