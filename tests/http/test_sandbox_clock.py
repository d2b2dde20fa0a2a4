"""The clock of a sandbox: moved forward only, survives a restart, and what falls due on the way runs in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import psycopg
import pytest

from coatcheck.app import Services, build
from coatcheck.audit.sealer import Sealer
from coatcheck.config import Settings
from coatcheck.emulator.clock import advance
from coatcheck.grants.secrets import day_of
from coatcheck.server import create_app
from tests.api_client import LOGIN, PASSWORD, Api
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.member_setup import PATIENCE

pytestmark = pytest.mark.own_database
CLOCK = "/coatcheck/sandbox/clock"
STEP = 25
MOMENT = timedelta(minutes=1)
"""The clock runs on while what is due is done."""


@pytest.fixture
def sandbox_settings(settings: Settings) -> Settings:
    return replace(settings, sandbox=True)


@pytest.fixture
async def sandbox(sandbox_settings: Settings) -> AsyncIterator[Services]:
    async with build(sandbox_settings) as services:
        yield services


@pytest.fixture
async def api(sandbox: Services) -> AsyncIterator[Api]:
    client = await make_client(sandbox)
    transport = httpx.ASGITransport(create_app(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Api(http, sandbox, client)


async def move(api: Api, **clock: str) -> httpx.Response:
    return await api.post(CLOCK, json={"clock": clock})


async def test_it_shows_the_time_and_how_far_it_was_moved(api: Api) -> None:
    before = datetime.now(UTC)
    shown = (await api.get(CLOCK)).json()["clock"]
    assert shown["offset_seconds"] == 0
    assert before - timedelta(seconds=1) <= datetime.fromisoformat(shown["now"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("advance", "seconds"),
    [("61d", 5_270_400), ("1d12h", 129_600), ("90s", 90), ("2w", 1_209_600), ("5m", 300)],
)
async def test_it_moves_by_a_duration(api: Api, advance: str, seconds: int) -> None:
    moved = (await move(api, advance=advance)).json()
    assert moved["clock"]["offset_seconds"] == seconds
    assert moved["ran"] == {"jobs": 0, "events": 0, "expired_tokens": 0}
    assert (await api.get(CLOCK)).json()["clock"]["offset_seconds"] == seconds


async def test_it_moves_to_an_instant(api: Api) -> None:
    target = datetime.now(UTC) + timedelta(days=100)
    shown = (await move(api, set=f"{target:%Y-%m-%dT%H:%M:%SZ}")).json()["clock"]
    assert timedelta(seconds=-1) <= datetime.fromisoformat(shown["now"]) - target < MOMENT


async def test_two_moves_to_one_instant_at_once_move_to_that_instant(api: Api) -> None:
    target = datetime.now(UTC) + timedelta(days=100)
    moves = (move(api, set=f"{target:%Y-%m-%dT%H:%M:%SZ}") for _ in range(2))
    assert sorted(each.status_code for each in await asyncio.gather(*moves)) == [200, 422]
    shown = (await api.get(CLOCK)).json()["clock"]
    assert datetime.fromisoformat(shown["now"]) - target < timedelta(days=1)


@pytest.mark.parametrize(
    ("clock", "status"),
    [
        ({}, 400),
        ({"advance": "1d", "set": "2127-02-01T00:00:00Z"}, 400),
        ({"advance": "-1d"}, 400),
        ({"advance": "1"}, 400),
        ({"advance": "one day"}, 400),
        ({"advance": "\u0661d"}, 400),
        ({"advance": 60}, 400),
        ({"advance": "999999999w"}, 422),
        ({"advance": "4000d"}, 422),
        ({"set": "2020-01-01T00:00:00Z"}, 422),
        ({"set": "2027-02-01T00:00:00"}, 400),
        ({"set": "tomorrow"}, 400),
        ({"advance": "1d", "backwards": True}, 400),
    ],
)
async def test_what_is_no_move_forward_is_refused_and_moves_nothing(
    api: Api, clock: dict[str, object], status: int
) -> None:
    assert (await api.post(CLOCK, json={"clock": clock})).status_code == status
    assert (await api.get(CLOCK)).json()["clock"]["offset_seconds"] == 0


async def test_a_wrong_duration_is_refused_with_what_is_one(api: Api) -> None:
    refused = await move(api, advance="1y")
    assert refused.json()["error"]["message"] == (
        "clock.advance: it must be a duration in w, d, h, m and s, such as 61d or 1d12h."
    )


async def test_a_token_expires_on_the_way_and_is_counted(api: Api) -> None:
    processor = await make_processor(api.services, api.caller)
    account = await make_account(api.services, await make_user(api.services, api.caller))
    bearer = {"Authorization": f"Bearer {await make_token(api.services, account, processor)}"}
    assert (await move(api, advance="59d")).json()["ran"]["expired_tokens"] == 0
    assert (await api.http.get("/account/account_numbers", headers=bearer)).status_code == 200
    assert (await move(api, advance="2d")).json()["ran"]["expired_tokens"] == 1
    assert (await api.http.get("/account/account_numbers", headers=bearer)).status_code == 401


async def test_a_member_is_aggregated_each_day_on_the_way_and_the_jobs_are_in_order(api: Api) -> None:
    user = await api.create_user()
    credentials = [{"guid": LOGIN, "value": "ada"}, {"guid": PASSWORD, "value": "secret"}]
    created = await api.post(
        f"/users/{user}/members", json={"member": {"institution_code": "mxbank", "credentials": credentials}}
    )
    assert created.status_code in {200, 202}
    ran = (await move(api, advance="10d1h")).json()["ran"]
    assert ran["jobs"] == 11  # the first one, and one for each day
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT created_at FROM member_job WHERE user_guid = %s ORDER BY guid", (user,)
        )
        times = [at for (at,) in await cursor.fetchall()]
    assert times == sorted(times)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == 10
    assert all(abs(each - timedelta(days=1)) < MOMENT for each in pauses[1:])


async def events_after(api: Api, after: str) -> Any:
    parameters = {"after": after, "records_per_page": 1000}
    return (await api.get("/coatcheck/events", params=parameters)).json()["events"]


@pytest.mark.parametrize(("members", "days"), [(1, 75), pytest.param(2, 400, marks=pytest.mark.slow)])
async def test_every_event_on_the_way_happens_once_in_order_and_with_its_due_time(
    api: Api, members: int, days: int
) -> None:
    processor = await make_processor(api.services, api.caller)
    body = {"token": {"processor_guid": processor.guid}}
    tokens = [
        (await api.post("/coatcheck/sandbox/tokens", json=body)).json()["token"] for _ in range(members)
    ]
    events, jobs, after = [], 0, "1970-01-01T00:00:00Z"
    for _ in range(0, days, STEP):  # events are kept for 30 days
        jobs += (await move(api, advance=f"{STEP}d")).json()["ran"]["jobs"]
        while page := await events_after(api, after):
            events += page
            after = page[-1]["guid"]
    assert jobs == members * days
    assert len({each["guid"] for each in events}) == len(events)
    happened = [datetime.fromisoformat(each["occurred_at"]) for each in events]
    assert happened == sorted(happened)
    for each, at in zip(events, happened, strict=True):
        assert timedelta() <= at - datetime.fromisoformat(each["due_at"]) < MOMENT
    for event_type, before in (("token.expiring", timedelta(days=7)), ("token.expired", timedelta())):
        due = {each["object"]: each["due_at"] for each in events if each["type"] == event_type}
        assert len(due) == [each["type"] for each in events].count(event_type) == members
        for token in tokens:
            expires_at = datetime.fromisoformat(token["expires_at"])
            assert datetime.fromisoformat(due[token["grant_guid"]]) == expires_at - before


async def test_it_survives_a_restart_and_other_processes_follow(api: Api, sandbox_settings: Settings) -> None:
    async with build(sandbox_settings) as other:
        await move(api, advance="30d")
        async with asyncio.timeout(PATIENCE):
            while other.clock.now() - datetime.now(UTC) < timedelta(days=29, hours=23):  # noqa: ASYNC110 (it polls too)
                await asyncio.sleep(0.05)
    async with build(sandbox_settings) as restarted:
        assert restarted.clock.now() - datetime.now(UTC) > timedelta(days=29, hours=23)


def test_a_command_on_a_moved_sandbox_goes_by_its_clock(own_operator, own_url: str) -> None:
    added = json.loads(own_operator("client", "add", "Acme", "--json").out)
    with psycopg.connect(own_url) as connection:
        connection.execute("INSERT INTO sandbox_clock (moved_by) VALUES (interval '61 days')")
    rotated = json.loads(own_operator("client", "rotate-key", added["client_id"], "--json").out)
    ends = datetime.fromisoformat(rotated["old_key_ends_at"])
    assert timedelta(days=61, hours=23) < ends - datetime.now(UTC) < timedelta(days=62, hours=1)


async def test_a_processor_cannot_move_it(api: Api) -> None:
    processor = await make_processor(api.services, api.caller)
    answer = await api.http.post(CLOCK, json={"clock": {"advance": "1d"}}, auth=processor.auth)
    assert answer.status_code == 401


async def test_a_production_server_does_not_have_it(services: Services) -> None:
    client = await make_client(services)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)), base_url="http://test"
    ) as http:
        assert (await http.get(CLOCK, auth=client.auth)).status_code == 404
        assert (
            await http.post(CLOCK, json={"clock": {"advance": "1d"}}, auth=client.auth)
        ).status_code == 404
        assert CLOCK not in (await http.get("/openapi.json")).json()["paths"]


async def test_after_a_move_that_fails_on_the_way_what_is_issued_has_its_partition(
    api: Api, sandbox: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Sealer) -> int:
        raise OSError

    monkeypatch.setattr(Sealer, "seal", fail)
    with pytest.raises(OSError):  # noqa: PT011 (it has no message)
        await advance(sandbox, timedelta(days=90))
    expires = sandbox.clock.now() + sandbox.settings.code_ttl
    async with sandbox.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT to_regclass(%(name)s) IS NOT NULL", {"name": f"authorization_code_{day_of(expires)}"}
        )
        assert await cursor.fetchone() == (True,)
