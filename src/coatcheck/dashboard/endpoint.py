"""The handling of requests to the dashboard.

session --none--> sign-in page
|--the role may not--> 403
|--a form without its token--> 403
|--to be confirmed, and long since signed in--> confirmation page, and back
`--> handler --> page
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck import errors
from coatcheck.app import Services
from coatcheck.dashboard.cookies import SESSION, cookie_name
from coatcheck.dashboard.permissions import may
from coatcheck.dashboard.request import DashboardRequest, MenuEntry, render
from coatcheck.dashboard.route import DashboardRoute
from coatcheck.dashboard.texts import FAILED, REFUSALS, SESSION_OVER, WITH_PROBLEM, translate
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.errors import headers_of, nearest, status_of
from coatcheck.http.forms import Form, read_form_with_token
from coatcheck.http.headers import NO_STORE
from coatcheck.http.i18n import DEFAULT, choose_locale
from coatcheck.http.throttling import throttled
from coatcheck.request_context import Person, current_request
from coatcheck.staff.addresses import HOME
from coatcheck.staff.sessions import StaffSession

CONFIRM_PATH = f"{HOME}/confirm"
SIGN_IN_PATH = f"{HOME}/sign-in"


@dataclass(frozen=True, slots=True)
class PublicRequest:
    """A request without a session: to sign in."""

    services: Services
    request: Request
    locale: str
    static: str


PublicHandler: TypeAlias = Callable[[PublicRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """A row for a page that needs no session."""

    method: str
    path: str
    handler: PublicHandler
    has_deadline: bool = True

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


def public_routes(services: Services, static: str, table: Sequence[PublicRoute]) -> list[Route]:
    surface = Surface[PublicRoute](
        "dashboard", partial(_answer_public, services, static), partial(_refuse, static), answers_head=False
    )
    return routes(surface, table, prefix=HOME, middleware=COMPRESSED)


def session_routes(services: Services, static: str, table: Sequence[DashboardRoute]) -> list[Route]:
    surface = Surface[DashboardRoute](
        "dashboard", partial(_answer, services, static, table), partial(_refuse, static), answers_head=False
    )
    return routes(surface, table, prefix=HOME, middleware=COMPRESSED)


async def _answer_public(services: Services, static: str, route: PublicRoute, request: Request) -> Response:
    locale = choose_locale(request.headers.get("accept-language"))
    try:
        return await route.handler(PublicRequest(services, request, locale, static))
    except errors.Refusal as error:
        return _refuse(static, await throttled(error, request.scope), route, locale)


async def _answer(
    services: Services,
    static: str,
    table: Sequence[DashboardRoute],
    route: DashboardRoute,
    request: Request,
) -> Response:
    locale = choose_locale(request.headers.get("accept-language"))
    secret = request.cookies.get(cookie_name(services, SESSION), "")
    try:
        async with services.db.connection() as connection:
            session = await services.staff.sessions.find(connection, secret)
    except errors.InvalidToken:
        return _sign_in(static, route, request, locale)
    current_request.set(replace(current_request.get(), person=Person(session.staff_guid, session.name)))
    try:
        if not may(session.role, route.permission):
            raise errors.Forbidden
        form = await _read_form(services, route, request, secret)
        if route.needs_confirmation and not services.staff.sessions.is_confirmed(session):
            # A form is lost here. It is rare: its page asks for the confirmation before it shows the form.
            return RedirectResponse(f"{CONFIRM_PATH}?{_next(request)}", 303, NO_STORE)
        return await route.handler(
            DashboardRequest(
                services,
                session,
                secret,
                route.path,
                request.path_params,
                request.query_params,
                form,
                locale,
                static,
                _menu(table, session),
                request.cookies,
            )
        )
    except errors.Refusal as error:
        return _refuse(static, await throttled(error, request.scope), route, locale)


async def _read_form(services: Services, route: DashboardRoute, request: Request, secret: str) -> Form:
    """The form that a page of the session sent; empty for a request that sends none."""
    if route.method != "POST":
        return {}
    return await read_form_with_token(request, services.staff.sessions.form_token(secret))


def _sign_in(static: str, route: DashboardRoute, request: Request, locale: str) -> Response:
    """The sign-in page, which leads back. What a form contained is lost: it may not be sent twice."""
    if route.method == "GET":
        return RedirectResponse(f"{SIGN_IN_PATH}?{_next(request)}", 303, NO_STORE)
    return _message(static, 403, locale, SESSION_OVER)


def _next(request: Request) -> str:
    url = request.url
    return urlencode({"next": f"{url.path}?{url.query}" if url.query else url.path})


def _menu(table: Sequence[DashboardRoute], session: StaffSession) -> Sequence[MenuEntry]:
    return [
        MenuEntry(route.path, route.menu)
        for route in table
        if route.menu is not None and may(session.role, route.permission)
    ]


def _refuse(static: str, error: errors.CoatcheckError, _route: object, locale: str = DEFAULT) -> Response:
    title, text = nearest(REFUSALS, error, FAILED)
    if isinstance(error, WITH_PROBLEM):
        text = error.problem
    response = _message(static, status_of(error), locale, (title, text))
    response.headers.update(headers_of(error))
    return response


def _message(static: str, status: int, locale: str, texts: tuple[str, str]) -> Response:
    title, text = (translate(locale, each) for each in texts)
    return render("message", locale, static=static, http_status=status, title=title, text=text)
