"""The bank is asked for its sign-in page before anything is written, and without a database connection in use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.connectors.contract import AuthorizationRequest
from coatcheck.errors import BankUnavailable
from tests.api_client import Api
from tests.widget_client import Page, oauth, open_page

OAUTH = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}


class ConnectionCounter:
    """Counts the connections that are in use while the bank is asked for its page."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.counts: list[int] = []
        self._connect = services.db.connection
        bank = services.registry.connector_for("mxcu_oauth")
        self._authorize = bank.authorize
        monkeypatch.setattr(services.db, "connection", self._connection)
        monkeypatch.setattr(bank, "authorize", self._count_and_authorize)

    @asynccontextmanager
    async def _connection(self, **options: Any) -> AsyncIterator[Any]:
        async with self._connect(**options) as connection:
            self.now += 1
            try:
                yield connection
            finally:
                self.now -= 1

    async def _count_and_authorize(self, request: AuthorizationRequest) -> str:
        self.counts.append(self.now)
        return await self._authorize(request)


async def create_in_api(api: Api, user: str) -> dict[str, Any]:
    created = await api.post(f"/users/{user}/members", json=OAUTH)
    assert created.status_code == 200, created.text
    member: dict[str, Any] = created.json()["member"]
    return member


async def create_in_widget(api: Api, page: Page) -> dict[str, Any]:
    member: dict[str, Any] = (await page.send("POST", "/members", oauth(api)))["member"]
    return member


async def test_no_connection_is_in_use_while_the_bank_is_asked(
    api: Api, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = ConnectionCounter(api.services, monkeypatch)
    created = await create_in_api(api, user)
    again = await api.get(f"/users/{user}/members/{created['guid']}/oauth_window_uri")
    assert again.status_code == 200
    page = await open_page(api, await api.create_user(id="bob"))
    by_widget = await create_in_widget(api, page)
    await page.get(f"/members/{by_widget['guid']}/oauth_window_uri")
    assert counter.counts == [0, 0, 0, 0]


@pytest.mark.parametrize("create", ["api", "widget"])
async def test_no_member_is_stored_if_the_bank_fails(
    api: Api, user: str, monkeypatch: pytest.MonkeyPatch, create: str
) -> None:
    async def fail(_request: AuthorizationRequest) -> str:
        raise BankUnavailable

    page = await open_page(api, user)
    monkeypatch.setattr(api.services.registry.connector_for("mxcu_oauth"), "authorize", fail)
    if create == "api":
        answer = await api.post(f"/users/{user}/members", json=OAUTH)
    else:
        answer = await page("POST", "/members", json=oauth(api))
    assert answer.status_code >= 500
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


async def test_a_refused_request_does_not_reach_the_bank(
    api: Api, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await create_in_api(api, user)
    page = await open_page(api, user)
    counter = ConnectionCounter(api.services, monkeypatch)
    requests: list[Callable[[], Awaitable[Any]]] = [
        lambda: api.post("/users/USR-unknown/members", json=OAUTH),
        lambda: api.get(f"/users/USR-unknown/members/{member['guid']}/oauth_window_uri"),
        lambda: api.http.get(f"/users/{user}/members/{member['guid']}/oauth_window_uri"),
        lambda: api.http.get(f"/md/api/members/{member['guid']}/oauth_window_uri"),
        lambda: page("GET", "/members/MBR-unknown/oauth_window_uri"),
    ]
    assert [(await each()).status_code for each in requests] == [404, 404, 401, 401, 404]
    assert counter.counts == []
