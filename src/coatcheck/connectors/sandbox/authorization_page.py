"""The authorization page of the sandbox's OAuth institutions (RFC 6749 4.1.1 and 4.1.2), as bare ASGI.

GET  authorize?...   the form with the user name, Allow and Deny
POST authorize       Allow: 303 to the client with a code; Deny: 303 with access_denied
GET  style.css
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from coatcheck.clock import Clock
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.connectors.sandbox import sign_in_page
from coatcheck.connectors.sandbox.consent import Consents, Grant
from coatcheck.connectors.sandbox.logins import parse_login
from coatcheck.connectors.sandbox.sign_in_page import SignInForm
from coatcheck.connectors.sandbox.translations import TRANSLATIONS
from coatcheck.errors import CredentialsDenied

CLIENT_ID = "coatcheck"
_MAX_BODY_BYTES = 16_384
_HTML, _CSS = b"text/html; charset=utf-8", b"text/css; charset=utf-8"
_SHARED = {
    JobKind.BALANCE: "your accounts and their balances",
    JobKind.AGGREGATION: "your transactions",
    JobKind.HISTORY: "your past transactions",
    JobKind.VERIFICATION: "your account and routing numbers",
    JobKind.IDENTIFICATION: "the names and addresses of the owners",
    JobKind.STATEMENT: "your statements",
}
_HEADERS = [(name.encode(), value.encode()) for name, value in sign_in_page.HEADERS.items()]


class _Reply(NamedTuple):
    status: int
    body: bytes = b""
    content_type: bytes = _HTML
    header: tuple[bytes, bytes] | None = None
    """In addition to `_HEADERS`."""


@dataclass(frozen=True, slots=True)
class _Request:
    """An authorization request that may be answered by a redirect."""

    institution: Institution
    grant: Grant
    state: str
    app: str
    """Who wants to read. Real banks look it up by the `client_id`, which every client of this server shares."""
    data: str
    """What it wants to read: kinds of jobs, separated by spaces."""
    language: str
    """Of the user (OpenID Connect Core 3.1.2.1)."""


class AuthorizationPages:
    """The ASGI application. It looks at the last segment of the path only, so it can be mounted anywhere."""

    def __init__(
        self, institutions: Mapping[str, Institution], consents: Consents, *, redirect_uri: str, clock: Clock
    ) -> None:
        self._institutions = institutions
        self._consents = consents
        self._redirect_uri = redirect_uri
        self._clock = clock

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        reply = await self._reply(scope, receive)
        headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.body))]
        headers += [*_HEADERS, *([reply.header] if reply.header else [])]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _reply(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> _Reply:
        page, method = scope["path"].rpartition("/")[2], scope["method"]
        if page not in {"authorize", "style.css"}:
            return _message(404, "There is no such page")
        allowed = ("GET", "HEAD", "POST") if page == "authorize" else ("GET", "HEAD")
        if method not in allowed:
            return _message(405, "Not this way", header=(b"allow", ", ".join(allowed).encode()))
        if page == "style.css":
            return _Reply(200, sign_in_page.STYLE, _CSS)
        if method != "POST":
            return self._answer(scope["query_string"], is_form=False)
        body = await _body(receive)
        return _message(413, "That is too much") if body is None else self._answer(body, is_form=True)

    def _answer(self, text: bytes, *, is_form: bool) -> _Reply:
        pairs = parse_qsl(text.decode("ascii", "replace"), keep_blank_values=True, errors="replace")
        given = dict(pairs)
        request = self._request_or_none(given)
        if request is None:
            return _message(400, "This link does not work")
        # A parameter must not be given twice (RFC 6749 3.1): two readers could use different ones.
        if len(given) != len(pairs) or not _is_complete(given):
            return _back(request, error="invalid_request")
        return self._decide(request, given) if is_form else _form(request)

    def _request_or_none(self, given: Mapping[str, str]) -> _Request | None:
        """None if the request must not be answered with a redirect (RFC 6749 4.1.2.1)."""
        institution = self._institutions.get(given.get("institution", ""))
        redirect_uri = given.get("redirect_uri", "")
        if institution is None or not institution.supports_oauth:
            return None
        # A redirect to an address that is not registered would give the code to whoever chose it.
        if redirect_uri != self._redirect_uri or given.get("client_id") != CLIENT_ID:
            return None
        grant = Grant(institution.code, redirect_uri, given.get("code_challenge", ""))
        app, data = given.get("app", ""), given.get("data", "")
        language = given.get("ui_locales", "")
        # Written into the page, so only a language that the bank has.
        language = language if language in TRANSLATIONS else "en"
        return _Request(institution, grant, given.get("state", ""), app, data, language)

    def _decide(self, request: _Request, given: Mapping[str, str]) -> _Reply:
        if given.get("decision") != "allow":
            return _back(request, error="access_denied")
        login = given.get("login", "").strip()
        try:
            parse_login(login)
        except CredentialsDenied as error:
            return _form(request, login=login, alarm=error.problem)
        if not login:
            return _form(request, alarm="Enter a username.")
        return _back(request, code=self._consents.issue_code(login, request.grant, self._clock.now()))


def _is_complete(given: Mapping[str, str]) -> bool:
    """Whether it has every parameter, with a code challenge by S256 (RFC 7636 4.3)."""
    return (
        given.get("response_type") == "code"
        and given.get("code_challenge_method") == "S256"
        and len(given.get("code_challenge", "")) == 43
        and bool(given.get("state"))
    )


def _back(request: _Request, **answer: str) -> _Reply:
    """A redirect to the client (RFC 6749 4.1.2 and 4.1.2.1)."""
    location = f"{request.grant.redirect_uri}?{urlencode({**answer, 'state': request.state})}"
    return _Reply(303, header=(b"location", location.encode()))


def _form(request: _Request, *, login: str = "mxuser", alarm: str = "") -> _Reply:
    institution = request.institution
    asked = {JobKind.BALANCE, *request.data.split()} if request.data else institution.supports
    page = sign_in_page.form(
        SignInForm(
            bank=institution.name,
            logo_svg=institution.logo_svg,
            app=request.app,
            shared=[text for kind, text in _SHARED.items() if kind in asked],
            hidden={
                "response_type": "code",
                "client_id": CLIENT_ID,
                "institution": institution.code,
                "redirect_uri": request.grant.redirect_uri,
                "state": request.state,
                "code_challenge": request.grant.code_challenge,
                "code_challenge_method": "S256",
                "app": request.app,
                "data": request.data,
                "ui_locales": request.language,
            },
            language=request.language,
        ),
        login=login,
        alarm=alarm,
    )
    return _Reply(422 if alarm else 200, page.encode())


def _message(status: int, text: str, *, header: tuple[bytes, bytes] | None = None) -> _Reply:
    return _Reply(status, sign_in_page.message(text).encode(), header=header)


async def _body(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> bytes | None:
    """The body; None if it is longer than 16 KiB."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > _MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body
