"""Rate limits of requests and of failed authentications, for every surface.

    Throttling --> router --> endpoint
    above a limit of requests: 429 before anything else is done
    a failed authentication:   counted by the endpoint; 429 in place of 401 above a limit

A right key is never throttled by failures: they are counted after the authentication has failed.
"""

from base64 import b64decode
from collections.abc import Callable
from urllib.parse import unquote_plus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.audit.failures import FailedAuthentications
from coatcheck.errors import (
    CoatcheckError,
    InvalidClient,
    InvalidGrant,
    InvalidToken,
    SignInFailed,
    TooManyRequests,
)
from coatcheck.grants.refusals import NEVER_REDEEMABLE
from coatcheck.http.bodies import is_form
from coatcheck.rate_limits.limits import RateLimits
from coatcheck.request_context import canonical_address

LIMITS = "coatcheck.rate_limits"
"""The key of the ASGI scope under which the endpoints find the limits."""
FAILURES = "coatcheck.failed_authentications"
"""The key under which they find the record of failed authentications."""
NOT_COUNTED = frozenset({"/health", "/ready"})
"""Paths that a load balancer asks for."""
WIDGET_SESSION = "x-widget-session"
GUESSES = (InvalidClient, InvalidToken, SignInFailed)
"""Errors of an id, a key, a token, a session or a sign-in that nobody has. Their subclasses say that a token ended or
that a passkey was copied; those are not counted."""
CREDENTIALS = {InvalidClient: "api_key", InvalidToken: "access_token", SignInFailed: "staff_sign_in"}
TOO_MANY_FAILURES = (
    "Too many failed requests. Check the credentials; the right ones are accepted at any time."
)


Refuse = Callable[[CoatcheckError, str], ASGIApp]
"""The response to an error, in the format of the surface that serves the path."""


class Throttling:
    """Counts requests, if a limit is set, and gives the endpoints the limits."""

    def __init__(
        self, app: ASGIApp, limits: RateLimits, failures: FailedAuthentications, refuse: Refuse
    ) -> None:
        self._app = app
        self._limits = limits
        self._failures = failures
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[LIMITS] = self._limits
        scope[FAILURES] = self._failures
        if self._limits.counts_requests and scope["path"] not in NOT_COUNTED:
            name, secret = credentials(Headers(scope=scope))
            # With the secret: who knows an id alone must not use up the limit of its owner.
            caller = f"{name}\n{secret}" if secret else ""
            try:
                await self._limits.count_request(caller, _address(scope))
            except TooManyRequests as error:
                await self._refuse(error, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def throttled(error: CoatcheckError, scope: Scope) -> CoatcheckError:
    """The error of a request, or TooManyRequests in its place if it is a failure above a limit."""
    limits: RateLimits | None = scope.get(LIMITS)
    is_guess = type(error) in GUESSES
    if limits is None or not (is_guess or isinstance(error, InvalidGrant)):
        return error
    headers, address = Headers(scope=scope), _address(scope)
    name, secret = credentials(headers)
    wait = None
    has_form = is_form(headers)
    # Without any credentials it is no guess, but the first request of a client that waits for the challenge. At the
    # OAuth endpoints they can be in the form.
    if is_guess and (secret or has_form or isinstance(error, SignInFailed)):
        if not (isinstance(error, InvalidClient) and error.is_recorded):
            failures: FailedAuthentications = scope[FAILURES]
            await failures.record(name, CREDENTIALS[type(error)])
        wait = await limits.count_failure(name, address)
    elif isinstance(error, InvalidGrant) and error.detail in NEVER_REDEEMABLE:
        wait = await limits.count_refused_code(name, address)
    return error if wait is None else TooManyRequests(wait, TOO_MANY_FAILURES)


def credentials(headers: Headers) -> tuple[str, str]:
    """The id and the secret of a request, in one spelling; empty where there is none. They are not verified."""
    name, secret = credentials_of(headers.get("authorization", ""))
    return name, secret or headers.get(WIDGET_SESSION, "")


def credentials_of(authorization: str) -> tuple[str, str]:
    """As `credentials`, of the value of the header alone."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() != "basic":
        return "", value
    try:
        name, _, secret = b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", value
    return unquote_plus(name), unquote_plus(secret)


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return canonical_address(client[0]) if client else None
