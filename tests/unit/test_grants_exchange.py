"""Codes and tokens on a real database: issue, exchange, replay and revocation, with every refusal."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.directory.processor_rows import disable_processor, enable_processor, set_processor_disabled
from coatcheck.directory.user_rows import change_user, remove_user
from coatcheck.errors import (
    CoatcheckError,
    InvalidClient,
    InvalidGrant,
    InvalidToken,
    NotFound,
    NotVerified,
    TokenRevoked,
    UserDisabled,
)
from coatcheck.grants.exchange import RACE_WINDOW, IssuedToken
from coatcheck.grants.restrictions import ReadKind, ReadProtected
from coatcheck.grants.scope import Scope
from coatcheck.members.account_rows import delete_account
from coatcheck.model.accounts import Account
from coatcheck.model.tokens import LiveToken
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_processor,
    make_token,
    make_user,
    scope_of,
)


async def exchange(services: Services, processor: Keyed, code: str, key: str | None = None) -> IssuedToken:
    return await services.exchange.redeem(
        processor_guid=processor.guid,
        api_key=processor.api_key,
        code=code,
        idempotency_key=key,
    )


async def authenticate(services: Services, token: str) -> LiveToken:
    async with services.db.connection() as connection:
        return await services.access.authorize(
            connection, services.access.parse_token(token), ReadKind.BALANCES
        )


async def actions(services: Services, client: Keyed) -> Counter[str]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb ->> 'action' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'action' <> 'api_key.issued'""",
            (client.guid,),
        )
        return Counter(action for (action,) in await cursor.fetchall())


async def test_a_code_is_exchanged_for_a_token_that_reads_the_account_in_its_scope(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code, before = await make_code(services, account), services.clock.instant()
    issued = await exchange(services, processor, code)
    after = services.clock.instant()
    token = await authenticate(services, issued.access_token)
    assert (token.account_guid, token.processor_guid) == (account.guid, processor.guid)
    async with services.db.connection() as connection:
        presented = services.access.parse_token(issued.access_token)
        assert (await services.access.numbers(presented)).total == 1
        (listed,) = await services.tokens.list(connection, client.guid)
    assert issued.scope == listed.scope == str(scope_of(account))
    assert issued.expires_at == listed.expires_at
    assert before <= issued.expires_at - timedelta(days=60) <= after
    assert await actions(services, client) == {"code.issued": 1, "token.issued": 1}


async def test_replaying_a_code_is_refused_and_revokes_its_token(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await exchange(services, processor, code)
    clock.advance(RACE_WINDOW)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    with pytest.raises(TokenRevoked):
        await authenticate(services, issued.access_token)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    assert (await actions(services, client))["token.revoked"] == 1


async def test_a_second_exchange_within_ten_seconds_is_refused_and_the_token_stays(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await exchange(services, processor, code)
    for key in (None, "retry-1"):
        clock.advance(RACE_WINDOW / 2 - timedelta(seconds=1))
        with pytest.raises(InvalidGrant):
            await exchange(services, processor, code, key)
        assert await authenticate(services, issued.access_token)
    assert "token.revoked" not in await actions(services, client)


async def test_a_retry_with_the_same_idempotency_key_returns_the_same_token(
    services: Services, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    first = await exchange(services, processor, code, "retry-1")
    assert await exchange(services, processor, code, "retry-1") == first
    assert (await authenticate(services, first.access_token)).account_guid == account.guid


async def test_a_retry_almost_a_minute_later_still_returns_the_same_token(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    first = await exchange(services, processor, code, "retry-1")
    clock.advance(timedelta(seconds=58))
    assert await exchange(services, processor, code, "retry-1") == first


async def test_32_simultaneous_exchanges_with_one_idempotency_key_give_one_token_to_all(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await asyncio.gather(*(exchange(services, processor, code, "retry-1") for _ in range(32)))
    assert len({each.access_token for each in issued}) == 1
    assert (await authenticate(services, issued[0].access_token)).account_guid == account.guid
    assert (await actions(services, client))["token.issued"] == 1


async def test_a_retry_with_another_idempotency_key_or_after_a_minute_is_a_replay(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    for wait, key in ((RACE_WINDOW, "other"), (timedelta(seconds=61), "same")):
        code = await make_code(services, account)
        issued = await exchange(services, processor, code, "same")
        clock.advance(wait)
        with pytest.raises(InvalidGrant):
            await exchange(services, processor, code, key)
        with pytest.raises(InvalidToken):
            await authenticate(services, issued.access_token)


async def test_another_processor_neither_redeems_a_code_nor_revokes_its_token(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    not_enabled = await make_processor(services)
    other = await make_processor(services, client)
    code = await make_code(services, account)
    with pytest.raises(InvalidGrant):
        await exchange(services, not_enabled, code)
    issued = await exchange(services, processor, code)
    for wrong_processor in (not_enabled, other):
        with pytest.raises(InvalidGrant):
            await exchange(services, wrong_processor, code)
    assert (await authenticate(services, issued.access_token)).account_guid == account.guid


async def test_a_code_for_one_processor_cannot_be_redeemed_by_another(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    other = await make_processor(services, client)
    async with services.db.connection() as connection:
        code = await services.issuer.issue_authenticated(
            connection, client_guid=client.guid, scope=scope_of(account), processor_guid=processor.guid
        )
    with pytest.raises(InvalidGrant):
        await exchange(services, other, code)
    assert await exchange(services, processor, code)


async def test_a_wrong_key_is_refused_and_leaves_the_code_unredeemed(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    other = await make_processor(services, client)
    for guid, api_key in (
        (processor.guid, other.api_key),
        (processor.guid, client.api_key),
        (processor.guid, "guess"),
        ("PPR-unknown", processor.api_key),
        (client.guid, client.api_key),
    ):
        with pytest.raises(InvalidClient):
            await exchange(services, Keyed(guid, api_key), code)
    assert await exchange(services, processor, code)


async def test_a_code_expires_after_ten_minutes_and_a_token_after_sixty_days(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    code, late = await make_code(services, account), await make_code(services, account)
    clock.advance(timedelta(minutes=9, seconds=55))
    issued = await exchange(services, processor, code)
    clock.advance(timedelta(seconds=6))
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, late)
    clock.advance(timedelta(days=59, hours=23, minutes=59))
    assert await authenticate(services, issued.access_token)
    clock.advance(timedelta(minutes=1))
    with pytest.raises(InvalidToken):
        await authenticate(services, issued.access_token)


async def test_one_of_32_concurrent_exchanges_gets_a_token(
    services: Services, processor: Keyed, account: Account
) -> None:
    for _ in range(20):
        code = await make_code(services, account)
        results = await asyncio.gather(
            *(exchange(services, processor, code) for _ in range(32)), return_exceptions=True
        )
        assert Counter(type(result) for result in results) == {IssuedToken: 1, InvalidGrant: 31}
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (20,)


async def test_deleting_or_disabling_an_object_in_its_scope_invalidates_a_token(
    services: Services, client: Keyed, processor: Keyed
) -> None:
    async def is_invalid_after(change: str) -> None:
        user = await make_user(services, client)
        account = await make_account(services, user)
        token = await make_token(services, account, processor)
        assert await authenticate(services, token)
        async with services.db.connection() as connection:
            match change:
                case "account":
                    await delete_account(connection, user.guid, account.guid)
                case "member":
                    await connection.execute("DELETE FROM member WHERE user_guid = %s", (user.guid,))
                case "user":
                    await remove_user(connection, user.guid)
                case "disabled user":
                    await change_user(
                        connection,
                        type(user)(
                            user.guid,
                            client.guid,
                            None,
                            None,
                            None,
                            is_disabled=True,
                            created_at=user.created_at,
                        ),
                    )
                case "revoked":
                    (issued,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
                    await services.revocations.revoke(connection, client_guid=client.guid, guid=issued.guid)
                case "processor":
                    await set_processor_disabled(connection, processor.guid, is_disabled=True)
                case "client":
                    await set_client_disabled(connection, client.guid, is_disabled=True)
        with pytest.raises(InvalidToken):
            await authenticate(services, token)
        async with services.db.connection() as connection:
            (issued,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
        assert issued.active is False

    for change in ("account", "member", "user", "disabled user", "revoked", "processor"):
        await is_invalid_after(change)
    async with services.db.transaction() as connection:
        await set_processor_disabled(connection, processor.guid, is_disabled=False)
    await is_invalid_after("client")


async def test_a_processor_cannot_redeem_a_code_of_a_client_that_it_is_not_enabled_for(
    services: Services,
) -> None:
    enabled_for, other = await make_client(services), await make_client(services)
    processor = await make_processor(services, enabled_for)
    account = await make_account(services, await make_user(services, other))
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, await make_code(services, account))


async def test_disabling_a_processor_for_a_client_invalidates_its_tokens_and_codes_until_it_is_enabled(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    token, code = await make_token(services, account, processor), await make_code(services, account)
    async with services.db.transaction() as connection:
        await disable_processor(connection, client_guid=client.guid, processor_guid=processor.guid)
    with pytest.raises(InvalidToken):
        await authenticate(services, token)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    async with services.db.transaction() as connection:
        (issued,) = await services.tokens.list(connection, client.guid)
        assert issued.active is False
        await enable_processor(
            connection, client_guid=client.guid, processor_guid=processor.guid, now=services.clock.now()
        )
    assert await authenticate(services, token)
    assert await exchange(services, processor, code)


async def test_disabling_a_processor_for_a_client_affects_no_other_client_and_no_other_processor(
    services: Services, client: Keyed, account: Account
) -> None:
    other_client = await make_client(services)
    other_account = await make_account(services, await make_user(services, other_client))
    disabled = await make_processor(services, client, other_client)
    enabled = await make_processor(services, client)
    tokens = [
        await make_token(services, other_account, disabled),
        await make_token(services, account, enabled),
    ]
    codes = [
        (disabled, await make_code(services, other_account)),
        (enabled, await make_code(services, account)),
    ]
    async with services.db.transaction() as connection:
        await disable_processor(connection, client_guid=client.guid, processor_guid=disabled.guid)
    for token in tokens:
        assert await authenticate(services, token)
    for processor, code in codes:
        assert await exchange(services, processor, code)


async def test_a_scope_with_an_object_of_another_client_or_user_is_not_found(
    services: Services, client: Keyed, account: Account
) -> None:
    other_client = await make_client(services)
    other = await make_account(services, await make_user(services, client))
    mixed_scopes = [
        (other_client, scope_of(account)),
        (
            client,
            Scope(account.user_guid, other.member_guid, account.guid, [ReadProtected(is_given=True)]),
        ),
        (
            client,
            Scope(other.user_guid, account.member_guid, account.guid, [ReadProtected(is_given=True)]),
        ),
        (
            client,
            Scope(account.user_guid, account.member_guid, other.guid, [ReadProtected(is_given=True)]),
        ),
    ]
    for requested_by, scope in mixed_scopes:
        async with services.db.connection() as connection:
            with pytest.raises(NotFound):
                await services.issuer.issue_authenticated(
                    connection, client_guid=requested_by.guid, scope=scope
                )


async def test_an_unverified_account_and_a_disabled_user_get_no_code(
    services: Services, client: Keyed
) -> None:
    unverified = await make_account(services, await make_user(services, client), account_number=None)
    disabled = await make_account(services, await make_user(services, client, is_disabled=True))
    refusals: list[tuple[Account, type[CoatcheckError]]] = [
        (unverified, NotVerified),
        (disabled, UserDisabled),
    ]
    for account, refusal in refusals:
        with pytest.raises(refusal):
            await make_code(services, account)


async def test_the_list_of_tokens_contains_only_first_characters_and_only_tokens_of_the_client(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    other_client = await make_client(services)
    async with services.db.connection() as connection:
        (issued,) = await services.tokens.list(connection, client.guid)
        assert await services.tokens.list(connection, other_client.guid) == []
        assert await services.tokens.list(connection, client.guid, account_guid="ACT-other") == []
    assert issued.active
    assert token.startswith(issued.first_characters)
    assert len(issued.first_characters) == 12


async def test_a_client_cannot_revoke_a_token_of_another_client(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    other_client = await make_client(services)
    async with services.db.connection() as connection:
        (issued,) = await services.tokens.list(connection, client.guid)
        with pytest.raises(NotFound):
            await services.revocations.revoke(connection, client_guid=other_client.guid, guid=issued.guid)
    assert await authenticate(services, token)
