"""The example processor with one bug each, as a real integration may have it. `conformance` must find every one."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import processor
from processor import Coatcheck, Processor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class NoIdempotencyKey(Coatcheck):
    """Its second attempt to exchange a code is a replay, which is refused."""

    async def exchange(self, code: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code}
        return await self._send(self._client.build_request("POST", "/token", data=form), auth=self._auth)


class ShortTimeout(Coatcheck):
    """It gives up after a second, and says that something broke."""

    async def account_numbers(self, token: str) -> httpx.Response:
        return await self._client.get(
            "/account/account_numbers", headers={"Authorization": f"Bearer {token}"}, timeout=1
        )


class NoBackoff(Coatcheck):
    """It repeats at once what was refused for now."""

    async def _send(self, request: httpx.Request, auth: tuple[str, str] | None = None) -> httpx.Response:
        for _ in range(20):
            answer = await self._client.send(request, auth=auth)
            if answer.status_code not in processor.PASSING:
                return answer
            await asyncio.sleep(0.1)
        raise processor.Unreachable("1")


class Remembering(Processor):
    """It reads the numbers once, and shows them ever after."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._shown: dict[str, Response] = {}

    async def show(self, request: Request) -> Response:
        account_id = request.path_params["id"]
        if account_id not in self._shown:
            answer = await super().show(request)
            if b'"usable"' not in answer.body:
                return answer
            self._shown[account_id] = answer
        return self._shown[account_id]


class IgnoresRefusals(Processor):
    """It reads again, but takes a refusal for passing trouble and keeps what it knew: what is over stays usable."""

    refusals: tuple[str, ...] = ()

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._shown: dict[str, Response] = {}

    async def show(self, request: Request) -> Response:
        account_id = request.path_params["id"]
        answer = await super().show(request)
        shown = json.loads(answer.body)
        if shown.get("status") == "usable":
            self._shown[account_id] = answer
        elif shown.get("status") in self.refusals:
            return self._shown[account_id]
        return answer


class IgnoresRevocation(IgnoresRefusals):
    refusals = ("revoked",)


class IgnoresExpiry(IgnoresRefusals):
    refusals = ("expired",)


class IntegerNumbers(Processor):
    """It takes numbers for integers, and loses their leading zeros."""

    async def show(self, request: Request) -> Response:
        answer = await super().show(request)
        shown = json.loads(answer.body)
        for name in {"account_number", "routing_number"} & {*shown}:
            shown[name] = str(int(shown[name]))
        return JSONResponse(shown, answer.status_code)


class FloatNumbers(Processor):
    """It takes numbers for floating-point numbers, and loses the last digits of long ones."""

    async def show(self, request: Request) -> Response:
        answer = await super().show(request)
        shown = json.loads(answer.body)
        if number := shown.get("account_number"):
            shown["account_number"] = f"{float(number):.0f}".zfill(len(number))
        return JSONResponse(shown, answer.status_code)


class IgnoresClosing(Processor):
    """It ignores `account.closed`."""

    def apply(self, event: dict) -> None:
        if event["type"] != "account.closed":
            super().apply(event)


class Once(Processor):
    """It refuses an event that it knows."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._seen: set[str] = set()

    async def receive(self, request: Request) -> Response:
        message = request.headers["webhook-id"]
        if message in self._seen:
            return Response(status_code=409)
        self._seen.add(message)
        return await super().receive(request)


class InOrderOfArrival(Processor):
    """It believes the event that came last, and asks nobody."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._suspended: set[str] = set()

    async def receive(self, request: Request) -> Response:
        event = json.loads(await request.body())
        if event["type"] == "token.suspended":
            self._suspended.add(event["data"]["account_guid"])
        if event["type"] == "token.resumed":
            self._suspended.discard(event["data"]["account_guid"])
        return await super().receive(request)

    async def show(self, request: Request) -> Response:
        account = self._accounts.get(request.path_params["id"])
        if account and account.account_guid in self._suspended:
            return JSONResponse({"status": "disconnected"})
        return await super().show(request)


class OwnClock(Processor):
    """It refuses an event that occurred in its own future."""

    async def receive(self, request: Request) -> Response:
        occurred_at = datetime.fromisoformat(json.loads(await request.body())["occurred_at"])
        if occurred_at > datetime.now(UTC) + timedelta(minutes=5):
            return Response(status_code=400)
        return await super().receive(request)
