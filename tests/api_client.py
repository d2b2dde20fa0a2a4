"""A client of the API, for tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from coatcheck.app import Services
from coatcheck.worker_services import build_worker
from tests.factories import Keyed

V1, V2 = "v20111101", "v20250224"
VERSIONS = (V1, V2)
HEADERS: Mapping[str, Mapping[str, str]] = {
    V1: {"Accept": "application/vnd.mx.api.v1+json"},
    V2: {"Accept": "application/json", "Accept-Version": "v20250224"},
}
LOGIN, PASSWORD = "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1", "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d"
"""The two credential fields of MX Bank."""


@dataclass(frozen=True)
class Api:
    """A client that uses one version of the API."""

    http: httpx.AsyncClient
    services: Services
    caller: Keyed
    version: str = V1

    async def __call__(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        return await self.http.request(
            method, path, auth=self.caller.auth, headers={**HEADERS[self.version], **(headers or {})}, **more
        )

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self("GET", path, **more)

    async def post(self, path: str, **more: Any) -> httpx.Response:
        return await self("POST", path, **more)

    async def put(self, path: str, **more: Any) -> httpx.Response:
        return await self("PUT", path, **more)

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self("DELETE", path, **more)

    async def work(self) -> None:
        """Runs the jobs and sends the micro-deposits that are due."""
        await work(self.services)

    async def create_user(self, **user: Any) -> str:
        """The guid of a new user."""
        answer = await self.post("/users", json={"user": user or {"metadata": "a test's"}})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["user"]["guid"])

    async def connect(
        self, user_guid: str, *, login: str = "mxuser", password: str = "anything", **member: Any
    ) -> str:
        """The guid of a new member at MX Bank. Its job has not run yet."""
        answer = await self.post(f"/users/{user_guid}/members", json=connecting(login, password, **member))
        assert answer.status_code in {200, 202}, answer.text
        return str(answer.json()["member"]["guid"])


def connecting(login: str = "mxuser", password: str = "anything", **member: Any) -> dict[str, Any]:
    """The body that connects MX Bank."""
    credentials = [{"guid": LOGIN, "value": login}, {"guid": PASSWORD, "value": password}]
    return {"member": {"institution_code": "mxbank", "credentials": credentials} | member}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the type of an error."""
    return answer.status_code, answer.json()["error"]["type"]


async def work(services: Services) -> None:
    """Runs the jobs and sends the micro-deposits that are due, until none is. Delivers no webhook."""
    worker_services = build_worker(services)
    while True:
        jobs = await worker_services.scheduler.claim(1)
        deposits = await worker_services.micro_deposits.claim(1)
        if not jobs and not deposits:
            return
        for job in jobs:
            await worker_services.sync.run(job)
        for deposit in deposits:
            await worker_services.micro_deposits.send(deposit)
