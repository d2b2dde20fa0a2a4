"""A client of the widget's API. Like the script of the page, it opens a link and sends requests."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.api_client import LOGIN, PASSWORD, Api

BOOT = re.compile(r'<script type="application/json" id="boot">(.*?)</script>')
CORRECT = {"credentials": [{"guid": LOGIN, "value": "mxuser"}, {"guid": PASSWORD, "value": "correct"}]}
DEPOSIT = {
    "account_number": "3333567842",
    "routing_number": "091000019",
    "account_type": 1,
    "account_name": "Everyday",
    "first_name": "Ann",
    "last_name": "Example",
    "email": "ann@app.example",
}
"""An account to which the amounts 0.03 and 0.15 arrive at once."""


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
        assert (await self.send("POST", "/consent", {"accepted": True}))["consent_needed"] is False

    async def connect(
        self, login: str = "mxuser", password: str = "correct", *, institution: str = "mxbank"
    ) -> dict[str, Any]:
        """A member whose jobs a worker has run."""
        member = (await self.send("POST", "/members", signing_in(self.api, login, password, institution)))[
            "member"
        ]
        return await self.after_work(member)

    async def after_work(self, member: Mapping[str, Any]) -> dict[str, Any]:
        await self.api.work()
        return await self.get(f"/members/{member['guid']}")


def signing_in(api: Api, login: str, password: str, institution: str = "mxbank") -> dict[str, Any]:
    found = api.services.registry.find(institution)
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


def oauth(api: Api) -> dict[str, Any]:
    return {"institution_guid": api.services.registry.find("mxcu_oauth").guid, "is_oauth": True}


async def answer(page: Page, member: Mapping[str, Any], word: str) -> dict[str, Any]:
    """Answers the member's challenge, with the option that begins with `word` or with `word` as text; runs its job."""
    (challenge,) = member["mfa"]["credentials"]
    chosen = [each["guid"] for each in challenge["options"] if each["label"].startswith(word)]
    body = {"credentials": [{"guid": challenge["guid"], "value": chosen[0] if chosen else word}]}
    answered = (await page.send("PUT", f"/members/{member['guid']}/mfa", body))["member"]
    assert (answered["step"], answered["connection_status"]) == ("connecting", 18)
    return await page.after_work(answered)


async def jobs_of(api: Api, member: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The kinds of the member's jobs, oldest first, and whether each was to read transactions."""
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT kind, include_transactions FROM member_job WHERE member_guid = %s ORDER BY guid",
            (member["guid"],),
        )
        return [(kind, includes) for kind, includes in await cursor.fetchall()]
