"""The OAuth callback: the end user returns from the bank's sign-in page."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import AuthorizationResponse
from coatcheck.deadline import within
from coatcheck.directory.client_rows import put_widget_appearance, set_client_disabled
from coatcheck.errors import InvalidRequest
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.members import find_member
from coatcheck.model.widgets import WidgetAppearance
from coatcheck.worker_services import run_maintenance
from tests.api_client import Api, refusal
from tests.bank_windows import come_back, decide, start
from tests.factories import Keyed, make_client
from tests.widget_client import link, open_page

DEADLINE = timedelta(seconds=2)
OAUTH = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}


@pytest.fixture
async def client(services: Services) -> Keyed:
    return await make_client(services, webhook_url="https://hooks.example.com/mx")


async def begin(api: Api, user: str, **return_target: Any) -> tuple[str, str]:
    """A PENDING member's guid, and its window."""
    created = await api.post(f"/users/{user}/members", json=OAUTH | return_target)
    assert created.status_code == 200, created.text
    member = created.json()["member"]
    assert (member["connection_status"], member["is_oauth"]) == ("PENDING", True)
    return member["guid"], member["oauth_window_uri"]


async def member_of(api: Api, user: str, guid: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/users/{user}/members/{guid}")).json()["member"]
    return found


async def started_state(api: Api, window: str) -> str:
    """Opens the window; the `state` in the URL of the bank's page."""
    return dict(parse_qsl(urlsplit(await start(api.http, window)).query))["state"]


def data_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'data-([a-z-]+)="([^"]*)"', page))


async def test_consent_connects_the_member_and_the_page_has_the_result_for_the_opener(
    api: Api, user: str
) -> None:
    guid, window = await begin(api, user)
    back = await decide(api, window)
    assert back.startswith("http://coatcheck.test/oauth/callback?")
    page = await come_back(api.http, back)
    assert page.status_code == 200
    assert data_of(page.text) == {"type": "oauthComplete/success", "member-guid": guid}
    await api.work()
    member = await member_of(api, user, guid)
    assert member["connection_status"] == "CONNECTED"
    accounts = (await api.get(f"/users/{user}/members/{guid}/accounts")).json()["accounts"]
    assert accounts


async def test_what_a_bank_gives_after_the_deadline_of_the_request_is_stored(
    api: Api, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guid, window = await begin(api, user)
    back = await decide(api, window)
    connector = api.services.registry.connector_for("mxcu_oauth")
    complete = connector.complete

    async def complete_late(response: AuthorizationResponse) -> Any:
        await asyncio.sleep(DEADLINE.total_seconds() * 1.1)  # the bank takes longer than the request may
        return await complete(response)

    monkeypatch.setattr(connector, "complete", complete_late)
    with within(DEADLINE):
        page = await come_back(api.http, back)
    assert data_of(page.text)["type"] == "oauthComplete/success"
    await api.work()
    assert (await member_of(api, user, guid))["connection_status"] == "CONNECTED"


@pytest.mark.parametrize("issuer", ["https://bank.example", None])
async def test_the_connector_learns_which_server_answered(
    api: Api, user: str, monkeypatch: pytest.MonkeyPatch, issuer: str | None
) -> None:
    _, window = await begin(api, user)
    back = await decide(api, window)
    answers: list[AuthorizationResponse] = []
    connector = api.services.registry.connector_for("mxcu_oauth")
    complete = connector.complete

    async def recording(response: AuthorizationResponse) -> Any:
        answers.append(response)
        return await complete(response)

    monkeypatch.setattr(connector, "complete", recording)
    await come_back(api.http, f"{back}&iss={issuer}" if issuer else back)
    assert [each.issuer for each in answers] == [issuer]


async def test_the_page_is_in_the_browser_s_language(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    french = {"Accept-Language": "fr-CA,en;q=0.5"}
    back = await decide(api, window)
    page = await come_back(api.http, back, **french)
    assert '<html lang="fr-CA">' in page.text
    assert "est connectée" in page.text
    again = await api.http.get(back, headers=french)
    assert (again.status_code, "Ce lien ne fonctionne plus" in again.text) == (410, True)


async def test_a_window_of_the_widget_is_in_the_widget_s_language(api: Api, user: str) -> None:
    widget = await open_page(api, user, locale="es")
    bank = api.services.registry.find("mxcu_oauth").guid
    made = await widget.send("POST", "/members", {"institution_guid": bank, "is_oauth": True})
    back = await decide(api, made["member"]["oauth_window_uri"], decision="deny")
    page = await come_back(api.http, back, **{"Accept-Language": "en"})
    assert '<html lang="es">' in page.text
    assert "no está conectado" in page.text


async def test_the_page_has_a_title_and_loads_nothing_from_other_hosts(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    page = await come_back(api.http, await decide(api, window))
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert '<html lang="en">' in page.text
    assert page.text.count("<h1>") == page.text.count("<main") == page.text.count("<title>") == 1
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for path in re.findall(r'(?:src|href)="([^"]*)"', page.text):
        asset = await api.http.get(path)
        assert path.startswith("/")
        assert asset.status_code == 200
        assert asset.headers["x-content-type-options"] == "nosniff"


async def test_a_callback_is_accepted_once_and_only_before_it_expires(
    api: Api, user: str, clock: MovableClock
) -> None:
    _, window = await begin(api, user)
    back = await decide(api, window)
    assert (await api.http.head(back)).status_code == 405
    assert (await come_back(api.http, back)).status_code == 200
    again = await api.http.get(back)
    _, late = await begin(api, await api.create_user())
    back = await decide(api, late)
    clock.advance(timedelta(minutes=10, seconds=1))
    too_late = await api.http.get(back)
    invalid = [
        await api.http.get("/oauth/callback"),
        await api.http.get("/oauth/callback", params={"state": "x", "code": "y"}),
        await api.http.get("/oauth/callback?state=%00&code=%00"),
        await api.http.get("/oauth/callback?state=%ff"),
    ]
    for answer in (again, too_late, *invalid):
        assert answer.status_code == 410
        assert "no longer works" in answer.text
        assert data_of(answer.text) == {}


async def test_a_code_of_another_attempt_is_refused(api: Api, user: str) -> None:
    """A code that was issued for another attempt fails on its PKCE verifier (RFC 7636 4.6)."""
    guid, window = await begin(api, user)
    _, other_window = await begin(api, await api.create_user())
    stolen = dict(parse_qsl(urlsplit(await decide(api, other_window)).query))["code"]
    state = await started_state(api, window)
    page = await come_back(api.http, f"/oauth/callback?{urlencode({'state': state, 'code': stolen})}")
    assert data_of(page.text)["type"] == "oauthComplete/error"
    assert (await member_of(api, user, guid))["connection_status"] == "DENIED"


async def test_a_refusal_denies_the_member_with_a_reason(api: Api, user: str) -> None:
    guid, window = await begin(api, user)
    page = await come_back(api.http, await decide(api, window, "deny"))
    assert page.status_code == 200
    assert data_of(page.text) == {
        "type": "oauthComplete/error",
        "member-guid": guid,
        "error-reason": "DENIED",
    }
    assert (await member_of(api, user, guid))["connection_status"] == "DENIED"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("access_denied", "DENIED"),
        ("temporarily_unavailable", "PROVIDER_ERROR"),
        ("server_error", "PROVIDER_ERROR"),
        ("invalid_scope", "SERVER_ERROR"),
        ("<script>", "SERVER_ERROR"),
        ("", "SERVER_ERROR"),
    ],
)
async def test_each_oauth_error_has_a_reason_of_mx(api: Api, user: str, error: str, reason: str) -> None:
    _, window = await begin(api, user)
    state = await started_state(api, window)
    page = await api.http.get("/oauth/callback", params={"state": state, "error": error})
    assert data_of(page.text)["error-reason"] == reason
    assert error not in page.text or not error


async def test_an_app_with_a_url_is_redirected_to_with_the_result(api: Api, user: str) -> None:
    return_target = {
        "referral_source": "APP",
        "client_redirect_url": "https://app.example.com/done?a=1&b=%2F#top",
    }
    guid, window = await begin(api, user, **return_target)
    answer = await come_back(api.http, await decide(api, window))
    assert answer.status_code == 303
    expected = f"https://app.example.com/done?a=1&b=%2F&status=success&member_guid={guid}#top"
    assert answer.headers["location"] == expected
    assert answer.headers["referrer-policy"] == "no-referrer"

    guid, window = await begin(api, await api.create_user(), **return_target)
    answer = await come_back(api.http, await decide(api, window, "deny"))
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (query["status"], query["member_guid"], query["error_reason"]) == (["error"], [guid], ["DENIED"])


async def test_an_app_without_a_url_is_redirected_to_by_its_scheme(api: Api, user: str) -> None:
    for number, (sent, scheme) in enumerate(
        (({}, "mx"), ({"ui_message_webview_url_scheme": "my.app"}, "my.app"))
    ):
        owner = await api.create_user(id=f"owner-{number}")
        guid, window = await begin(api, owner, referral_source="APP", **sent)
        answer = await come_back(api.http, await decide(api, window))
        expected = f"{scheme}://oauth_complete?status=success&member_guid={guid}"
        assert answer.headers["location"] == expected


async def test_a_browsers_page_names_the_clients_origin_and_does_not_follow_its_url(
    api: Api, user: str
) -> None:
    _, window = await begin(api, user, client_redirect_url="https://app.example.com:8443/done?x=1")
    page = await come_back(api.http, await decide(api, window))
    assert page.status_code == 200
    assert data_of(page.text)["origins"] == "https://app.example.com:8443"


async def allow(api: Api, *origins: str) -> None:
    async with api.services.db.transaction() as connection:
        await put_widget_appearance(connection, api.caller.guid, WidgetAppearance(origins=list(origins)))


async def test_the_client_s_allow_list_without_its_any_port_entries_receives_the_result(
    api: Api, user: str
) -> None:
    await allow(api, "https://app.example", "http://localhost:*", "https://other.example:8443")
    _, window = await begin(api, user)
    page = await come_back(api.http, await decide(api, window, "deny"))
    assert data_of(page.text)["origins"] == "https://app.example https://other.example:8443"


async def test_the_origin_of_client_redirect_url_alone_receives_the_result(api: Api, user: str) -> None:
    await allow(api, "https://app.example")
    _, window = await begin(api, user, client_redirect_url="https://named.example/done")
    page = await come_back(api.http, await decide(api, window))
    assert data_of(page.text)["origins"] == "https://named.example"


async def test_without_a_list_or_with_another_client_s_no_other_origin_receives_the_result(
    api: Api, user: str, http: httpx.AsyncClient
) -> None:
    await allow(Api(http, api.services, await make_client(api.services)), "https://theirs.example")
    _, window = await begin(api, user)
    page = await come_back(api.http, await decide(api, window))
    assert "origins" not in data_of(page.text)


async def test_a_new_window_can_be_requested_and_each_works_once(api: Api, user: str) -> None:
    guid, first = await begin(api, user)
    path = f"/users/{user}/members/{guid}/oauth_window_uri"
    answer = await api.get(
        path, params={"referral_source": "APP", "client_redirect_url": "https://a.example/x"}
    )
    assert answer.json()["member"]["guid"] == guid
    second = answer.json()["member"]["oauth_window_uri"]
    assert first != second
    answer = await come_back(api.http, await decide(api, second))
    assert answer.headers["location"].startswith("https://a.example/x?status=success")
    await api.work()
    assert (await member_of(api, user, guid))["connection_status"] == "CONNECTED"


async def test_a_repeated_consent_starts_an_aggregation_unless_it_is_skipped(api: Api, user: str) -> None:
    guid, window = await begin(api, user)
    await come_back(api.http, await decide(api, window))
    await api.work()
    path = f"/users/{user}/members/{guid}/oauth_window_uri"
    for skips, runs in (("true", False), ("false", True)):
        window = (await api.get(path, params={"skip_aggregation": skips})).json()["member"][
            "oauth_window_uri"
        ]
        await come_back(api.http, await decide(api, window))
        assert (await member_of(api, user, guid))["is_being_aggregated"] is runs
        await api.work()
    assert (await member_of(api, user, guid))["connection_status"] == "CONNECTED"


async def test_the_jobs_a_member_was_created_for_run_after_consent(api: Api, user: str) -> None:
    guid, window = await begin(api, user, data_request={"products": ["account_verification"]})
    await come_back(api.http, await decide(api, window))
    await api.work()
    numbers = await api.get(f"/users/{user}/members/{guid}/account_numbers")
    assert numbers.json()["account_numbers"]


async def test_the_callback_payload_of_the_call_that_opened_the_window_is_echoed(api: Api, user: str) -> None:
    created = await api.post(f"/users/{user}/members", json=OAUTH, headers={"X-CALLBACK-PAYLOAD": "Zm9v"})
    await come_back(api.http, await decide(api, created.json()["member"]["oauth_window_uri"]))
    await api.work()
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT callback_payload FROM event WHERE owner_guid = %s AND type = 'AGGREGATION'",
            (api.caller.guid,),
        )
        assert await cursor.fetchall() == [("Zm9v",)]


async def test_a_member_with_credentials_has_no_window(api: Api, user: str) -> None:
    member = await api.connect(user)
    answer = await api.get(f"/users/{user}/members/{member}/oauth_window_uri")
    assert refusal(answer) == (405, "method_not_allowed_error")


@pytest.mark.parametrize(
    "query",
    [
        {"referral_source": "MAIL"},
        {"client_redirect_url": "javascript:alert(1)"},
        {"client_redirect_url": "//example.com"},
        {"client_redirect_url": "https://user:pass@example.com"},
        {"client_redirect_url": "https://example.com\\@evil.example"},
        {"client_redirect_url": "https://example.com/\r\nSet-Cookie: a=b"},
        {"client_redirect_url": "https://exämple.com"},
        {"client_redirect_url": "https://"},
        {"client_redirect_url": "https://example.com:99999"},
        {"client_redirect_url": f"https://example.com/{'x' * 1000}"},
        {"ui_message_webview_url_scheme": "javascript"},
        {"ui_message_webview_url_scheme": "HTTPS"},
        {"ui_message_webview_url_scheme": "my app"},
        {"ui_message_webview_url_scheme": "app://x"},
        {"ui_message_webview_url_scheme": "1app"},
        {"skip_aggregation": "maybe"},
    ],
)
async def test_an_unsafe_return_target_is_refused(api: Api, user: str, query: dict[str, str]) -> None:
    guid, _ = await begin(api, user)
    answer = await api.get(f"/users/{user}/members/{guid}/oauth_window_uri", params=query)
    assert refusal(answer) == (400, "invalid_request")


async def test_a_return_after_its_member_or_user_was_deleted_or_disabled_is_refused(api: Api) -> None:
    async def return_after(change: str) -> httpx.Response:
        user = await api.create_user()
        guid, window = await begin(api, user)
        back = await decide(api, window)
        if change == "member":
            await api.delete(f"/users/{user}/members/{guid}")
        elif change == "user":
            await api.delete(f"/users/{user}")
        else:
            await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
        return await api.http.get(back)

    for change in ("member", "user", "disabled"):
        assert (await return_after(change)).status_code == 410, change


@pytest.mark.parametrize("disabled", ["user", "client"])
async def test_a_window_ends_when_its_user_or_client_is_disabled(
    services: Services, http: httpx.AsyncClient, disabled: str
) -> None:
    api = Api(http, services, await make_client(services))
    user = await api.create_user()
    guid, window = await begin(api, user)
    back = await decide(api, window)
    if disabled == "user":
        await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    else:
        async with services.db.transaction() as connection:
            await set_client_disabled(connection, api.caller.guid, True)
    assert (await http.get(back)).status_code == 410
    async with services.db.connection() as connection:
        assert (await find_member(connection, user, guid)).connection_status == "PENDING"


async def test_a_widget_link_completes_no_sign_in_and_stays_usable(api: Api, user: str) -> None:
    url = await link(api, user)
    secret = urlsplit(url).path.rpartition("/")[2]
    for query in ({"state": secret, "code": "x"}, {"state": secret, "error": "access_denied"}):
        assert (await api.http.get("/oauth/callback", params=query)).status_code == 410
    assert (await api.http.get(url)).status_code == 200


async def test_the_state_of_a_sign_in_opens_no_widget_and_stays_usable(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    back = await decide(api, window)
    (state,) = parse_qs(urlsplit(back).query)["state"]
    assert (await api.http.get(f"/md/connect/{state}")).status_code == 410
    assert (await come_back(api.http, back)).status_code == 200


async def test_the_secret_of_a_used_window_is_deleted(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    await come_back(api.http, await decide(api, window))
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM sealed_secret WHERE owner_guid = %s AND kind = 'LINK'", (user,)
        )
        assert await cursor.fetchone() == (0,)


async def test_the_secret_of_a_window_without_a_return_is_deleted(
    api: Api, user: str, clock: MovableClock
) -> None:
    await begin(api, user)

    async def count_secrets() -> int:
        async with api.services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM sealed_secret WHERE owner_guid = %s AND kind = 'LINK'", (user,)
            )
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    clock.advance(timedelta(hours=23))
    await run_maintenance(api.services)
    assert await count_secrets() == 1
    clock.advance(timedelta(hours=2))
    await run_maintenance(api.services)
    assert await count_secrets() == 0


def test_a_return_target_is_validated_wherever_it_is_created() -> None:
    with pytest.raises(InvalidRequest):
        ReturnTarget(client_redirect_url="ftp://example.com")
    assert ReturnTarget(client_redirect_url="http://localhost:3000").origin == "http://localhost:3000"


async def test_without_the_database_the_page_asks_the_user_to_try_later(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    back = await decide(api, window)
    await api.services.db.close()
    page = await come_back(api.http, back)
    assert page.status_code == 503
    assert "Try again in a few minutes" in page.text
    assert page.headers["cache-control"] == "no-store"
