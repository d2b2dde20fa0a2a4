"""A browser window of an end user in the portal, without a browser."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx

from coatcheck.app import Services
from tests.factories import Keyed

FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


@dataclass
class Portal:
    http: httpx.AsyncClient
    home: str
    cookie: str

    async def get(self, path: str = "", **more: Any) -> httpx.Response:
        return await self.http.get(self.home + path, headers={"Cookie": self.cookie}, **more)

    async def post(self, path: str, *, on: str = "", **fields: Any) -> httpx.Response:
        """Sends the form of the page `on`, with these fields."""
        found = FORM_TOKEN.search((await self.get(on)).text)
        token = found[1] if found else ""
        return await self.http.post(
            self.home + path, headers={"Cookie": self.cookie}, data={"form_token": token, **fields}
        )


async def portal_url(http: httpx.AsyncClient, client: Keyed, user_guid: str, **portal_url: Any) -> str:
    answer = await http.post(
        f"/coatcheck/users/{user_guid}/portal_urls", auth=client.auth, json={"portal_url": portal_url}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["portal_url"]["url"])


async def open_portal(
    services: Services, client: Keyed, user_guid: str, http: httpx.AsyncClient, **options: Any
) -> Portal:
    url = (await portal_url(http, client, user_guid, **options)).removeprefix(services.settings.base_url)
    answer = await http.post(url)
    assert answer.status_code == 303, answer.text
    return Portal(http, answer.headers["location"], answer.headers["set-cookie"].partition(";")[0])


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    body = page.text.partition("<body>")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
