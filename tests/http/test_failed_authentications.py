"""A failed authentication is recorded with its caller and address, without secrets, and cannot fill the log."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.audit.failures import MAX_OF_CALLER, MAX_PER_PERIOD, PERIOD
from coatcheck.clock import MovableClock
from coatcheck.ids import new
from tests.factories import Keyed
from tests.sealed_log import entries

pytestmark = pytest.mark.own_database


async def failures(services: Services) -> list[dict[str, Any]]:
    return [each for each in await entries(services) if each["action"] == "authentication.failed"]


async def test_a_wrong_key_of_a_client_is_recorded_with_its_address(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    wrong = client.api_key[:-1] + ("y" if client.api_key.endswith("x") else "x")
    answer = await http.get("/users", auth=(client.guid, wrong))
    assert answer.status_code == 401
    (entry,) = await failures(services)
    assert (entry["actor"], entry["subject"]) == (client.guid, client.guid)
    assert entry["detail"] == {
        "address": "127.0.0.1",
        "credential": "api_key",
        "request_id": answer.headers["X-Request-Id"],
    }
    assert client.api_key[:-1] not in json.dumps(entry)


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/introspect", "/oauth/revoke"])
async def test_a_wrong_key_at_an_oauth_endpoint_is_recorded_once_with_its_reason(
    services: Services, http: httpx.AsyncClient, processor: Keyed, path: str
) -> None:
    body = {"grant_type": "authorization_code", "code": "x", "token": "x"}
    answer = await http.post(path, data=body, auth=(processor.guid, "ccp_wrong"))
    assert answer.status_code == 401
    (entry,) = [each for each in await entries(services) if "authentication" in each["action"]]
    assert (entry["action"], entry["actor"]) == ("processor.authentication_refused", processor.guid)
    assert entry["detail"]["reason"] == "The API key is wrong or has expired."
    answer = await http.post(path, data=body, auth=(new("PPR"), "ccp_wrong"))
    assert answer.status_code == 401
    assert len(await failures(services)) == 1, "there is no such processor"


async def test_an_unknown_token_is_recorded_and_what_a_caller_invents_is_not(
    services: Services, http: httpx.AsyncClient
) -> None:
    await http.get("/account/transactions", headers={"Authorization": "Bearer my-bank-password"})
    await http.get("/users", auth=("ada@example.com", "my-bank-password"))
    first, second = await failures(services)
    assert (first["actor"], first["detail"]["credential"]) == ("unknown", "access_token")
    assert (second["actor"], second["detail"]["credential"]) == ("unknown", "api_key")
    assert "password" not in json.dumps([first, second])
    assert "ada" not in json.dumps([first, second])


async def test_a_request_without_credentials_and_a_right_one_are_not_failures(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    assert (await http.get("/users")).status_code == 401
    assert (await http.get("/users", auth=client.auth)).status_code == 200
    assert await failures(services) == []


async def test_a_caller_that_fails_in_a_loop_is_recorded_a_few_times_and_then_counted(
    services: Services, http: httpx.AsyncClient, clock: MovableClock, client: Keyed
) -> None:
    for _ in range(MAX_OF_CALLER + 5):
        await http.get("/users", auth=(client.guid, "cck_wrong"))
    assert len(await failures(services)) == MAX_OF_CALLER
    clock.advance(PERIOD + timedelta(seconds=1))
    await http.get("/users", auth=(client.guid, "cck_wrong"))
    *_, last = await failures(services)
    assert last["detail"]["suppressed"] == "5"


async def test_callers_that_change_their_id_cannot_fill_the_log(
    services: Services, http: httpx.AsyncClient
) -> None:
    for _ in range(MAX_PER_PERIOD + 20):
        await http.get("/users", auth=(new("CLT"), "cck_wrong"))
    assert len(await failures(services)) == MAX_PER_PERIOD


async def test_a_failed_sign_in_to_the_dashboard_is_recorded_and_limited(
    services: Services, http: httpx.AsyncClient
) -> None:
    statuses = []
    for _ in range(201):
        answer = await http.post("/dashboard/sign-in", data={"response": "my-bank-password"})
        statuses.append(answer.status_code)
    assert statuses == [401] * 200 + [429]
    found = await failures(services)
    assert len(found) == MAX_OF_CALLER
    assert found[0]["actor"] == "unknown"
    assert found[0]["detail"]["credential"] == "staff_sign_in"
    assert "my-bank-password" not in json.dumps(found)
