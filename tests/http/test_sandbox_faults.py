"""Faults in a sandbox's own answers, by route."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck import server
from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.http.listening import listen
from tests.api_client import Api
from tests.factories import make_client
from tests.sandbox_members import sandbox_api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with sandbox_api(settings) as api:
        yield api


async def order(api: Api, **fault: Any) -> dict[str, Any]:
    answer = await api.post("/coatcheck/sandbox/faults", json={"fault": fault})
    assert answer.status_code == 200, answer.text
    ordered: dict[str, Any] = answer.json()["fault"]
    return ordered


async def statuses(api: Api, count: int, path: str = "/users") -> list[int]:
    return [(await api.get(path)).status_code for _ in range(count)]


async def test_a_fault_has_the_error_format_of_its_surface(api: Api) -> None:
    for route in ("POST /oauth/token", "/simplefin/accounts", "/simplefin/claim/{setup_token}"):
        await order(api, route=route, status=503)
    oauth = await api.http.post("/oauth/token", data={"grant_type": "authorization_code", "code": "x"})
    assert (oauth.status_code, oauth.json()["error"]) == (503, "temporarily_unavailable")
    assert oauth.json().keys() == {"error", "error_description"}
    read = await api.http.get("/simplefin/accounts")
    assert (read.status_code, read.json()["accounts"]) == (503, [])
    assert read.json()["errors"] == [each["msg"] for each in read.json()["errlist"]]
    claim = await api.http.post("/simplefin/claim/x")
    assert (claim.status_code, claim.headers["content-type"]) == (503, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "bad_request", "bad_request_error"),
        (429, "too_many_requests", "too_many_requests_error"),
        (500, "internal_server_error", "internal_server_error"),
        (502, "bad_gateway", "bad_gateway_error"),
        (503, "service_unavailable", "service_unavailable_error"),
        (599, "unknown_error", "unknown_error"),
    ],
)
async def test_a_fault_answers_with_its_status_and_the_request_is_not_carried_out(
    api: Api, status: int, name: str, kind: str
) -> None:
    fault = await order(api, route="POST /users", status=status)
    answer = await api.post("/users", json={"user": {"metadata": "not stored"}})
    assert answer.status_code == status
    assert (answer.json()["error"]["status"], answer.json()["error"]["type"]) == (name, kind)
    assert answer.headers["Coatcheck-Fault"] == fault["guid"]
    assert ("Retry-After" in answer.headers) == (status in {429, 503})
    assert (await api.get("/users")).json()["users"] == []


@pytest.mark.parametrize(
    ("route", "hit", "spared"),
    [
        ("/users", "/users", "/institutions"),
        ("GET /users", "/users", "/institutions"),
        ("/users/{user_guid}", "/users/USR-1", "/users"),
        ("/users/{any}/members", "/users/USR-1/members", "/users/USR-1"),
        ("/users/USR-1/members", "/users/USR-1/members", "/users/USR-2/members"),
        ("/account/transactions", "/account/transactions", "/account/account_numbers"),
        ("GET /coatcheck/grants", "/coatcheck/grants", "/coatcheck/grants/TKN-1"),
        ("*", "/institutions", "/nowhere"),
        ("*", "/coatcheck/grants", "/coatcheck/sandbox/clock"),
    ],
)
async def test_a_fault_is_applied_to_its_route_and_to_no_other(
    api: Api, route: str, hit: str, spared: str
) -> None:
    await order(api, route=route, status=418)
    assert await statuses(api, 2, hit) == [418, 418]
    assert 418 not in await statuses(api, 2, spared)


async def test_a_fault_of_one_method_leaves_the_others(api: Api) -> None:
    await order(api, route="GET /users", status=500)
    assert (await api.post("/users", json={"user": {"metadata": "m"}})).status_code == 200
    assert (await api("HEAD", "/users")).status_code == 500


async def test_the_same_seed_hits_the_same_requests(api: Api) -> None:
    async def hits(seed: int) -> list[int]:
        await api.delete("/coatcheck/sandbox/faults")
        await order(api, route="/users", status=503, probability=0.5, seed=seed)
        return await statuses(api, 40)

    first = await hits(7)
    assert 5 < first.count(503) < 35
    assert await hits(7) == first
    assert await hits(8) != first


async def test_a_late_answer_is_the_usual_one(api: Api) -> None:
    await order(api, route="/users", latency_ms=200)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert (await api.get("/users")).status_code == 200
    assert loop.time() - before >= 0.2


async def test_a_dropped_answer_is_lost_and_its_request_was_carried_out(api: Api) -> None:
    with listen("127.0.0.1", 0) as bound:
        stop = asyncio.Event()
        app = server.create_app(api.services)
        serving = asyncio.create_task(server.serve(app, bound, stop, grace=timedelta(seconds=1)))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=60
        ) as http:
            real = Api(http, api.services, api.caller)
            await order(real, route="/users", drop=True)
            with pytest.raises(httpx.RemoteProtocolError):
                await real.post("/users", json={"user": {"metadata": "carried out"}})
            await real.delete("/coatcheck/sandbox/faults")
            (user,) = (await real.get("/users")).json()["users"]
        stop.set()
        await serving
    assert user["metadata"] == "carried out"


async def test_faults_are_listed_with_their_hits_and_deleted_together(api: Api) -> None:
    first = await order(api, route="/users", status=500, probability=0)
    second = await order(api, route="*", latency_ms=1)
    assert first == {
        "guid": first["guid"], "route": "/users", "probability": 0.0, "status": 500, "latency_ms": 0,
        "drop": False, "seed": 0, "requests": 0, "hits": 0,
    }  # fmt: skip
    await statuses(api, 3)
    listed = (await api.get("/coatcheck/sandbox/faults")).json()["faults"]
    assert [each["guid"] for each in listed] == [first["guid"], second["guid"]]
    assert [(each["requests"], each["hits"]) for each in listed] == [(3, 0), (3, 3)]
    assert (await api.delete("/coatcheck/sandbox/faults")).status_code == 204
    assert (await api.get("/coatcheck/sandbox/faults")).json() == {"faults": []}


async def test_a_fault_concerns_every_caller(api: Api) -> None:
    await order(api, route="/users", status=500)
    stranger = Api(api.http, api.services, await make_client(api.services))
    assert await statuses(stranger, 1) == [500]


@pytest.mark.parametrize(
    "route",
    ["/nowhere", "/users/", "users", "PURGE /users", "DELETE /users", "/coatcheck/sandbox/clock", "", "**"],
)
async def test_a_wrong_route_is_refused_by_name(api: Api, route: str) -> None:
    answer = await api.post("/coatcheck/sandbox/faults", json={"fault": {"route": route, "status": 500}})
    assert answer.status_code == 400
    assert "route" in answer.json()["error"]["message"]
    assert route in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500}, {"route": "*"}, {"route": "*", "status": 200}, {"route": "*", "status": 600},
        {"route": "*", "status": 500, "probability": 1.1}, {"route": "*", "latency_ms": -1},
        {"route": "*", "latency_ms": 60001}, {"route": "*", "status": 500, "colour": "red"},
    ],
)  # fmt: skip
async def test_an_unusable_fault_is_refused(api: Api, fault: dict[str, Any]) -> None:
    answer = await api.post("/coatcheck/sandbox/faults", json={"fault": fault})
    assert answer.status_code == 400
    assert (await api.get("/coatcheck/sandbox/faults")).json() == {"faults": []}


async def test_there_are_at_most_100_faults(api: Api) -> None:
    for _ in range(100):
        await order(api, route="/users", latency_ms=1, probability=0)
    answer = await api.post("/coatcheck/sandbox/faults", json={"fault": {"route": "*", "status": 500}})
    assert answer.status_code == 409


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_production_server_has_no_faults(services: Services, method: str) -> None:
    client = await make_client(services)
    transport = httpx.ASGITransport(server.create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.request(method, "/coatcheck/sandbox/faults", auth=client.auth)
    assert answer.status_code == 404
