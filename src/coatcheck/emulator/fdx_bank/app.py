"""The routes of the FDX bank, below `/sandbox-bank`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.app import Services
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.emulator.fdx_bank.answers import (
    FdxRefusal,
    OAuthRefusal,
    fdx_refused,
    oauth_refused,
)
from coatcheck.emulator.fdx_bank.authorization_server import AuthorizationServer
from coatcheck.emulator.fdx_bank.resources import Resources, UnreadableAnswer, answered
from coatcheck.errors import CoatcheckError, TooLarge, Unavailable

PREFIX = "/sandbox-bank"
FDX = f"{PREFIX}/fdx/v6"
METADATA = "/.well-known/oauth-authorization-server"
INSTITUTION = "mxbank"
"""Whose data the FDX bank has: it is another interface of MX Bank."""
TRUNCATED = b'{"page": {"totalElements": 12}, "acc'

Endpoint = Callable[[Request], Awaitable[Response]]


def fdx_bank_routes(services: Services) -> Sequence[Route]:
    """None without the sandbox bank, whose data it has."""
    bank = next((each for each in services.registry.connectors if isinstance(each, SandboxBank)), None)
    if bank is None:
        return ()
    institution = next(each for each in bank.institutions() if each.code == INSTITUTION)
    server = AuthorizationServer(services, institution, issuer=f"{services.settings.base_url}{PREFIX}")
    resources = Resources(services, bank, institution)
    account = f"{FDX}/accounts/{{account_id}}"
    consent = f"{FDX}/consents/{{consent_id}}"
    oauth = (
        ("GET", f"{METADATA}{PREFIX}", server.metadata),
        ("POST", f"{PREFIX}/oauth/register", server.register),
        ("POST", f"{PREFIX}/oauth/par", server.push),
        ("GET", f"{PREFIX}/oauth/authorize", server.authorize),
        ("POST", f"{PREFIX}/oauth/authorize", server.authorize),
        ("GET", f"{PREFIX}/oauth/style.css", server.style),
        ("POST", f"{PREFIX}/oauth/token", server.token),
        ("POST", f"{PREFIX}/oauth/revoke", server.revoke),
    )
    fdx = (
        ("GET", f"{FDX}/customers/current", resources.customer),
        ("GET", f"{FDX}/accounts", resources.accounts),
        ("GET", account, resources.account),
        ("GET", f"{account}/contact", resources.contact),
        ("GET", f"{account}/payment-networks", resources.payment_networks),
        ("GET", f"{account}/transactions", resources.transactions),
        ("GET", f"{account}/statements", resources.statements),
        ("GET", f"{account}/statements/{{statement_id}}", resources.statement),
        ("GET", consent, resources.consent),
        ("PUT", f"{consent}/revocation", resources.revoke_consent),
        ("GET", f"{consent}/revocation", resources.revocation),
    )
    return [
        *(Route(path, _oauth(endpoint), methods=[method]) for method, path, endpoint in oauth),
        *(Route(path, _fdx(endpoint), methods=[method]) for method, path, endpoint in fdx),
    ]


def _oauth(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuthRefusal as refusal:
            return oauth_refused(refusal)
        except CoatcheckError as error:
            return oauth_refused(
                OAuthRefusal(
                    "temporarily_unavailable" if isinstance(error, Unavailable) else "invalid_request",
                    error.problem,
                    _status_of(error),
                )
            )

    return answer


def _fdx(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return answered(request, await endpoint(request))
        except FdxRefusal as refusal:
            return answered(request, fdx_refused(refusal))
        except UnreadableAnswer:
            return answered(request, Response(TRUNCATED, media_type="application/json"))
        except CoatcheckError as error:
            status = _status_of(error)
            return answered(request, fdx_refused(FdxRefusal(status, status, error.problem)))

    return answer


def _status_of(error: CoatcheckError) -> int:
    if isinstance(error, TooLarge):
        return 413
    return 503 if isinstance(error, Unavailable) else 400
