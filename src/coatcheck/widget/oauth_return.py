"""The return from a bank's own sign-in page.

    GET /oauth/callback?state=...&code=...    the user gave access (RFC 6749 4.1.2)
    GET /oauth/callback?state=...&error=...   the user or the bank did not (RFC 6749 4.1.2.1)

The answer is a redirect into the client's app, or a page that posts the result to the window which opened it. The
widget also reads the result from its OAuth state.
"""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.errors import Refusal, Unavailable
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.message_page import MAX_AGE, Script, message, style_route
from coatcheck.http.static_files import file_route
from coatcheck.members.oauth import RETURN_PATH, ClaimedWindow
from coatcheck.widget.i18n import choose_locale, translate
from coatcheck.widget.messages import CONNECTED, INTERNAL_ERROR, LINK_EXPIRED, NOT_CONNECTED, UNAVAILABLE

SCRIPT_PATH = "/oauth/result.js"
SCRIPT = Path(str(files("coatcheck.widget"))) / "oauth_result.js"
HEADERS = page_headers(Policy.MESSAGE)

log = structlog.get_logger(__name__)


def return_routes(services: Services) -> list[BaseRoute]:
    return [
        Route(RETURN_PATH, partial(_callback, services), methods=["GET"]),
        style_route(),
        file_route(SCRIPT_PATH, SCRIPT, max_age=MAX_AGE),
    ]


async def _callback(services: Services, request: Request) -> Response:
    if request.method == "HEAD":
        # Starlette routes HEAD with GET. A preview of the URL must not use the state up.
        return Response(status_code=405, headers={"Allow": "GET", **HEADERS})
    locale = choose_locale(request.headers.get("accept-language"))
    try:
        return await _answer(services, request.query_params, locale)
    except Unavailable:
        return _message(503, locale, UNAVAILABLE)
    except Refusal:
        return _message(410, locale, LINK_EXPIRED)
    except Exception as error:  # noqa: BLE001 (an unknown exception must not disclose its message)
        log.error("oauth.failed", error=type(error).__name__)  # noqa: TRY400 (its text may quote the bank's code)
        return _message(500, locale, INTERNAL_ERROR)


async def _answer(services: Services, query: QueryParams, locale: str) -> Response:
    """Consumes the state and redirects the end user as the client requested.

    Args:
        services: the application's parts.
        query: the parameters that the bank sent.
        locale: the language of the browser, for a window that was opened without a locale.

    Raises:
        NotFound: the link is unknown, expired or used, or its member, user or client is deleted or disabled.
    """
    # Committed before the bank is called, so that a second return with this state is refused in the meantime.
    async with services.db.transaction() as connection:
        claimed = await services.oauth.claim(connection, query.get("state", ""))
    error_reason = await services.oauth.finish(claimed, code=query.get("code"), error=query.get("error"))
    answer = {"status": "error" if error_reason else "success", "member_guid": claimed.member.guid}
    if error_reason:
        answer["error_reason"] = error_reason
    window = claimed.attempt.window
    if url := window.return_target.redirect_url(answer):
        return RedirectResponse(url, 303, HEADERS)
    return _result(claimed, error_reason, window.locale or locale)


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
