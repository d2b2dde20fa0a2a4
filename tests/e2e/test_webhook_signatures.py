"""Receivers verify our webhooks with the libraries of Standard Webhooks and of Svix, unchanged."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace

import pytest
import standardwebhooks

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

pytestmark = [
    pytest.mark.own_database,
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / "svix").exists(), reason="no npm packages: `make setup` installs them"
    ),
]


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


async def test_npm_standardwebhooks_and_svix_verify_a_webhook_and_after_a_rotation_by_either_secret(
    services: Services, client: Keyed
) -> None:
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
    before, after = receiver.received
    for secret, received in ((old.secret, before), (old.secret, after), (new.secret, after)):
        assert verify_in_javascript(secret, received) == {"standardwebhooks": True, "svix": True}
        event = standardwebhooks.Webhook(secret).verify(received.body, received.headers)
        assert event == received.event
    refused = {"standardwebhooks": False, "svix": False}
    assert verify_in_javascript(new.secret, before) == refused
    assert verify_in_javascript(FOREIGN, after) == refused
    altered = Received(after.headers, after.body.replace(b"token.revoked", b"token.resumed"))
    assert verify_in_javascript(new.secret, altered) == refused
