"""Widget URLs over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.api.products import Product
from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import NotFound
from coatcheck.members.widget_links import WidgetOptions
from tests.api_client import V2, Api, refusal
from tests.factories import make_account, make_user


async def request_url(
    api: Api, user: str, headers: dict[str, str] | None = None, **options: Any
) -> httpx.Response:
    body = {"widget_url": {"widget_type": "connect_widget", **options}}
    return await api.post(f"/users/{user}/widget_urls", json=body, headers=headers)


async def open_url(api: Api, url: str) -> WidgetOptions:
    """Opens the link and returns its options."""
    secret = url.removeprefix("http://coatcheck.test/md/connect/")
    async with api.services.db.transaction() as connection:
        return (await api.services.widget_links.open(connection, secret)).options


async def options_of(api: Api, user: str, **options: Any) -> WidgetOptions:
    answer = await request_url(api, user, **options)
    assert answer.status_code == 200, answer.text
    return await open_url(api, answer.json()["widget_url"]["url"])


async def test_the_url_is_on_this_server_and_can_be_loaded_once_within_ten_minutes(
    api: Api, user: str, clock: MovableClock
) -> None:
    answer = (await request_url(api, user)).json()["widget_url"]
    assert (answer["type"], answer["user_id"]) == ("connect_widget", "ann")
    await open_url(api, answer["url"])
    with pytest.raises(NotFound):
        await open_url(api, answer["url"])
    late = (await request_url(api, user)).json()["widget_url"]["url"]
    clock.advance(timedelta(minutes=10, seconds=1))
    with pytest.raises(NotFound):
        await open_url(api, late)


async def test_the_legacy_request_returns_an_equal_url(api: Api, user: str) -> None:
    answer = await api.post(f"/users/{user}/connect_widget_url", json={"config": {"mode": "verification"}})
    assert answer.json()["user"]["guid"] == user
    assert (await open_url(api, answer.json()["user"]["connect_widget_url"])).kinds[0] is JobKind.VERIFICATION
    assert (await api.post(f"/users/{user}/connect_widget_url", json={})).status_code == 200
    newer = Api(api.http, api.services, api.caller, V2)
    refused = await newer.post(f"/users/{user}/connect_widget_url", json={"config": {}})
    assert refusal(refused) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("sent", "kinds", "include_transactions", "background_is_disabled"),
    [
        ({}, [JobKind.AGGREGATION], True, False),
        ({"mode": "verification"}, [JobKind.VERIFICATION], False, True),
        (
            {"mode": "verification", "include_transactions": True, "include_identity": True},
            [JobKind.VERIFICATION, JobKind.AGGREGATION, JobKind.IDENTIFICATION],
            True,
            True,
        ),
        ({"include_identity": True}, [JobKind.AGGREGATION, JobKind.IDENTIFICATION], True, False),
        (
            {"mode": "verification", "disable_background_agg": False},
            [JobKind.VERIFICATION],
            False,
            False,
        ),
        (
            {
                "data_request": {"products": ["statements", "identity_verification"]},
                "include_identity": False,
            },
            [JobKind.STATEMENT, JobKind.IDENTIFICATION],
            True,
            False,
        ),
    ],
)
async def test_the_mode_decides_the_defaults(
    api: Api,
    user: str,
    sent: dict[str, Any],
    kinds: list[JobKind],
    include_transactions: bool,
    background_is_disabled: bool,
) -> None:
    options = await options_of(api, user, **sent)
    assert options.kinds == kinds
    assert options.include_transactions is include_transactions
    assert options.background_aggregation_is_disabled is background_is_disabled


async def test_the_options_of_the_request_are_stored_for_the_page(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user)
    sent = {
        "color_scheme": "dark",
        "current_institution_guid": services.registry.find("mxbank").guid,
        "current_member_guid": account.member_guid,
        "disable_institution_search": True,
        "is_mobile_webview": True,
        "iso_country_code": ["us"],
        "ui_message_version": 4,
        "ui_message_webview_url_scheme": "bankapp",
        "update_credentials": True,
        "use_cases": ["PFM"],
        "wait_for_full_aggregation": True,
    }
    headers = {"Accept-Language": "fr-CA", "X-CALLBACK-PAYLOAD": "Zm9v"}
    answer = await request_url(api, user.guid, headers=headers, **sent)
    options = await open_url(api, answer.json()["widget_url"]["url"])
    assert options.color_scheme == "dark"
    assert options.current_institution_code == "mxbank"
    assert options.current_member_guid == account.member_guid
    assert (
        options.disable_institution_search is options.is_mobile_webview is options.update_credentials is True
    )
    assert (options.iso_country_codes, options.use_cases) == (["US"], ["PFM"])
    assert (options.locale, options.callback_payload) == ("fr-CA", "Zm9v")
    assert options.return_target.referral_source == "APP"
    assert (
        options.return_target.redirect_url({"status": "success"}) == "bankapp://oauth_complete?status=success"
    )


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"widget_type": None}, 400),
        ({"widget_type": "budgets_widget"}, 400),
        ({"mode": "gossip"}, 400),
        ({"color_scheme": "plaid"}, 400),
        ({"oauth_referral_source": "MAIL"}, 400),
        ({"client_redirect_url": "javascript:alert(1)"}, 400),
        ({"ui_message_webview_url_scheme": "data"}, 400),
        ({"use_cases": ["GAMBLING"]}, 400),
        ({"include_identity": "yes"}, 400),
        ({"ui_message_version": 3}, 400),
        ({"current_institution_code": "nobank"}, 404),
        ({"current_member_guid": "MBR-1"}, 404),
        ({"current_microdeposit_guid": "MIC-1"}, 404),
    ],
)
async def test_an_unsupported_option_is_refused(
    api: Api, user: str, options: dict[str, Any], status: int
) -> None:
    assert (await request_url(api, user, **options)).status_code == status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "verify"}, "mode: it must be one of aggregation, verification."),
        ({"color_scheme": "plaid"}, "color_scheme: it must be one of browser, dark, light."),
        ({"oauth_referral_source": "MAIL"}, "oauth_referral_source: it must be one of APP, BROWSER."),
        ({"use_cases": ["PFM", "GAMBLING"]}, "use_cases[1]: it must be one of MONEY_MOVEMENT, PFM."),
        ({"ui_message_version": 3}, "ui_message_version: it must be 4."),
        (
            {"data_request": {"products": ["verify"]}},
            f"data_request.products[0]: it must be one of {', '.join(Product)}.",
        ),
    ],
)
async def test_a_refused_value_is_answered_with_the_allowed_values(
    api: Api, user: str, options: dict[str, Any], message: str
) -> None:
    answer = await request_url(api, user, **options)
    assert refusal(answer) == (400, "invalid_request")
    assert answer.json()["error"]["message"] == f"widget_url.{message}"


@pytest.mark.parametrize(
    "option",
    [
        "current_institution_code",
        "current_institution_guid",
        "current_member_guid",
        "current_microdeposit_guid",
    ],
)
async def test_an_option_that_names_a_missing_object_is_refused_with_its_name(
    api: Api, user: str, option: str
) -> None:
    answer = await request_url(api, user, **{option: "MBR-1"})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"{option}: not found."


async def test_the_member_of_another_user_is_refused_like_an_unknown_member(api: Api, user: str) -> None:
    others = await api.connect(await api.create_user(id="bob"))
    refused = await request_url(api, user, current_member_guid=others)
    assert refused.status_code == 404
    assert refused.json() == (await request_url(api, user, current_member_guid="MBR-1")).json()


async def test_a_widget_type_is_required(api: Api, user: str) -> None:
    answer = await api.post(f"/users/{user}/widget_urls", json={"widget_url": {}})
    assert refusal(answer) == (400, "invalid_request")


async def test_the_url_of_a_deleted_user_cannot_be_loaded(api: Api, user: str) -> None:
    url = (await request_url(api, user)).json()["widget_url"]["url"]
    await api.delete(f"/users/{user}")
    with pytest.raises(NotFound):
        await open_url(api, url)
