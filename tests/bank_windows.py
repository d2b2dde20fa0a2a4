"""What an end user does in the window of a bank's own sign-in page."""

from html.parser import HTMLParser

import httpx

from tests.api_client import Api


class Inputs(HTMLParser):
    """The hidden fields of a page's form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("name"):
            self.values[given["name"] or ""] = given.get("value") or ""


async def start(http: httpx.AsyncClient, window: str) -> str:
    """Opens the window; the URL of the bank's page."""
    started = await http.get(window)
    assert started.status_code == 303, started.text
    return started.headers["location"]


async def decide(api: Api, window: str, decision: str = "allow", login: str = "mxuser") -> str:
    """Opens the window and decides at the bank; the URL to which the bank redirects the browser."""
    return await decide_at(api.http, await start(api.http, window), decision, login)


async def decide_at(http: httpx.AsyncClient, url: str, decision: str = "allow", login: str = "mxuser") -> str:
    """The decision at the bank's page."""
    page = await http.get(url)
    assert page.status_code == 200, page.text
    form = {**Inputs(page.text).values, "login": login, "decision": decision}
    answer = await http.post(url.partition("?")[0], data=form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def come_back(
    http: httpx.AsyncClient, back: str, decision: str = "connect", **headers: str
) -> httpx.Response:
    """The return from the bank, and the answer to the question whether to connect, if it is asked."""
    page = await http.get(back, headers=headers)
    if "<form" not in page.text:
        return page
    form = {**Inputs(page.text).values, "decision": decision}
    return await http.post("/oauth/callback", data=form, headers=headers)
