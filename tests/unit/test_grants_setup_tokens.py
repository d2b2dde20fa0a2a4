"""Setup tokens: what issuing and claiming one costs."""

from base64 import b64decode
from collections.abc import Sequence

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.directory.apps import NewSetupToken
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from tests.disclosures import round_trips
from tests.factories import make_account


async def issue(services: Services, connection: Connection, user: User, accounts: Sequence[Account]) -> str:
    """The secret of a setup token for the accounts."""
    new = NewSetupToken(account_guids=[each.guid for each in accounts], app_name="Actual")
    created = await services.apps.create_setup_token(connection, user, new, actor="operator")
    return b64decode(created.token).decode().rpartition("/")[2]


async def test_a_setup_token_for_many_accounts_takes_as_many_round_trips_as_one_for_two(
    services: Services, user: User
) -> None:
    accounts = [await make_account(services, user) for _ in range(12)]
    async with services.db.transaction() as connection:

        async def trips(some: Sequence[Account]) -> int:
            async def issue_and_claim() -> None:
                secret = await issue(services, connection, user, some)
                await services.setup_tokens.claim(connection, secret)

            return await round_trips(connection, issue_and_claim)

        # The app is made with its first token, and the driver prepares what it executes repeatedly.
        for _ in range(6):
            await trips(accounts[:1])
        assert await trips(accounts[:2]) == await trips(accounts[2:])


async def test_an_account_that_is_named_twice_is_read_by_one_grant(services: Services, user: User) -> None:
    account = await make_account(services, user, id="bank-id")
    new = NewSetupToken(account_guids=[account.guid, "bank-id", account.guid], app_name="Actual")
    async with services.db.transaction() as connection:
        created = await services.apps.create_setup_token(connection, user, new, actor="operator")
    assert created.account_guids == [account.guid]
