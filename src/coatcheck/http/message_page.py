"""A page that tells an end user one thing. It loads nothing but our own style and, where named, our own script."""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, Response

from coatcheck.http.headers import Policy, page_headers

NOTHING: Mapping[str, str] = MappingProxyType({})

_PAGES = Environment(loader=PackageLoader("coatcheck.http"), autoescape=select_autoescape())
STYLE = (files("coatcheck.http") / "templates" / "message.css").read_bytes()


def message(
    status: int,
    title: str,
    text: str,
    *,
    style: str,
    script: str | None = None,
    data: Mapping[str, str] = NOTHING,
    lang: str = "en",
    ancestors: str = "'none'",
) -> Response:
    """The page.

    Args:
        status: HTTP's.
        title: what happened, the page's only heading.
        text: what to do now.
        style: the path that serves `STYLE`.
        script: the path of a script.
        data: `data-` attributes of the page's `main`, for the script.
        lang: the language of the words.
        ancestors: who may frame it (CSP frame-ancestors).
    """
    page = _PAGES.get_template("message.html").render(
        title=title, text=text, style=style, script=script, data=data, lang=lang
    )
    return HTMLResponse(page, status, page_headers(Policy.MESSAGE, ancestors=ancestors))
