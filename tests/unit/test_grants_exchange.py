"""Codes and tokens on the real database: every grant, and every refusal."""

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
    UserDisabled,
)
from coatcheck.grants.exchange import IssuedToken
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
    async with services.db.connection() as connection:
        return await services.exchange.redeem(
            connection,
            processor_guid=processor.guid,
            api_key=processor.api_key,
            code=code,
            idempotency_key=key,
        )


async def authenticate(services: Services, token: str) -> LiveToken:
    async with services.db.connection() as connection:
        return await services.access.authorize(connection, services.access.present(token), ReadKind.BALANCES)


async def actions(services: Services, client: Keyed) -> Counter[str]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body::jsonb ->> 'action' FROM audit_event WHERE client_guid = %s", (client.guid,)
        )
        return Counter(action for (action,) in await cursor.fetchall())


async def test_a_code_buys_one_token_that_opens_what_the_scope_names(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    issued = await exchange(services, processor, await make_code(services, account))
    token = await authenticate(services, issued.access_token)
    assert (token.account_guid, token.processor_guid) == (account.guid, processor.guid)
    async with services.db.connection() as connection:
        presented = services.access.present(issued.access_token)
        assert (await services.access.numbers(connection, presented)).total == 1
        (listed,) = await services.tokens.list(connection, client.guid)
    assert issued.scope == listed.scope == str(scope_of(account))
    assert issued.expires_at == listed.expires_at == services.clock.now() + timedelta(days=60)
    assert await actions(services, client) == {"code.issued": 1, "token.issued": 1}


async def test_replaying_a_code_is_refused_and_revokes_what_it_bought(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    issued = await exchange(services, processor, code)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    with pytest.raises(InvalidToken):
        await authenticate(services, issued.access_token)
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, code)
    assert (await actions(services, client))["token.revoked"] == 1


async def test_a_retry_under_the_same_idempotency_key_gets_the_same_token_again(
    services: Services, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    first = await exchange(services, processor, code, "retry-1")
    assert await exchange(services, processor, code, "retry-1") == first
    assert (await authenticate(services, first.access_token)).account_guid == account.guid


async def test_another_idempotency_key_or_a_late_retry_is_a_replay(
    services: Services, clock: MovableClock, processor: Keyed, account: Account
) -> None:
    for wait, key in ((timedelta(), "other"), (timedelta(seconds=61), "same")):
        code = await make_code(services, account)
        issued = await exchange(services, processor, code, "same")
        clock.advance(wait)
        with pytest.raises(InvalidGrant):
            await exchange(services, processor, code, key)
        with pytest.raises(InvalidToken):
            await authenticate(services, issued.access_token)


async def test_a_wrong_processor_neither_spends_nor_spoils_a_code(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    stranger = await make_processor(services)
    other = await make_processor(services, client)
    code = await make_code(services, account)
    with pytest.raises(InvalidGrant):
        await exchange(services, stranger, code)
    issued = await exchange(services, processor, code)
    for thief in (stranger, other):
        with pytest.raises(InvalidGrant):
            await exchange(services, thief, code)
    assert (await authenticate(services, issued.access_token)).account_guid == account.guid


async def test_a_code_meant_for_one_processor_buys_another_nothing(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    other = await make_processor(services, client)
    async with services.db.connection() as connection:
        code = await services.issuer.issue(
            connection, client_guid=client.guid, scope=scope_of(account), processor_guid=processor.guid
        )
    with pytest.raises(InvalidGrant):
        await exchange(services, other, code)
    assert await exchange(services, processor, code)


async def test_a_wrong_key_is_refused_and_spends_nothing(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    code = await make_code(services, account)
    other = await make_processor(services, client)
    for guid, api_key in (
        (processor.guid, other.api_key),
        (processor.guid, client.api_key),
        (processor.guid, "guess"),
        ("PPR-nobody", processor.api_key),
        (client.guid, client.api_key),
    ):
        with pytest.raises(InvalidClient):
            await exchange(services, Keyed(guid, api_key), code)
    assert await exchange(services, processor, code)


async def test_a_code_dies_with_its_ten_minutes_and_a_token_with_its_sixty_days(
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


async def test_of_32_racers_exactly_one_gets_a_token(
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


async def test_every_end_of_what_a_token_names_ends_the_token_at_once(
    services: Services, client: Keyed, processor: Keyed
) -> None:
    async def ends(deed: str) -> None:
        user = await make_user(services, client)
        account = await make_account(services, user)
        token = await make_token(services, account, processor)
        assert await authenticate(services, token)
        async with services.db.transaction() as connection:
            match deed:
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
                    await services.tokens.revoke(connection, client_guid=client.guid, token_guid=issued.guid)
                case "processor":
                    await set_processor_disabled(connection, processor.guid, is_disabled=True)
                case "client":
                    await set_client_disabled(connection, client.guid, is_disabled=True)
        with pytest.raises(InvalidToken):
            await authenticate(services, token)
        async with services.db.connection() as connection:
            (issued,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
        assert issued.active is False

    for deed in ("account", "member", "user", "disabled user", "revoked", "processor"):
        await ends(deed)
    async with services.db.transaction() as connection:
        await set_processor_disabled(connection, processor.guid, is_disabled=False)
    await ends("client")


async def test_a_code_of_a_client_that_did_not_enable_the_processor_buys_nothing(services: Services) -> None:
    mine, theirs = await make_client(services), await make_client(services)
    processor = await make_processor(services, mine)
    account = await make_account(services, await make_user(services, theirs))
    with pytest.raises(InvalidGrant):
        await exchange(services, processor, await make_code(services, account))


async def test_a_client_that_parts_with_a_processor_ends_its_tokens_and_its_right_to_codes_at_once(
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


async def test_parting_with_a_processor_touches_no_other_client_and_no_other_processor(
    services: Services, client: Keyed, account: Account
) -> None:
    neighbour = await make_client(services)
    elsewhere = await make_account(services, await make_user(services, neighbour))
    left = await make_processor(services, client, neighbour)
    stays = await make_processor(services, client)
    tokens = [await make_token(services, elsewhere, left), await make_token(services, account, stays)]
    codes = [(left, await make_code(services, elsewhere)), (stays, await make_code(services, account))]
    async with services.db.transaction() as connection:
        await disable_processor(connection, client_guid=client.guid, processor_guid=left.guid)
    for token in tokens:
        assert await authenticate(services, token)
    for processor, code in codes:
        assert await exchange(services, processor, code)


async def test_a_scope_that_is_not_wholly_the_clients_is_not_found(
    services: Services, client: Keyed, account: Account
) -> None:
    stranger = await make_client(services)
    elsewhere = await make_account(services, await make_user(services, client))
    foreign = [
        (stranger, scope_of(account)),
        (
            client,
            Scope(account.user_guid, elsewhere.member_guid, account.guid, [ReadProtected(is_given=True)]),
        ),
        (
            client,
            Scope(elsewhere.user_guid, account.member_guid, account.guid, [ReadProtected(is_given=True)]),
        ),
        (
            client,
            Scope(account.user_guid, account.member_guid, elsewhere.guid, [ReadProtected(is_given=True)]),
        ),
    ]
    for asker, scope in foreign:
        async with services.db.connection() as connection:
            with pytest.raises(NotFound):
                await services.issuer.issue(connection, client_guid=asker.guid, scope=scope)


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


async def test_the_list_of_tokens_shows_first_characters_alone_and_only_the_clients_own(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    stranger = await make_client(services)
    async with services.db.connection() as connection:
        (issued,) = await services.tokens.list(connection, client.guid)
        assert await services.tokens.list(connection, stranger.guid) == []
        assert await services.tokens.list(connection, client.guid, account_guid="ACT-other") == []
    assert issued.active
    assert token.startswith(issued.first_characters)
    assert len(issued.first_characters) == 12


async def test_a_client_cannot_revoke_anothers_token(
    services: Services, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(services, account, processor)
    stranger = await make_client(services)
    async with services.db.connection() as connection:
        (issued,) = await services.tokens.list(connection, client.guid)
        with pytest.raises(NotFound):
            await services.tokens.revoke(connection, client_guid=stranger.guid, token_guid=issued.guid)
    assert await authenticate(services, token)
