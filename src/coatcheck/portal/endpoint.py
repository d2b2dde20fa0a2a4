"""The handling of requests to the portal: the cookie of the session, the form, the handler, the page.

A session has a cookie of its own, which browsers send to its pages alone: the path of the cookie names the session. In
a frame of a client's page the cookie is kept apart from those of other sites (CHIPS, `Partitioned`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck import errors
from coatcheck.app import Services
from coatcheck.grants.portal_sessions import OPEN_PATH, StartedSession
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.errors import headers_of, nearest, status_of
from coatcheck.http.forms import Form, read_form, read_form_with_token
from coatcheck.http.i18n import DEFAULT, choose_locale
from coatcheck.http.message_page import message
from coatcheck.portal.request import PortalRequest, render
from coatcheck.portal.texts import FAILED, LINK_EXPIRED, REFUSALS, SESSION_OVER, translate

COOKIE = "coatcheck_portal"

Handler: TypeAlias = Callable[[PortalRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PortalRoute:
    """One row of the table of routes."""

    method: str
    path: str
    """Below `/portal/{session}`."""
    handler: Handler
    has_deadline: bool = True

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class OpeningRoute:
    """A row for the page behind a link, which has no session yet."""

    method: str
    path: str = f"{OPEN_PATH}{{secret}}"
    has_deadline: bool = True

    @property
    def operation(self) -> str:
        return f"{self.method} {OPEN_PATH}"


def opening_routes(services: Services, static: str) -> list[Route]:
    """The page behind a link. It asks first, because programs that preview links must not use the link up."""
    surface = Surface[OpeningRoute]("portal", partial(_open, services, static), refuse)
    return routes(surface, [OpeningRoute("GET"), OpeningRoute("POST")], middleware=COMPRESSED)


def session_routes(services: Services, static: str, table: tuple[PortalRoute, ...]) -> list[Route]:
    """The pages of a session."""
    surface = Surface[PortalRoute]("portal", partial(_answer, services, static), refuse)
    return routes(surface, table, prefix="/portal/{session}", middleware=COMPRESSED)


async def _open(services: Services, static: str, route: OpeningRoute, request: Request) -> Response:
    locale = choose_locale(request.query_params.get("locale"), request.headers.get("accept-language"))
    if route.method == "GET":
        # Any page may frame it: whose link it is, and so who may, is known when it is opened.
        return render("open", locale, ancestors=["*"], static=static)
    await read_form(request)
    try:
        async with services.db.transaction() as connection:
            started = await services.portal_sessions.open(
                connection, request.path_params["secret"], locale=locale
            )
    except (errors.NotFound, errors.InvalidToken):
        return _message(410, locale, LINK_EXPIRED)
    # 303, so that a reload loads the page and does not open the link, which works once.
    answer = RedirectResponse(f"/portal/{started.session.guid}", 303, {"Cache-Control": "no-store"})
    answer.headers["Set-Cookie"] = session_cookie(services, started)
    return answer


async def _answer(services: Services, static: str, route: PortalRoute, request: Request) -> Response:
    locale = choose_locale(request.headers.get("accept-language"))
    secret, guid = request.cookies.get(cookie_name(services, COOKIE), ""), request.path_params["session"]
    try:
        # Given back before the handler takes its own: requests that hold one and wait for another use up the pool.
        async with services.db.connection() as connection:
            session = await services.portal_sessions.find(connection, guid, secret)
    except errors.InvalidToken:
        return _message(403, locale, SESSION_OVER)
    form: Form = {}
    if route.method == "POST":
        form = await read_form_with_token(request, services.portal_sessions.form_token(secret))
    incoming = PortalRequest(
        services, session, secret, request.path_params, request.query_params, form, static
    )
    try:
        return await route.handler(incoming)
    # Here, because only here the language of the session is known.
    except errors.Refusal as error:
        if isinstance(error, errors.Unavailable):
            return refuse(error, route, session.locale)
        return await _refuse_within(incoming, error)


async def _refuse_within(request: PortalRequest, error: errors.CoatcheckError) -> Response:
    """As `refuse`, on a page of the session that leads back to its first page."""
    title, text = (translate(request.session.locale, each) for each in nearest(REFUSALS, error, FAILED))
    response = await request.page("message", title=title, text=text)
    response.status_code = status_of(error)
    response.headers.update(headers_of(error))
    return response


def refuse(error: errors.CoatcheckError, _route: object, locale: str = DEFAULT) -> Response:
    response = _message(status_of(error), locale, nearest(REFUSALS, error, FAILED))
    response.headers.update(headers_of(error))
    return response


def _message(status: int, locale: str, texts: tuple[str, str]) -> Response:
    """A page with what went wrong and what to do. It has no form, so any site may frame it."""
    title, text = (translate(locale, each) for each in texts)
    return message(status, title, text, lang=locale, ancestors="*")


def session_cookie(services: Services, started: StartedSession) -> str:
    """The value of Set-Cookie for a new session.

    The server's idle timeout ends the session before the browser forgets the cookie.
    """
    path = f"/portal/{started.session.guid}"
    # A client's page on another site may frame the portal, and only SameSite=None cookies are sent there.
    rest = "Secure; SameSite=None; Partitioned" if is_secure(services) else "SameSite=Lax"
    return f"{cookie_name(services, COOKIE)}={started.secret}; Path={path}; HttpOnly; {rest}"


def cookie_name(services: Services, name: str) -> str:
    """With https, a name that no http page can set (RFC 6265bis 4.1.3.1)."""
    return f"__Secure-{name}" if is_secure(services) else name


def is_secure(services: Services) -> bool:
    return services.settings.base_url.startswith("https://")
