"""A page with a message or question for an end user. It loads our own style sheet and, where named, our own script."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from coatcheck.errors import Unavailable
from coatcheck.http.errors import headers_of, status_of
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.static_files import file_route

STYLE_PATH = "/oauth/style.css"
MAX_AGE = 3600
"""Seconds that a browser keeps the style sheet and the scripts of these pages."""

_TEMPLATES = Path(str(files("coatcheck.http"))) / "templates"
_PAGES = Environment(loader=PackageLoader("coatcheck.http"), autoescape=select_autoescape())


@dataclass(frozen=True, slots=True)
class Script:
    path: str
    data: Mapping[str, str]
    """`data-` attributes of the page's `main`, which the script reads."""


@dataclass(frozen=True, slots=True)
class Form:
    """The buttons of a question."""

    action: str
    fields: Mapping[str, str] = field(repr=False)
    """Hidden fields."""
    name: str
    """The field that contains the value of the button."""
    buttons: Mapping[str, str]
    """The label by value. The first is the answer that goes on."""
    targets: str = ""
    """Where the answer may redirect to, beside this origin (CSP `form-action`)."""


def message(
    status: int,
    title: str,
    text: str,
    *,
    script: Script | None = None,
    lang: str = "en",
    ancestors: str = "'none'",
) -> Response:
    """The page.

    Args:
        status: the HTTP status.
        title: what happened; the only heading.
        text: what to do next.
        script: the page's script.
        lang: the language of title and text.
        ancestors: the origins that may frame it (CSP `frame-ancestors`).
    """
    page = _PAGES.get_template("message.html").render(
        title=title, text=text, style=STYLE_PATH, script=script, lang=lang
    )
    headers = dict(page_headers(Policy.MESSAGE, ancestors=ancestors))
    if status == status_of(Unavailable()):
        headers |= headers_of(Unavailable())
    return HTMLResponse(page, status, headers)


def question(title: str, text: str, form: Form, *, lang: str = "en") -> Response:
    """The page with a form. No other site may frame it, so that no click on it is led there."""
    page = _PAGES.get_template("message.html").render(
        title=title, text=text, style=STYLE_PATH, form=form, lang=lang
    )
    return HTMLResponse(page, 200, page_headers(Policy.QUESTION, targets=form.targets))


def style_route() -> Route:
    """The style sheet of the page."""
    return file_route(STYLE_PATH, _TEMPLATES / "message.css", max_age=MAX_AGE)
