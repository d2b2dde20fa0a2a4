"""To which URLs a client's end users may be sent back: those that the operator allowed, compared exactly."""

from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.errors import InvalidRequest
from tests.api_client import Api, refusal
from tests.factories import Keyed, make_client

ALLOWED = "https://app.example/connected"
OAUTH = {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}
OTHERS = [
    "https://app.example/connected/",
    "https://app.example/connected?next=//evil.example",
    "https://app.example/Connected",
    "https://app.example/connected#x",
    "https://app.example:443/connected",
    "http://app.example/connected",
    "https://app.example.evil.example/connected",
    "https://evil.example/?https://app.example/connected",
    "https://evil.example/",
]


async def allow(services: Services, client: Keyed, *urls: str) -> None:
    async with services.db.transaction() as connection:
        await services.clients.set_redirect_urls(connection, client.guid, urls or None, actor="operator")


async def asks(api: Api, url: str) -> list[tuple[int, Any]]:
    """The statuses of each way to name the URL."""
    user, owner = await api.create_user(), await api.create_user()
    pending = await api.post(f"/users/{owner}/members", json={"member": OAUTH})
    member = pending.json()["member"]["guid"]
    answers = [
        await api.post(f"/users/{user}/members", json={"member": OAUTH, "client_redirect_url": url}),
        await api.get(
            f"/users/{owner}/members/{member}/oauth_window_uri", params={"client_redirect_url": url}
        ),
        await api.post(
            f"/users/{user}/widget_urls",
            json={"widget_url": {"widget_type": "connect_widget", "client_redirect_url": url}},
        ),
    ]
    return [(answer.status_code, refusal(answer)[1] if answer.is_error else None) for answer in answers]


@pytest.mark.parametrize("other", OTHERS)
async def test_a_url_that_is_not_on_the_list_is_refused(api: Api, services: Services, other: str) -> None:
    await allow(services, api.caller, ALLOWED)
    assert await asks(api, other) == [(400, "invalid_request")] * 3


async def test_a_url_on_the_list_is_accepted_and_another_client_has_its_own(
    api: Api, services: Services
) -> None:
    await allow(services, await make_client(services), "https://other.example/")
    assert await asks(api, "https://any.example/") == [(200, None)] * 3, "without a list every URL is allowed"
    await allow(services, api.caller, "https://first.example/", ALLOWED)
    assert await asks(api, ALLOWED) == [(200, None)] * 3
    await allow(services, api.caller)
    assert await asks(api, "https://any.example/") == [(200, None)] * 3


async def test_nothing_is_stored_of_a_refused_member(api: Api, services: Services) -> None:
    await allow(services, api.caller, ALLOWED)
    user = await api.create_user()
    await api.post(
        f"/users/{user}/members", json={"member": OAUTH, "client_redirect_url": "https://evil.example/"}
    )
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


@pytest.mark.parametrize(
    "urls", [["javascript:alert(1)"], ["app.example"], [f"https://a.example/{n}" for n in range(51)]]
)
async def test_a_list_that_is_none_is_refused(services: Services, client: Keyed, urls: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        await allow(services, client, *urls)
