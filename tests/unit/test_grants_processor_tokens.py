"""What a processor ends, and what of it the audit log records."""

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.processor_tokens import REASON
from coatcheck.grants.refusals import MAX_PER_PERIOD, PERIOD
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_processor, make_token
from tests.sealed_log import entries


async def revoke(services: Services, processor: Keyed, token: str) -> None:
    async with services.db.transaction() as connection:
        await services.oauth_server.tokens.revoke(connection, processor_guid=processor.guid, token=token)


async def recorded(services: Services, action: str) -> list[str]:
    """Who did it, and to which token."""
    return [entry["actor"] for entry in await entries(services) if entry["action"] == action]


@pytest.mark.own_database
async def test_the_first_revocation_of_an_own_token_is_recorded_and_a_second_is_not(
    services: Services, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    await revoke(services, processor, token)
    assert await recorded(services, "token.revoked") == [processor.guid]
    await revoke(services, processor, token)
    assert await recorded(services, "token.revoked") == [processor.guid]
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT revoked_by, revoked_because FROM access_token")
        assert await cursor.fetchall() == [(processor.guid, REASON)]


@pytest.mark.own_database
async def test_of_a_processors_attempts_to_revoke_anothers_token_60_a_minute_are_recorded(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    first, second = await make_processor(services, client), await make_processor(services, client)
    for _ in range(MAX_PER_PERIOD + 5):
        await revoke(services, first, token)
    await revoke(services, second, token)
    refused = [first.guid] * MAX_PER_PERIOD + [second.guid]
    assert await recorded(services, "token.revocation_refused") == refused
    clock.advance(PERIOD)
    await revoke(services, first, token)
    assert await recorded(services, "token.revocation_refused") == [*refused, first.guid]


@pytest.mark.own_database
async def test_every_revocation_of_an_own_token_is_recorded(
    services: Services, processor: Keyed, account: Account
) -> None:
    for _ in range(MAX_PER_PERIOD + 1):
        await revoke(services, processor, await make_token(services, account, processor))
    assert len(await recorded(services, "token.revoked")) == MAX_PER_PERIOD + 1
