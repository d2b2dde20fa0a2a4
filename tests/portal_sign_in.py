"""Browsers that sign in to the portal with the identity provider of the tests."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from starlette.types import ASGIApp

from coatcheck.app import Services
from coatcheck.identity_provider import IdentityProvider
from coatcheck.server import create_app
from tests.factories import Keyed
from tests.identity_provider import REGISTRATION, Provider
from tests.staff import Window

SIGN_IN, RETURN = "/portal/sign-in", "/portal/sign-in/return"
UNKNOWN = "No account was found for this sign-in"


def with_claim(services: Services, client: Keyed, upstream: Provider, claim: str) -> Services:
    settings = replace(services.settings, portal_oidc_client_guid=client.guid, portal_oidc_claim=claim)
    registration = replace(REGISTRATION, return_url=settings.base_url + RETURN, claim=claim)
    provider = IdentityProvider(registration, services.clock, httpx.MockTransport(upstream.answer))
    return replace(services, settings=settings, portal_identity_provider=provider)


def window_of(services: Services, app: ASGIApp | None = None) -> Window:
    """A browser at the application of these services, or at this one."""
    transport = httpx.ASGITransport(app or create_app(services))
    return Window(httpx.AsyncClient(transport=transport, base_url=services.settings.base_url))


async def leads_to(window: Window) -> dict[str, str]:
    """What the provider is asked when a browser begins."""
    answer = await window.get(SIGN_IN)
    assert answer.status_code == 303, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def returning(query: Mapping[str, str]) -> str:
    """The address to which the provider leads back."""
    return f"{RETURN}?{urlencode(query)}"


async def comes_back(window: Window, upstream: Provider, **query: str) -> httpx.Response:
    """Signs in at the provider as `ann`, and returns with these parameters in place of the right ones."""
    asked = await leads_to(window)
    upstream.claims = {"nonce": asked["nonce"]} | upstream.claims
    return await window.get(returning({"code": "the code", "state": asked["state"]} | query))
