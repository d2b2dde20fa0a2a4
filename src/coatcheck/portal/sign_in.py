"""Sign-in to the portal with the operator's own identity provider (OpenID Connect).

    GET /portal/sign-in    begins a sign-in: its secret is in a cookie; leads to the provider
    GET .../return         the provider's answer --> the session that a link gives

The claim `portal_oidc_claim` is the `id` of a user of the client `portal_oidc_client_guid`. No user is created. Neither
address takes a target: who has signed in comes to the overview. The cell 0 answers; the session is in the user's cell.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coatcheck.app import Services
from coatcheck.cell_digit import in_cell
from coatcheck.errors import NotFound, Refusal, SignInFailed
from coatcheck.grants.portal_sessions import RETURN_PATH, SIGN_IN_PATH
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.headers import NO_STORE
from coatcheck.http.i18n import choose_locale
from coatcheck.http.throttling import throttled
from coatcheck.portal.endpoint import cookie_name, is_secure, refuse, session_cookie
from coatcheck.portal.user_cells import UserCells
from coatcheck.staff.sign_ins import Purpose

COOKIE = "coatcheck_portal_sign_in"


@dataclass(frozen=True, slots=True)
class SignInRoute:
    """A row for a page of the sign-in, which has no session yet."""

    path: str
    handler: Callable[[Services, Request], Awaitable[Response]]
    method: str = "GET"
    has_deadline: bool = True

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


def sign_in_routes(services: Services, user_cells: UserCells) -> list[Route]:
    surface = Surface[SignInRoute]("portal", partial(_answer, services), refuse, answers_head=False)
    table = (
        SignInRoute(SIGN_IN_PATH, lead_to_provider),
        SignInRoute(RETURN_PATH, partial(return_from_provider, user_cells)),
    )
    return routes(surface, table)


async def _answer(services: Services, route: SignInRoute, request: Request) -> Response:
    try:
        if not services.portal_identity_provider.is_configured:
            raise NotFound
        return await route.handler(services, request)
    except Refusal as error:
        return refuse(await throttled(error, request.scope), route, _locale(request))


async def lead_to_provider(services: Services, _request: Request) -> Response:
    """Begins a sign-in, and leads the browser to the provider.

    Raises:
        Unavailable: it does not answer.
    """
    sign_ins = services.staff.sign_ins
    async with services.db.connection() as connection:
        secret = await sign_ins.begin(connection, Purpose.PORTAL, next_path="")
    url = await services.portal_identity_provider.sign_in_url(
        state=sign_ins.state(secret),
        nonce=sign_ins.nonce(secret),
        code_verifier=sign_ins.code_verifier(secret),
    )
    response = RedirectResponse(url, 303, {**NO_STORE, "Referrer-Policy": "no-referrer"})
    _set_cookie(response, services, secret)
    return response


async def return_from_provider(user_cells: UserCells, services: Services, request: Request) -> Response:
    """The answer of the provider.

    Raises:
        SignInFailed: the provider refused, or its answer belongs to another browser or was used.
        UnknownUser: the client has no user with this claim, or two in different cells, or it is disabled.
    """
    secret, query = request.cookies.get(cookie_name(services, COOKIE), ""), request.query_params
    sign_ins = services.staff.sign_ins
    if not secrets.compare_digest(query.get("state", "").encode(), sign_ins.state(secret).encode()):
        raise SignInFailed(detail="state")
    async with services.db.connection() as connection:
        found = await sign_ins.finish(connection, secret)
    if found.purpose is not Purpose.PORTAL:
        raise SignInFailed(detail=f"a sign-in for {found.purpose}")
    if (code := query.get("code")) is None:
        raise SignInFailed(detail=f"identity provider: {query.get('error', '')[:100]}")
    # No transaction is open while the provider is asked.
    identity = await services.portal_identity_provider.identity(
        code, nonce=sign_ins.nonce(secret), code_verifier=sign_ins.code_verifier(secret)
    )
    client_guid = services.settings.portal_oidc_client_guid
    digit, of_user = await user_cells.find(client_guid, identity.claim)
    # The session's guid and secret name the cell, which answers all that follows.
    with in_cell(digit):
        async with of_user.db.transaction() as connection:
            started = await of_user.portal_sessions.sign_in(
                connection, client_guid, identity.claim, locale=_locale(request)
            )
    response = RedirectResponse(f"/portal/{started.session.guid}", 303, NO_STORE)
    response.headers.append("Set-Cookie", session_cookie(services, started))
    _set_cookie(response, services, "", "; Max-Age=0")
    return response


def _locale(request: Request) -> str:
    return choose_locale(request.headers.get("accept-language"))


def _set_cookie(response: Response, services: Services, secret: str, rest: str = "") -> None:
    # Lax: the provider is another site, and it sends the browser back.
    secure = "; Secure" if is_secure(services) else ""
    name, path = cookie_name(services, COOKIE), SIGN_IN_PATH
    response.headers.append(
        "Set-Cookie", f"{name}={secret}; Path={path}; HttpOnly; SameSite=Lax{secure}{rest}"
    )
