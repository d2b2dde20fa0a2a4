"""How many tokens expired in a time, of every client."""

from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.grants.tokens import count_expired
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.own_database
async def test_the_tokens_of_every_client_that_expired_in_a_time_are_counted_but_for_revoked_ones(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    other = await make_client(services)
    others = await make_account(services, await make_user(services, other))
    await make_token(services, account, processor)
    await make_token(services, others, await make_processor(services, other))
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT expires_at FROM access_token ORDER BY expires_at")
        (first,), (second,) = await cursor.fetchall()
        assert await count_expired(connection, first - MICROSECOND, second) == 2
        assert await count_expired(connection, first, second) == 1
        assert await count_expired(connection, first, second - MICROSECOND) == 0
        (token,) = await services.tokens.list(connection, client.guid)
        await services.revocations.revoke(connection, client_guid=client.guid, guid=token.guid)
        assert await count_expired(connection, first - MICROSECOND, second) == 1
