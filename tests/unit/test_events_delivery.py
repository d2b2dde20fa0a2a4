"""Deliveries: signed and unchanged, sent once to a receiver that answers, and retried otherwise."""

import asyncio
import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.events import claims, delivery, partitions
from coatcheck.events.delivery import WAITS, Deliverer, wait_after
from coatcheck.events.mx_events import Event
from coatcheck.events.signing import signing_secret
from coatcheck.ids import new
from tests.factories import Keyed, make_client
from tests.webhook_receiver import FAILS, GONE, HANGS, OK, receiving

EVENT = Event("BALANCE", '{"type":"BALANCE","name":"ünïcode"}', "callback payload")


@pytest.fixture
def deliverer(services: Services) -> Deliverer:
    return a_deliverer(services)


def a_deliverer(services: Services, *, allow_private: bool = True) -> Deliverer:
    settings = replace(services.settings, webhook_allow_private=allow_private)
    return Deliverer(settings, services.clock, services.db, services.vault)


async def publish(services: Services, client: Keyed, event: Event = EVENT, *, notify: bool = True) -> str:
    """Publishes the event and returns its guid."""
    async with services.db.transaction() as connection:
        await services.publisher.publish(connection, client_guid=client.guid, event=event, notify=notify)
    return (await events_of(services, client))[-1] if event else ""


async def rows(services: Services, statement: str, *values: object) -> list[tuple[Any, ...]]:
    async with services.db.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


async def events_of(services: Services, client: Keyed) -> list[str]:
    found = await rows(
        services, "SELECT guid FROM event WHERE owner_guid = %s ORDER BY position", client.guid
    )
    return [guid for (guid,) in found]


@dataclass(frozen=True)
class State:
    attempts: int
    next_attempt_at: datetime | None
    is_delivered: bool
    has_given_up: bool
    last_answer: str | None


async def state(services: Services, event_guid: str) -> State | None:
    found = await rows(
        services,
        """SELECT attempts, next_attempt_at, status = 'delivered', status = 'failed',
                  coalesce(last_error, last_status::text)
           FROM delivery WHERE event_guid = %s""",
        event_guid,
    )
    return State(*found[0]) if found else None


async def deliver(deliverer: Deliverer, *event_guids: str) -> None:
    """Makes the attempts of these events that are due."""
    for attempt in await deliverer.claim(10_000):
        if attempt.event_guid in event_guids:
            await deliverer.deliver(attempt)


async def secret_of(services: Services, client: Keyed) -> str:
    async with services.db.transaction() as connection:
        return await signing_secret(connection, services.vault, client.guid, reader_guid="operator")


async def test_a_published_event_is_delivered_signed_and_unchanged(
    services: Services, deliverer: Deliverer
) -> None:
    async with receiving(OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        await deliver(deliverer, guid)
    (received,) = receiver.received
    assert received.body == EVENT.payload.encode()
    assert received.headers["content-type"] == "application/json; charset=utf-8"
    assert received.headers["user-agent"].startswith("Coatcheck/")
    assert received.headers["x-callback-payload"] == "callback payload"
    assert received.headers["webhook-id"] == guid
    secret = await secret_of(services, client)
    Webhook(secret).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(received.body + b" ", received.headers)
    other_secret = await secret_of(services, await make_client(services))
    with pytest.raises(WebhookVerificationError):
        Webhook(other_secret).verify(received.body, received.headers)
    assert await state(services, guid) == State(
        1, None, is_delivered=True, has_given_up=False, last_answer="204"
    )


async def test_an_event_is_stored_only_if_the_transaction_commits(services: Services) -> None:
    client = await make_client(services, webhook_url="https://hooks.example.com/")
    before = await rows(services, "SELECT count(*) FROM delivery")

    async def fail_after_publishing() -> None:
        async with services.db.transaction() as connection:
            await services.publisher.publish(connection, client_guid=client.guid, event=EVENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_publishing()
    assert await events_of(services, client) == []
    assert await rows(services, "SELECT count(*) FROM delivery") == before
    guid = await publish(services, client)
    assert guid in {attempt.event_guid for attempt in await a_deliverer(services).claim(10_000)}


@pytest.mark.parametrize(("webhook_url", "notify"), [(None, True), ("https://hooks.example.com/", False)])
async def test_without_a_url_or_with_skip_webhook_nothing_is_delivered(
    services: Services, deliverer: Deliverer, webhook_url: str | None, notify: bool
) -> None:
    client = await make_client(services, webhook_url=webhook_url)
    guid = await publish(services, client, notify=notify)
    assert await state(services, guid) is None
    await deliver(deliverer, guid)
    assert await state(services, guid) is None


async def test_a_change_without_an_event_is_recorded_and_publishes_nothing(services: Services) -> None:
    client = await make_client(services, webhook_url="https://hooks.example.com/")
    async with services.db.transaction() as connection:
        entry = Entry(actor=client.guid, action="user.updated", subject="USR-1", client_guid=client.guid)
        await services.journal.record(connection, entry, None)
    assert await events_of(services, client) == []


async def test_a_failed_delivery_is_retried_on_schedule_with_the_same_message_and_then_given_up(
    services: Services, deliverer: Deliverer, clock: MovableClock
) -> None:
    async with receiving(FAILS) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        for attempt, wait in enumerate(WAITS, start=1):
            before = clock.instant()
            await deliver(deliverer, guid)
            now = await state(services, guid)
            assert now is not None
            assert (now.attempts, now.last_answer, now.has_given_up) == (attempt, "500", False)
            assert now.next_attempt_at is not None
            assert before + wait <= now.next_attempt_at <= clock.instant() + 1.1 * wait + timedelta(seconds=1)
            await deliver(deliverer, guid)
            assert len(receiver.received) == attempt, "it was not due yet"
            clock.advance(now.next_attempt_at - clock.instant())
        await deliver(deliverer, guid)
        given_up = State(13, None, is_delivered=False, has_given_up=True, last_answer="500")
        assert await state(services, guid) == given_up
        clock.advance(timedelta(days=1))
        await deliver(deliverer, guid)
        assert await state(services, guid) == given_up
    assert len(receiver.received) == 13
    assert {received.body for received in receiver.received} == {EVENT.payload.encode()}
    assert {received.headers["webhook-id"] for received in receiver.received} == {guid}
    for received in receiver.received:
        Webhook(await secret_of(services, client)).verify(received.body, received.headers)


def test_the_waits_have_a_jitter_of_ten_percent_and_end() -> None:
    assert [wait_after(attempts, "EVT-0000") for attempts in range(1, 14)] == [*WAITS, None]
    assert sum(WAITS, timedelta()) < timedelta(hours=25)
    waits = {wait_after(10, new("EVT")) for _ in range(200)}
    assert len(waits) > 50
    assert all(wait is not None and WAITS[9] <= wait <= 1.1 * WAITS[9] for wait in waits)


async def test_a_receiver_that_recovers_gets_the_event(
    services: Services, deliverer: Deliverer, clock: MovableClock
) -> None:
    async with receiving(FAILS, OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        await deliver(deliverer, guid)
        clock.advance(timedelta(seconds=6))
        await deliver(deliverer, guid)
        await deliver(deliverer, guid)
    assert await state(services, guid) == State(
        2, None, is_delivered=True, has_given_up=False, last_answer="204"
    )
    assert len(receiver.received) == 2


async def test_status_410_ends_the_delivery(
    services: Services, deliverer: Deliverer, clock: MovableClock
) -> None:
    async with receiving(GONE, OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        await deliver(deliverer, guid)
        clock.advance(timedelta(days=2))
        await deliver(deliverer, guid)
    assert await state(services, guid) == State(
        1, None, is_delivered=False, has_given_up=True, last_answer="410"
    )
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_status_is_a_success(services: Services, deliverer: Deliverer, status: int) -> None:
    async with receiving(b"HTTP/1.1 %d OK\r\ncontent-length: 0\r\n\r\n" % status) as receiver:
        guid = await publish(services, await make_client(services, webhook_url=receiver.url))
        await deliver(deliverer, guid)
    now = await state(services, guid)
    assert now is not None
    assert now.is_delivered


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 401, 404, 409, 429, 500, 502, 503])
async def test_every_other_answer_is_a_failure_and_no_redirect_is_followed(
    services: Services, deliverer: Deliverer, status: int
) -> None:
    async with receiving(OK) as elsewhere:
        answer = b"HTTP/1.1 %d No\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n"
        async with receiving(answer % (status, elsewhere.url.encode())) as receiver:
            guid = await publish(services, await make_client(services, webhook_url=receiver.url))
            await deliver(deliverer, guid)
    now = await state(services, guid)
    assert now is not None
    assert (now.is_delivered, now.has_given_up, now.last_answer) == (False, False, str(status))
    assert elsewhere.received == []


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (HANGS, "TimeoutError"),
        (b"HTTP/1.1 200 OK\r\nx-slow: ", "RemoteProtocolError"),
        (b"this is no HTTP\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n", "RemoteProtocolError"),
    ],
    ids=["hangs", "breaks off", "speaks no HTTP", "endless headers"],
)
async def test_a_malformed_or_missing_answer_is_a_failure_and_delays_no_other_delivery(
    services: Services, deliverer: Deliverer, monkeypatch: pytest.MonkeyPatch, answer: bytes, written: str
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT", timedelta(seconds=0.3))
    async with receiving(answer) as receiver:
        guid = await publish(services, await make_client(services, webhook_url=receiver.url))
        await deliver(deliverer, guid)
        assert len(receiver.received) == 1
    now = await state(services, guid)
    assert now is not None
    assert (now.is_delivered, now.last_answer) == (False, written)


async def test_an_endless_answer_is_read_to_64_kb(services: Services, deliverer: Deliverer) -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n" + b"x" * 100_000
    async with receiving(endless) as receiver:
        guid = await publish(services, await make_client(services, webhook_url=receiver.url))
        await deliver(deliverer, guid)
    now = await state(services, guid)
    assert now is not None
    assert now.is_delivered
    assert await rows(services, "SELECT length(last_answer) FROM delivery WHERE event_guid = %s", guid) == [
        (65_536,)
    ]


async def test_a_refused_connection_is_a_failure(services: Services, deliverer: Deliverer) -> None:
    async with receiving(OK) as receiver:
        pass
    guid = await publish(services, await make_client(services, webhook_url=receiver.url))
    await deliver(deliverer, guid)
    now = await state(services, guid)
    assert now is not None
    assert now.last_answer == "ConnectError"


async def test_two_workers_never_send_the_same_attempt(services: Services) -> None:
    async with receiving(OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        await asyncio.gather(*(deliver(a_deliverer(services), guid) for _ in range(8)))
    assert len(receiver.received) == 1


async def test_a_delivery_whose_worker_died_is_due_again_when_its_lease_ends(
    services: Services, deliverer: Deliverer, clock: MovableClock
) -> None:
    async with receiving(HANGS, OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        killed = asyncio.create_task(deliver(a_deliverer(services), guid))
        await receiver.is_called.wait()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        await deliver(deliverer, guid)
        assert len(receiver.received) == 1, "the dead worker's lease has not ended"
        clock.advance(claims.LEASE)
        await deliver(deliverer, guid)
    assert await state(services, guid) == State(
        2, None, is_delivered=True, has_given_up=False, last_answer="204"
    )


async def test_a_worker_whose_lease_ended_changes_nothing(
    services: Services, deliverer: Deliverer, clock: MovableClock
) -> None:
    async with receiving(OK, FAILS) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        guid = await publish(services, client)
        slow = a_deliverer(services)
        (attempt,) = [each for each in await slow.claim(10_000) if each.event_guid == guid]
        clock.advance(claims.LEASE)
        await deliver(deliverer, guid)
        delivered = await state(services, guid)
        await slow.deliver(attempt)
    assert len(receiver.received) == 2
    assert delivered is not None
    assert delivered.is_delivered
    assert await state(services, guid) == delivered


async def test_nothing_is_delivered_after_the_client_is_disabled_or_its_url_is_removed(
    services: Services, deliverer: Deliverer
) -> None:
    async with receiving(OK) as receiver:
        disabled = await make_client(services, webhook_url=receiver.url)
        without = await make_client(services, webhook_url=receiver.url)
        guids = [await publish(services, client) for client in (disabled, without)]
        async with services.db.transaction() as connection:
            await set_client_disabled(connection, disabled.guid, is_disabled=True)
            await connection.execute("UPDATE client SET webhook_url = NULL WHERE guid = %s", (without.guid,))
        await deliver(deliverer, *guids)
        for guid in guids:
            assert await state(services, guid) == State(
                1, None, is_delivered=False, has_given_up=True, last_answer="no receiver"
            )
    assert receiver.received == []


async def test_by_default_nothing_is_sent_to_this_machine(services: Services) -> None:
    async with receiving(OK) as receiver:
        for url in (receiver.url, receiver.url.replace("http://", "https://"), "https://127.0.0.1:8443/"):
            guid = await publish(services, await make_client(services, webhook_url=url))
            await deliver(a_deliverer(services, allow_private=False), guid)
            now = await state(services, guid)
            assert now is not None
            assert (now.is_delivered, now.has_given_up) == (False, False)
            assert now.last_answer is not None
            assert now.last_answer.startswith("The webhook")
    assert receiver.received == []
    assert Settings().webhook_allow_private is False


@pytest.mark.parametrize(
    ("kept", "sent"),
    [("a\r\nx-evil: 1", "ax-evil: 1"), ("d\u00e9j\u00e0", "dj"), ("", ""), ('{"a": 1}', '{"a": 1}')],
)
async def test_a_callback_payload_cannot_add_a_header(
    services: Services, deliverer: Deliverer, kept: str, sent: str
) -> None:
    async with receiving(OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        event = Event("BALANCE", "{}", kept)
        await deliver(deliverer, await publish(services, client, event))
    (received,) = receiver.received
    assert received.headers["x-callback-payload"] == sent
    assert "x-evil" not in received.headers


async def test_without_a_callback_payload_there_is_no_header_for_it(
    services: Services, deliverer: Deliverer
) -> None:
    async with receiving(OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        await deliver(deliverer, await publish(services, client, Event("BALANCE", "{}")))
    assert "x-callback-payload" not in receiver.received[0].headers


async def test_concurrent_first_deliveries_share_one_secret(services: Services) -> None:
    client = await make_client(services)
    secrets = set(await asyncio.gather(*(secret_of(services, client) for _ in range(8))))
    assert len(secrets) == 1
    (secret,) = secrets
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    (sealed,) = (await rows(services, "SELECT sealed FROM sealed_secret WHERE owner_guid = %s", client.guid))[
        0
    ]
    assert secret.encode() not in sealed


async def test_a_signing_secret_that_does_not_open_counts_as_a_failed_attempt(
    services: Services, deliverer: Deliverer
) -> None:
    client = await make_client(services, webhook_url="http://127.0.0.1:9/hooks")
    async with services.db.transaction() as connection:
        await signing_secret(connection, services.vault, client.guid, reader_guid="operator")
        await connection.execute(
            "UPDATE sealed_secret SET sealed = substr(sealed, 2) WHERE owner_guid = %s", (client.guid,)
        )
    guid = await publish(services, client)
    await deliver(deliverer, guid)
    outcome = await state(services, guid)
    assert outcome is not None
    assert (outcome.attempts, outcome.last_answer) == (1, "SealBroken")
    assert outcome.next_attempt_at is not None


async def test_reading_the_signing_secret_is_disclosed_with_the_event_as_reader(
    services: Services, deliverer: Deliverer
) -> None:
    async with receiving(OK) as receiver:
        client = await make_client(services, webhook_url=receiver.url)
        await secret_of(services, client)
        guid = await publish(services, client)
        await deliver(deliverer, guid)
    assert await rows(
        services, "SELECT reader_guid, what FROM disclosure WHERE user_guid = %s", client.guid
    ) == [(guid, "WEBHOOK_SECRET")]


async def test_months_that_ended_more_than_a_month_ago_are_dropped(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services, webhook_url="https://hooks.example.com/")
    clock.advance(datetime(clock.now().year + 1, 12, 10, tzinfo=UTC) - clock.now())
    async with services.db.connection() as connection:
        await partitions.prepare_partitions(connection, clock.now())
        old = await publish(services, client)
        clock.advance(timedelta(days=35))
        young = await publish(services, client)
        kept = await partitions.drop_partitions(connection, clock.now())
        assert kept == []
        clock.advance(timedelta(days=31))
        dropped = await partitions.drop_partitions(connection, clock.now())
    assert {name[:-8] for name in dropped} == {"delivery", "event"}
    assert await events_of(services, client) == [young]
    assert await state(services, old) is None
