"""The two cookies of the dashboard: that of a session, and that of a sign-in that was begun.

SameSite is Lax and not Strict: the identity provider of an organisation is another site, and it sends the browser back.
Forms do not depend on it: each has a token, and `Sec-Fetch-Site` is checked.
"""

from starlette.responses import Response

from coatcheck.app import Services
from coatcheck.staff.addresses import is_secure

SESSION = "coatcheck_staff"
SIGN_IN = "coatcheck_staff_sign_in"


def cookie_name(services: Services, name: str) -> str:
    """With https, a name that neither an http page nor another host of the domain can set (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{name}" if is_secure(services.settings) else name


def set_cookie(response: Response, services: Services, name: str, secret: str) -> None:
    """The browser forgets the cookie when it is closed; the server's timeouts end the session before."""
    response.set_cookie(
        cookie_name(services, name),
        secret,
        path="/",
        secure=is_secure(services.settings),
        httponly=True,
        samesite="lax",
    )


def remove_cookie(response: Response, services: Services, name: str) -> None:
    response.delete_cookie(
        cookie_name(services, name),
        path="/",
        secure=is_secure(services.settings),
        httponly=True,
        samesite="lax",
    )
