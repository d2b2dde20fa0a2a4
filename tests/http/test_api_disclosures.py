"""Disclosures of every endpoint that takes an access token; generated from the route table.

An answered read leaves exactly one disclosure, a refusal none.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.api.routes.route import Route
from coatcheck.api.versions import Version
from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.http.route import Caller
from coatcheck.model.accounts import Account
from tests.disclosures import disclosures
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user
from tests.http.owned_objects import routes_of, send

ROUTES = routes_of(Caller.TOKEN)
READS = [route for route in ROUTES if route.method == "GET"]
PROTECTED = {"requestAccountNumber", "readAccountOwners", "readAccountOwner"}
"""Reads that a token without `read-protected` is refused."""

each_version = pytest.mark.parametrize("version", Version)


@dataclass
class Reader:
    """A processor with a token for an account."""

    services: Services
    http: httpx.AsyncClient
    client: Keyed
    processor: Keyed
    account: Account
    seen: int = field(default=0)

    async def token(self, **overrides: Any) -> str:
        return await make_token(self.services, self.account, self.processor, **overrides)

    async def read(self, route: Route, token: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return await send(self.http, route, {}, headers=headers, **more)

    async def new_disclosures(self) -> list[tuple[Any, ...]]:
        """Those since the last call."""
        rows = await disclosures(self.services, self.account.user_guid)
        number, self.seen = len(rows) - self.seen, len(rows)
        assert all(
            (reader, client, record) == (self.processor.guid, self.client.guid, self.account.guid)
            for reader, client, record, _, _ in rows
        )
        return rows[:number]


@pytest.fixture
async def reader(services: Services, http: httpx.AsyncClient) -> Reader:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    return Reader(services, http, client, processor, account)


def expected(route: Route, answer: httpx.Response) -> int:
    """A command reads no data of the account."""
    return int(answer.is_success and route in READS)


def test_every_read_with_a_token_is_in_a_table_of_this_file() -> None:
    assert {route.operation for route in READS} == PROTECTED | {"getAccountOwnerInfo", "readAccountBalance"}


@each_version
async def test_an_answered_read_leaves_one_disclosure(reader: Reader, version: Version) -> None:
    token = await reader.token()
    for route in ROUTES * 2:
        answer = await reader.read(route, token, version=version)
        assert answer.status_code == 200, route.operation
        assert len(await reader.new_disclosures()) == int(route in READS), route.operation


async def test_a_read_of_a_processor_with_owners_at_transactions_leaves_one_disclosure(
    reader: Reader, services: Services
) -> None:
    reader.processor = await make_processor(services, reader.client, owners_at_transactions=True)
    token = await reader.token()
    for route in ROUTES:
        answer = await reader.read(route, token)
        assert answer.status_code == 200, route.operation
        assert len(await reader.new_disclosures()) == int(route in READS), route.operation


async def test_a_token_without_read_protected_leaves_a_disclosure_only_of_what_it_may_read(
    reader: Reader,
) -> None:
    token = await reader.token(reads_protected=False)
    for route in ROUTES:
        answer = await reader.read(route, token)
        assert answer.status_code == (403 if route.operation in PROTECTED else 200), route.operation
        assert len(await reader.new_disclosures()) == expected(route, answer), route.operation


async def _unknown(_: Reader, token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


async def _expired(reader: Reader, token: str) -> str:
    assert isinstance(reader.services.clock, MovableClock)
    reader.services.clock.advance(timedelta(days=60))
    return token


async def _revoked(reader: Reader, token: str) -> str:
    grants = await reader.http.get("/coatcheck/grants", auth=reader.client.auth)
    (guid,) = [each["guid"] for each in grants.json()["grants"]]
    await reader.http.post(f"/coatcheck/grants/{guid}/revoke", auth=reader.client.auth)
    return token


async def _of_disabled_user(reader: Reader, token: str) -> str:
    path = f"/users/{reader.account.user_guid}"
    await reader.http.put(path, json={"user": {"is_disabled": True}}, auth=reader.client.auth)
    return token


@pytest.mark.parametrize("invalidate", [_unknown, _expired, _revoked, _of_disabled_user])
async def test_a_refused_token_leaves_no_disclosure(
    reader: Reader, invalidate: Callable[[Reader, str], Awaitable[str]]
) -> None:
    token = await invalidate(reader, await reader.token())
    for route in ROUTES:
        assert (await reader.read(route, token)).status_code == 401, route.operation
    assert await reader.new_disclosures() == []


async def test_an_invalid_request_leaves_no_disclosure(reader: Reader) -> None:
    token = await reader.token()
    refused: list[tuple[int, dict[str, Any]]] = [
        (400, {"params": {"access_token": "x"}}),
        (406, {"headers": {"Accept": "text/html"}}),
        (406, {"headers": {"Accept-Version": "v1"}}),
        (413, {"content": b"x" * 300_000}),
    ]
    for route in ROUTES:
        for status, more in refused:
            assert (await reader.read(route, token, **more)).status_code == status, route.operation
    assert await reader.new_disclosures() == []


async def test_an_invalid_parameter_leaves_a_disclosure_only_if_it_is_ignored(reader: Reader) -> None:
    token = await reader.token()
    for route in ROUTES:
        for parameter in route.query:
            for value in ("\0", "nothing known", "2026-13-45"):
                answer = await reader.read(route, token, params={parameter.name: value})
                assert answer.status_code in {200, 400}, parameter.name
                found = await reader.new_disclosures()
                assert len(found) == expected(route, answer), (route.operation, parameter.name, answer.text)
