"""The HTTP clients of a connector: timeouts, retries where they are safe, a breaker for each host, no cookies.

`trusted` goes to addresses that the operator or the connector's author chose. `guarded` goes to addresses that an
end user gave, and connects to public addresses alone.
"""

import ssl
import time
from collections.abc import Callable
from functools import cache, cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Any

import httpx
import stamina

from coatcheck.errors import BankDataUnusable, BankTimedOut, BankUnavailable

Guard = Callable[[httpx.AsyncClient], httpx.AsyncClient]

TIMEOUT = httpx.Timeout(30, connect=10)
"""Seconds for each read, write and wait for a connection."""
ATTEMPTS = 3
"""Of a request that may be repeated (RFC 9110 9.2.2: GET, HEAD, OPTIONS)."""
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Of one decoded answer."""
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
PASSING = frozenset({502, 503, 504})
"""Statuses that a repetition may end."""
BREAK_AFTER = 5
"""Failures of a host in a row, after which it is not asked for `BREAK_FOR` seconds."""
BREAK_FOR = 30.0


class HttpClients:
    """Opened when first used, closed together. Each connector has its own.

    Args:
        guard: restricts a client to public addresses.
        transport: answers instead of the network, in tests.
        attempts: how often a request that may be repeated is sent at most.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        transport: httpx.AsyncBaseTransport | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._attempts = attempts
        self._opened: list[httpx.AsyncClient] = []

    @cached_property
    def trusted(self) -> httpx.AsyncClient:
        """For addresses that the operator or the connector's author chose."""
        return self._open()

    @cached_property
    def guarded(self) -> httpx.AsyncClient:
        """For addresses that an end user gave; raises `httpx.RequestError` for one that is not public."""
        client = self._open()
        return client if self._transport else self._guard(client)

    async def close(self) -> None:
        for client in self._opened:
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        client = BankClient(
            self._attempts,
            transport=self._transport,
            verify=_tls(),
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"Coatcheck/{version('coatcheck')}"},
            # A cookie that one user's bank session sets must not travel with another user's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._opened.append(client)
        return client


class BankClient(httpx.AsyncClient):
    """Repeats what may be repeated, stops asking a host that keeps failing, and bounds what an answer may hold."""

    def __init__(self, attempts: int, **options: Any) -> None:
        super().__init__(**options)
        self._attempts = attempts
        self._breakers: dict[str, _Breaker] = {}

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """As `httpx.AsyncClient.send`, with the errors of connectors.

        Raises:
            BankTimedOut: the host did not answer in time.
            BankUnavailable: the host cannot be reached, or failed too often within the last half minute.
            BankDataUnusable: the answer is longer than 64 MiB. A caller that asks for a stream counts for itself.
        """
        try:
            return await self._send(request, stream=stream, options=options)
        except httpx.TimeoutException:
            raise BankTimedOut from None
        except httpx.TransportError:
            raise BankUnavailable from None

    async def _send(self, request: httpx.Request, *, stream: bool, options: dict[str, Any]) -> httpx.Response:
        breaker = self._breakers.setdefault(request.url.host, _Breaker())
        attempts = self._attempts if request.method in REPEATABLE else 1
        async for attempt in stamina.retry_context(
            on=_may_pass, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=5, wait_jitter=0.2
        ):
            with attempt:
                breaker.check()
                response = await self._send_once(breaker, request, options)
                if response.status_code in PASSING and attempt.num < attempts:
                    await response.aclose()
                    raise _PassingStatus
                return response if stream else await _whole(response)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(
        self, breaker: "_Breaker", request: httpx.Request, options: dict[str, Any]
    ) -> httpx.Response:
        try:
            response = await super().send(request, stream=True, **options)
        except httpx.TransportError:
            breaker.failed()
            raise
        if response.status_code >= 500:
            breaker.failed()
        else:
            breaker.succeeded()
        return response


async def _whole(response: httpx.Response) -> httpx.Response:
    """The answer with its decoded body."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_RESPONSE_BYTES:
                raise BankDataUnusable("The institution sent an answer that is too long.")
    finally:
        await response.aclose()
    encoded = {"content-encoding", "content-length", "transfer-encoding"}
    return httpx.Response(
        response.status_code,
        headers=[
            (name, value) for name, value in response.headers.raw if name.decode().lower() not in encoded
        ],
        content=bytes(body),
        request=response.request,
        extensions=response.extensions,
        history=response.history,
    )


class _Breaker:
    """Counts failures in a row. An open breaker lets one request through after `BREAK_FOR` seconds."""

    def __init__(self) -> None:
        self._failures = 0
        self._opens_at = 0.0

    def check(self) -> None:
        if self._failures < BREAK_AFTER:
            return
        now = time.monotonic()
        if now < self._opens_at:
            raise BankUnavailable
        self._opens_at = now + BREAK_FOR

    def failed(self) -> None:
        self._failures += 1
        self._opens_at = time.monotonic() + BREAK_FOR

    def succeeded(self) -> None:
        self._failures = 0


class _PassingStatus(Exception):
    """The answer had a status that a repetition may end."""


def _may_pass(error: Exception) -> bool:
    return isinstance(error, httpx.TransportError | _PassingStatus)


@cache
def _tls() -> ssl.SSLContext:
    """One for all clients of the process: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()
