"""Faults in this server's own answers, for tests of integrations: errors, delays and lost answers, by route.

    request -> the faults of its route, each with its own random sequence
               |- latency:  wait, then as below
               |- status:   answer with an error; the request is not carried out
               |- drop:     carry it out, and close the connection in the middle of the answer
               `- none:     carry it out

They are kept in the memory of the process. `/coatcheck/sandbox` itself never has faults.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck import ids
from coatcheck.connectors.sandbox.numbers import seeded
from coatcheck.errors import Conflict, InvalidRequest

OWN_PREFIX = "/coatcheck/sandbox"
EVERY_ROUTE = "*"
MAX_FAULTS = 100
RETRIED = {429, 503}
"""Statuses that come with `Retry-After`."""
HEADER = "Coatcheck-Fault"
_ROUTE = re.compile(r"(?:(?P<method>[A-Z]+) )?(?P<path>/\S*)")
_PARAMETER = re.compile(r"{\w+}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFault:
    route: str
    """`*`, a path, or a method and a path. Parameters are in braces, or have a value."""
    probability: float = 1.0
    status: int | None = None
    latency: timedelta = timedelta()
    drop: bool = False
    seed: int = 0
    """Decides which of the requests are hit."""


@dataclass(slots=True)
class Fault:
    guid: str
    new: NewFault
    method: str | None
    path: re.Pattern[str] | None
    """None for every route."""
    random: Random = field(repr=False)
    requests: int = 0
    """Requests to its route since it was added."""
    hits: int = 0
    """Those that it was applied to."""

    def concerns(self, method: str, path: str) -> bool:
        if self.method is not None and self.method != method:
            return False
        return self.path is None or self.path.fullmatch(path) is not None

    def draw(self) -> bool:
        """Whether it is applied to the next request."""
        self.requests += 1
        is_hit = self.random.random() < self.new.probability
        self.hits += is_hit
        return is_hit


class Faults:
    """The faults of one application, oldest first.

    Args:
        routes: the methods and the paths, with their parameters in braces, that can have faults.
    """

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        self._routes = [(method, path) for method, path in routes if not path.startswith(OWN_PREFIX)]
        self._paths = [_pattern(path) for _, path in self._routes]
        self._faults: list[Fault] = []

    @property
    def listed(self) -> Sequence[Fault]:
        return tuple(self._faults)

    def add(self, new: NewFault) -> Fault:
        """Adds a fault.

        Raises:
            InvalidRequest: there is no such route.
            Conflict: there are 100 faults.
        """
        if len(self._faults) >= MAX_FAULTS:
            raise Conflict(f"There are at most {MAX_FAULTS} faults. Delete them first.")
        method, path = self._parse(new.route)
        fault = Fault(ids.new("FLT"), new, method, path, seeded(new.seed, "fault"))
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def drawn(self, method: str, path: str) -> Sequence[Fault]:
        """The faults that are applied to this request."""
        if not self._faults or not any(each.fullmatch(path) for each in self._paths):
            return ()
        method = "GET" if method == "HEAD" else method
        # Each one draws, also beside others that hit: what a seed hits does not depend on the other faults.
        return [each for each in self._faults if each.concerns(method, path) and each.draw()]

    def _parse(self, route: str) -> tuple[str | None, re.Pattern[str] | None]:
        if route == EVERY_ROUTE:
            return None, None
        found = _ROUTE.fullmatch(route)
        if found is not None and any(
            found["method"] in {None, method} and _may_be_equal(found["path"], path)
            for method, path in self._routes
        ):
            return found["method"], _pattern(found["path"])
        raise InvalidRequest(
            f"fault.route: there is no route `{route[:200]}` that can have faults. Give a path of the API, such as "
            "`/users/{user_guid}/members`, a method and a path, such as `POST /token`, or `*`."
        )


current_faults: ContextVar[Faults] = ContextVar("current_faults")
"""The faults of the application that handles the request."""


Respond: TypeAlias = Callable[[str, int, str, Mapping[str, str]], ASGIApp]
"""The answer with a status, a message and headers, in the format of the surface that serves the path."""


class FaultInjection:
    """The application with the faults that `current_faults` has in each request."""

    def __init__(self, app: ASGIApp, faults: Faults, respond: Respond) -> None:
        self._app = app
        self._faults = faults
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current_faults.set(self._faults)
        faults = self._faults.drawn(scope["method"], scope["path"])
        if latency := sum((each.new.latency for each in faults), timedelta()):
            await asyncio.sleep(latency.total_seconds())
        for fault in faults:
            if fault.new.status is not None:
                headers = {HEADER: fault.guid} | ({"Retry-After": "1"} if fault.new.status in RETRIED else {})
                message = "A fault that was ordered for this route."
                response = self._respond(scope["path"], fault.new.status, message, headers)
                await response(scope, receive, send)
                return
        is_dropped = any(each.new.drop for each in faults)
        await self._app(scope, receive, _interrupted(send) if is_dropped else send)


def _interrupted(send: Send) -> Send:
    """Announces a body and sends none. The server closes the connection, and the client misses the answer."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            # Not the answer's own status and length: an answer without a body would be complete.
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    return send_head


def _pattern(path: str) -> re.Pattern[str]:
    """Matches the paths of a route."""
    return re.compile("[^/]+".join(map(re.escape, _PARAMETER.split(path))))


def _may_be_equal(given: str, path: str) -> bool:
    """Whether the two match a common path: each part is equal, or one of the two is a parameter."""
    pairs = list(zip(given.split("/"), path.split("/"), strict=False))
    return given.count("/") == path.count("/") and all(
        one == other or _PARAMETER.fullmatch(one) or (one and _PARAMETER.fullmatch(other))
        for one, other in pairs
    )
