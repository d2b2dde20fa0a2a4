"""API keys: two may live, so that one can be rotated without a gap."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.app import Coatcheck
from coatcheck.clock import MovableClock
from coatcheck.errors import InvalidClient
from coatcheck.model.clients import set_client_disabled
from tests.factories import Keyed, make_client, make_processor


async def works(house: Coatcheck, guid: str, api_key: str) -> bool:
    async with house.db.connection() as connection:
        try:
            found = await house.api_keys.client(connection, guid, api_key)
        except InvalidClient:
            return False
        return found.guid == guid


async def rotate(house: Coatcheck, guid: str, overlap: timedelta | None = None) -> str:
    async with house.db.transaction() as connection:
        return (await house.api_keys.rotate(connection, guid, overlap=overlap)).api_key


async def test_after_a_rotation_both_keys_work_until_the_overlap_ends(
    house: Coatcheck, clock: MovableClock
) -> None:
    client = await make_client(house)
    fresh = await rotate(house, client.guid)
    assert await works(house, client.guid, client.api_key)
    assert await works(house, client.guid, fresh)
    clock.advance(house.settings.key_overlap - timedelta(seconds=2))
    assert await works(house, client.guid, client.api_key)
    clock.advance(timedelta(seconds=2))
    assert not await works(house, client.guid, client.api_key)
    assert await works(house, client.guid, fresh)


async def test_a_third_key_ends_the_oldest_at_once(house: Coatcheck) -> None:
    client = await make_client(house)
    second = await rotate(house, client.guid)
    third = await rotate(house, client.guid)
    assert [await works(house, client.guid, key) for key in (client.api_key, second, third)] == [
        False,
        True,
        True,
    ]


async def test_after_a_leak_the_old_key_ends_now(house: Coatcheck) -> None:
    client = await make_client(house)
    fresh = await rotate(house, client.guid, overlap=timedelta())
    assert not await works(house, client.guid, client.api_key)
    assert await works(house, client.guid, fresh)


async def test_many_rotations_at_once_leave_two_live_keys(house: Coatcheck) -> None:
    client = await make_client(house)
    keys = await asyncio.gather(*(rotate(house, client.guid) for _ in range(8)))
    live = [key for key in (client.api_key, *keys) if await works(house, client.guid, key)]
    assert len(live) == 2


async def test_no_stranger_no_foreign_key_and_no_disabled_client_is_let_in(house: Coatcheck) -> None:
    client, other, processor = await make_client(house), await make_client(house), await make_processor(house)
    for guid, api_key in (
        (client.guid, other.api_key),
        (client.guid, processor.api_key),
        (processor.guid, processor.api_key),
        (client.guid, ""),
        ("", client.api_key),
        ("CLT-nobody", client.api_key),
    ):
        assert not await works(house, guid, api_key)
    async with house.db.transaction() as connection:
        await set_client_disabled(connection, client.guid, is_disabled=True)
    assert not await works(house, client.guid, client.api_key)


async def test_a_clients_key_does_not_open_the_processors_door(house: Coatcheck) -> None:
    client, processor = await make_client(house), await make_processor(house)
    async with house.db.connection() as connection:
        assert (await house.api_keys.processor(connection, *processor.auth)).guid == processor.guid
        for keyed in (client, Keyed(processor.guid, client.api_key)):
            with pytest.raises(InvalidClient):
                await house.api_keys.processor(connection, *keyed.auth)
