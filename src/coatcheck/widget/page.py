"""The widget's page. A link can be exchanged once for a session, whose token exists only in the page.

    GET /md/connect/<secret>  -> a valid link: the page, with the session's token and the first step
                              -> otherwise:    410, the page without them; its script continues the session that the
                                               tab keeps, or leaves the message

There is no cookie, because browsers block cookies in third-party frames. The page's script removes the secret from the
URL in the address bar.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.errors import InvalidToken, NotFound, Unavailable
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.design import TOKENS
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.i18n import choose_locale
from coatcheck.http.message_page import message
from coatcheck.http.static_files import StaticFolder
from coatcheck.members.widget_links import OPEN_PATH
from coatcheck.widget.i18n import translate
from coatcheck.widget.messages import LINK_EXPIRED, NO_SCRIPT, TITLE, UNAVAILABLE
from coatcheck.widget.modules import ENTRY, preloaded
from coatcheck.widget.opening import Opened, open_link
from coatcheck.widget.page_texts import page_texts
from coatcheck.widget.schemas import Boot

ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})
"""Escapes for JSON inside a script element, so that no text can end the element."""

TEMPLATE = Environment(
    loader=FileSystemLoader(str(files("coatcheck.widget") / "templates")),
    autoescape=True,
    undefined=StrictUndefined,
).get_template("page.html", globals={"tokens": TOKENS})


def page_routes(services: Services, static: StaticFolder) -> list[BaseRoute]:
    modules = [f"{static.base}/{name}" for name in preloaded(static.folder)]
    answer = partial(_answer, services, static.base, modules)
    return [
        Route(path, answer, methods=["GET"], middleware=COMPRESSED)
        for path in (f"{OPEN_PATH}{{secret}}", OPEN_PATH.rstrip("/"))
    ]


async def _answer(services: Services, static: str, modules: list[str], request: Request) -> Response:
    accept_language = request.headers.get("accept-language")
    locale = choose_locale(accept_language)
    if request.method == "HEAD":
        # Chat and mail programs preview links with HEAD, which must not use the link up.
        return Response(status_code=405, headers={"Allow": "GET", "Cache-Control": "no-store"})
    # A prefetch by the browser must not use the link up either.
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        return _message(503, locale, UNAVAILABLE)
    secret = request.path_params.get("secret", "")
    try:
        async with services.db.transaction() as connection:
            opened = await open_link(services, connection, secret, accept_language=accept_language)
    except (NotFound, InvalidToken):
        return _expired(locale, static, modules)
    except Unavailable:
        return _message(503, locale, UNAVAILABLE)
    return _page(opened, static, modules)


def _page(opened: Opened, static: str, modules: list[str]) -> Response:
    return render_page(
        opened.boot,
        static,
        script=ENTRY,
        modules=modules,
        color_scheme=opened.color_scheme,
        headers=page_headers(Policy.WIDGET, ancestors=" ".join(opened.appearance.origins) or "'self'"),
    )


def render_page(
    boot: Boot,
    static: str,
    *,
    script: str,
    modules: Sequence[str] = (),
    color_scheme: str,
    headers: Mapping[str, str],
) -> Response:
    """The page with the data that its script starts from."""
    page = TEMPLATE.render(
        lang=boot.locale,
        color_scheme=color_scheme,
        title=translate(boot.locale, TITLE),
        noscript=translate(boot.locale, NO_SCRIPT),
        loading=boot.messages["loading"],
        static=static,
        modules=modules,
        script=script,
        boot=Markup(msgspec.json.encode(boot).decode().translate(ESCAPES)),  # noqa: S704 (escaped just here)
        text=None,
    )
    return HTMLResponse(page, headers=headers)


def _expired(locale: str, static: str, modules: list[str]) -> Response:
    """The page behind a link that was opened before. Any site may frame it: its script checks who does."""
    title, text = (translate(locale, each) for each in LINK_EXPIRED)
    page = TEMPLATE.render(
        lang=locale,
        color_scheme="browser",
        title=title,
        noscript="",
        loading=page_texts(locale)["loading"],
        static=static,
        modules=modules,
        script=ENTRY,
        boot="null",
        text=text,
    )
    return HTMLResponse(page, 410, page_headers(Policy.WIDGET, ancestors="*"))


def _message(status: int, locale: str, texts: tuple[str, str]) -> Response:
    """A page in place of the widget. It has no controls, so any site may frame it."""
    title, text = (translate(locale, each) for each in texts)
    return message(status, title, text, lang=locale, ancestors="*")
