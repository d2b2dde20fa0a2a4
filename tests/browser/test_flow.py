"""The whole flow with the unchanged embedding code of an MX client: SDK, proxy, loader, web view."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus
from tests.api_client import HEADERS, V1
from tests.browser.scene import Embedded, Scene
from tests.factories import make_processor
from tests.firefox import IN_BOTH_BROWSERS
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
]
STEPS = [
    ("consent", "search"),
    ("search", "enterCreds"),
    ("enterCreds", "connecting"),
    ("connecting", "mfa"),
    ("mfa", "connecting"),
    ("connecting", "mfa"),
    ("mfa", "connected"),
]
UNKNOWN_TO_SDK = {"connect/initialDataReady", "connect/memberConnected/primaryAction"}
"""Events in MX's documentation that its SDK cannot decode."""


async def complete_flow(widget: Embedded) -> None:
    """Consent, search, sign-in, challenge, account, done."""
    await widget.connect(password="challenge")
    await widget.answer("correct")
    await widget.select()
    await widget.sees("MX Bank is connected")
    await widget.press("Done")
    await widget.sees("You can close this page")


def steps(received: list[dict[str, Any]]) -> list[tuple[str, str]]:
    changes = [each["metadata"] for each in received if each["type"] == "mx/connect/stepChange"]
    return [(each["previous"], each["current"]) for each in changes]


async def numbers_of(scene: Scene, account_guid: str) -> dict[str, Any]:
    """What a processor reads with a token for the client's code."""
    account = (await scene.api.get(f"/users/{scene.user}/accounts/{account_guid}")).json()["account"]
    guids = {"user-guid": scene.user, "member-guid": account["member_guid"], "account-guid": account_guid}
    scope = " ".join(f"{name}:{guid}" for name, guid in guids.items()) + " read-protected"
    code = await scene.api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    processor = await make_processor(scene.services, scene.api.caller)
    query = {"grant_type": "authorization_code", "code": code.json()["authorization_code"]["code"]}
    token = await scene.api.http.post("/token", params=query, auth=processor.auth, headers=HEADERS[V1])
    bearer = {**HEADERS[V1], "Authorization": f"Bearer {token.json()['access_token']}"}
    read = await scene.api.http.get("/account/account_numbers", headers=bearer)
    assert read.status_code == 200, read.text
    number: dict[str, Any] = read.json()["account_numbers"][0]
    return number


@pytest.mark.parametrize("way", ["sdkUrl", pytest.param("sdkProxy", marks=pytest.mark.slow)])
async def test_mx_web_widget_sdk_decodes_every_message_of_the_flow(scene: Scene, way: str) -> None:
    widget = await scene.embed(way, mode="verification")
    await complete_flow(widget)
    received = await widget.messages()
    assert await widget.types() == [event for event in EVENTS if event not in UNKNOWN_TO_SDK]
    assert steps(received) == STEPS
    assert await widget.undecoded() == []
    decoded = [each["name"] for each in await widget.decoded()]
    assert {"Load", "Loaded", "StepChange", "SubmitMFA", "MemberConnected", "ConnectedPrimaryAction"} <= set(
        decoded
    )
    assert len(decoded) == len(received)
    assert {each["origin"] for each in received} == {scene.server.origin}
    assert scene.foreign() == []


async def test_our_loader_passes_on_the_same_messages_and_those_of_the_documentation(scene: Scene) -> None:
    widget = await scene.embed("loader", mode="verification")
    await complete_flow(widget)
    assert [each["name"].removeprefix("mx/") for each in await widget.decoded()] == EVENTS
    frame = widget.page.locator('iframe[title="Connect"]')
    assert await frame.count() == 1


@IN_BOTH_BROWSERS
@pytest.mark.parametrize("way", ["sdkUrl", pytest.param("loader", marks=pytest.mark.slow)])
async def test_the_flow_ends_with_a_verified_member_whose_code_and_token_work(scene: Scene, way: str) -> None:
    widget = await scene.embed(way, mode="verification")
    await complete_flow(widget)
    posted = next(
        each["metadata"] for each in await widget.messages() if each["type"] == "mx/connect/memberConnected"
    )
    member = (await scene.api.get(f"/users/{scene.user}/members/{posted['member_guid']}")).json()["member"]
    assert member["connection_status"] == "CONNECTED"
    number = await numbers_of(scene, posted["account_guid"])
    assert number["account_guid"] == posted["account_guid"]
    assert number["passed_validation"] is True


async def test_every_message_has_the_guids_of_its_session_and_user(scene: Scene) -> None:
    widget = await scene.embed(mode="aggregation")
    await widget.connect()
    await widget.sees("MX Bank is connected")
    received = await widget.messages()
    assert {each["mx"] for each in received} == {True}
    assert {each["metadata"]["user_guid"] for each in received} == {scene.user}
    assert {each["metadata"]["session_guid"][:4] for each in received} == {"WSN-"}
    statuses = [
        each["metadata"]["connection_status"] for each in received if "memberStatusUpdate" in each["type"]
    ]
    assert statuses[-1] == CONNECTION_STATUS_IDS[ConnectionStatus.CONNECTED]


async def test_the_sdk_s_ping_and_navigation_are_answered(scene: Scene) -> None:
    widget = await scene.embed()
    await widget.agree()
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    assert await widget.page.evaluate("widget.navigateBack()") is True
    await widget.sees("Find your bank")
    assert await widget.page.evaluate("widget.navigateBack()") is False
    await widget.page.evaluate("widget.ping()")
    await widget.page.wait_for_function("received.some(({type}) => type === 'mx/ping')")


@pytest.mark.chromium("Playwright waits for each navigation that the app prevents in Firefox")
async def test_a_mobile_web_view_gets_navigations_to_its_scheme(scene: Scene) -> None:
    widget = await scene.open(is_mobile_webview=True, ui_message_webview_url_scheme="harbour")
    await widget.connect()
    await widget.sees("MX Bank is connected")

    async def is_received() -> bool:
        return bool(await widget.page.evaluate("navigations.some((url) => url.includes('/memberConnected'))"))

    await until(is_received)
    navigations = await widget.page.evaluate("navigations")
    received = {
        urlsplit(url).netloc + urlsplit(url).path: parse_qs(urlsplit(url).query) for url in navigations
    }
    assert {"connect/selectedInstitution", "connect/stepChange", "connect/memberConnected"} <= received.keys()
    assert all(url.startswith("harbour://") for url in navigations)
    posted = json.loads(received["connect/memberConnected"]["metadata"][0])
    assert posted["user_guid"] == scene.user
    assert posted["member_guid"].startswith("MBR-")


SDK_INFO = """window.dispatchEvent(
    new MessageEvent("message", {data: JSON.stringify({mx: true, type: "mx/sdk/info"})}))"""
"""What MX's SDK for React Native posts into its web view: the message has no origin."""


@pytest.mark.slow
async def test_a_mobile_web_view_hears_its_app_whose_messages_have_no_origin(scene: Scene) -> None:
    """MX's SDK cannot decode two of the events. The widget leaves them out once the SDK has said that it is there."""

    async def play(scene: Scene, login: str, *, has_sdk: bool) -> None:
        widget = await scene.open(is_mobile_webview=True, ui_message_webview_url_scheme="harbour")
        await widget.agree()
        if has_sdk:
            await widget.page.evaluate(SDK_INFO)
        await widget.choose("MX Bank")
        await widget.sign_in(login)
        await widget.sees("MX Bank is connected")

        async def is_received() -> bool:
            return bool(
                await widget.page.evaluate("navigations.some((url) => url.includes('/memberConnected'))")
            )

        await until(is_received)
        urls = await widget.page.evaluate("navigations")
        assert any("initialDataReady" in url for url in urls) is not has_sdk

    await play(scene, "ann", has_sdk=True)
    await play(scene, "bob", has_sdk=False)


@pytest.mark.slow
async def test_outside_a_mobile_web_view_a_message_without_an_origin_is_ignored(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await widget.agree()
    await widget.frame.evaluate(SDK_INFO)
    await widget.choose("MX Bank")
    await widget.sign_in()
    await widget.sees("MX Bank is connected")
    assert await widget.posted("initialDataReady") != []
