"""The story that an existing MX client plays, with its embedding code unchanged: SDK, proxy, loader, web view."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus
from tests.api_client import HEADERS, V1
from tests.browser.scene import Embedded, Scene
from tests.factories import make_processor
from tests.member_setup import until

EVENTS = [
    "load",
    "connect/loaded",
    "connect/stepChange",
    "connect/institutionSearch",
    "connect/selectedInstitution",
    "connect/stepChange",
    "connect/enterCredentials",
    "connect/memberStatusUpdate",
    "connect/stepChange",
    "connect/memberStatusUpdate",
    "connect/stepChange",
    "connect/submitMFA",
    "connect/memberStatusUpdate",
    "connect/stepChange",
    "connect/memberStatusUpdate",
    "connect/stepChange",
    "connect/submitMFA",
    "connect/initialDataReady",
    "connect/memberConnected",
    "connect/stepChange",
    "connect/connected/primaryAction",
    "connect/memberConnected/primaryAction",
    "connect/backToSearch",
    "connect/stepChange",
]
STEPS = [
    ("consent", "search"),
    ("search", "enterCreds"),
    ("enterCreds", "connecting"),
    ("connecting", "mfa"),
    ("mfa", "connecting"),
    ("connecting", "mfa"),
    ("mfa", "connected"),
    ("connected", "search"),
]
UNKNOWN_TO_SDK = {"connect/initialDataReady", "connect/memberConnected/primaryAction"}
"""Which MX's documentation names and its SDK's decoder does not know."""


async def play(widget: Embedded) -> None:
    """Consent, search, sign in, the bank's question, the account, done."""
    await widget.connect(password="challenge")
    await widget.answer("correct")
    await widget.select()
    await widget.sees("MX Bank is connected")
    await widget.press("Done")
    await widget.sees("Find your bank")


def steps(heard: list[dict[str, Any]]) -> list[tuple[str, str]]:
    changes = [each["metadata"] for each in heard if each["type"] == "mx/connect/stepChange"]
    return [(each["previous"], each["current"]) for each in changes]


async def numbers_of(stage: Scene, account_guid: str) -> dict[str, Any]:
    """What a processor reads with a token that the client's code bought."""
    account = (await stage.api.get(f"/users/{stage.user}/accounts/{account_guid}")).json()["account"]
    guids = {"user-guid": stage.user, "member-guid": account["member_guid"], "account-guid": account_guid}
    scope = " ".join(f"{name}:{guid}" for name, guid in guids.items()) + " read-protected"
    code = await stage.api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    processor = await make_processor(stage.services, stage.api.caller)
    asked = {"grant_type": "authorization_code", "code": code.json()["authorization_code"]["code"]}
    token = await stage.api.http.post("/token", params=asked, auth=processor.auth, headers=HEADERS[V1])
    bearer = {**HEADERS[V1], "Authorization": f"Bearer {token.json()['access_token']}"}
    read = await stage.api.http.get("/account/account_numbers", headers=bearer)
    assert read.status_code == 200, read.text
    number: dict[str, Any] = read.json()["account_numbers"][0]
    return number


@pytest.mark.parametrize("way", ["sdkUrl", "sdkProxy"])
async def test_mx_web_widget_sdk_hears_the_whole_story_and_decodes_it(stage: Scene, way: str) -> None:
    widget = await stage.embed(way, mode="verification")
    await play(widget)
    heard = await widget.heard()
    assert await widget.types() == [event for event in EVENTS if event not in UNKNOWN_TO_SDK]
    assert steps(heard) == STEPS
    assert await widget.undecoded() == []
    decoded = [each["name"] for each in await widget.decoded()]
    assert {"Load", "Loaded", "StepChange", "SubmitMFA", "MemberConnected", "ConnectedPrimaryAction"} <= set(
        decoded
    )
    assert len(decoded) == len(heard)
    assert {each["origin"] for each in heard} == {stage.server.origin}
    assert stage.foreign() == []


async def test_our_loader_tells_the_same_story_with_what_the_documentation_adds(stage: Scene) -> None:
    widget = await stage.embed("loader", mode="verification")
    await play(widget)
    assert [each["name"].removeprefix("mx/") for each in await widget.decoded()] == EVENTS
    frame = widget.page.locator('iframe[title="Connect"]')
    assert await frame.count() == 1


@pytest.mark.parametrize("way", ["sdkUrl", "loader"])
async def test_the_story_ends_with_a_verified_member_whose_code_and_token_work(
    stage: Scene, way: str
) -> None:
    widget = await stage.embed(way, mode="verification")
    await play(widget)
    told = next(
        each["metadata"] for each in await widget.heard() if each["type"] == "mx/connect/memberConnected"
    )
    member = (await stage.api.get(f"/users/{stage.user}/members/{told['member_guid']}")).json()["member"]
    assert member["connection_status"] == "CONNECTED"
    number = await numbers_of(stage, told["account_guid"])
    assert number["account_guid"] == told["account_guid"]
    assert number["passed_validation"] is True


async def test_every_message_says_whose_session_and_user_it_is_about(stage: Scene) -> None:
    widget = await stage.embed(mode="aggregation")
    await widget.connect()
    await widget.sees("MX Bank is connected")
    heard = await widget.heard()
    assert {each["mx"] for each in heard} == {True}
    assert {each["metadata"]["user_guid"] for each in heard} == {stage.user}
    assert {each["metadata"]["session_guid"][:4] for each in heard} == {"WSN-"}
    statuses = [
        each["metadata"]["connection_status"] for each in heard if "memberStatusUpdate" in each["type"]
    ]
    assert statuses[-1] == CONNECTION_STATUS_IDS[ConnectionStatus.CONNECTED]


async def test_the_sdk_s_ping_and_way_back_are_answered(stage: Scene) -> None:
    widget = await stage.embed()
    await widget.agree()
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    assert await widget.page.evaluate("widget.navigateBack()") is True
    await widget.sees("Find your bank")
    assert await widget.page.evaluate("widget.navigateBack()") is False
    await widget.page.evaluate("widget.ping()")
    await widget.page.wait_for_function("heard.some(({type}) => type === 'mx/ping')")


async def test_a_mobile_web_view_hears_by_navigations_to_its_scheme(stage: Scene) -> None:
    widget = await stage.open(is_mobile_webview=True, ui_message_webview_url_scheme="harbour")
    await widget.connect()
    await widget.sees("MX Bank is connected")

    async def is_told() -> bool:
        return bool(await widget.page.evaluate("navigations.some((url) => url.includes('/memberConnected'))"))

    await until(is_told)
    navigations = await widget.page.evaluate("navigations")
    heard = {urlsplit(url).netloc + urlsplit(url).path: parse_qs(urlsplit(url).query) for url in navigations}
    assert {"connect/selectedInstitution", "connect/stepChange", "connect/memberConnected"} <= heard.keys()
    assert all(url.startswith("harbour://") for url in navigations)
    told = json.loads(heard["connect/memberConnected"]["metadata"][0])
    assert told["user_guid"] == stage.user
    assert told["member_guid"].startswith("MBR-")
