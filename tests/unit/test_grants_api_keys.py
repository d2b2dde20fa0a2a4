"""API keys: two can be valid at once, so that a key can be rotated without a gap."""

import asyncio
from datetime import timedelta
from functools import partial
from time import process_time
from uuid import uuid4

import pytest

from coatcheck.app import Services
from coatcheck.audit.entries import entry_instant
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.errors import InvalidClient
from coatcheck.grants.secrets import Kind, generate, parse_secret
from tests.disclosures import round_trips
from tests.factories import Keyed, make_client, make_processor


async def works(services: Services, guid: str, api_key: str) -> bool:
    async with services.db.connection() as connection:
        try:
            found = await services.api_keys.client(connection, guid, api_key)
        except InvalidClient:
            return False
        assert found.guid == guid
        return True


async def rotate(services: Services, guid: str, overlap: timedelta | None = None) -> str:
    async with services.db.transaction() as connection:
        return (await services.api_keys.rotate(connection, guid, overlap=overlap)).api_key


async def test_after_a_rotation_both_keys_work_until_the_overlap_ends(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    fresh = await rotate(services, client.guid)
    assert await works(services, client.guid, client.api_key)
    assert await works(services, client.guid, fresh)
    clock.advance(services.settings.key_overlap - timedelta(seconds=2))
    assert await works(services, client.guid, client.api_key)
    clock.advance(timedelta(seconds=2))
    assert not await works(services, client.guid, client.api_key)
    assert await works(services, client.guid, fresh)


async def test_the_log_of_a_client_has_its_keys_and_when_the_earlier_ones_end(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    async with services.db.transaction() as connection:
        rotated = await services.api_keys.rotate(connection, client.guid, overlap=timedelta())
        cursor = await connection.execute(
            """SELECT body::json -> 'detail' FROM audit_entry
               WHERE client_guid = %s AND body::json ->> 'action' = 'api_key.issued' ORDER BY guid""",
            (client.guid,),
        )
        details = [detail for (detail,) in await cursor.fetchall()]
    assert details == [{}, {"earlier_keys_end": entry_instant(rotated.old_expires_at)}]


async def test_a_rotation_tells_when_the_old_key_expires(services: Services, clock: MovableClock) -> None:
    client = await make_client(services)
    before = clock.instant()
    async with services.db.transaction() as connection:
        rotated = await services.api_keys.rotate(connection, client.guid, overlap=timedelta(hours=1))
    assert timedelta(hours=1) <= rotated.old_expires_at - before < timedelta(hours=1, minutes=1)


async def test_a_third_key_expires_the_oldest_at_once(services: Services) -> None:
    client = await make_client(services)
    second = await rotate(services, client.guid)
    third = await rotate(services, client.guid)
    assert [await works(services, client.guid, key) for key in (client.api_key, second, third)] == [
        False,
        True,
        True,
    ]


async def test_a_rotation_without_overlap_expires_the_old_key_at_once(services: Services) -> None:
    client = await make_client(services)
    fresh = await rotate(services, client.guid, overlap=timedelta())
    assert not await works(services, client.guid, client.api_key)
    assert await works(services, client.guid, fresh)


async def test_a_rotation_never_extends_an_old_key(services: Services, clock: MovableClock) -> None:
    client = await make_client(services)
    hour = timedelta(hours=1)
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE api_key SET expires_at = %s WHERE owner_guid = %s", (clock.now() + hour, client.guid)
        )
    await rotate(services, client.guid, overlap=2 * hour)
    assert await works(services, client.guid, client.api_key)
    clock.advance(hour)
    assert not await works(services, client.guid, client.api_key)


async def test_an_expired_key_stays_expired_when_another_is_rotated(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    await rotate(services, client.guid, overlap=timedelta(seconds=30))
    clock.advance(timedelta(minutes=1))
    await rotate(services, client.guid)
    assert not await works(services, client.guid, client.api_key)


async def test_a_rotation_expires_no_key_of_another_owner(services: Services) -> None:
    client, other = await make_client(services), await make_client(services)
    await rotate(services, client.guid, overlap=timedelta())
    assert await works(services, other.guid, other.api_key)


async def test_concurrent_rotations_leave_two_valid_keys(services: Services) -> None:
    client = await make_client(services)
    keys = await asyncio.gather(*(rotate(services, client.guid) for _ in range(8)))
    live = [key for key in (client.api_key, *keys) if await works(services, client.guid, key)]
    assert len(live) == 2


async def test_an_unknown_client_a_wrong_key_and_a_disabled_client_are_refused(services: Services) -> None:
    client, other, processor = (
        await make_client(services),
        await make_client(services),
        await make_processor(services),
    )
    for guid, api_key in (
        (client.guid, other.api_key),
        (client.guid, processor.api_key),
        (processor.guid, processor.api_key),
        (client.guid, ""),
        ("", client.api_key),
        ("CLT-unknown", client.api_key),
        (client.guid, f"{client.api_key[:-1]}é"),
        (client.guid, "\N{ARABIC-INDIC DIGIT ONE}" * len(client.api_key)),
        (client.guid, f"cck_{'é' * (len(client.api_key) - 4)}"),
    ):
        assert not await works(services, guid, api_key)
    async with services.db.transaction() as connection:
        await set_client_disabled(connection, client.guid, is_disabled=True)
    assert not await works(services, client.guid, client.api_key)


async def test_only_its_own_key_authenticates_a_processor(services: Services) -> None:
    client, processor = await make_client(services), await make_processor(services)
    async with services.db.connection() as connection:
        assert (await services.api_keys.processor(connection, *processor.auth)).guid == processor.guid
        other = await make_processor(services)
        for keyed in (
            client,
            Keyed(processor.guid, client.api_key),
            Keyed(processor.guid, other.api_key),
            Keyed("PPR-unknown", processor.api_key),
        ):
            with pytest.raises(InvalidClient):
                await services.api_keys.processor(connection, *keyed.auth)


async def test_an_unknown_id_and_a_wrong_key_cost_the_same_statement(services: Services) -> None:
    client, other = await make_client(services), await make_client(services)

    async def try_key(connection: Connection, guid: str) -> None:
        with pytest.raises(InvalidClient):
            await services.api_keys.client(connection, guid, other.api_key)

    async with services.db.connection() as connection:
        for guid in (client.guid, f"CLT-{uuid4()}"):
            assert await round_trips(connection, partial(try_key, connection, guid)) == 1


def test_a_key_is_checked_in_less_than_20_microseconds() -> None:
    key = generate(Kind.CLIENT_KEY, b"k" * 32).text
    runs = [time_of_checks(key) for _ in range(5)]
    assert min(runs) < 20e-6, "argon2id takes 19 ms: whoever sends wrong keys would occupy the server"


def time_of_checks(key: str) -> float:
    """CPU seconds of one check."""
    started = process_time()
    for _ in range(1_000):
        assert parse_secret(Kind.CLIENT_KEY, key, b"k" * 32) is not None
    return (process_time() - started) / 1_000
