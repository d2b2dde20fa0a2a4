"""The HTTP clients of a connector: timeouts, retries of safe requests, a circuit breaker for each host, no cookies.

`trusted` is for addresses that the operator or the connector's author chose. `guarded` is for addresses that an end
user gave, and connects to public addresses only.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Any

import httpx
import stamina
from httpx_secure import SSRFProtectionError

from coatcheck.bounded_reading import read_up_to
from coatcheck.errors import (
    BankDataUnusable,
    BankError,
    BankTimedOut,
    BankUnavailable,
    ConfigurationError,
)

Guard = Callable[[httpx.AsyncClient], httpx.AsyncClient]

TIMEOUT = httpx.Timeout(30, connect=10)
"""Seconds for each read, write and wait for a connection."""
ATTEMPTS = 3
"""The number of attempts of a request with a method in `RETRIED_METHODS`."""
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""The size of one decoded response."""
RETRIED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe methods: a repetition changes nothing (RFC 9110 9.2.2)."""
RETRIED_STATUSES = frozenset({502, 503, 504})
"""Statuses of a failure that is often temporary."""
TRANSPORT_ERRORS = (httpx.TransportError, ssl.SSLError, SSRFProtectionError)
"""With TLS 1.3 a host refuses a client certificate when the answer is read. httpx lets that error through as it is. The
error of the guard is among them, so that nobody can tell a private address from a host that does not answer."""
BREAK_AFTER = 5
"""After this number of consecutive failures, a host gets no request for `BREAK_FOR` seconds."""
BREAK_FOR = 30.0
MAX_HOSTS = 10_000
"""Hosts whose failures are counted. Where end users choose the server, their number has no other limit."""


class HttpClients:
    """The clients of one connector. Each is opened when it is first used.

    Args:
        guard: restricts a client to public addresses.
        transport: replaces the network in tests.
        attempts: the greatest number of attempts of a request that is retried.
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
        """For addresses that an end user gave. It raises `BankUnavailable` for an address that is not public."""
        client = self._open()
        return client if self._transport else self._guard(client)

    def with_certificate(self, certificate_file: str, key_file: str) -> httpx.AsyncClient:
        """As `trusted`, with a client certificate (RFC 8705). Each call opens a client.

        Raises:
            ConfigurationError: the certificate and its key cannot be read.
        """
        tls = httpx.create_ssl_context()
        try:
            tls.load_cert_chain(certificate_file, key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The client certificate {certificate_file} cannot be used: {type(error).__name__}."
            ) from None
        return self._open(tls)

    async def close(self) -> None:
        for client in self._opened:
            await client.aclose()

    def _open(self, tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
        client = BankClient(
            self._attempts,
            transport=self._transport,
            verify=tls or _tls(),
            timeout=TIMEOUT,
            # A redirect can lead to any address, and a proxy from the environment connects without the guard.
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"Coatcheck/{version('coatcheck')}"},
            # A cookie of one user's session at the bank must not be sent with another user's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._opened.append(client)
        return client


class BankClient(httpx.AsyncClient):
    """Retries safe requests, has a circuit breaker for each host, and limits the size of responses."""

    def __init__(self, attempts: int, **options: Any) -> None:
        super().__init__(**options)
        self._attempts = attempts
        self._breakers: dict[str, _Breaker] = {}

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """As `httpx.AsyncClient.send`, with the errors of connectors.

        Raises:
            BankTimedOut: the host did not answer in time.
            BankUnavailable: the host cannot be reached, or failed too often within the last half minute.
            BankDataUnusable: the response is longer than 64 MiB. With `stream`, the caller must limit it.
        """
        try:
            return await self._send(request, stream=stream, options=options)
        except _RetriedFailure as failure:
            raise failure.error from None

    def _breaker_of(self, host: str) -> "_Breaker":
        # Put last again: beyond the limit, the host goes that was not called for the longest time.
        breaker = self._breakers[host] = self._breakers.pop(host, _Breaker())
        if len(self._breakers) > MAX_HOSTS:
            del self._breakers[next(iter(self._breakers))]
        return breaker

    async def _send(self, request: httpx.Request, *, stream: bool, options: dict[str, Any]) -> httpx.Response:
        breaker = self._breaker_of(request.url.host)
        # For a host that counts every request: `extensions={"attempts": 1}`.
        most = request.extensions.get("attempts", self._attempts)
        attempts = most if request.method in RETRIED_METHODS else 1
        async for attempt in stamina.retry_context(
            on=_RetriedFailure, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=5, wait_jitter=0.2
        ):
            with attempt:
                # At each attempt: failures of other requests may have opened the breaker since the last one.
                breaker.check()
                with _without_text():
                    response = await self._send_once(breaker, request, options)
                    if response.status_code in RETRIED_STATUSES and attempt.num < attempts:
                        await response.aclose()
                        raise _RetriedFailure(BankUnavailable)
                    return response if stream else await _read_body(response)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(
        self, breaker: "_Breaker", request: httpx.Request, options: dict[str, Any]
    ) -> httpx.Response:
        # Always as a stream, so that `_read_body` can stop at the limit.
        try:
            response = await super().send(request, stream=True, **options)
        except TRANSPORT_ERRORS:
            breaker.failed()
            raise
        if response.status_code >= 500:
            breaker.failed()
        else:
            breaker.succeeded()
        return response


async def _read_body(response: httpx.Response) -> httpx.Response:
    """The response with its decoded body."""
    body = bytearray()
    try:
        if not await read_up_to(response.aiter_bytes(), body, MAX_RESPONSE_BYTES):
            raise BankDataUnusable("The institution sent an answer that is too long.")
    finally:
        await response.aclose()
    # The body is decoded now. With these headers httpx would decode it a second time.
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
    """A circuit breaker. After `BREAK_AFTER` consecutive failures it permits one request in `BREAK_FOR` seconds."""

    def __init__(self) -> None:
        self._failures = 0
        self._next_attempt_at = 0.0

    def check(self) -> None:
        if self._failures < BREAK_AFTER:
            return
        now = time.monotonic()
        if now < self._next_attempt_at:
            raise BankUnavailable
        # Other requests wait for the result of this one, instead of all being sent to a host that may be overloaded.
        self._next_attempt_at = now + BREAK_FOR

    def failed(self) -> None:
        self._failures += 1
        self._next_attempt_at = time.monotonic() + BREAK_FOR

    def succeeded(self) -> None:
        self._failures = 0


class _RetriedFailure(Exception):
    """A retry may succeed. Every retry is logged with its cause, so this contains no text of a request or response."""

    def __init__(self, error: type[BankError]) -> None:
        super().__init__(error.__name__)
        self.error = error


@contextmanager
def _without_text() -> Iterator[None]:
    """Replaces the errors of the transport, whose texts may quote a header or a response."""
    try:
        yield
    except httpx.TimeoutException:
        raise _RetriedFailure(BankTimedOut) from None
    except TRANSPORT_ERRORS:
        raise _RetriedFailure(BankUnavailable) from None


@cache
def _tls() -> ssl.SSLContext:
    """The TLS context, shared by all clients of the process: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()
