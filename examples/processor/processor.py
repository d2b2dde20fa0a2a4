"""A small payment processor: exchanges codes at Coatcheck, reads account numbers, and follows what happens to them.

    POST /accounts {"authorization_code": "..."}    exchanges the code; answers with the account's id
    GET  /accounts/{id}                             the status, and the numbers while they can be read
    POST /webhooks                                  receives events from Coatcheck

It keeps everything in memory. A real processor keeps tokens in a database, encrypted.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ATTEMPTS = 5
LONGEST_WAIT = 5.0
"""Seconds. A longer `Retry-After` is passed on to our own caller."""
PASSING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
STATUS_OF_REFUSAL = {
    "token_revoked": "revoked",
    "token_expired": "expired",
    "invalid_token": "revoked",
    "reads_exhausted": "expired",
    "connection_broken": "disconnected",
    "not_found_error": "closed",
}
STATUS_OF_EVENT = {
    "token.revoked": "revoked",
    "token.expired": "expired",
    "token.suspended": "disconnected",
    "token.resumed": "usable",
    "account.closed": "closed",
}


@dataclass
class Account:
    """An account that somebody shared with us."""

    access_token: str = field(repr=False)
    account_guid: str
    status: str = "usable"


class Unreachable(Exception):
    """Coatcheck does not answer now. `retry_after` is in seconds."""

    def __init__(self, retry_after: str) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Coatcheck:
    """The calls that a processor makes."""

    def __init__(self, client: httpx.AsyncClient, processor_id: str, api_key: str) -> None:
        self._client = client
        self._auth = (processor_id, api_key)

    async def exchange(self, code: str) -> httpx.Response:
        """Exchanges a code. A repeated attempt gets the same token, because it has the same key."""
        key = hashlib.sha256(code.encode()).hexdigest()
        form = {"grant_type": "authorization_code", "code": code}
        request = self._client.build_request("POST", "/token", data=form, headers={"Idempotency-Key": key})
        return await self._send(request, auth=self._auth)

    async def account_numbers(self, token: str) -> httpx.Response:
        request = self._client.build_request(
            "GET", "/account/account_numbers", headers={"Authorization": f"Bearer {token}"}
        )
        return await self._send(request)

    async def _send(self, request: httpx.Request, auth: tuple[str, str] | None = None) -> httpx.Response:
        """Sends a request, again while the trouble is passing.

        Raises:
            Unreachable: the trouble stays.
        """
        wait = "1"
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._client.send(request, auth=auth)
            except httpx.TransportError:
                wait = str(min(2**attempt, LONGEST_WAIT) / 10)
            else:
                if answer.status_code not in PASSING:
                    return answer
                wait = answer.headers.get("Retry-After", "1")
                if float(wait) > LONGEST_WAIT:
                    break
            await asyncio.sleep(float(wait))
        raise Unreachable(wait)


class Processor:
    """The accounts that were shared with us, and what we know of them."""

    def __init__(self, coatcheck: Coatcheck, webhook_secret: str) -> None:
        self._coatcheck = coatcheck
        self._webhooks = Webhook(webhook_secret)
        self._accounts: dict[str, Account] = {}
        self._sequences: dict[str, int] = {}
        """The newest event of each object."""

    async def add(self, request: Request) -> Response:
        code = (await request.json())["authorization_code"]
        answer = await self._coatcheck.exchange(code)
        if answer.is_error:
            return JSONResponse({"error": "The code was refused. Share the account again."}, 422)
        token = answer.json()
        scope = dict(atom.split(":", 1) for atom in token["scope"].split() if ":" in atom)
        account_id = str(uuid.uuid5(uuid.NAMESPACE_URL, code))
        self._accounts.setdefault(account_id, Account(token["access_token"], scope["account-guid"]))
        return JSONResponse({"id": account_id}, 201)

    async def show(self, request: Request) -> Response:
        account = self._accounts.get(request.path_params["id"])
        if account is None:
            return JSONResponse({"error": "There is no such account."}, 404)
        # Asked each time: what was revoked a second ago must not be used, and numbers change.
        answer = await self._coatcheck.account_numbers(account.access_token)
        if answer.is_error:
            kind = answer.json()["error"]["type"]
            account.status = STATUS_OF_REFUSAL.get(kind, "unknown")
            return JSONResponse({"status": account.status})
        numbers = answer.json()["account_numbers"]
        if account.status == "closed" or not numbers:
            return JSONResponse({"status": "closed"})
        account.status = "usable"
        # A number is a JSON integer or, where digits would be lost, a string. It is text here: its zeros count.
        return JSONResponse(
            {
                "status": "usable",
                "account_number": str(numbers[0]["account_number"]),
                "routing_number": str(numbers[0]["routing_number"]),
            }
        )

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        try:
            self._webhooks.verify(body, dict(request.headers))
        except WebhookVerificationError:
            return Response(status_code=401)
        event = json.loads(body)
        # Events arrive at least once. The sequence also tells an old one that comes late.
        if event["sequence"] > self._sequences.get(event["object"], 0):
            self._sequences[event["object"]] = event["sequence"]
            self.apply(event)
        return Response(status_code=204)

    def apply(self, event: dict) -> None:
        status = STATUS_OF_EVENT.get(event["type"])
        for account in self._accounts.values():
            if status and account.account_guid == event["data"].get("account_guid"):
                account.status = status


async def _unreachable(_: Request, error: Exception) -> Response:
    assert isinstance(error, Unreachable)
    return JSONResponse({"status": "unknown"}, 503, headers={"Retry-After": error.retry_after})


def application(processor: Processor, client: httpx.AsyncClient) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(
        routes=[
            Route("/accounts", processor.add, methods=["POST"]),
            Route("/accounts/{id}", processor.show),
            Route("/webhooks", processor.receive, methods=["POST"]),
        ],
        exception_handlers={Unreachable: _unreachable},
        lifespan=lifespan,
    )


def create_app(client: httpx.AsyncClient, processor_id: str, api_key: str, webhook_secret: str) -> Starlette:
    return application(Processor(Coatcheck(client, processor_id, api_key), webhook_secret), client)


def from_environment() -> Starlette:
    """For `uvicorn --factory processor:from_environment`."""
    return create_app(
        httpx.AsyncClient(base_url=os.environ["COATCHECK_URL"], trust_env=False, timeout=30),
        os.environ["PROCESSOR_ID"],
        os.environ["PROCESSOR_API_KEY"],
        os.environ["WEBHOOK_SECRET"],
    )
