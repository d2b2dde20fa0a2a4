"""The window in which an end user signs in at a bank: its beginning and its end.

    GET  /oauth/window/{state}                  gives the browser a cookie and leads it to the bank
    GET  /oauth/callback?state=...&code=...     the user gave access (RFC 6749 4.1.2): asks whether to connect
    POST /oauth/callback                        the answer to the question
    GET  /oauth/callback?state=...&error=...    the user or the bank did not give access (RFC 6749 4.1.2.1)

Only the browser with the cookie can end the sign-in (RFC 9700 4.7). The last answer is a redirect into the client's
app, or a page that posts the result to the window which opened it. The widget also reads the result from its OAuth
state.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.deadline import within
from coatcheck.errors import InvalidRequest, Refusal, TooLarge, Unavailable, WrongBrowser
from coatcheck.http.bodies import read_body
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.i18n import choose_locale
from coatcheck.http.message_page import Form, Script, message, question
from coatcheck.http.static_files import file_route
from coatcheck.members.oauth import OWN_PAGE, RETURN_PATH, START_PATH
from coatcheck.members.oauth_windows import ClaimedWindow, ReturnedWindow, StartedWindow
from coatcheck.widget.i18n import translate
from coatcheck.widget.messages import (
    CONFIRM,
    CONFIRM_LABELS,
    CONNECTED,
    INTERNAL_ERROR,
    LINK_EXPIRED,
    NOT_CONNECTED,
    UNAVAILABLE,
    WRONG_BROWSER,
)

SCRIPT_PATH = "/oauth/result.js"
SCRIPT = Path(str(files("coatcheck.widget"))) / "oauth_result.js"
SCRIPT_SECONDS = 3600
"""How long a browser keeps the script."""
HEADERS = page_headers(Policy.MESSAGE)
COOKIE = "coatcheck_window"
ISSUER = "iss"
"""The parameter with which the bank says who it is (RFC 9207)."""
DECISION, CONNECT, CANCEL = "decision", "connect", "cancel"
ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
"""The routes answer 405 themselves, with a page's headers."""
MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 10

log = structlog.get_logger(__name__)

Answer = Callable[[Services, Request, str], Awaitable[Response]]


def return_routes(services: Services) -> list[BaseRoute]:
    return [
        Route(f"{START_PATH}{{state}}", partial(_page, services, {"GET": _start}), methods=ANY),
        Route(RETURN_PATH, partial(_page, services, {"GET": _return, "POST": _decide}), methods=ANY),
        file_route(SCRIPT_PATH, SCRIPT, max_age=SCRIPT_SECONDS),
    ]


async def _page(services: Services, methods: Mapping[str, Answer], request: Request) -> Response:
    # HEAD is refused: a preview of the URL must not use the state up, nor bind it to the previewing program.
    if request.method not in methods:
        return Response(status_code=405, headers={"Allow": ", ".join(methods), **HEADERS})
    locale = choose_locale(request.headers.get("accept-language"))
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        return _message(503, locale, UNAVAILABLE)
    try:
        return await methods[request.method](services, request, locale)
    except Unavailable:
        return _message(503, locale, UNAVAILABLE)
    except WrongBrowser:
        return _message(403, locale, WRONG_BROWSER)
    except (InvalidRequest, TooLarge):
        return _message(400, locale, LINK_EXPIRED)
    except Refusal:
        return _message(410, locale, LINK_EXPIRED)
    except Exception as error:  # noqa: BLE001 (an unknown exception must not disclose its message)
        log.error("oauth.failed", error=type(error).__name__)  # noqa: TRY400 (its text may quote the bank's code)
        return _message(500, locale, INTERNAL_ERROR)


async def _start(services: Services, request: Request, _locale: str) -> Response:
    async with services.db.transaction() as connection:
        started = await services.oauth.start(
            connection,
            request.path_params["state"],
            request.cookies.get(_cookie_name(services)),
            site=request.headers.get("sec-fetch-site"),
        )
    answer = RedirectResponse(started.url, 303, HEADERS)
    _set_cookie(services, answer, started)
    return answer


async def _return(services: Services, request: Request, locale: str) -> Response:
    """Asks the user whether to connect; ends the sign-in if the bank gave no access."""
    query, browser = request.query_params, request.cookies.get(_cookie_name(services))
    state, code = query.get("state", ""), query.get("code")
    if not code or query.get("error"):
        return await _finish(services, state, browser, locale, code=code, error=query.get("error"))
    async with services.db.transaction() as connection:
        returned = await services.oauth.returned(connection, state, browser)
    return _ask(returned, {"state": state, "code": code, ISSUER: query.get(ISSUER, "")}, locale)


async def _decide(services: Services, request: Request, locale: str) -> Response:
    """The user's answer. The cookie is not sent with a form of another site, nor does a browser say it is ours."""
    if request.headers.get("sec-fetch-site", OWN_PAGE) != OWN_PAGE:
        raise WrongBrowser
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        form = dict(parse_qsl(body.decode("ascii"), max_num_fields=MAX_FORM_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidRequest from None
    state, browser = form.get("state", ""), request.cookies.get(_cookie_name(services))
    if form.get(DECISION) == CONNECT and form.get("code"):
        return await _finish(services, state, browser, locale, code=form["code"], iss=form.get(ISSUER))
    return await _finish(services, state, browser, locale, is_cancelled=True)


async def _finish(
    services: Services,
    state: str,
    browser: str | None,
    locale: str,
    *,
    is_cancelled: bool = False,
    **answer: str | None,
) -> Response:
    """Uses the state up and sends the end user where the client wants."""
    # Committed before the bank is called, so that a second return with this state is refused in the meantime.
    async with services.db.transaction() as connection:
        claimed = await services.oauth.claim(connection, state, browser)
    # The bank may take longer than our requests, and what it gives must be stored all the same.
    with within(None):
        if is_cancelled:
            error_reason: str | None = await services.oauth.cancel(claimed)
        else:
            error_reason = await services.oauth.finish(
                claimed, code=answer.get("code"), error=answer.get("error"), issuer=answer.get(ISSUER)
            )
    result = {"status": "error" if error_reason else "success", "member_guid": claimed.member.guid}
    if error_reason:
        result["error_reason"] = error_reason
    window = claimed.attempt.window
    if url := window.return_target.redirect_url(result):
        return RedirectResponse(url, 303, HEADERS)
    return _result(claimed, error_reason, window.locale or locale)


def _ask(returned: ReturnedWindow, answer: Mapping[str, str], locale: str) -> Response:
    window = returned.attempt.window
    locale = window.locale or locale
    names = {"name": returned.member.name, "client": returned.client_name, "user": returned.user_name}
    title, text = (translate(locale, each, **names) for each in CONFIRM)
    connect, cancel = (translate(locale, each) for each in CONFIRM_LABELS)
    form = Form(
        RETURN_PATH,
        {name: value for name, value in answer.items() if value},
        DECISION,
        {CONNECT: connect, CANCEL: cancel},
        window.return_target.redirect_source,
    )
    return question(title, text, form, lang=locale)


def _result(claimed: ClaimedWindow, error_reason: str | None, locale: str) -> Response:
    """The page for a browser window. Its script posts the result to the window that opened it."""
    data = {
        "type": "oauthComplete/error" if error_reason else "oauthComplete/success",
        "member-guid": claimed.member.guid,
    }
    if error_reason:
        data["error-reason"] = error_reason
    if claimed.origins:
        data["origins"] = " ".join(claimed.origins)
    texts = NOT_CONNECTED if error_reason else CONNECTED
    return _message(200, locale, texts, name=claimed.member.name, script=Script(SCRIPT_PATH, data))


def _message(status: int, locale: str, texts: tuple[str, str], *, name: str = "", **more: Any) -> Response:
    title, text = (translate(locale, each, name) for each in texts)
    return message(status, title, text, lang=locale, **more)


def _cookie_name(services: Services) -> str:
    """With https, a name that no other host of the domain and no http page can set (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{COOKIE}" if _is_secure(services) else COOKIE


def _is_secure(services: Services) -> bool:
    return services.settings.base_url.startswith("https://")


def _set_cookie(services: Services, response: Response, started: StartedWindow) -> None:
    response.set_cookie(
        _cookie_name(services),
        started.browser,
        max_age=int(started.lifetime.total_seconds()),
        path="/",
        secure=_is_secure(services),
        httponly=True,
        # Lax, because the bank sends the browser back with a link of another site.
        samesite="lax",
    )
