"""`coatcheck client events` and `deliveries`: what was announced to a client, and what its receivers answered."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.worker_services import run_pending
from tests.webhook_receiver import FAILS, receiving

pytestmark = pytest.mark.own_database


@pytest.fixture
def settings(settings):
    return replace(settings, webhook_allow_private=True)


async def listed(api, what, **query):
    answer = await api.get(f"/coatcheck/{what}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()[what]


async def test_events_are_those_of_the_api_newest_first(run_in_thread, api, user):
    await api.put(f"/users/{user}", json={"user": {"metadata": "changed"}})
    rows = await run_in_thread("client", "events", api.caller.guid)
    announced = await listed(api, "events")
    assert [row["type"] for row in rows] == ["user.updated", "user.created"]
    for row, event in zip(rows, announced, strict=True):
        assert {name: row[name] for name in ("guid", "type", "object", "sequence", "data")} == {
            name: event[name] for name in ("guid", "type", "object", "sequence", "data")
        }


async def test_events_are_limited_to_a_type_or_a_group_and_to_what_came_after_one(run_in_thread, api, user):
    await api.connect(user)
    guid = api.caller.guid
    assert {row["type"] for row in await run_in_thread("client", "events", guid, "--type", "member.*")} == {
        "member.created"
    }
    first = (await run_in_thread("client", "events", guid))[-1]
    later = await run_in_thread("client", "events", guid, "--after", first["guid"])
    assert [row["type"] for row in later] == ["member.created"]
    assert await run_in_thread("client", "events", guid, "--page", "2") == []


async def test_deliveries_are_those_of_the_api_with_the_answer(run_in_thread, services, api, client):
    async with receiving(FAILS) as receiver:
        async with services.db.transaction() as connection:
            created = await services.webhook_endpoints.create(
                connection, Owner(client.guid, is_processor=False), EndpointChanges(url=receiver.url)
            )
        await api.create_user()
        with capture_logs():  # the command prints to the same output
            await run_pending(services)
    (row,) = await run_in_thread("client", "deliveries", client.guid)
    (made,) = await listed(api, "deliveries")
    names = ("guid", "event_guid", "type", "status", "attempts", "answer_status", "answer", "endpoint_guid")
    assert {name: row[name] for name in names} == {name: made[name] for name in names}
    assert (row["answer_status"], row["endpoint_guid"]) == (500, created.endpoint.guid)
    endpoint = ["--endpoint", created.endpoint.guid]
    assert len(await run_in_thread("client", "deliveries", client.guid, *endpoint)) == 1
    assert await run_in_thread("client", "deliveries", client.guid, "--status", "failed") == []


async def test_what_another_client_got_is_not_listed(run_in_thread, api, user):
    other = (await run_in_thread("client", "add", "Other"))["client_id"]
    assert await run_in_thread("client", "events", other) == []
    assert await run_in_thread("client", "deliveries", other) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["events", "CLT-none"], ExitCode.NOT_FOUND, "There is no client CLT-none."),
        (["deliveries", "CLT-none"], ExitCode.NOT_FOUND, "There is no client CLT-none."),
        (["events", "{client}", "--type", "token"], ExitCode.USAGE, "--type must be one of *, "),
        (
            ["events", "{client}", "--after", "EVT-none"],
            ExitCode.NOT_FOUND,
            "The client has no event EVT-none",
        ),
        (
            ["deliveries", "{client}", "--endpoint", "WHE-none"],
            ExitCode.NOT_FOUND,
            "The client has no webhook endpoint WHE-none.",
        ),
        (["deliveries", "{client}", "--status", "lost"], ExitCode.USAGE, "--status must be one of pending, "),
    ],
)
async def test_a_wrong_argument_is_refused_with_what_is_allowed(operator, client, arguments, code, message):
    named = [each.format(client=client.guid) for each in arguments]
    answer = await asyncio.to_thread(operator, "client", *named)
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
