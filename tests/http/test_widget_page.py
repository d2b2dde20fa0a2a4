"""The widget's page over HTTP: its link, headers, files and texts."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.cli.credentials import ensure_credentials
from coatcheck.cli.data_directory import stored_seed
from coatcheck.clock import MovableClock
from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.http.static_files import StaticFolder
from coatcheck.model.mx_codes import MEMBER_ERRORS
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.widgets import WidgetAppearance, widget_appearance
from coatcheck.widget import messages
from coatcheck.widget.page_texts import TEXTS
from tests.api_client import Api
from tests.factories import make_client
from tests.widget_client import (
    DEPOSIT,
    boot_of,
    link,
    open_page,
)

# --- the link and the page -----------------------------------------------------------------------------


async def test_a_link_opens_once_and_answers_410_the_second_time(api: Api, user: str) -> None:
    url = await link(api, user)
    first, second = await api.http.get(url), await api.http.get(url)
    assert (first.status_code, second.status_code) == (200, 410)
    assert "no longer works" in second.text
    assert "frame-ancestors *" in second.headers["content-security-policy"], (
        "the frame of the widget shows it"
    )
    assert '<script type="application/json" id="boot">null</script>' in second.text
    assert "cws_" not in second.text


async def test_a_link_expires_after_ten_minutes_and_an_unknown_one_is_refused(
    api: Api, user: str, clock: MovableClock
) -> None:
    late = await link(api, user)
    clock.advance(timedelta(minutes=10, seconds=1))
    for url in (late, "/md/connect/ccl_nonsense", "/md/connect", "/md/connect/%00"):
        assert (await api.http.get(url)).status_code == 410


async def test_a_head_request_or_a_prefetch_does_not_use_the_link_up(api: Api, user: str) -> None:
    url = await link(api, user)
    assert (await api.http.head(url)).status_code == 405
    assert (await api.http.get(url, headers={"Sec-Purpose": "prefetch;prerender"})).status_code == 503
    assert (await api.http.get(url)).status_code == 200


async def test_the_page_allows_no_content_of_other_hosts_and_is_not_cached(api: Api, user: str) -> None:
    response = (await open_page(api, user)).response
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in response.headers
    assert " style=" not in response.text
    scripts = re.findall(r"<script[^>]*>", response.text)
    assert len(scripts) == 2
    assert all("application/json" in each or 'src="/md/static/' in each for each in scripts)


async def test_only_the_client_s_origins_can_frame_the_page(api: Api, services: Services, user: str) -> None:
    assert (await open_page(api, user)).boot["target_origins"] == ["http://coatcheck.test"]
    appearance = WidgetAppearance(
        origins=["https://app.example", "http://localhost:*"],
        accent_color="#0a7",
        logo="data:image/png;base64,AAAA",
        privacy_url="https://app.example/privacy",
    )
    async with services.db.transaction() as connection:
        await put_widget_appearance(connection, api.caller.guid, appearance)
    page = await open_page(api, user)
    policy = page.response.headers["content-security-policy"]
    assert policy.endswith("frame-ancestors https://app.example http://localhost:*")
    assert page.boot["target_origins"] == appearance.origins
    assert page.boot["client"] == {
        "guid": api.caller.guid,
        "name": "Acme",
        "logo_url": appearance.logo,
        "accent_color": "#0a7",
    }
    assert (await page.get("/start"))["consent"]["privacy_url"] == appearance.privacy_url


async def test_a_sandbox_s_client_may_embed_it_from_any_port_of_its_own_machine(
    services: Services, tmp_path: Path
) -> None:
    stored_seed(tmp_path, None)
    made = await ensure_credentials(services, tmp_path)
    async with services.db.connection() as connection:
        appearance = await widget_appearance(connection, made.client_id)
    assert appearance.origins == ["http://localhost:*", "http://127.0.0.1:*"]


async def test_the_page_has_every_option_with_its_default_applied(
    api: Api, services: Services, user: str
) -> None:
    guid = await api.connect(user)
    page = await open_page(
        api,
        user,
        mode="verification",
        include_identity=True,
        include_transactions=True,
        color_scheme="dark",
        current_institution_guid=services.registry.find("mxbank").guid,
        current_member_guid=guid,
        iso_country_code=["us"],
        use_cases=["PFM"],
        is_mobile_webview=True,
        ui_message_webview_url_scheme="acme",
        client_redirect_url="https://app.example/back",
    )
    assert page.boot["config"] == {
        "mode": "verification",
        "products": ["account_verification", "transactions", "identity_verification"],
        "include_transactions": True,
        "include_identity": True,
        "color_scheme": "dark",
        "current_institution_code": "mxbank",
        "current_institution_guid": services.registry.find("mxbank").guid,
        "current_member_guid": guid,
        "current_microdeposit_guid": None,
        "update_credentials": False,
        "disable_institution_search": False,
        "select_several_accounts": False,
        "iso_country_code": ["US"],
        "use_cases": ["PFM"],
        "is_mobile_webview": True,
        "oauth_referral_source": "APP",
        "client_redirect_url": "https://app.example/back",
        "ui_message_version": 4,
        "ui_message_webview_url_scheme": "acme",
    }
    assert page.boot["user_guid"] == user
    assert page.boot["session_guid"].startswith("WSN-")
    assert 'data-color-scheme="dark"' in page.response.text


@pytest.mark.parametrize(
    ("options", "browser", "locale", "title"),
    [
        ({}, None, "en", "Find your bank"),
        ({}, "fr-CA,fr;q=0.9,en;q=0.8", "fr-CA", "Trouvez votre banque"),
        ({}, "de, en;q=0.1, es;q=0.5", "es", "Busque su banco"),
        ({"locale": "es"}, "fr", "es", "Busque su banco"),
        ({"locale": "fr_CA"}, None, "fr-CA", "Trouvez votre banque"),
        ({"locale": "tlh"}, "*", "en", "Find your bank"),
    ],
)
async def test_the_language_is_the_client_s_choice_then_the_browser_s(
    api: Api, user: str, options: dict[str, str], browser: str | None, locale: str, title: str
) -> None:
    headers = {} if browser is None else {"Accept-Language": browser}
    response = await api.http.get(await link(api, user, **options), headers=headers)
    boot = boot_of(response)
    assert boot["locale"] == locale
    assert boot["messages"]["search.title"] == title
    assert boot["messages"].keys() == {key for key, _ in TEXTS if not key.startswith("microdeposits.")}
    assert f'<html lang="{locale}"' in response.text


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({}, {"files"}),
        ({"mode": "verification"}, {"microdeposits"}),
        ({"mode": "verification", "include_transactions": True}, {"files", "microdeposits"}),
    ],
)
async def test_the_page_has_the_texts_of_what_its_session_offers(
    api: Api, user: str, options: dict[str, object], offered: set[str]
) -> None:
    page = await open_page(api, user, **options)
    of_keys = {key.partition(".")[0] for key in page.boot["messages"]}
    assert of_keys & {"files", "microdeposits"} == offered
    assert (await page.get("/boot"))["messages"] == page.boot["messages"]


async def test_the_page_of_a_micro_deposit_has_its_texts_in_every_mode(api: Api, user: str) -> None:
    entered = await open_page(api, user, mode="verification")
    deposit = (await entered.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    page = await open_page(api, user, mode="aggregation", current_microdeposit_guid=deposit["guid"])
    assert "microdeposits.verify" in page.boot["messages"]


async def test_text_from_outside_is_data_on_the_page_and_never_markup(
    services: Services, http: httpx.AsyncClient
) -> None:
    name = "</script><script>alert(1)</script><!--&\u2028"
    api = Api(http, services, await make_client(services, name=name))
    response = await http.get(await link(api, await api.create_user()))
    assert boot_of(response)["client"]["name"] == name
    assert response.text.count("<script") == 2
    assert "<!--" not in response.text
    assert "\u2028" not in response.text


# --- files and texts -----------------------------------------------------------------------------------


async def test_files_are_immutable_under_their_hash_and_not_found_under_another(api: Api, user: str) -> None:
    page = await open_page(api, user)
    paths = re.findall(r'(?:href|src)="(/md/static/[^"]+)"', page.response.text)
    assert any(path.endswith("/widget.js") for path in paths)
    for path in paths:
        file = await api.http.get(path)
        assert file.status_code == 200, path
        assert "immutable" in file.headers["cache-control"]
        assert file.headers["content-type"].startswith(("text/javascript", "text/css"))
        assert file.headers["content-encoding"] == "gzip"
    found = re.search(r'src="(/md/static/[0-9a-f]+)/widget.js"', page.response.text)
    assert found
    base = found[1]
    for wrong in (
        f"{base[:-1]}x/widget.js",
        f"{base}/nothing.js",
        f"{base}/connect.js",
        f"{base}/../app.py",
        f"{base}/%2e%2e/app.py",
    ):
        assert (await api.http.get(wrong)).status_code == 404, wrong


async def test_the_loader_is_served_where_mx_clients_expect_it(api: Api) -> None:
    loader = await api.http.get("/connect.js")
    assert loader.status_code == 200
    assert "MXConnect" in loader.text
    assert loader.headers["cache-control"] == "public, max-age=300"


def test_the_hash_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "widget.js").write_text("1")
    (tmp_path / "steps" / "search.js").write_text("1")
    before = StaticFolder(tmp_path, "/static").base
    assert StaticFolder(tmp_path, "/static").base == before
    (tmp_path / "steps" / "search.js").write_text("2")
    assert StaticFolder(tmp_path, "/static").base != before
    (tmp_path / "steps" / "search.js").write_text("1")
    (tmp_path / "steps" / "search.js").rename(tmp_path / "search.js")
    assert StaticFolder(tmp_path, "/static").base != before


def test_every_status_that_stops_has_a_message() -> None:
    without_message = {
        ConnectionStatus.CREATED,
        ConnectionStatus.CHALLENGED,
        ConnectionStatus.CONNECTED,
        ConnectionStatus.RECONNECTED,
        ConnectionStatus.UPDATED,
        ConnectionStatus.RESUMED,
        ConnectionStatus.PENDING,
    }
    assert set(messages.STATUS_MESSAGES) == set(MEMBER_ERRORS) == set(ConnectionStatus) - without_message
