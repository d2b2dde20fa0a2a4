"""Which deliveries are made next: in order for each object, in turn for each owner, and none twice at once."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.events import claims, delivery, receivers
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.events.claims import PER_OWNER, PER_RECEIVER
from coatcheck.events.delivery import Deliverer
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import TaskKind
from coatcheck.worker_services import build_worker
from tests.factories import Keyed, make_client
from tests.member_setup import PATIENCE
from tests.webhook_receiver import FAILS, HANGS, OK, Receiver, receiving

pytestmark = pytest.mark.own_database


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, webhook_allow_private=True)


@pytest.fixture
def deliverer(services: Services) -> Deliverer:
    return Deliverer(services.settings, services.clock, services.db, services.vault)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(OK) as receiver:
        yield receiver


async def endpoint(services: Services, client: Keyed, url: str) -> str:
    owner = Owner(client.guid, is_processor=False)
    async with services.db.transaction() as connection:
        new = await services.webhook_endpoints.create(connection, owner, EndpointChanges(url=url))
    return new.endpoint.guid


async def announce(services: Services, client: Keyed, *objects: str) -> None:
    """Announces an event about each user, in one transaction each."""
    for user_guid in objects:
        async with services.db.transaction() as connection:
            await services.publisher.announce(
                connection,
                [
                    Announcement(
                        type=EventType.USER_UPDATED, owner_guid=client.guid, data={"user_guid": user_guid}
                    )
                ],
            )


async def announce_at_once(services: Services, client: Keyed, objects: Sequence[str]) -> None:
    async with services.db.transaction() as connection:
        await services.publisher.announce(
            connection,
            [
                Announcement(type=EventType.USER_UPDATED, owner_guid=client.guid, data={"user_guid": each})
                for each in objects
            ],
        )


async def test_the_events_of_an_object_are_numbered_without_gaps_by_concurrent_transactions(
    services: Services, client: Keyed
) -> None:
    await asyncio.gather(*(announce(services, client, "USR-1", "USR-2", "USR-1") for _ in range(10)))
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT object, sequence FROM event WHERE owner_guid = %s ORDER BY position", (client.guid,)
        )
        found = await cursor.fetchall()
    for user, count in (("USR-1", 20), ("USR-2", 10)):
        assert [sequence for each, sequence in found if each == user] == list(range(1, count + 1))


async def test_only_the_first_event_of_an_object_is_claimed_until_it_ends(
    services: Services, deliverer: Deliverer, client: Keyed, receiver: Receiver
) -> None:
    await endpoint(services, client, receiver.url)
    await announce(services, client, "USR-1", "USR-1", "USR-2", "USR-1")
    first = await deliverer.claim(10)
    assert [(each.object, each.sequence) for each in first] == [("USR-1", 1), ("USR-2", 1)]
    assert await deliverer.claim(10) == []
    for attempt in first:
        await deliverer.deliver(attempt)
    (second,) = await deliverer.claim(10)
    assert (second.object, second.sequence) == ("USR-1", 2)


async def test_concurrent_claims_lease_each_delivery_once(
    services: Services, deliverer: Deliverer, client: Keyed, receiver: Receiver
) -> None:
    await endpoint(services, client, receiver.url)
    await announce_at_once(services, client, [f"USR-{number}" for number in range(PER_RECEIVER)])
    claimed = await asyncio.gather(*(deliverer.claim(3) for _ in range(8)))
    guids = [each.guid for some in claimed for each in some]
    assert len(guids) == len(set(guids))
    assert len(guids) + len(await deliverer.claim(100)) <= PER_RECEIVER


async def test_one_receiver_and_one_owner_occupy_a_limited_number_of_slots(
    services: Services, deliverer: Deliverer, client: Keyed, receiver: Receiver
) -> None:
    for _ in range(3):
        await endpoint(services, client, receiver.url)
    await announce_at_once(services, client, [f"USR-{number}" for number in range(50)])
    claimed = [*await deliverer.claim(5), *await deliverer.claim(100), *await deliverer.claim(100)]
    assert len(claimed) == PER_OWNER
    by_receiver = [each.receiver_guid for each in claimed]
    assert max(by_receiver.count(each) for each in set(by_receiver)) <= PER_RECEIVER


async def test_owners_take_turns(
    services: Services, deliverer: Deliverer, client: Keyed, receiver: Receiver
) -> None:
    other = await make_client(services)
    for each in (client, other):
        await endpoint(services, each, receiver.url)
    await announce_at_once(services, client, [f"USR-{number}" for number in range(50)])
    await announce_at_once(services, other, [f"USR-{number}" for number in range(50)])
    claimed = await deliverer.claim(6)
    assert [each.owner_guid for each in claimed].count(other.guid) == 3


async def test_a_receiver_that_fails_rests_and_is_then_tried_with_one_delivery(
    services: Services, deliverer: Deliverer, client: Keyed, clock: MovableClock
) -> None:
    async with receiving(FAILS) as receiver:
        await endpoint(services, client, receiver.url)
        await announce_at_once(services, client, [f"USR-{number}" for number in range(30)])
        first = await deliverer.claim(100)
        await asyncio.gather(*(deliverer.deliver(each) for each in first))
        assert await deliverer.claim(100) == []
        async with services.db.connection() as connection:
            due = await claims.next_attempt(connection)
        assert due is not None
        assert receivers.FIRST_REST - timedelta(seconds=5) < due - clock.instant() <= receivers.LONGEST_REST
        clock.advance(due - clock.instant())
        (probe,) = await deliverer.claim(100)
        receiver.answers = [OK]
        await deliverer.deliver(probe)
        assert len(await deliverer.claim(100)) == PER_RECEIVER


def test_the_rest_grows_to_its_limit() -> None:
    rests = [receivers.rest_after(failures) for failures in range(1, 30)]
    assert rests[: receivers.FAILURES - 1] == [timedelta()] * (receivers.FAILURES - 1)
    assert rests == sorted(rests)
    assert rests[-1] == receivers.LONGEST_REST


async def test_2000_events_for_a_receiver_that_hangs_do_not_delay_the_event_of_another_client(
    services: Services, client: Keyed, receiver: Receiver
) -> None:
    other = await make_client(services)
    async with receiving(HANGS) as hanging:
        await endpoint(services, client, hanging.url)
        await endpoint(services, other, receiver.url)
        await announce_at_once(services, client, [f"USR-{number % 500}" for number in range(2000)])
        worker = build_worker(services)
        claims_ = {TaskKind.DELIVERY: worker.claims[TaskKind.DELIVERY]}
        runner, stop = TaskRunner(claims_, slots=services.settings.worker_concurrency), asyncio.Event()
        running = asyncio.create_task(runner.run(stop, timedelta()))
        async with asyncio.timeout(PATIENCE):
            await hanging.is_called.wait()
            started = time.monotonic()
            await announce(services, other, "USR-1")
            runner.notify()
            await receiver.is_called.wait()
        took = time.monotonic() - started
        stop.set()
        await running
    # It waited for no attempt at the receiver that hangs.
    assert took < delivery.TIMEOUT.total_seconds()


async def test_a_worker_that_is_killed_at_200_random_points_loses_no_event_invents_none_and_keeps_the_order(
    services: Services, client: Keyed, clock: MovableClock, receiver: Receiver
) -> None:
    """A cancelled delivery saves nothing, as one whose process is killed."""
    chance = random.Random(1)
    await endpoint(services, client, receiver.url)
    users = [f"USR-{number}" for number in range(5)]
    for _ in range(6):
        await announce_at_once(services, client, users)
    for _ in range(200):
        killed = Deliverer(services.settings, services.clock, services.db, services.vault)
        running = [asyncio.create_task(killed.deliver(each)) for each in await killed.claim(100)]
        await asyncio.sleep(chance.uniform(0, 0.03))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        clock.advance(claims.LEASE)
    survivor = Deliverer(services.settings, services.clock, services.db, services.vault)
    while claimed := await survivor.claim(100):
        await asyncio.gather(*(survivor.deliver(each) for each in claimed))
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT guid FROM event WHERE owner_guid = %s", (client.guid,))
        announced = {guid for (guid,) in await cursor.fetchall()}
    received = [each.event for each in receiver.received]
    assert {each["guid"] for each in received} == announced
    for user in users:
        sequences = [each["sequence"] for each in received if each["object"] == user]
        assert sequences == sorted(sequences)
        assert set(sequences) == set(range(1, 7))
