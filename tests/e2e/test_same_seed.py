"""Two sandboxes with the same seed and the same calls give the same bytes; the clock of both stands at one instant."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import free_port
from tests.webhook_receiver import OK, Receiver, receiving

FROZEN_AT = "2027-01-01T00:00:00Z"
TIMEOUT = 120
"""Seconds for the longest request: moving the clock."""


@dataclass
class Recorded:
    """What a run answered and sent."""

    bodies: list[tuple[str, int, str]] = field(default_factory=list)
    webhooks: dict[str, str] = field(default_factory=dict)
    """The bodies by the guid of the event."""


@dataclass
class Caller:
    """Calls as the client, and records every answer."""

    http: httpx.AsyncClient
    credentials: dict[str, Any]
    recorded: Recorded

    @property
    def auth(self) -> tuple[str, str]:
        return self.credentials["client_id"], self.credentials["client_api_key"]

    @property
    def processor(self) -> tuple[str, str]:
        first = self.credentials["processors"][0]
        return first["processor_id"], first["api_key"]

    async def __call__(self, method: str, path: str, **options: Any) -> Any:
        answer = await self.http.request(method, path, **{"auth": self.auth} | options)
        self.recorded.bodies.append((f"{method} {path}", answer.status_code, answer.text))
        return answer.json() if answer.text.startswith("{") else answer.text

    async def create(self, path: str, name: str, **fields: Any) -> dict[str, Any]:
        """The object that the answer to a POST contains, by the name that the request gives it too."""
        created: dict[str, Any] = (await self("POST", path, json={name: fields}))[name]
        return created

    async def when_connected(self, path: str) -> None:
        """Waits until the jobs of the member have ended. How often it asks must not matter."""
        async with asyncio.timeout(TIMEOUT):
            while (  # noqa: ASYNC110 (the sandbox is another process)
                await self.http.get(path, auth=self.auth)
            ).json()["member"]["is_being_aggregated"]:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def sandbox(directory: Path, port: int, receiver: Receiver) -> AsyncIterator[Caller]:
    place = ["--port", str(port), "--data-dir", str(directory), "--webhooks-to", receiver.url]
    arguments = [*place, "--seed", "7", "--freeze-at", FROZEN_AT, "--no-sync", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coatcheck.cli", "sandbox", *arguments, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        credentials = json.loads(await process.stdout.readline())
        async with httpx.AsyncClient(base_url=credentials["base_url"], timeout=TIMEOUT) as http:
            yield Caller(http, credentials, Recorded())
    finally:
        process.terminate()
        await process.communicate()


async def connect(call: Caller) -> list[str]:
    """Three users with a connected member each. Returns their guids."""
    user = (await call.create("/users", "user", id="anna"))["guid"]
    fields = (await call("GET", "/institutions/mxbank/credentials"))["credentials"]
    credentials = [{"guid": each["guid"], "value": each["field_name"].lower()} for each in fields]
    member = await call.create(
        f"/users/{user}/members", "member", institution_code="mxbank", credentials=credentials
    )
    path = f"/users/{user}/members/{member['guid']}"
    await call.when_connected(path)
    await call("POST", f"{path}/verify")
    await call.when_connected(path)
    await call("POST", f"/users/{user}/connect_widget_url", json={})
    connected = [
        await call.create("/coatcheck/sandbox/connections", "connection", persona=persona)
        for persona in ("student", "retired")
    ]
    return [user, *(each["user_guid"] for each in connected)]


async def grant_and_read(call: Caller) -> dict[str, Any]:
    """A token in one call, and another by a code, which read everything. Returns the first."""
    token = await call.create("/coatcheck/sandbox/tokens", "token", processor_guid=call.processor[0])
    guids = {name: token[name] for name in ("user_guid", "member_guid", "account_guid")}
    name = "payment_processor_authorization_code"
    code = (await call.create(f"/{name}", name, **guids))["authorization_code"]
    parameters = {"grant_type": "authorization_code", "code": code}
    exchanged = await call("POST", "/token", params=parameters, auth=call.processor)
    for bearer in (token["access_token"], exchanged["access_token"]):
        for read in ("account_numbers", "account_owners", "transactions"):
            headers = {"authorization": f"Bearer {bearer}"}
            await call("GET", f"/account/{read}", auth=None, headers=headers)
    return token


async def live(call: Caller, receiver: Receiver) -> None:
    """Connections, tokens, reads, what happens at the bank, and eight days."""
    await call.create("/coatcheck/webhook_endpoints", "webhook_endpoint", url=receiver.url, events=["*"])
    users = await connect(call)
    token = await grant_and_read(call)
    for event in ("numbers_changed", "new_transactions", "consent_revoked"):
        path = f"/coatcheck/sandbox/members/{token['member_guid']}/events"
        await call.create(path, "event", type=event, notice=True)
    await call("POST", f"/coatcheck/grants/{token['grant_guid']}/revoke")
    await call("POST", "/coatcheck/sandbox/clock", json={"clock": {"advance": "8d"}})
    for path in ("", "/members", "/accounts", "/transactions"):
        for user in users:
            await call("GET", f"/users/{user}{path}", params={"records_per_page": 100})
    await call("GET", "/coatcheck/grants")
    await call("GET", "/coatcheck/sandbox/world")
    await call("GET", "/coatcheck/events")
    await call("GET", "/coatcheck/deliveries")
    call.recorded.webhooks = {each.headers["webhook-id"]: each.body.decode() for each in receiver.received}


async def run(directory: Path, port: int, receiver: Receiver) -> Recorded:
    receiver.received.clear()
    async with sandbox(directory, port, receiver) as call:
        await live(call, receiver)
    return call.recorded


@pytest.mark.slow
async def test_the_same_seed_and_the_same_calls_give_the_same_bodies_and_webhooks(tmp_path: Path) -> None:
    port = free_port()
    async with receiving(OK) as receiver:
        first = await run(tmp_path / "first", port, receiver)
        second = await run(tmp_path / "second", port, receiver)
    assert [call for call, status, _ in first.bodies if status >= 400] == []
    for one, other in zip(first.bodies, second.bodies, strict=True):
        assert one == other
    assert len(first.webhooks) > 50
    assert first.webhooks == second.webhooks
