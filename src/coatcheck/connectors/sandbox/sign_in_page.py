"""The page on which a customer of the sandbox bank signs in and allows an app to read: its HTML, without HTTP."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from string import Template

from coatcheck.connectors.sandbox.controls import CONTROLS
from coatcheck.connectors.sandbox.translations import translate

_HERE = Path(__file__)
_PAGE = Template(_HERE.with_suffix(".html").read_text(encoding="utf-8"))
STYLE = _HERE.with_suffix(".css").read_bytes()
"""What the pages link to as `style.css`."""
HEADERS = {
    # Without form-action: browsers apply it to the redirects after a form as well, and these lead through the
    # callback to the scheme of the client's app, such as `mx://`. No form can be injected here.
    "content-security-policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class SignInForm:
    bank: str
    logo_svg: str | None
    app: str
    """Who wants to read."""
    shared: Iterable[str]
    """What it wants to read."""
    hidden: Mapping[str, str]
    """The parameters that come back with the answer, beside `login` and `decision` (`allow` or `deny`)."""
    language: str = "en"
    """Of the page. The controls for testers are in English."""


def form(sign_in: SignInForm, *, login: str = "mxuser", alarm: str = "") -> str:
    """The page with the form, which is posted to `authorize` beside it.

    Args:
        sign_in: its contents.
        login: the user name in the form.
        alarm: why the last answer was refused.
    """
    fields = "\n".join(
        f'<input type="hidden" name="{key}" value="{escape(value)}">' for key, value in sign_in.hidden.items()
    )
    _ = partial(_translated, sign_in.language)
    shared = "".join(f"<li>{_(text)}</li>" for text in sign_in.shared)
    controls = "".join(f"<dt>+{name}</dt><dd>{escape(each.bank)}</dd>" for name, each in CONTROLS.items())
    title = translate("Sign in to {bank}", sign_in.language, bank=sign_in.bank)
    return page(
        title,
        f"""{sign_in.logo_svg or ""}
<h1>{escape(title)}</h1>
<p>{_("{app} wants to read at {bank}:", app=sign_in.app or _("An app"), bank=sign_in.bank)}</p>
<ul>{shared}</ul>
<form method="post" action="authorize">
{fields}
<label for="login">{_("Username")}</label>
<input id="login" name="login" value="{escape(login)}" required maxlength="200" autocomplete="username"
 autocapitalize="none" spellcheck="false" aria-describedby="hint alarm">
<p id="hint" class="hint">{_("Any name works and has accounts of its own.")}</p>
<p id="alarm" class="alarm" role="alert">{_(alarm)}</p>
<button name="decision" value="allow">{_("Allow")}</button>
<button name="decision" value="deny" formnovalidate>{_("Deny")}</button>
</form>
<details><summary>{_("For testers: controls to add to the name")}</summary><dl lang="en">{controls}</dl></details>""",
        sign_in.language,
    )


def message(text: str) -> str:
    return page(text, f"<h1>{escape(text)}</h1><p>Go back to the app and start again.</p>")


def page(title: str, body: str, language: str = "en") -> str:
    footer = _translated(language, "A sandbox bank: nobody's money, nobody's password.")
    return _PAGE.substitute(language=language, title=escape(title), body=body, footer=footer)


def _translated(language: str, text: str, **names: str) -> str:
    """As HTML."""
    return escape(translate(text, language, **names))
