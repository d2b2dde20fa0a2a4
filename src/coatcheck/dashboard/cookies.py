"""The two cookies of the dashboard: that of a session, and that of a sign-in that was begun.

SameSite is Lax and not Strict: the identity provider of an organisation is another site, and it sends the browser back.
Forms do not depend on it: each has a token, and `Sec-Fetch-Site` is checked.
"""

from starlette.responses import RedirectResponse, Response

from coatcheck.app import Services
from coatcheck.http.headers import NO_STORE
from coatcheck.staff.addresses import is_secure
from coatcheck.staff.sessions import StartedSession

SESSION = "coatcheck_staff"
SIGN_IN = "coatcheck_staff_sign_in"


def cookie_name(services: Services, name: str) -> str:
    """With https, a name that neither an http page nor another host of the domain can set (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{name}" if is_secure(services.settings) else name


def set_cookie(response: Response, services: Services, name: str, secret: str) -> None:
    """The browser forgets the cookie when it is closed; the server's timeouts end the session before."""
    _append(response, services, f"{cookie_name(services, name)}={secret}")


def signed_in(services: Services, started: StartedSession, next_path: str) -> Response:
    """The response that gives the browser a new session, or a session's new secret, and leads on."""
    response = RedirectResponse(next_path, 303, NO_STORE)
    set_cookie(response, services, SESSION, started.secret)
    remove_cookie(response, services, SIGN_IN)
    return response


def remove_cookie(response: Response, services: Services, name: str) -> None:
    _append(response, services, f"{cookie_name(services, name)}=; Max-Age=0")


def _append(response: Response, services: Services, cookie: str) -> None:
    secure = "; Secure" if is_secure(services.settings) else ""
    response.headers.append("Set-Cookie", f"{cookie}; Path=/; HttpOnly; SameSite=Lax{secure}")
