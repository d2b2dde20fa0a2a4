"""A worker that is killed while it delivers loses no event, invents none, and keeps the order of each object."""

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.events.claims import LEASE
from coatcheck.sandbox_clock import store_offset
from tests.factories import Keyed, make_client
from tests.processes import process
from tests.webhook_receiver import HANGS, OK, Receiver, receiving

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

OBJECTS = [f"USR-{number}" for number in range(4)]
EVENTS_EACH_TIME = 12
MOST_BEFORE_KILL = 8
"""How many deliveries a worker begins at most before it is killed."""
LONGEST_AFTER = 0.03
"""Seconds between the begin of that delivery and the kill: before, while and after the answer is saved."""
TIMEOUT = 120
"""Seconds, on a busy machine."""


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Those of a sandbox: the workers follow its clock, so that no test waits for the lease of a killed one."""
    async with build(replace(settings, sandbox=True, webhook_allow_private=True)) as services:
        yield services


async def subscribe(services: Services, client: Keyed, receiver: Receiver) -> None:
    async with services.db.transaction() as connection:
        await services.webhook_endpoints.create(
            connection, Owner(client.guid, is_processor=False), EndpointChanges(url=receiver.url)
        )


async def announce(services: Services, client: Keyed, chosen: random.Random) -> None:
    for _ in range(EVENTS_EACH_TIME):
        data = {"user_guid": chosen.choice(OBJECTS)}
        async with services.db.transaction() as connection:
            await services.publisher.announce(
                connection, [Announcement(type=EventType.USER_UPDATED, owner_guid=client.guid, data=data)]
            )


async def when_received(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while len(receiver.received) < count:
            receiver.is_called.clear()
            await receiver.is_called.wait()


async def end_leases(services: Services) -> None:
    assert isinstance(services.clock, MovableClock)
    services.clock.advance(LEASE + timedelta(seconds=1))
    async with services.db.connection() as connection:
        await store_offset(connection, services.clock.offset)


async def announced(services: Services, client: Keyed) -> set[str]:
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT guid FROM event WHERE owner_guid = %s", (client.guid,))
        return {guid for (guid,) in await cursor.fetchall()}


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
async def test_events_arrive_at_least_once_and_in_order_when_workers_are_killed_while_they_deliver(
    services: Services, environment: dict[str, str], tmp_path: Path, kills: int
) -> None:
    chosen = random.Random(kills)
    client, log = await make_client(services), tmp_path / "log"
    of_worker = environment | {"COATCHECK_SANDBOX": "true", "COATCHECK_WEBHOOK_ALLOW_PRIVATE": "true"}
    # The first delivery has no answer yet when its worker is killed. The others have one or not, as it happens.
    async with receiving(HANGS, OK) as receiver:
        await subscribe(services, client, receiver)
        for _ in range(kills):
            await announce(services, client, chosen)
            with process("work", environment=of_worker, log=log) as worker:
                await when_received(receiver, len(receiver.received) + chosen.randint(1, MOST_BEFORE_KILL))
                await asyncio.sleep(chosen.uniform(0, LONGEST_AFTER))
                worker.send_signal(signal.SIGKILL)
                worker.wait(TIMEOUT)
            await end_leases(services)
        guids = await announced(services, client)
        with process("work", environment=of_worker, log=log):
            async with asyncio.timeout(TIMEOUT):
                while {each.event["guid"] for each in receiver.received} < guids:
                    receiver.is_called.clear()
                    await receiver.is_called.wait()
    received = [each.event for each in receiver.received]
    assert {each["guid"] for each in received} == guids
    assert len(guids) == kills * EVENTS_EACH_TIME
    of_object: defaultdict[str, list[int]] = defaultdict(list)
    for event in received:
        of_object[event["object"]].append(event["sequence"])
    for user, sequences in of_object.items():
        assert sequences == sorted(sequences), user
        assert sorted(set(sequences)) == list(range(1, max(sequences) + 1)), user
    assert len(received) > len(guids), "the delivery without an answer was not made again"
