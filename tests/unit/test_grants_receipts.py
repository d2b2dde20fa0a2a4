"""Receipts of grants and of revocations, and the order of a revocation and the reads around it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidToken, Unavailable
from coatcheck.grants.access import Access
from coatcheck.grants.exchange import IssuedToken
from coatcheck.grants.receipts import RevocationReceipt, delete_old_receipts
from coatcheck.grants.revocation import Selector
from coatcheck.model.accounts import Account
from coatcheck.signatures import DocumentType, verify
from coatcheck.vault import disclosures
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, LEAD, REFRESH, key_set, published_keys
from tests.disclosures import OneConnection
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_token, make_user
from tests.member_setup import PATIENCE
from tests.waiting_statements import until_waiting

NUMBER = "1234567890"
"""The account number that the factory stores."""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
"""Counts the readers that wait in the middle of their transaction."""


async def redeem(services: Services, processor: Keyed, code: str, key: str | None = None) -> IssuedToken:
    return await services.exchange.redeem(
        processor_guid=processor.guid,
        api_key=processor.api_key,
        code=code,
        idempotency_key=key,
    )


async def jwks(services: Services) -> dict[str, list[dict[str, str]]]:
    async with services.db.connection() as connection:
        return key_set(await published_keys(connection, services.clock.now()))


async def claims_of(services: Services, receipt: str, document_type: DocumentType) -> Mapping[str, Any]:
    document = verify(receipt, (await jwks(services))["keys"])
    assert document.type is document_type
    return document.claims


async def grant_guid(services: Services, account: Account) -> str:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT guid FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def no_read(_: Connection) -> datetime | None:
    return None


async def revoke(services: Services, account: Account, reason: str | None = None) -> RevocationReceipt:
    guid = await grant_guid(services, account)
    async with services.db.connection() as connection:
        return await services.revocations.revoke(
            connection, client_guid=account.client_guid, guid=guid, reason=reason
        )


async def read(services: Services, token: str) -> None:
    await services.access.numbers(services.access.parse_token(token))


async def test_an_exchange_gives_a_receipt_with_every_claim(
    services: Services, account: Account, processor: Keyed
) -> None:
    issued = await redeem(services, processor, await make_code(services, account))
    guid = await grant_guid(services, account)
    claims = await claims_of(services, issued.receipt, DocumentType.GRANT)
    issued_at = claims["iat"]
    assert claims == {
        "iss": services.settings.base_url,
        "iat": issued_at,
        "jti": guid.replace("TKN", "RCP"),
        "grant_guid": guid,
        "client_guid": account.client_guid,
        "processor_guid": processor.guid,
        "account_guid": account.guid,
        "scope": issued.scope,
        "expires_at": issued.expires_at.isoformat().replace("+00:00", "Z"),
    }
    assert abs(datetime.fromtimestamp(issued_at, UTC) - services.clock.now()) < timedelta(minutes=1)


async def test_a_retried_exchange_gives_the_same_receipt(
    services: Services, account: Account, processor: Keyed
) -> None:
    code = await make_code(services, account)
    first = await redeem(services, processor, code, "key-1")
    assert await redeem(services, processor, code, "key-1") == first


async def test_a_receipt_holds_no_account_number_secret_or_name(
    services: Services, account: Account, processor: Keyed
) -> None:
    code = await make_code(services, account)
    issued = await redeem(services, processor, code)
    revoked = await revoke(services, account)
    for receipt in (issued.receipt, revoked.receipt):
        payload = verify(receipt, (await jwks(services))["keys"]).claims
        for forbidden in (NUMBER, "091000019", "Ada", code, issued.access_token, processor.api_key):
            assert forbidden not in str(payload)
            assert forbidden not in receipt


async def test_a_stranger_verifies_a_receipt_with_the_published_keys_and_any_library(
    services: Services, account: Account, processor: Keyed
) -> None:
    issued = await redeem(services, processor, await make_code(services, account))
    published: Any = await jwks(services)
    with pytest.warns(match="RFC 9864"):
        verified = jws.deserialize_compact(
            issued.receipt, KeySet.import_key_set(published), algorithms=["EdDSA"]
        )
    assert verified.headers()["typ"] == "coatcheck-grant+jwt"


@pytest.mark.own_database
async def test_a_receipt_of_a_key_that_was_retired_still_verifies(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    issued = await redeem(services, processor, await make_code(services, account))
    async with services.db.transaction() as connection:
        await services.signing_keys.rotate(connection, documents_kept=DOCUMENTS_KEPT)
    clock.advance(LEAD)
    later = await redeem(services, processor, await make_code(services, account))
    kids = [verify(each.receipt, (await jwks(services))["keys"]).kid for each in (issued, later)]
    assert kids[0] != kids[1]


@pytest.mark.own_database
async def test_rotations_under_load_fail_no_exchange_and_every_receipt_verifies(
    settings: Settings, clock: MovableClock
) -> None:
    lasting = replace(settings, code_ttl=timedelta(hours=2))
    rotated = asyncio.Event()
    issued: list[IssuedToken] = []

    async def exchange(services: Services, account: Account, processor: Keyed) -> None:
        issued.append(await redeem(services, processor, await make_code(services, account)))

    async def exchange_again_and_again(services: Services, account: Account, processor: Keyed) -> None:
        while not rotated.is_set():
            await exchange(services, account, processor)

    async with build(lasting, clock) as one, build(lasting, clock) as two:
        client = await make_client(one)
        processor = await make_processor(one, client)
        account = await make_account(one, await make_user(one, client))
        async with asyncio.TaskGroup() as group:
            for services in (one, two, one, two):
                other = await make_account(one, await make_user(one, client))
                group.create_task(exchange_again_and_again(services, other, processor))
            for at_once, wait in ((False, LEAD), (True, REFRESH)):
                await exchange(one, account, processor)
                async with two.db.transaction() as connection:
                    await two.signing_keys.rotate(connection, documents_kept=DOCUMENTS_KEPT, at_once=at_once)
                clock.advance(wait)
            await exchange(one, account, processor)
            rotated.set()
        keys = (await jwks(one))["keys"]
    assert len({verify(each.receipt, keys).kid for each in issued}) == 3


async def test_a_second_revocation_gives_the_same_receipt(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    first = await revoke(services, account, "the customer left")
    clock.advance(timedelta(hours=1))
    assert await revoke(services, account, "another reason") == first
    claims = await claims_of(services, first.receipt, DocumentType.REVOCATION)
    assert claims == {
        "iss": services.settings.base_url,
        "iat": int(first.at.timestamp()),
        "jti": first.guid,
        "grant_guids": [await grant_guid(services, account)],
        "at": first.at.isoformat().replace("+00:00", "Z"),
        "reason": "the customer left",
        "last_read_at": None,
    }


async def test_the_receipt_of_a_grant_that_was_revoked_with_others_has_the_reason_of_that_revocation(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    await services.revocations.revoke_all(
        client_guid=account.client_guid,
        selector=Selector(user_guid=account.user_guid),
        reason="the user left",
    )
    receipt = await revoke(services, account, "another reason")
    claims = await claims_of(services, receipt.receipt, DocumentType.REVOCATION)
    assert claims["reason"] == "the user left"


async def test_simultaneous_revocations_give_one_receipt(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    assert (
        len({each.receipt for each in await asyncio.gather(*(revoke(services, account) for _ in range(5)))})
        == 1
    )


async def test_simultaneous_revocations_of_the_same_grants_all_succeed_and_count_each_grant_once(
    services: Services, client: Keyed
) -> None:
    user = await make_user(services, client)
    accounts = [await make_account(services, user) for _ in range(3)]
    processors = [await make_processor(services, client) for _ in range(3)]
    chosen = [(each, processor) for each in accounts for processor in processors] * 3
    for each, processor in chosen:
        await make_token(services, each, processor)
    selectors = [Selector(user_guid=user.guid)]
    selectors += [Selector(account_guid=each.guid) for each in accounts]
    selectors += [Selector(processor_guid=each.guid) for each in processors]
    made = await asyncio.gather(
        *(services.revocations.revoke_all(client_guid=client.guid, selector=each) for each in selectors)
    )
    claims = [await claims_of(services, each.receipt, DocumentType.REVOCATION) for each in made]
    assert sum(each["revoked"] for each in claims) == len(chosen)


@pytest.mark.own_database
async def test_a_revocation_of_many_waits_for_another_of_the_client_so_that_they_do_not_deadlock(
    services: Services, client: Keyed, account: Account
) -> None:
    others = [await make_account(services, await make_user(services, client)) for _ in range(2)]
    processor = await make_processor(services, client)
    for each in others:
        await make_token(services, each, processor)
    selectors = [Selector(account_guid=each.guid) for each in others]
    async with services.db.transaction() as connection:
        await connection.execute(
            "SELECT FROM access_token WHERE account_guid = %s FOR UPDATE", (others[0].guid,)
        )
        first = asyncio.create_task(
            services.revocations.revoke_all(client_guid=client.guid, selector=selectors[0])
        )
        await until_waiting(services, 1)
        second = asyncio.create_task(
            services.revocations.revoke_all(client_guid=client.guid, selector=selectors[1])
        )
        await until_waiting(services, 2)
    receipts = [await first, await second]
    claims = [await claims_of(services, each.receipt, DocumentType.REVOCATION) for each in receipts]
    assert [each["revoked"] for each in claims] == [1, 1]


async def test_a_receipt_belongs_to_its_client(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    own = await revoke(services, account)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT client_guid FROM revocation_receipt WHERE guid = %s", (own.guid,)
        )
        assert await cursor.fetchone() == (account.client_guid,)


async def test_a_revocation_of_many_names_its_selector_and_how_many_it_ended(
    services: Services, account: Account
) -> None:
    async with services.db.connection() as connection:
        made = await services.receipts.for_selector(
            connection,
            client_guid=account.client_guid,
            selector={"user_guid": account.user_guid},
            revoked=3,
            reason=None,
            last_read=no_read,
        )
    claims = await claims_of(services, made.receipt, DocumentType.REVOCATION)
    assert (claims["selector"], claims["revoked"]) == ({"user_guid": account.user_guid}, 3)
    assert "grant_guids" not in claims


@pytest.mark.own_database
async def test_a_revocation_waits_for_a_read_that_began_before_it(
    services: Services, account: Account, processor: Keyed
) -> None:
    """The reader's statement has its snapshot, and has not committed when the revocation commits."""
    token = await make_token(services, account, processor)
    async with services.db.connection() as blocker:
        # The reader waits for this lock in the middle of its transaction, after its disclosure.
        await blocker.execute("SELECT pg_advisory_lock(4711)")
        reading = asyncio.create_task(_read_and_hold(services, token))
        await _until(services, WAITING)
        revoking = asyncio.create_task(revoke(services, account))
        await _until(services, "SELECT count(revoked_at) FROM access_token")
        assert not revoking.done()
        await blocker.execute("SELECT pg_advisory_unlock(4711)")
    ended_at = await reading
    receipt = await revoking
    assert receipt.at > ended_at
    with pytest.raises(InvalidToken):
        await read(services, token)


async def test_a_revocation_does_not_wait_for_a_read_that_begins_after_it(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    async with services.db.connection() as connection:
        cursor = await connection.execute(disclosures.WRITERS)
        assert await cursor.fetchall() == []
        await disclosures.wait_for_earlier_reads(connection)


async def test_a_revocation_whose_receipt_must_wait_too_long_says_so_and_stays(
    services: Services, account: Account, processor: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await make_token(services, account, processor)
    monkeypatch.setattr(disclosures, "MAX_WAIT", timedelta(milliseconds=50))
    async with services.db.connection() as blocker:
        await blocker.execute("SELECT pg_advisory_lock(4711)")
        reading = asyncio.create_task(_read_and_hold(services, token))
        await _until(services, WAITING)
        with pytest.raises(
            Unavailable, match=r"^A read that began earlier still runs\. Send the request again\.$"
        ):
            await revoke(services, account)
        await blocker.execute("SELECT pg_advisory_unlock(4711)")
    await reading
    with pytest.raises(InvalidToken):
        await read(services, token)
    assert (await revoke(services, account)).receipt


async def _read_and_hold(services: Services, token: str) -> datetime:
    """Reads in a transaction that commits later, and returns an instant just before its commit."""
    async with services.db.transaction() as connection:
        held = Access(services.clock, OneConnection(connection), b"unused", services.vault, services.journal)
        await held.numbers(services.access.parse_token(token))
        await connection.execute("SELECT pg_advisory_xact_lock(4711)")
        return services.clock.instant()


async def _until(services: Services, count: str) -> None:
    """Waits until the query counts one."""
    async with services.db.connection() as connection, asyncio.timeout(PATIENCE):
        while True:
            cursor = await connection.execute(count)
            if await cursor.fetchone() == (1,):
                return
            await asyncio.sleep(0.01)


async def test_a_receipt_is_not_signed_inside_a_transaction(
    services: Services, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    guid = await grant_guid(services, account)
    async with services.db.transaction() as connection:
        with pytest.raises(AssertionError):
            await services.receipts.for_revoked_grant(
                connection, client_guid=account.client_guid, grant_guid=guid, reason=None, last_read=no_read
            )


@pytest.mark.own_database
async def test_receipts_of_revocations_are_kept_for_three_years(
    services: Services, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    first = await revoke(services, account)
    clock.advance(DOCUMENTS_KEPT - timedelta(days=1))
    async with services.db.connection() as connection:
        await delete_old_receipts(connection, clock.now())
    assert await revoke(services, account) == first
    clock.advance(timedelta(days=2))
    async with services.db.connection() as connection:
        await delete_old_receipts(connection, clock.now())
        cursor = await connection.execute("SELECT count(*) FROM revocation_receipt")
        assert await cursor.fetchone() == (0,)


async def test_a_revocation_locks_codes_in_the_order_in_which_exchanges_do(
    services: Services, account: Account
) -> None:
    for _ in range(2):
        await make_code(services, account)
    async with services.db.transaction() as connection:
        # In a later partition, and first in the order.
        await connection.execute(
            """UPDATE authorization_code SET code_hash = '\\x00', expires_day = expires_day + 1 WHERE code_hash = (
                   SELECT max(code_hash) FROM authorization_code WHERE account_guid = %s)""",
            [account.guid],
        )
    async with services.db.transaction() as connection:
        await connection.execute("SELECT FROM authorization_code WHERE code_hash = '\\x00' FOR UPDATE")
        revoking = asyncio.create_task(
            services.revocations.revoke_all(
                client_guid=account.client_guid, selector=Selector(account_guid=account.guid)
            )
        )
        await until_waiting(services, 1)
        await connection.execute(
            "SELECT FROM authorization_code WHERE account_guid = %s FOR UPDATE NOWAIT", [account.guid]
        )
    await revoking
