"""The return from a bank's own sign-in page.

    GET /oauth/callback?state=...&code=...    the bank sends the user back (RFC 6749 4.1.2)
    GET /oauth/callback?state=...&error=...   or says that nothing came of it (RFC 6749 4.1.2.1)

The answer is a redirect into the client's app, or a page that tells the window which opened this one. The widget
also finds it in the window's OAuth state.
"""

from functools import partial
from importlib.resources import files
from typing import Any

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.errors import Refusal, Unavailable
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.message_page import STYLE, message
from coatcheck.members.oauth import RETURN_PATH, ClaimedWindow
from coatcheck.widget.messages import (
    LATER,
    LINK_OVER,
    NOT_SIGNED_IN,
    OUR_FAULT,
    SIGNED_IN,
    choose_locale,
    say,
)

STYLE_PATH = "/oauth/style.css"
SCRIPT_PATH = "/oauth/result.js"
SCRIPT = (files("coatcheck.widget") / "oauth_result.js").read_bytes()
HEADERS = page_headers(Policy.MESSAGE)
CACHED = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}

log = structlog.get_logger(__name__)


def return_routes(services: Services) -> list[BaseRoute]:
    return [
        Route(RETURN_PATH, partial(_callback, services), methods=["GET"]),
        Route(STYLE_PATH, _style),
        Route(SCRIPT_PATH, _script),
    ]


async def _callback(services: Services, request: Request) -> Response:
    if request.method == "HEAD":
        # A look without a click must not use up the link.
        return Response(status_code=405, headers={"Allow": "GET", **HEADERS})
    locale = choose_locale(request.headers.get("accept-language"))
    try:
        return await _answer(services, request.query_params, locale)
    except Unavailable:
        return _message(503, locale, LATER)
    except Refusal:
        return _message(410, locale, LINK_OVER)
    except Exception as error:  # noqa: BLE001 (the last net: an unknown failure says nothing to the user)
        log.error("oauth.failed", error=type(error).__name__)  # noqa: TRY400 (its text may quote the bank's code)
        return _message(500, locale, OUR_FAULT)


async def _answer(services: Services, given: QueryParams, locale: str) -> Response:
    """Uses up the link, and brings the end user to where the client wants them.

    Args:
        services: the house.
        given: what the bank sent back.
        locale: the browser's, for a window that was opened without one.

    Raises:
        NotFound: the link is unknown, expired or used, or what it was for is gone.
    """
    async with services.db.transaction() as connection:
        claimed = await services.oauth.claim(connection, given.get("state", ""))
    error_reason = await services.oauth.finish(claimed, code=given.get("code"), error=given.get("error"))
    answer = {"status": "error" if error_reason else "success", "member_guid": claimed.member.guid}
    if error_reason:
        answer["error_reason"] = error_reason
    window = claimed.attempt.window
    if url := window.return_target.redirect_url(answer):
        return RedirectResponse(url, 303, HEADERS)
    return _result(claimed, error_reason, window.locale or locale)


def _result(claimed: ClaimedWindow, error_reason: str | None, locale: str) -> Response:
    """The page for a browser window; its script passes the news on to whoever opened it."""
    data = {
        "type": "oauthComplete/error" if error_reason else "oauthComplete/success",
        "member-guid": claimed.member.guid,
    }
    if error_reason:
        data["error-reason"] = error_reason
    if claimed.origins:
        data["origins"] = " ".join(claimed.origins)
    words = NOT_SIGNED_IN if error_reason else SIGNED_IN
    return _message(200, locale, words, name=claimed.member.name, script=SCRIPT_PATH, data=data)


def _message(status: int, locale: str, words: tuple[str, str], *, name: str = "", **more: Any) -> Response:
    title, text = (say(locale, each, name) for each in words)
    return message(status, title, text, style=STYLE_PATH, lang=locale, **more)


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css", headers=CACHED)


async def _script(_: Request) -> Response:
    return Response(SCRIPT, media_type="text/javascript", headers=CACHED)
