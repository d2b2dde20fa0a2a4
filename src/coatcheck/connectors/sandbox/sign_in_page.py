"""The page on which a customer of the sandbox bank signs in and allows an app to read: its HTML, without HTTP."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from coatcheck.connectors.sandbox.controls import CONTROLS

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


def form(sign_in: SignInForm, *, login: str = "mxuser", alarm: str = "") -> str:
    """The page with the form, which is posted to `authorize` beside it.

    Args:
        sign_in: its contents.
        login: the user name in the form.
        alarm: why the last answer was refused.
    """
    name = escape(sign_in.bank)
    fields = "\n".join(
        f'<input type="hidden" name="{key}" value="{escape(value)}">' for key, value in sign_in.hidden.items()
    )
    shared = "".join(f"<li>{escape(text)}</li>" for text in sign_in.shared)
    controls = "".join(f"<dt>+{name}</dt><dd>{escape(each.bank)}</dd>" for name, each in CONTROLS.items())
    return page(
        f"Sign in to {sign_in.bank}",
        f"""{sign_in.logo_svg or ""}
<h1>Sign in to {name}</h1>
<p>{escape(sign_in.app)} wants to read at {name}:</p>
<ul>{shared}</ul>
<form method="post" action="authorize">
{fields}
<label for="login">Username</label>
<input id="login" name="login" value="{escape(login)}" required maxlength="200" autocomplete="username"
 autocapitalize="none" spellcheck="false" aria-describedby="hint alarm">
<p id="hint" class="hint">Any name works and has accounts of its own.</p>
<p id="alarm" class="alarm" role="alert">{escape(alarm)}</p>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" formnovalidate>Deny</button>
</form>
<details><summary>For testers: controls to add to the name</summary><dl>{controls}</dl></details>""",
    )


def message(text: str) -> str:
    return page(text, f"<h1>{escape(text)}</h1><p>Go back to the app and start again.</p>")


def page(title: str, body: str) -> str:
    return _PAGE.substitute(title=escape(title), body=body)
