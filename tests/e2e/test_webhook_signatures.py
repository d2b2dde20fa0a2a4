"""Receivers verify our webhooks with the libraries of Standard Webhooks and of Svix, unchanged."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import standardwebhooks
import svix

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.events.catalogue import EventType
from coatcheck.worker_services import run_pending
from tests.factories import Keyed
from tests.guides import ROOT
from tests.node import node
from tests.webhook_receiver import OK, Received, receiving

FOLDER = ROOT / "tests" / "oauth_clients"
FOREIGN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

pytestmark = pytest.mark.own_database
needs_npm = pytest.mark.skipif(
    not (FOLDER / "node_modules" / "svix").exists(), reason="no npm packages: `make setup` installs them"
)


@dataclass(frozen=True)
class Rotated:
    """The secrets of an endpoint, and what it received before and after their rotation."""

    old: str
    new: str
    before: Received
    after: Received


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, webhook_allow_private=True)


def verify_in_javascript(secret: str, received: Received) -> Mapping[str, bool]:
    given = {"secret": secret, "headers": received.headers, "body": received.body.decode()}
    done = subprocess.run(
        [node(), "webhooks.js"],
        cwd=FOLDER,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    printed: dict[str, bool] = json.loads(done.stdout)
    return printed


@pytest.fixture
async def rotated(services: Services, client: Keyed) -> Rotated:
    owner, endpoints = Owner(client.guid, is_processor=False), services.webhook_endpoints
    async with receiving(OK) as receiver:
        async with services.db.transaction() as connection:
            old = await endpoints.create(connection, owner, EndpointChanges(url=receiver.url))
            await endpoints.test(connection, owner, old.endpoint.guid, EventType.TOKEN_REVOKED)
        await run_pending(services)
        async with services.db.transaction() as connection:
            new = await endpoints.rotate_secret(connection, owner, old.endpoint.guid)
            await endpoints.test(connection, owner, old.endpoint.guid, EventType.TOKEN_REVOKED)
        await run_pending(services)
    return Rotated(old.secret, new.secret, *receiver.received)


def altered(received: Received) -> Received:
    return Received(received.headers, received.body.replace(b"token.revoked", b"token.resumed"))


@needs_npm
def test_npm_standardwebhooks_and_svix_verify_a_webhook_and_after_a_rotation_by_either_secret(
    rotated: Rotated,
) -> None:
    for secret, received in (
        (rotated.old, rotated.before),
        (rotated.old, rotated.after),
        (rotated.new, rotated.after),
    ):
        assert verify_in_javascript(secret, received) == {"standardwebhooks": True, "svix": True}
    refused = {"standardwebhooks": False, "svix": False}
    assert verify_in_javascript(rotated.new, rotated.before) == refused
    assert verify_in_javascript(FOREIGN, rotated.after) == refused
    assert verify_in_javascript(rotated.new, altered(rotated.after)) == refused


@pytest.mark.parametrize(
    ("library", "refusal"),
    [
        (standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError),
        (svix.Webhook, svix.WebhookVerificationError),
    ],
    ids=["standardwebhooks", "svix"],
)
def test_pypi_standardwebhooks_and_svix_verify_a_webhook_and_after_a_rotation_by_either_secret(
    rotated: Rotated, library: Any, refusal: type[Exception]
) -> None:
    for secret, received in (
        (rotated.old, rotated.before),
        (rotated.old, rotated.after),
        (rotated.new, rotated.after),
    ):
        library(secret).verify(received.body, received.headers)  # raises if it is forged
    for secret, received in (
        (rotated.new, rotated.before),
        (FOREIGN, rotated.after),
        (rotated.new, altered(rotated.after)),
    ):
        with pytest.raises(refusal):
            library(secret).verify(received.body, received.headers)
