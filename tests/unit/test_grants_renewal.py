"""Renewal: a code whose token supersedes another, so that the processor has one token at every moment."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import GrantEnded, InvalidGrant, InvalidScope, InvalidToken, NotFound, TokenRevoked
from coatcheck.grants.exchange import RACE_WINDOW, IssuedToken
from coatcheck.grants.scope import scope_of as sql_scope
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, scope_of


async def listed(services: Services, account: Account) -> list[dict[str, Any]]:
    """The tokens of the account, oldest first."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            f"""SELECT guid, {sql_scope("access_token")} AS scope, revoked_at, revoked_by, superseded_by, created_at
                FROM access_token
               WHERE account_guid = %s ORDER BY created_at, guid""",
            (account.guid,),
        )
        assert cursor.description
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def renewal(services: Services, account: Account, **given: Any) -> str:
    newest = (await listed(services, account))[-1]
    async with services.db.connection() as connection:
        return await services.issuer.issue_renewal(
            connection, **{"client_guid": account.client_guid, "token_guid": newest["guid"]} | given
        )


async def redeem(services: Services, processor: Keyed, code: str, key: str | None = None) -> IssuedToken:
    return await services.exchange.redeem(
        processor_guid=processor.guid,
        api_key=processor.api_key,
        code=code,
        idempotency_key=key,
    )


async def reads(services: Services, token: str) -> bool:
    try:
        await services.access.numbers(services.access.parse_token(token))
    except InvalidToken:
        return False
    return True


async def test_the_token_of_a_renewal_supersedes_the_old_one_at_the_same_instant(
    services: Services, account: Account, processor: Keyed
) -> None:
    old = await make_token(services, account, processor, atoms="read:numbers max-reads:3")
    code = await renewal(services, account)
    assert code.startswith("ccr_")
    assert await reads(services, old)
    new = await redeem(services, processor, code)
    before, after = await listed(services, account)
    assert before["revoked_at"] == after["created_at"]
    assert (before["superseded_by"], before["revoked_by"]) == (after["guid"], account.client_guid)
    assert after["revoked_at"] is None
    assert new.scope == after["scope"] == before["scope"]
    assert (await reads(services, old), await reads(services, new.access_token)) == (False, True)
    with pytest.raises(TokenRevoked):
        await services.access.numbers(services.access.parse_token(old))


async def test_both_the_new_and_the_superseded_token_are_in_the_audit_log(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    await redeem(services, processor, await renewal(services, account))
    old, new = await listed(services, account)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json->>'action', body::json->>'subject', body::json->'detail' FROM audit_entry
               WHERE client_guid = %s AND body::json->>'action' LIKE 'token.%%' ORDER BY at, guid""",
            (account.client_guid,),
        )
        written = await cursor.fetchall()
    assert written[1:] == [
        ("token.issued", new["guid"], {}),
        ("token.superseded", old["guid"], {"superseded_by": new["guid"]}),
    ]


async def test_until_it_is_redeemed_a_renewal_changes_nothing(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    old = await make_token(services, account, processor)
    code = await renewal(services, account)
    clock.advance(services.settings.code_ttl)
    with pytest.raises(InvalidGrant):
        await redeem(services, processor, code)
    assert await reads(services, old)


async def test_only_the_processor_of_the_grant_redeems_its_renewal(
    services: Services, client: Keyed, account: Account, processor: Keyed
) -> None:
    old = await make_token(services, account, processor)
    code = await renewal(services, account)
    with pytest.raises(InvalidGrant):
        await redeem(services, await make_processor(services, client), code)
    assert await reads(services, old)
    assert await redeem(services, processor, code)


async def test_of_many_renewals_of_one_grant_one_is_redeemed(
    services: Services, account: Account, processor: Keyed
) -> None:
    for _ in range(10):
        await make_token(services, account, processor)
        codes = [await renewal(services, account) for _ in range(4)]
        results = await asyncio.gather(
            *(redeem(services, processor, code) for code in codes * 2), return_exceptions=True
        )
        assert Counter(type(result) for result in results) == {IssuedToken: 1, InvalidGrant: 7}
    tokens = await listed(services, account)
    assert len(tokens) == 20
    assert len([each for each in tokens if each["revoked_at"] is None]) == 10


async def test_a_renewal_can_widen_and_outlive_the_grant(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor, reads_protected=False, atoms="max-reads:1")
    clock.advance(services.settings.token_ttl + timedelta(seconds=1))
    new = await redeem(services, processor, await renewal(services, account, scope=scope_of(account)))
    assert await reads(services, new.access_token)
    assert new.expires_at > services.clock.instant()


async def test_a_renewal_is_for_the_account_and_the_processor_of_the_grant(
    services: Services, client: Keyed, user: User, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    other = await make_account(services, user)
    with pytest.raises(InvalidScope, match="same user, member and account"):
        await renewal(services, account, scope=scope_of(other))
    foreign = (await make_processor(services, client)).guid
    with pytest.raises(InvalidScope, match="another processor"):
        await renewal(services, account, scope=scope_of(account, atoms=f"processor-guid:{foreign}"))


async def test_a_grant_of_another_client_or_that_was_revoked_is_not_renewed(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    with pytest.raises(NotFound):
        await renewal(services, account, client_guid=(await make_client(services)).guid)
    with pytest.raises(NotFound):
        await renewal(services, account, token_guid="TKN-unknown")
    (grant,) = await listed(services, account)
    async with services.db.connection() as connection:
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=grant["guid"])
    with pytest.raises(GrantEnded):
        await renewal(services, account)


async def test_a_renewal_whose_grant_was_revoked_meanwhile_is_refused_with_its_reason_in_the_audit_log(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    code = await renewal(services, account)
    (grant,) = await listed(services, account)
    async with services.db.connection() as connection:
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=grant["guid"])
    with pytest.raises(InvalidGrant) as refused:
        await redeem(services, processor, code)
    assert refused.value.detail == "grant_ended"
    assert len(await listed(services, account)) == 1


async def test_a_retry_of_a_renewal_gets_the_same_token_and_a_later_replay_revokes_it(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    code = await renewal(services, account)
    new = await redeem(services, processor, code, "key")
    assert await redeem(services, processor, code, "key") == new
    with pytest.raises(InvalidGrant):
        await redeem(services, processor, code)
    assert await reads(services, new.access_token)
    clock.advance(RACE_WINDOW)
    with pytest.raises(InvalidGrant):
        await redeem(services, processor, code)
    assert not await reads(services, new.access_token)
