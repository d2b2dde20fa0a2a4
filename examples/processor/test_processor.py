"""The processor against a real Coatcheck, which the fixtures of its pytest plugin start."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from processor import create_app
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from coatcheck.testing.sandbox import Sandbox
from coatcheck.testing.webhook_inbox import WebhookInbox


@pytest.fixture
def processor(coatcheck: Sandbox, coatcheck_processor_webhooks: WebhookInbox) -> Iterator[TestClient]:
    key = coatcheck.processors[0]
    app = create_app(
        httpx.AsyncClient(base_url=coatcheck.base_url, trust_env=False, timeout=30),
        key.processor_id,
        key.api_key,
        coatcheck_processor_webhooks.secret,
    )
    with TestClient(app) as client:
        yield client


def share(coatcheck: Sandbox, processor: TestClient) -> str:
    """The path of an account that was shared with the processor."""
    answer = processor.post("/accounts", json={"authorization_code": coatcheck.code().code})
    assert answer.status_code == 201
    return f"/accounts/{answer.json()['id']}"


def deliver(inbox: WebhookInbox, processor: TestClient, event: dict) -> int:
    """Sends the processor a webhook as Coatcheck signs it."""
    now, body = datetime.now(UTC), json.dumps(event)
    headers = {
        "webhook-id": event["guid"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(inbox.secret).sign(event["guid"], now, body),
    }
    return processor.post("/webhooks", content=body, headers=headers).status_code


def test_a_shared_account_has_numbers(coatcheck: Sandbox, processor: TestClient) -> None:
    shown = processor.get(share(coatcheck, processor)).json()
    assert shown["status"] == "usable"
    assert shown["account_number"].isdigit()
    assert len(shown["routing_number"]) == 9


def test_a_repeated_request_gives_the_same_account(coatcheck: Sandbox, processor: TestClient) -> None:
    code = coatcheck.code().code
    first, second = (processor.post("/accounts", json={"authorization_code": code}) for _ in range(2))
    assert first.json() == second.json()
    assert processor.get(f"/accounts/{first.json()['id']}").json()["status"] == "usable"


def test_an_unknown_code_is_refused(processor: TestClient) -> None:
    answer = processor.post("/accounts", json={"authorization_code": "unknown"})
    assert answer.status_code == 422


def test_a_code_expires_after_ten_minutes(coatcheck: Sandbox, processor: TestClient) -> None:
    code = coatcheck.code().code
    coatcheck.clock.advance("10m1s")
    assert processor.post("/accounts", json={"authorization_code": code}).status_code == 422


def test_a_revoked_account_is_not_used(coatcheck: Sandbox, processor: TestClient) -> None:
    path = share(coatcheck, processor)
    (grant,) = coatcheck.client.get("/coatcheck/grants?status=active").json()["grants"]
    coatcheck.client.post(f"/coatcheck/grants/{grant['guid']}/revoke", json={})
    assert processor.get(path).json() == {"status": "revoked"}


def test_an_account_expires_after_sixty_days(coatcheck: Sandbox, processor: TestClient) -> None:
    path = share(coatcheck, processor)
    coatcheck.clock.advance("60d1s")
    assert processor.get(path).json() == {"status": "expired"}


def test_a_closed_account_is_not_used(
    coatcheck: Sandbox, processor: TestClient, coatcheck_processor_webhooks: WebhookInbox
) -> None:
    shared = coatcheck.code()
    path = f"/accounts/{processor.post('/accounts', json={'authorization_code': shared.code}).json()['id']}"
    account = shared.account_guid
    closed = {"guid": "EVT-1", "type": "account.closed", "object": account, "sequence": 1}
    assert (
        deliver(coatcheck_processor_webhooks, processor, {**closed, "data": {"account_guid": account}}) == 204
    )
    assert processor.get(path).json() == {"status": "closed"}


def test_a_webhook_with_another_signature_is_refused(processor: TestClient) -> None:
    headers = {"webhook-id": "EVT-1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    assert processor.post("/webhooks", content=b"{}", headers=headers).status_code == 401


def test_a_revocation_is_announced(coatcheck: Sandbox, coatcheck_processor_webhooks: WebhookInbox) -> None:
    token = coatcheck.token()
    coatcheck.client.post(f"/coatcheck/grants/{token.grant_guid}/revoke", json={})
    event = coatcheck_processor_webhooks.wait_for("token.revoked", about=token.grant_guid)
    assert event.data["account_guid"] == token.account_guid
