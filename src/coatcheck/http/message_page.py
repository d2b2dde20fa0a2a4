"""A page with a message or question for an end user. It loads our own style sheet and, where named, our own script."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, Response

from coatcheck.errors import Unavailable
from coatcheck.http import design
from coatcheck.http.errors import headers_of, status_of
from coatcheck.http.headers import Policy, page_headers

_PAGES = Environment(loader=PackageLoader("coatcheck.http"), autoescape=select_autoescape())
_PAGES.globals |= {"tokens": design.TOKENS, "style": design.MESSAGE_STYLE}


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


@dataclass(frozen=True, slots=True)
class Link:
    address: str
    label: str


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
    page = _PAGES.get_template("message.html").render(title=title, text=text, script=script, lang=lang)
    headers = dict(page_headers(Policy.MESSAGE, ancestors=ancestors))
    # The page is not made from the error, whose headers a 503 needs.
    if status == status_of(Unavailable()):
        headers |= headers_of(Unavailable())
    return HTMLResponse(page, status, headers)


def question(title: str, text: str, form: Form, *, lang: str = "en") -> Response:
    """The page with a form. No other site may frame it, so that no click on it is led there."""
    page = _PAGES.get_template("message.html").render(title=title, text=text, form=form, lang=lang)
    return HTMLResponse(page, 200, page_headers(Policy.QUESTION, targets=form.targets))


def page_with_link(title: str, text: str, link: Link, *, lang: str = "en") -> Response:
    """The page with a link to where the user goes on."""
    page = _PAGES.get_template("message.html").render(title=title, text=text, link=link, lang=lang)
    return HTMLResponse(page, 200, page_headers(Policy.MESSAGE, ancestors="'none'"))
