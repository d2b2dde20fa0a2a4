"""Webhook endpoints of clients and processors: their life cycle, their secrets, and what is delivered to them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.events import history
from coatcheck.events.catalogue import EventType
from coatcheck.events.endpoints import lock_endpoints
from coatcheck.server import create_app
from coatcheck.worker_services import run_pending
from tests.api_client import Api
from tests.factories import Keyed, make_client
from tests.waiting_statements import until_waiting
from tests.webhook_receiver import FAILS, GONE, OK, Receiver, receiving
from tests.webhook_urls import REFUSED

URL = "https://hooks.example.com/coatcheck"
ENDPOINTS = "/coatcheck/webhook_endpoints"

pytestmark = pytest.mark.own_database


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, webhook_allow_private=True, limit_failures_of_caller="")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(OK) as receiver:
        yield receiver


async def call(http: httpx.AsyncClient, caller: Keyed, method: str, path: str, **more: Any) -> httpx.Response:
    return await http.request(method, path, auth=caller.auth, **more)


async def create(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.post(ENDPOINTS, json={"webhook_endpoint": {"url": URL, **fields}})
    assert answer.status_code == 201, answer.text
    endpoint: dict[str, Any] = answer.json()["webhook_endpoint"]
    return endpoint


async def change(api: Api, guid: str, **fields: Any) -> dict[str, Any]:
    answer = await api.http.patch(
        f"{ENDPOINTS}/{guid}", json={"webhook_endpoint": fields}, auth=api.caller.auth
    )
    assert answer.status_code == 200, answer.text
    endpoint: dict[str, Any] = answer.json()["webhook_endpoint"]
    return endpoint


async def deliveries(api: Api, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get("/coatcheck/deliveries", params=query)).json()["deliveries"]
    return found


async def make_user(api: Api) -> str:
    return str((await api.post("/users", json={"user": {"metadata": "x"}})).json()["user"]["guid"])


async def test_a_new_endpoint_is_shown_with_its_secret_once(api: Api) -> None:
    created = await create(api)
    assert created.keys() == {"guid", "url", "events", "status", "secret", "authentication", "created_at"}
    assert created["guid"].startswith("WHE-")
    assert created["secret"].startswith("whsec_")
    assert (created["url"], created["events"], created["status"]) == (URL, ["*"], "enabled")
    assert created["authentication"] == {"type": "none"}
    shown = (await api.get(f"{ENDPOINTS}/{created['guid']}")).json()["webhook_endpoint"]
    assert shown == {name: value for name, value in created.items() if name != "secret"}
    listed = (await api.get(ENDPOINTS)).json()
    assert listed["webhook_endpoints"] == [shown]
    assert listed["pagination"]["total_entries"] == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": "ftp://hooks.example.com/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["token.unknown"]}, "events"),
        ({"events": ["tok*"]}, "events"),
        ({"status": "on"}, "status"),
        ({"secret": "whsec_mine"}, "secret"),
        ({"authentication": {"type": "digest"}}, "authentication"),
        ({"authentication": {"type": "basic", "username": "a:b", "password": "x"}}, "username"),
        ({"authentication": {"type": "bearer", "token": "two words"}}, "token"),
        ({"authentication": {"type": "bearer"}}, "token"),
    ],
)
async def test_an_endpoint_with_an_invalid_field_is_refused_by_name(
    api: Api, fields: dict[str, Any], named: str
) -> None:
    answer = await api.post(ENDPOINTS, json={"webhook_endpoint": {"url": URL, **fields}})
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"].lower()
    assert (await api.get(ENDPOINTS)).json()["webhook_endpoints"] == []


async def test_in_production_no_endpoint_is_on_this_machine_or_network(settings: Settings, api: Api) -> None:
    endpoint = await create(api)
    async with build(replace(settings, webhook_allow_private=False)) as production:
        transport = httpx.ASGITransport(create_app(production))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            await _refuses(Api(http, production, api.caller), endpoint["guid"])


async def _refuses(api: Api, endpoint_guid: str) -> None:
    for url in REFUSED:
        body = {"webhook_endpoint": {"url": url}}
        path = f"{ENDPOINTS}/{endpoint_guid}"
        assert (await api.post(ENDPOINTS, json=body)).status_code == 400, url
        assert (await api.http.patch(path, json=body, auth=api.caller.auth)).status_code == 400, url


async def test_a_processor_cannot_subscribe_to_the_events_of_clients(
    http: httpx.AsyncClient, processor: Keyed
) -> None:
    for pattern in ("code.redeemed", "member.*", "user.created", "connection.broken"):
        body = {"webhook_endpoint": {"url": URL, "events": [pattern]}}
        assert (await call(http, processor, "POST", ENDPOINTS, json=body)).status_code == 400, pattern
    body = {"webhook_endpoint": {"url": URL, "events": ["token.*", "consent.changed"]}}
    created = await call(http, processor, "POST", ENDPOINTS, json=body)
    assert created.status_code == 201
    test = f"{ENDPOINTS}/{created.json()['webhook_endpoint']['guid']}/test"
    assert (await call(http, processor, "POST", test, json={"type": "user.created"})).status_code == 400
    assert (await call(http, processor, "POST", test, json={"type": "token.revoked"})).status_code == 202
    listed = await call(http, processor, "GET", "/coatcheck/events", params={"type": "user.*"})
    assert listed.status_code == 400


async def test_at_most_20_endpoints_belong_to_an_owner(api: Api) -> None:
    for _ in range(20):
        await create(api)
    answer = await api.post(ENDPOINTS, json={"webhook_endpoint": {"url": URL}})
    assert answer.status_code == 422
    assert "20" in answer.json()["error"]["message"]


async def test_of_two_endpoints_that_are_created_at_once_only_the_twentieth_is(
    services: Services, api: Api
) -> None:
    for _ in range(19):
        await create(api)
    async with services.db.transaction() as connection:
        # Both wait here, before either has counted.
        await lock_endpoints(connection, api.caller.guid)
        creating = [
            asyncio.create_task(api.post(ENDPOINTS, json={"webhook_endpoint": {"url": URL}}))
            for _ in range(2)
        ]
        await until_waiting(services, 2)
    answers = await asyncio.gather(*creating)
    assert sorted(answer.status_code for answer in answers) == [201, 422]


async def test_a_deleted_endpoint_is_gone_and_gets_nothing(api: Api, receiver: Receiver) -> None:
    endpoint = await create(api, url=receiver.url)
    await make_user(api)
    answer = await api.delete(f"{ENDPOINTS}/{endpoint['guid']}")
    assert answer.status_code == 204
    assert (await api.get(f"{ENDPOINTS}/{endpoint['guid']}")).status_code == 404
    await run_pending(api.services)
    assert receiver.received == []
    (delivery,) = await deliveries(api)
    assert delivery["status"] == "failed"
    answer = await api.post(f"/coatcheck/deliveries/{delivery['guid']}/redeliver")
    assert answer.status_code == 422


async def test_every_change_of_an_endpoint_is_in_the_audit_log_without_its_secrets(
    services: Services, api: Api
) -> None:
    endpoint = await create(api, authentication={"type": "bearer", "token": "a-secret-token"})
    path = f"{ENDPOINTS}/{endpoint['guid']}"
    await change(api, endpoint["guid"], events=["token.*"])
    rotated = (await api.post(f"{path}/rotate_secret")).json()["webhook_endpoint"]["secret"]
    await api.delete(path)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body FROM audit_entry WHERE client_guid = %s AND body LIKE '%%webhook_endpoint.%%' ORDER BY guid",
            (api.caller.guid,),
        )
        entries = [body for (body,) in await cursor.fetchall()]
    for action, entry in zip(("created", "updated", "secret_rotated", "deleted"), entries, strict=True):
        assert f"webhook_endpoint.{action}" in entry
        assert endpoint["guid"] in entry
        for secret in (endpoint["secret"], rotated, "a-secret-token"):
            assert secret not in entry


async def test_an_event_is_delivered_signed_as_it_is_listed(api: Api, receiver: Receiver) -> None:
    endpoint = await create(api, url=receiver.url, events=["user.*"])
    user = await make_user(api)
    await run_pending(api.services)
    (received,) = receiver.received
    event = Webhook(endpoint["secret"]).verify(received.body, received.headers)
    assert event.keys() == {"guid", "type", "occurred_at", "due_at", "sequence", "object", "data"}
    assert (event["type"], event["object"], event["sequence"]) == ("user.created", user, 1)
    assert event["data"] == {"user_guid": user}
    assert event["guid"] == received.headers["webhook-id"]
    listed = (await api.get("/coatcheck/events")).json()["events"]
    assert [each["guid"] for each in listed] == [event["guid"]]
    shown = (await api.get(f"/coatcheck/events/{event['guid']}")).json()["event"]
    assert shown == listed[0]
    assert shown["occurred_at"][:19] == event["occurred_at"][:19]
    (delivery,) = await deliveries(api, endpoint=endpoint["guid"])
    assert (delivery["status"], delivery["attempts"], delivery["answer_status"]) == ("delivered", 1, 204)


async def test_an_endpoint_gets_only_what_it_subscribes_to(api: Api, receiver: Receiver) -> None:
    await create(api, url=receiver.url, events=["user.deleted", "member.*"])
    user = await make_user(api)
    await api.delete(f"/users/{user}")
    await run_pending(api.services)
    assert [each.event["type"] for each in receiver.received] == ["user.deleted"]


async def test_after_a_rotation_both_secrets_sign_for_24_hours(
    api: Api, receiver: Receiver, clock: MovableClock
) -> None:
    endpoint = await create(api, url=receiver.url)
    answer = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/rotate_secret")
    new = answer.json()["webhook_endpoint"]["secret"]
    assert answer.status_code == 200
    assert new != endpoint["secret"]
    for hours, is_old_valid in ((0, True), (23.9, True), (0.2, False)):
        clock.advance(timedelta(hours=hours))
        await make_user(api)
        await run_pending(api.services)
        received = receiver.received[-1]
        Webhook(new).verify(received.body, received.headers)
        if is_old_valid:
            Webhook(endpoint["secret"]).verify(received.body, received.headers)
        else:
            with pytest.raises(WebhookVerificationError):
                Webhook(endpoint["secret"]).verify(received.body, received.headers)


async def test_a_second_rotation_ends_the_first_secret(api: Api, receiver: Receiver) -> None:
    endpoint = await create(api, url=receiver.url)
    for _ in range(2):
        await api.post(f"{ENDPOINTS}/{endpoint['guid']}/rotate_secret")
    await make_user(api)
    await run_pending(api.services)
    (received,) = receiver.received
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(received.body, received.headers)


@pytest.mark.parametrize(
    ("authentication", "header"),
    [
        ({"type": "none"}, None),
        ({"type": "basic", "username": "coat", "password": "check"}, "Basic Y29hdDpjaGVjaw=="),
        ({"type": "bearer", "token": "s3cret"}, "Bearer s3cret"),
    ],
)
async def test_the_receiver_is_authenticated_to_as_configured_and_the_credentials_are_sealed(
    services: Services, api: Api, receiver: Receiver, authentication: dict[str, str], header: str | None
) -> None:
    endpoint = await create(api, url=receiver.url)
    changed = await change(api, endpoint["guid"], authentication=authentication)
    assert changed["authentication"] == {"type": authentication["type"]}
    await make_user(api)
    await run_pending(services)
    (received,) = receiver.received
    assert received.headers.get("authorization") == header
    Webhook(endpoint["secret"]).verify(received.body, received.headers)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT w::text, s.sealed FROM webhook_endpoint w JOIN sealed_secret s ON s.record_guid = w.guid"
            " WHERE w.guid = %s",
            (endpoint["guid"],),
        )
        ((row, sealed),) = await cursor.fetchall()
    for secret in (endpoint["secret"], authentication.get("password"), authentication.get("token")):
        assert secret is None or (secret not in row and secret.encode() not in sealed)


async def test_the_credentials_of_one_receiver_are_not_sent_to_another(api: Api) -> None:
    """Else whoever may change endpoints reads credentials that are never shown."""
    bearer = {"type": "bearer", "token": "s3cret"}
    guid = (await create(api, authentication=bearer))["guid"]
    path, elsewhere = f"{ENDPOINTS}/{guid}", "https://other.example.com/hooks"

    async def send(**fields: Any) -> int:
        body = {"webhook_endpoint": fields}
        return (await api.http.patch(path, json=body, auth=api.caller.auth)).status_code

    assert await send(url=elsewhere) == 422
    assert (await api.get(path)).json()["webhook_endpoint"]["url"] == URL
    assert await send(url=f"{URL}/another/path") == 200
    assert await send(url=elsewhere, authentication=bearer) == 200
    assert await send(authentication={"type": "none"}) == 200
    assert await send(url=URL) == 200


async def test_what_waits_for_a_paused_endpoint_is_sent_in_order_when_it_is_enabled(
    api: Api, receiver: Receiver
) -> None:
    endpoint = await create(api, url=receiver.url, status="paused")
    users = [await make_user(api) for _ in range(3)]
    await run_pending(api.services)
    assert receiver.received == []
    await change(api, endpoint["guid"], status="enabled")
    await run_pending(api.services)
    assert [each.event["object"] for each in receiver.received] == users


async def test_what_waits_for_an_endpoint_that_is_disabled_fails_and_nothing_is_added(
    api: Api, receiver: Receiver
) -> None:
    endpoint = await create(api, url=receiver.url, status="paused")
    await make_user(api)
    await change(api, endpoint["guid"], status="disabled")
    await make_user(api)
    await run_pending(api.services)
    assert receiver.received == []
    (failed,) = await deliveries(api, status="failed")
    assert len((await api.get("/coatcheck/events")).json()["events"]) == 2
    refused = [
        await api.post(f"{ENDPOINTS}/{endpoint['guid']}/test", json={"type": "user.created"}),
        await api.post(f"/coatcheck/deliveries/{failed['guid']}/redeliver"),
        await api.post(f"{ENDPOINTS}/{endpoint['guid']}/redeliver", json={"since": "2026-01-01T00:00:00Z"}),
    ]
    assert [each.status_code for each in refused] == [422, 422, 422]


async def test_status_410_pauses_the_endpoint_and_keeps_the_event(api: Api) -> None:
    async with receiving(GONE, OK) as receiver:
        endpoint = await create(api, url=receiver.url)
        user = await make_user(api)
        await run_pending(api.services)
        shown = (await api.get(f"{ENDPOINTS}/{endpoint['guid']}")).json()["webhook_endpoint"]
        assert shown["status"] == "paused"
        assert len(receiver.received) == 1
        await change(api, endpoint["guid"], status="enabled")
        await run_pending(api.services)
    assert [each.event["object"] for each in receiver.received] == [user, user]
    (delivery,) = await deliveries(api)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)


async def test_the_example_of_every_type_is_really_delivered_and_is_in_no_list(
    api: Api, receiver: Receiver
) -> None:
    endpoint = await create(api, url=receiver.url, events=["user.deleted"])
    for event_type in EventType:
        answer = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/test", json={"type": event_type})
        assert answer.status_code == 202
        assert answer.json()["delivery"]["status"] == "pending"
    await run_pending(api.services)
    for event_type, received in zip(EventType, receiver.received, strict=True):
        event = Webhook(endpoint["secret"]).verify(received.body, received.headers)
        assert event["type"] == event_type
        assert event["object"] in event["data"].values()
        assert (await api.get(f"/coatcheck/events/{event['guid']}")).status_code == 404
    assert (await api.get("/coatcheck/events")).json()["events"] == []


async def test_a_failed_delivery_is_listed_with_the_answer_and_can_be_redelivered(
    api: Api, clock: MovableClock
) -> None:
    answers = [b"HTTP/1.1 500 No\r\ncontent-length: 7\r\n\r\nbecause"] * 13
    async with receiving(*answers, OK) as receiver:
        endpoint = await create(api, url=receiver.url)
        await make_user(api)
        for _ in range(13):
            await run_pending(api.services)
            clock.advance(timedelta(hours=9))
        assert len(receiver.received) == 13
        (failed,) = await deliveries(api, status="failed")
        assert (failed["attempts"], failed["answer_status"], failed["answer"]) == (13, 500, "because")
        assert failed["endpoint_guid"] == endpoint["guid"]
        answer = await api.post(f"/coatcheck/deliveries/{failed['guid']}/redeliver")
        assert answer.status_code == 202
        assert answer.json()["delivery"]["guid"] != failed["guid"]
        await run_pending(api.services)
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1
    assert [each["status"] for each in await deliveries(api)].count("delivered") == 1


async def test_the_events_of_a_time_are_delivered_again_in_order(
    api: Api, receiver: Receiver, clock: MovableClock
) -> None:
    users = []
    for _ in range(5):
        users.append(await make_user(api))
        clock.advance(timedelta(hours=1))
    endpoint = await create(api, url=receiver.url, events=["user.created"])
    events = (await api.get("/coatcheck/events", params={"after": "2026-01-01"})).json()["events"]
    body = {"since": events[1]["occurred_at"], "until": events[4]["occurred_at"]}
    answer = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/redeliver", json=body)
    assert answer.json() == {"redelivery": {"deliveries": 3}}
    again = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/redeliver", json=body)
    assert again.json() == {"redelivery": {"deliveries": 0}}, "they still wait"
    await run_pending(api.services)
    assert [each.event["object"] for each in receiver.received] == users[1:4]
    reversed_ = {"since": body["until"], "until": body["since"]}
    refused = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/redeliver", json=reversed_)
    assert refused.status_code == 422


async def test_the_events_of_a_time_are_delivered_again_in_batches(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "REDELIVERED_AT_ONCE", 2)
    users = [await make_user(api) for _ in range(5)]
    endpoint = await create(api, url=receiver.url, events=["user.created"])
    body = {"since": "2026-01-01T00:00:00Z"}
    answer = await api.post(f"{ENDPOINTS}/{endpoint['guid']}/redeliver", json=body)
    assert answer.json() == {"redelivery": {"deliveries": 5}}
    async with api.services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(DISTINCT xmin::text) FROM delivery")
        assert await cursor.fetchone() == (3,), "transactions"
    await run_pending(api.services)
    assert [each.event["object"] for each in receiver.received] == users


async def test_events_are_listed_newest_first_and_after_one_oldest_first_for_30_days(
    api: Api, clock: MovableClock
) -> None:
    users = [await make_user(api) for _ in range(4)]
    newest = (await api.get("/coatcheck/events")).json()["events"]
    assert [each["object"] for each in newest] == users[::-1]
    after = (await api.get("/coatcheck/events", params={"after": newest[-2]["guid"]})).json()["events"]
    assert [each["object"] for each in after] == users[2:]
    typed = await api.get("/coatcheck/events", params={"type": "user.*"})
    assert typed.json()["pagination"]["total_entries"] == 4
    none = await api.get("/coatcheck/events", params={"type": "user.deleted"})
    assert none.json()["events"] == []
    assert (await api.get("/coatcheck/events", params={"type": "unknown"})).status_code == 400
    assert (await api.get("/coatcheck/events", params={"after": "EVT-unknown"})).status_code == 404
    clock.advance(timedelta(days=31))
    assert (await api.get("/coatcheck/events")).json()["events"] == []
    assert (await api.get(f"/coatcheck/events/{newest[0]['guid']}")).status_code == 404


async def test_mxs_webhooks_are_listed_as_deliveries_and_can_be_redelivered(
    services: Services, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    api = Api(http, services, await make_client(services, webhook_url=receiver.url))
    await make_user(api)
    await run_pending(services)
    (delivery,) = await deliveries(api)
    assert (delivery["type"], delivery["endpoint_guid"]) == ("USER", None)
    await api.post(f"/coatcheck/deliveries/{delivery['guid']}/redeliver")
    await run_pending(services)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_skip_webhook_stores_the_event_and_delivers_nothing(api: Api, receiver: Receiver) -> None:
    await create(api, url=receiver.url)
    user = {"user": {"metadata": "x", "skip_webhook": True}}
    await api.post("/users", json=user, headers={"MX-Skip-Webhook": "true"})
    await run_pending(api.services)
    assert receiver.received == []
    assert len((await api.get("/coatcheck/events")).json()["events"]) == 1


async def test_the_owner_of_an_endpoint_that_is_disabled_gets_nothing(
    services: Services, http: httpx.AsyncClient, api: Api, processor: Keyed, receiver: Receiver
) -> None:
    body = {"webhook_endpoint": {"url": receiver.url}}
    created = (await call(http, processor, "POST", ENDPOINTS, json=body)).json()["webhook_endpoint"]
    test = f"{ENDPOINTS}/{created['guid']}/test"
    await call(http, processor, "POST", test, json={"type": "token.revoked"})
    async with services.db.transaction() as connection:
        await services.processors.disable(connection, processor.guid, actor="operator")
    await run_pending(services)
    assert receiver.received == []


@pytest.mark.parametrize("is_date", [False, True], ids=["seconds", "date"])
async def test_retry_after_is_honoured(api: Api, clock: MovableClock, is_date: bool) -> None:
    clock.advance(timedelta(days=10))
    # A date is by the receiver's clock, not by that of the sandbox.
    value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True) if is_date else "3600"
    busy = f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode()
    async with receiving(busy, OK) as receiver:
        await create(api, url=receiver.url)
        await make_user(api)
        await run_pending(api.services)
        await make_user(api)
        for minutes, count in ((59, 1), (2, 3)):
            clock.advance(timedelta(minutes=minutes))
            await run_pending(api.services)
            assert len(receiver.received) == count


async def test_a_receiver_that_was_down_for_20_hours_gets_every_event_in_order(
    api: Api, clock: MovableClock
) -> None:
    async with receiving(FAILS) as receiver:
        await create(api, url=receiver.url, events=["user.*"])
        users = [await make_user(api) for _ in range(3)]
        for hour in range(20):
            for user in users:
                await api.put(f"/users/{user}", json={"user": {"metadata": str(hour)}})
            for _ in range(4):
                await run_pending(api.services)
                clock.advance(timedelta(minutes=15))
        down = len(receiver.received)
        receiver.answers = [OK]
        for _ in range(12):
            await run_pending(api.services)
            clock.advance(timedelta(hours=1))
        arrived = receiver.received[down:]
    assert await deliveries(api, status="failed") == []
    for user in users:
        of_user = [each.event for each in arrived if each.event["object"] == user]
        assert [each["sequence"] for each in of_user] == list(range(1, 22))
