"""Refusals: each test violates one condition of the statements for codes, keys and tokens."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.directory.processor_rows import set_processor_disabled
from coatcheck.errors import CoatcheckError, InvalidClient, InvalidGrant, InvalidToken, NotVerified
from coatcheck.grants.exchange import IssuedToken
from coatcheck.grants.restrictions import ReadKind
from coatcheck.model.accounts import Account
from coatcheck.model.tokens import LiveToken, TokenRow
from coatcheck.model.users import User
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_user

MINUTE = timedelta(minutes=1)
"""Longer than any time in which a second redemption might count as a retry."""


async def exchange(services: Services, processor: Keyed, code: str, key: str | None = None) -> IssuedToken:
    return await services.exchange.redeem(
        processor_guid=processor.guid,
        api_key=processor.api_key,
        code=code,
        idempotency_key=key,
    )


async def authenticate(services: Services, issued: IssuedToken) -> LiveToken:
    async with services.db.connection() as connection:
        presented = services.access.parse_token(issued.access_token)
        return await services.access.authorize(connection, presented, ReadKind.BALANCES)


async def token_of(services: Services, account: Account) -> TokenRow:
    async with services.db.connection() as connection:
        (token,) = await services.tokens.list(connection, account.client_guid, account_guid=account.guid)
    return token


async def revoke(services: Services, account: Account) -> None:
    token = await token_of(services, account)
    async with services.db.connection() as connection:
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=token.guid)


async def rotate(services: Services, owner: Keyed, overlap: timedelta) -> Keyed:
    async with services.db.transaction() as connection:
        fresh = await services.api_keys.rotate(connection, owner.guid, overlap=overlap)
    return Keyed(owner.guid, fresh.api_key)


# --- keys ------------------------------------------------------------------------------------------------


async def test_an_expired_processor_key_cannot_redeem_a_code(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    fresh = await rotate(services, processor, overlap=MINUTE)
    clock.advance(MINUTE)
    with pytest.raises(InvalidClient):
        await exchange(services, processor, code)
    assert await exchange(services, fresh, code)


async def test_a_rotated_processor_key_redeems_codes_until_its_overlap_ends(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await rotate(services, processor, overlap=2 * MINUTE)
    clock.advance(MINUTE)
    assert await exchange(services, processor, code)


# --- codes -----------------------------------------------------------------------------------------------


async def test_an_unverified_account_gets_no_code_even_if_the_user_has_a_verified_one(
    services: Services, user: User
) -> None:
    assert await make_code(services, await make_account(services, user))
    with pytest.raises(NotVerified):
        await make_code(services, await make_account(services, user, account_number=None))


async def set_user_disabled(services: Services, user: User, *, is_disabled: bool) -> None:
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE end_user SET is_disabled = %s WHERE guid = %s", (is_disabled, user.guid)
        )


@pytest.mark.parametrize(
    ("disabled", "error"),
    [("processor", InvalidClient), ("client", InvalidGrant), ("user", InvalidGrant)],
)
async def test_while_the_processor_client_or_user_is_disabled_a_code_is_refused_and_stays_unredeemed(
    services: Services,
    user: User,
    processor: Keyed,
    account: Account,
    disabled: str,
    error: type[CoatcheckError],
) -> None:
    code = await make_code(services, account)

    async def disable(*, is_disabled: bool) -> None:
        async with services.db.transaction() as connection:
            if disabled == "processor":
                await set_processor_disabled(connection, processor.guid, is_disabled=is_disabled)
            elif disabled == "client":
                await set_client_disabled(connection, account.client_guid, is_disabled=is_disabled)
        if disabled == "user":
            await set_user_disabled(services, user, is_disabled=is_disabled)

    await disable(is_disabled=True)
    with pytest.raises(error):
        await exchange(services, processor, code)
    await disable(is_disabled=False)
    assert (
        await authenticate(services, await exchange(services, processor, code))
    ).account_guid == account.guid


async def test_disabling_a_client_stops_no_exchange_of_another_client(
    services: Services, processor: Keyed, account: Account
) -> None:
    other = await make_client(services)
    async with services.db.transaction() as connection:
        await set_client_disabled(connection, other.guid, is_disabled=True)
        await set_processor_disabled(
            connection, (await make_processor(services, other)).guid, is_disabled=True
        )
    await make_user(services, other, is_disabled=True)
    assert await exchange(services, processor, await make_code(services, account))


# --- a code that is presented again ----------------------------------------------------------------------


async def test_with_on_code_reuse_reject_a_replay_leaves_the_token_valid(
    settings: Settings, clock: MovableClock, services: Services, processor: Keyed, account: Account
) -> None:
    async with build(replace(settings, on_code_reuse="reject"), clock) as lenient:
        code = await make_code(lenient, account)
        issued = await exchange(lenient, processor, code)
        clock.advance(MINUTE)
        with pytest.raises(InvalidGrant):
            await exchange(lenient, processor, code)
        assert (await authenticate(lenient, issued)).account_guid == account.guid
    assert (await token_of(services, account)).revoked_at is None


async def test_a_retry_with_an_idempotency_key_never_returns_a_revoked_token(
    services: Services, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await exchange(services, processor, code, "retry-1")
    await revoke(services, account)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code, "retry-1")
    with pytest.raises(InvalidToken):
        await authenticate(services, issued)


async def test_a_retry_with_an_idempotency_key_never_returns_a_token_of_a_disabled_user(
    services: Services, user: User, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await exchange(services, processor, code, "retry-1")
    await set_user_disabled(services, user, is_disabled=True)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code, "retry-1")


async def test_a_retry_without_the_idempotency_key_of_the_first_exchange_is_a_replay(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await exchange(services, processor, code, "retry-1")
    clock.advance(MINUTE)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    with pytest.raises(InvalidToken):
        await authenticate(services, issued)


# --- revoked and expired tokens --------------------------------------------------------------------------


async def test_a_second_revocation_keeps_the_time_and_reason_of_the_first(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await exchange(services, processor, code)
    await revoke(services, account)
    first = await token_of(services, account)
    assert first.revoked_at is not None
    clock.advance(MINUTE)
    await revoke(services, account)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    again = await token_of(services, account)
    assert (again.revoked_at, again.revoked_because) == (first.revoked_at, first.revoked_because)


async def test_revoking_after_a_replay_keeps_the_time_and_reason_of_the_replay(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    await exchange(services, processor, code)
    clock.advance(MINUTE)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    first = await token_of(services, account)
    assert isinstance(first.revoked_at, datetime)
    clock.advance(MINUTE)
    await revoke(services, account)
    again = await token_of(services, account)
    assert (again.revoked_at, again.revoked_because) == (first.revoked_at, first.revoked_because)


async def test_revoking_one_token_leaves_the_others_of_its_account(
    services: Services, processor: Keyed, account: Account
) -> None:
    await exchange(services, processor, await make_code(services, account))
    await revoke(services, account)
    issued = await exchange(services, processor, await make_code(services, account))
    assert await authenticate(services, issued)


async def test_an_expired_token_is_listed_as_not_active(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    await exchange(services, processor, await make_code(services, account))
    assert (await token_of(services, account)).active is True
    clock.advance(services.settings.token_ttl)
    expired = await token_of(services, account)
    assert (expired.active, expired.revoked_at) == (False, None)
