"""The credentials of a sandbox, and where its client's webhooks are sent."""

from dataclasses import replace

import pytest
from standardwebhooks import Webhook

from coatcheck.cli.credentials import ensure_credentials
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.events.endpoints import EndpointStatus, list_endpoints
from coatcheck.model.clients import find_client
from coatcheck.model.paging import PageRequest
from coatcheck.worker_services import run_pending
from tests.webhook_receiver import OK, receiving

pytestmark = pytest.mark.own_database
ELSEWHERE = "http://127.0.0.1:9/elsewhere"


@pytest.fixture
def settings(settings):
    return replace(settings, webhook_allow_private=True)


async def endpoints_of(services, credentials):
    async with services.db.connection() as connection:
        return (await list_endpoints(connection, credentials.client_id, PageRequest())).items


async def test_without_an_url_nothing_is_sent(services, tmp_path):
    credentials = await ensure_credentials(services, tmp_path)
    assert (credentials.webhook_endpoint, credentials.webhook_secret) == (None, None)
    assert await endpoints_of(services, credentials) == []


async def test_events_and_mxs_webhooks_are_sent_to_the_url_signed_with_one_secret(services, tmp_path):
    async with receiving(OK) as receiver:
        credentials = await ensure_credentials(services, tmp_path, webhooks_to=receiver.url)
        async with services.db.transaction() as connection:
            client = await find_client(connection, credentials.client_id)
            user = await services.users.create(connection, client.guid, {"metadata": "m"}, actor="a test")
        await run_pending(services)
    assert credentials.webhook_secret
    events = [
        Webhook(credentials.webhook_secret).verify(each.body, each.headers) for each in receiver.received
    ]
    assert [each["object"] for each in events if each.get("type") == "user.created"] == [user.guid]
    assert [each["user"]["guid"] for each in events if each.get("action") == "created"] == [user.guid]


async def test_the_next_start_keeps_the_endpoint_and_follows_the_url(services, tmp_path):
    first = await ensure_credentials(services, tmp_path, webhooks_to=ELSEWHERE)
    owner = Owner(first.client_id, is_processor=False)
    async with services.db.transaction() as connection:
        await services.webhook_endpoints.update(
            connection, owner, first.webhook_endpoint, EndpointChanges(status=EndpointStatus.PAUSED)
        )
    assert await ensure_credentials(services, tmp_path) == first, "without the option nothing changes"
    second = await ensure_credentials(services, tmp_path, webhooks_to=f"{ELSEWHERE}/2")
    assert second == first
    (endpoint,) = await endpoints_of(services, first)
    assert (endpoint.guid, endpoint.url) == (first.webhook_endpoint, f"{ELSEWHERE}/2")
    assert endpoint.status == EndpointStatus.ENABLED


async def test_an_endpoint_that_was_deleted_is_made_again(services, tmp_path):
    first = await ensure_credentials(services, tmp_path, webhooks_to=ELSEWHERE)
    owner = Owner(first.client_id, is_processor=False)
    async with services.db.transaction() as connection:
        await services.webhook_endpoints.delete(connection, owner, first.webhook_endpoint)
    second = await ensure_credentials(services, tmp_path, webhooks_to=ELSEWHERE)
    (endpoint,) = await endpoints_of(services, first)
    assert endpoint.guid == second.webhook_endpoint != first.webhook_endpoint
