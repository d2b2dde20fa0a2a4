"""A steady mixed load on a server, and what it answered."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from coatcheck.app import Services
from coatcheck.model.accounts import Account
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_processor,
    make_token,
    make_user,
)

PAUSE = 0.1
LONGEST = 15.0
"""Seconds after which the load generator gives a request up: longer than the deadline."""


@dataclass(frozen=True)
class Answer:
    at: float
    """Seconds since the start of the load."""
    took: float
    status: int
    has_retry_after: bool
    name: str


@dataclass
class Load:
    started: float = field(default_factory=time.monotonic)
    answers: list[Answer] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    """The guids of the users whose creation was acknowledged."""

    def now(self) -> float:
        return time.monotonic() - self.started

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    @property
    def longest(self) -> float:
        return max(answer.took for answer in self.answers)

    @property
    def last_failure(self) -> float:
        """When the last request that failed was sent; 0 if none failed."""
        return max((answer.at for answer in self.answers if answer.status >= 500), default=0.0)

    def problems(self) -> list[Answer]:
        """The answers that are neither a success nor 503 with `Retry-After`."""
        return [
            answer
            for answer in self.answers
            if answer.status >= 300 and not (answer.status == 503 and answer.has_retry_after)
        ]


@dataclass(frozen=True)
class Scene:
    """A client with an account, a processor, and a token."""

    services: Services
    client: Keyed
    processor: Keyed
    user_guid: str
    account: Account
    token: str

    async def codes(self, count: int) -> list[str]:
        return [await make_code(self.services, self.account) for _ in range(count)]

    def requests(self) -> Sequence[tuple[str, Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]]]:
        """Two reads with a token, a read and a write by a client."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        return (
            ("numbers", lambda http: http.get("/account/account_numbers", headers=bearer)),
            ("transactions", lambda http: http.get("/account/transactions", headers=bearer)),
            ("user", lambda http: http.get(f"/users/{self.user_guid}", auth=self.client.auth)),
            (
                "users",
                lambda http: http.post("/users", json={"user": {"metadata": "load"}}, auth=self.client.auth),
            ),
        )


async def make_scene(services: Services) -> Scene:
    client = await make_client(services)
    processor = await make_processor(services, client)
    user = await make_user(services, client)
    account = await make_account(services, user)
    token = await make_token(services, account, processor)
    return Scene(services, client, processor, user.guid, account, token)


@asynccontextmanager
async def steady_load(base_url: str, scene: Scene, *, copies: int = 1) -> AsyncIterator[Load]:
    """Sends every kind of request again and again, also while earlier ones wait, until the block ends."""
    load = Load()
    stop = asyncio.Event()
    running: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=base_url, timeout=LONGEST, limits=limits) as http:

        async def send(name: str, request: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> None:
            at = load.now()
            response = await request(http)
            has_retry_after = "retry-after" in response.headers
            load.answers.append(Answer(at, load.now() - at, response.status_code, has_retry_after, name))
            if name == "users" and response.status_code == 200:
                load.created.append(response.json()["user"]["guid"])

        async def generate() -> None:
            while not stop.is_set():
                for name, request in scene.requests() * copies:
                    running.add(asyncio.create_task(send(name, request)))
                    await asyncio.sleep(PAUSE / copies)

        generator = asyncio.create_task(generate())
        try:
            yield load
        finally:
            stop.set()
            await generator
            await asyncio.gather(*running)
