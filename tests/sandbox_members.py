"""Members at the sandbox bank, for tests: connected in each of the ways a control can be given, and what a client and
a processor see of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from coatcheck.app import Services, build
from coatcheck.config import Settings
from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.ids import new
from coatcheck.model.clients import find_client
from coatcheck.server import create_app
from coatcheck.testing.connectors import Run, run_connector
from tests.api_client import Api
from tests.factories import make_client, make_processor

PERSONA = "salaried"


@asynccontextmanager
async def sandbox_api(settings: Settings, *, name: str | None = None, **changes: Any) -> AsyncIterator[Api]:
    """A client of a sandbox, in memory. A world finds it by its name, which is its own unless one is given."""
    async with build(replace(settings, sandbox=True, **changes)) as services:
        client = await make_client(services, name=name or new("Acme"))
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield Api(http, services, client)


@dataclass(frozen=True)
class Member:
    """A member that was connected, as its client and a processor see it."""

    api: Api
    user_guid: str
    guid: str
    login_name: str
    """Without controls."""
    first_jobs: int = 1
    """How many jobs the connection started: `mfa_every_job` asks in each."""

    @property
    def path(self) -> str:
        return f"/users/{self.user_guid}/members/{self.guid}"

    async def status(self) -> str:
        return str((await self.api.get(f"{self.path}/status")).json()["member"]["connection_status"])

    async def listed(self, noun: str) -> list[dict[str, Any]]:
        """The member's accounts, account_numbers, account_owners or transactions."""
        parameters = {"records_per_page": "1000"} | (
            {"from_date": "2020-01-01"} if noun == "transactions" else {}
        )
        answer = await self.api.get(f"{self.path}/{noun}", params=parameters)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()[noun]
        return found

    async def first_account(self) -> dict[str, Any]:
        """The checking account."""
        return next(each for each in await self.listed("accounts") if each["name"] == "MX Bank Checking")

    async def run_job(self, job: str) -> str:
        """Starts a job, runs it, and returns the member's status."""
        answer = await self.api.post(f"{self.path}/{job}")
        assert answer.status_code in {200, 202}, answer.text
        await self.api.work()
        return await self.status()

    async def challenge(self) -> dict[str, Any]:
        (found,) = (await self.api.get(f"{self.path}/challenges")).json()["challenges"]
        challenge: dict[str, Any] = found
        return challenge

    async def answer(self, value: str) -> str:
        """Answers the open challenge, runs the job, and returns the member's status."""
        challenges = [{"guid": (await self.challenge())["guid"], "value": value}]
        await self.api.put(f"{self.path}/resume", json={"member": {"challenges": challenges}})
        await self.api.work()
        return await self.status()

    async def change_password(self) -> str:
        """New credentials, as a user gives them to repair a connection."""
        member = (await self.api.get(f"{self.path}/credentials")).json()["credentials"]
        password = next(each["guid"] for each in member if each["field_name"] == "PASSWORD")
        changed = {"member": {"credentials": [{"guid": password, "value": "another"}]}}
        answer = await self.api.put(self.path, json=changed)
        assert answer.status_code == 200, answer.text
        await self.api.work()
        return await self.status()

    async def token(self) -> "Token":
        """A token of a processor for the checking account."""
        processor = await make_processor(self.api.services, self.api.caller)
        account = (await self.first_account())["guid"]
        answer = await self.api.post(
            "/coatcheck/sandbox/tokens",
            json={"token": {"processor_guid": processor.guid, "account_guid": account}},
        )
        assert answer.status_code == 200, answer.text
        return Token(self.api, answer.json()["token"]["access_token"])

    async def without_controls(self, kind: JobKind = JobKind.AGGREGATION) -> Run:
        """What the bank would answer to the same login without controls."""
        # Of no member, so that the bank has recorded no controls for it.
        task = Task(kind, "mxbank", "MBR-unknown", self.api.services.clock.now())
        credentials = {"LOGIN": f"{self.login_name}+persona={PERSONA}", "PASSWORD": "x"}
        return await run_connector(bank_of(self.api.services), task, credentials)


@dataclass(frozen=True)
class Token:
    api: Api
    access_token: str

    async def get(self, path: str, *, version: str = "v20111101") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.access_token}", "Accept-Version": version}
        return await self.api.http.get(path, headers=headers)

    async def read(self, path: str, *, version: str = "v20111101") -> Any:
        answer = await self.get(path, version=version)
        assert answer.status_code == 200, answer.text
        return answer.json()


def bank_of(services: Services) -> SandboxBank:
    bank = services.registry.connector_for("mxbank")
    assert isinstance(bank, SandboxBank)
    return bank


def with_persona(controls: list[str]) -> list[str]:
    """The controls, with the persona that the tests expect unless they have one."""
    has_persona = any(each.startswith("persona=") for each in controls)
    return controls if has_persona else [f"persona={PERSONA}", *controls]


async def by_login(api: Api, controls: list[str]) -> Member:
    """As a real client connects: a user, a member, and a job after the other."""
    login = "+".join(["ann", *with_persona(controls)])
    user = await api.create_user()
    member = Member(api, user, await api.connect(user, login=login), "ann")
    await api.work()
    for job in ("verify", "identify"):
        if await member.status() == "CONNECTED":
            await member.run_job(job)
    return member


async def by_api(api: Api, controls: list[str]) -> Member:
    """By one call of the sandbox's API."""
    body = {"connection": {"controls": with_persona(controls)}}
    answer = await api.post("/coatcheck/sandbox/connections", json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()["connection"]
    return Member(api, made["user_guid"], made["member_guid"], f"{made['user_guid'][-12:]}-0", 3)


async def by_world(api: Api, controls: list[str]) -> Member:
    """By a world file, which is JSON here: YAML contains it. The world has no other user then."""
    async with api.services.db.connection() as connection:
        name = (await find_client(connection, api.caller.guid)).name
    member = {"login": "ann", "controls": with_persona(controls)}
    world = {"version": 1, "clients": [{"name": name, "users": [{"members": [member]}]}]}
    answer = await api.put("/coatcheck/sandbox/world", json=world)
    assert answer.status_code == 200, answer.text
    (made,) = answer.json()["world"]["clients"]
    (user,) = made["users"]
    return Member(api, user["guid"], user["members"][0]["guid"], "ann", 3)


TRIGGERS = {"login": by_login, "api": by_api, "world": by_world}
