"""The widget's server over HTTP: the link, the page, its session, and every question the page can ask."""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from coatcheck.app import Coatcheck
from coatcheck.clock import MovableClock
from coatcheck.model.clients import enable_processor, set_client_disabled
from coatcheck.model.widgets import WidgetLook, put_widget_look
from tests.makers import make_client, make_processor, make_user
from tests.world import LOGIN, PASSWORD, Api, connecting

BOOT = re.compile(r'<script type="application/json" id="boot">(.*?)</script>')


@pytest.fixture
async def api(house: Coatcheck, http: httpx.AsyncClient) -> Api:
    return Api(http, house, await make_client(house, name="Acme"))


@dataclass(frozen=True)
class Page:
    """An opened widget, as its script sees it."""

    api: Api
    boot: Mapping[str, Any]
    response: httpx.Response

    async def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"X-Widget-Session": self.boot["session_token"]}
        return await self.api.http.request(method, f"/md/api{path}", headers=headers, **more)

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self("GET", path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self(method, path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        answer = await self(method, path, json=body)
        return answer.status_code, answer.json()["error"]["type"]

    async def consent(self) -> None:
        assert await self.send("POST", "/consent", {"accepted": True}) == {"consent_needed": False}

    async def connect(
        self, login: str = "mxuser", password: str = "correct", *, institution: str = "mxbank"
    ) -> dict[str, Any]:
        """A member that a worker has done what it could for."""
        member = (await self.send("POST", "/members", signing_in(self.api, login, password, institution)))[
            "member"
        ]
        return await self.after_work(member)

    async def after_work(self, member: Mapping[str, Any]) -> dict[str, Any]:
        await self.api.work()
        return await self.get(f"/members/{member['guid']}")


def signing_in(api: Api, login: str, password: str, institution: str = "mxbank") -> dict[str, Any]:
    found = api.house.registry.find(institution)
    values = {"LOGIN": login, "PASSWORD": password}
    return {
        "institution_guid": found.guid,
        "credentials": [{"guid": each.guid, "value": values[each.field_name]} for each in found.credentials],
    }


async def link(api: Api, user: str, headers: Mapping[str, str] | None = None, **options: Any) -> str:
    body = {"widget_url": {"widget_type": "connect_widget", **options}}
    answer = await api.post(f"/users/{user}/widget_urls", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["widget_url"]["url"])


async def open_page(api: Api, user: str, *, consented: bool = True, **options: Any) -> Page:
    response = await api.http.get(await link(api, user, **options))
    assert response.status_code == 200, response.text
    page = Page(api, boot_of(response), response)
    if consented:
        await page.consent()
    return page


def boot_of(response: httpx.Response) -> dict[str, Any]:
    found = BOOT.search(response.text)
    assert found is not None
    boot: dict[str, Any] = json.loads(found[1])
    return boot


@pytest.fixture
async def user(api: Api) -> str:
    return await api.create_user()


async def test_a_widget_connects_a_bank(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = await page.connect()
    assert member["step"] == "connected"
