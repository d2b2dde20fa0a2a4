"""The portal: its link, its session, and what an end user sees, stops, narrows, downloads and deletes."""

import csv
import re
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from html import unescape
from io import StringIO

import httpx
import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.grants.portal_sessions import IDLE_TIMEOUT, MAX_AGE
from coatcheck.model.accounts import Account
from coatcheck.model.users import find_user
from coatcheck.portal.overview import MOST
from coatcheck.server import create_app
from coatcheck.signatures import DocumentType, verify
from coatcheck.vault.signing_keys import key_set, published_keys
from tests.factories import (
    Keyed,
    make_account,
    make_disclosure,
    make_processor,
    make_token,
    make_transaction,
    make_user,
)
from tests.portal_client import Portal, open_portal, portal_url, text_of

NUMBERS = "/account/account_numbers"


@pytest.fixture
async def other(services: Services, client: Keyed) -> Keyed:
    """A second processor of the client."""
    return await make_processor(services, client, name="Ledger Books")


@pytest.fixture
async def token(services: Services, account: Account, processor: Keyed) -> str:
    return await make_token(services, account, processor)


@pytest.fixture
async def portal(services: Services, client: Keyed, account: Account, http: httpx.AsyncClient) -> Portal:
    return await open_portal(services, client, account.user_guid, http)


async def reads(http: httpx.AsyncClient, token: str) -> int:
    """The status of a read with a token."""
    answer = await http.get(NUMBERS, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def grant_guid(http: httpx.AsyncClient, client: Keyed, processor: Keyed) -> str:
    answer = await http.get(f"/coatcheck/grants?processor_guid={processor.guid}", auth=client.auth)
    return str(answer.json()["grants"][0]["guid"])


def document_of(page: httpx.Response) -> str:
    found = re.search(r'<p class="document"[^>]*>([^<]+)</p>', page.text)
    assert found, page.text
    return unescape(found[1])


async def test_a_link_opens_the_portal_once(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    url = await portal_url(http, client, account.user_guid)
    assert url.startswith(f"{services.settings.base_url}/portal/open/ccl_")
    path = url.removeprefix(services.settings.base_url)
    for _ in range(2):
        # A preview of the link does not use it up.
        assert (await http.get(path)).status_code == 200
        assert (await http.head(path)).status_code == 200
    assert (await http.post(path)).status_code == 303
    again = await http.post(path)
    assert again.status_code == 410
    assert "This link no longer works" in again.text


async def test_a_link_expires(
    clock: MovableClock, services: Services, http: httpx.AsyncClient, client: Keyed, account: Account
) -> None:
    url = await portal_url(http, client, account.user_guid)
    clock.advance(services.settings.link_ttl)
    assert (await http.post(url.removeprefix(services.settings.base_url))).status_code == 410


async def test_a_link_needs_an_enabled_user_of_the_client(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed, account: Account
) -> None:
    disabled = await make_user(services, client, is_disabled=True)
    for guid, caller, status in (
        (disabled.guid, client, 403),
        ("USR-unknown", client, 404),
        (account.user_guid, processor, 401),
    ):
        answer = await http.post(f"/coatcheck/users/{guid}/portal_urls", auth=caller.auth)
        assert answer.status_code == status, answer.text


async def test_the_cookie_is_hidden_from_scripts_and_sent_to_its_session_only(
    services: Services, client: Keyed, account: Account, http: httpx.AsyncClient
) -> None:
    path = (await portal_url(http, client, account.user_guid)).removeprefix(services.settings.base_url)
    answer = await http.post(path)
    name, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert name.startswith("coatcheck_portal=ccs_")
    assert attributes == f"Path={answer.headers['location']}; HttpOnly; SameSite=Lax"
    assert answer.headers["cache-control"] == "no-store"


async def test_over_https_the_cookie_is_sent_in_frames_of_the_same_page_only(
    services: Services, client: Keyed, account: Account, http: httpx.AsyncClient, master_key: str
) -> None:
    settings = replace(services.settings, base_url="https://coatcheck.example", master_key=master_key)
    path = (await portal_url(http, client, account.user_guid)).removeprefix(services.settings.base_url)
    async with (
        build(settings, services.clock) as secure,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(secure)), base_url=settings.base_url
        ) as over_https,
    ):
        cookie = (await over_https.post(path)).headers["set-cookie"]
    assert cookie.startswith("__Secure-coatcheck_portal=ccs_")
    assert cookie.endswith("; HttpOnly; Secure; SameSite=None; Partitioned")


async def test_a_session_needs_its_own_cookie(
    services: Services, client: Keyed, account: Account, http: httpx.AsyncClient, portal: Portal
) -> None:
    second = await open_portal(services, client, account.user_guid, http)
    for cookie in ("", second.cookie, portal.cookie[:-1]):
        page = await http.get(portal.home, headers={"Cookie": cookie})
        assert page.status_code == 403
        assert "You have been signed out" in page.text
    assert (await portal.get()).status_code == 200
    assert (await second.get()).status_code == 200


async def test_a_session_ends_when_it_is_idle_too_old_or_left(
    clock: MovableClock, services: Services, client: Keyed, account: Account, http: httpx.AsyncClient
) -> None:
    async def opened() -> Portal:
        return await open_portal(services, client, account.user_guid, http)

    idle = await opened()
    clock.advance(IDLE_TIMEOUT)
    assert (await idle.get()).status_code == 403
    old = await opened()
    for _ in range(MAX_AGE // (IDLE_TIMEOUT / 2) - 1):
        clock.advance(IDLE_TIMEOUT / 2)
        assert (await old.get()).status_code == 200
    clock.advance(IDLE_TIMEOUT / 2)
    assert (await old.get()).status_code == 403
    left = await opened()
    assert (await left.post("/leave")).status_code == 200
    assert (await left.get()).status_code == 403


async def test_a_session_ends_with_its_user(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, portal: Portal
) -> None:
    answer = await http.put(
        f"/users/{account.user_guid}", auth=client.auth, json={"user": {"is_disabled": True}}
    )
    assert answer.status_code == 200
    assert (await portal.get()).status_code == 403


@pytest.mark.parametrize("path", ["/stop", "/delete", "/leave", "/grants/{grant}", "/apps"])
async def test_a_form_of_another_site_is_refused(
    http: httpx.AsyncClient, client: Keyed, processor: Keyed, portal: Portal, token: str, path: str
) -> None:
    url = portal.home + path.format(grant=await grant_guid(http, client, processor))
    own = re.findall(r'name="form_token" value="([0-9a-f]+)"', (await portal.get()).text)[0]
    for headers, form_token in (
        ({}, ""),
        ({}, "0" * 64),
        ({"Sec-Fetch-Site": "cross-site"}, own),
        ({"Sec-Fetch-Site": "same-site"}, own),
    ):
        page = await http.post(
            url,
            headers={"Cookie": portal.cookie, **headers},
            data={"form_token": form_token, "everything": "yes"},
        )
        assert page.status_code == 403, page.text
    assert await reads(http, token) == 200


async def test_the_token_of_a_form_has_no_bytes_in_common_from_page_to_page(portal: Portal) -> None:
    """Else the length of a compressed page, with text that another site chose in its URL, would give it away."""
    first, second = [
        re.findall(r'name="form_token" value="([0-9a-f]+)"', (await portal.get()).text)[0] for _ in range(2)
    ]
    same = [a for a, b in zip(bytes.fromhex(first), bytes.fromhex(second), strict=True) if a == b]
    assert len(same) < 8, (first, second)
    # Of a page that is still open in another tab.
    assert (await portal.post("/leave", form_token=first)).status_code != 403


@pytest.mark.parametrize("body", [b"everything=%FF", "everything=ä".encode(), b"a=1&" * 1_001])
async def test_a_body_that_is_not_a_form_is_refused(
    http: httpx.AsyncClient, portal: Portal, body: bytes
) -> None:
    typed = {"Cookie": portal.cookie, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await http.post(f"{portal.home}/stop", headers=typed, content=body)
    assert answer.status_code == 400, answer.text


async def test_the_overview_shows_banks_accounts_and_who_can_read_what(
    services: Services, http: httpx.AsyncClient, account: Account, other: Keyed, portal: Portal, token: str
) -> None:
    await make_token(services, account, other, reads_protected=False, atoms="lookback-days:30 max-reads:9")
    assert await reads(http, token) == 200
    text = text_of(await portal.get())
    for expected in (
        "MX Bank Connected",
        "Everyday Checking",
        "Test processor Last read",
        "Account and routing numbers",
        "Ledger Books Has not read anything",
        "Transactions of the last 30 days",
        "Read 0 of at most 9 times",
    ):
        assert expected in text
    assert "1234567890" not in text


async def test_many_grants_that_ended_hide_none_that_can_read(
    services: Services, client: Keyed, account: Account, other: Keyed, portal: Portal, processor: Keyed
) -> None:
    await make_token(services, account, other)
    await make_token(services, account, processor)
    async with services.db.transaction() as connection:
        await connection.execute(
            """INSERT INTO access_token SELECT (jsonb_populate_record(t, jsonb_build_object(
                   'guid', 'TKN-ffffffff-0000-7000-8000-' || lpad(n::text, 12, '0'), 'revoked_at', now(),
                   'token_hash', '\\xfa' || encode(int4send(n), 'hex')))).*
               FROM access_token t, generate_series(1, %(many)s) AS n WHERE processor_guid = %(processor)s""",
            {"many": MOST.size, "processor": processor.guid},
        )
    page = await portal.get()
    assert "Stop Ledger Books" in text_of(page)
    stop = f"/stop?processor_guid={other.guid}"
    assert "Stop access: Ledger Books?" in text_of(await portal.get(stop))


async def test_a_user_without_anything_is_told_what_to_do(
    services: Services, client: Keyed, http: httpx.AsyncClient
) -> None:
    user = await make_user(services, client)
    text = text_of(await (await open_portal(services, client, user.guid, http)).get())
    assert "No company has access. When Acme gives one access to an account, you see it here." in text
    assert "No bank is connected. You can connect one in Acme." in text


async def test_a_read_is_shown_as_soon_as_it_was_answered(
    http: httpx.AsyncClient, processor: Keyed, portal: Portal, token: str
) -> None:
    path = f"/processors/{processor.guid}"
    assert "It has not read anything." in text_of(await portal.get(path))
    assert await reads(http, token) == 200
    text = text_of(await portal.get(path))
    assert "Read the account and routing numbers Everyday Checking 1 record" in text
    assert 'aria-label="1 reads in the last 30 days"' in (await portal.get(path)).text


async def test_the_time_line_has_pages(
    http: httpx.AsyncClient, processor: Keyed, portal: Portal, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.portal.handlers.READS_ON_A_PAGE", 2)
    for _ in range(3):
        await reads(http, token)
    path = f"/processors/{processor.guid}"
    first, last = await portal.get(path), await portal.get(f"{path}?page=2")
    assert (first.text.count("<time"), last.text.count("<time")) == (2, 1)
    assert "?page=2" in first.text
    assert "?page=3" not in last.text


async def test_what_the_user_agreed_to_has_pages(
    services: Services, portal: Portal, account: Account, client: Keyed
) -> None:
    assert "we have no text that you agreed to" in text_of(await portal.get("/agreements"))
    async with services.db.connection() as connection:
        user = await find_user(connection, client.guid, account.user_guid)
    for number in range(6):
        await make_disclosure(services, user, text=f"Agreement {number}.")
    pages = [await portal.get(f"/agreements?page={page}") for page in (1, 2)]
    shown = [re.findall(r"Agreement \d", text_of(page)) for page in pages]
    assert shown == [[f"Agreement {number}" for number in (5, 4, 3, 2, 1)], ["Agreement 0"]]
    assert ["Older" in text_of(page) for page in pages] == [True, False]
    assert ["Newer" in text_of(page) for page in pages] == [False, True]


async def test_one_grant_is_stopped_with_a_receipt_and_the_others_go_on(
    services: Services,
    http: httpx.AsyncClient,
    client: Keyed,
    account: Account,
    processor: Keyed,
    other: Keyed,
    portal: Portal,
    token: str,
) -> None:
    kept = await make_token(services, account, other)
    guid = await grant_guid(http, client, processor)
    asked = await portal.get(f"/stop?grant={guid}")
    assert "This cannot be undone" in asked.text
    assert await reads(http, token) == 200
    page = await portal.post("/stop", on=f"/stop?grant={guid}", grant=guid)
    assert "Access is stopped" in page.text
    assert (await reads(http, token), await reads(http, kept)) == (401, 200)
    async with services.db.connection() as connection:
        keys = key_set(await published_keys(connection, services.clock.now()))
    document = verify(document_of(page), keys["keys"])
    assert document.type is DocumentType.REVOCATION
    assert document.claims["grant_guids"] == [guid]
    revoked = (await http.get(f"/coatcheck/grants/{guid}", auth=client.auth)).json()["grant"]
    assert revoked["revoked_by"] == account.user_guid


@pytest.mark.parametrize("field", ["processor_guid", "member_guid", "account_guid", "everything"])
async def test_everything_that_is_named_is_stopped(
    services: Services,
    http: httpx.AsyncClient,
    client: Keyed,
    account: Account,
    processor: Keyed,
    portal: Portal,
    token: str,
    field: str,
) -> None:
    stranger = await make_account(services, await make_user(services, client))
    kept = await make_token(services, stranger, processor)
    values = {
        "processor_guid": processor.guid,
        "member_guid": account.member_guid,
        "account_guid": account.guid,
        "everything": "yes",
    }
    page = await portal.post("/stop", on=f"/stop?{field}={values[field]}", **{field: values[field]})
    assert "1 authorization ended" in page.text
    # The same processor goes on reading the account of another user.
    assert (await reads(http, token), await reads(http, kept)) == (401, 200)


async def test_nothing_of_another_user_is_shown_stopped_or_narrowed(
    services: Services, http: httpx.AsyncClient, client: Keyed, other: Keyed, portal: Portal
) -> None:
    stranger = await make_account(services, await make_user(services, client))
    kept = await make_token(services, stranger, other)
    guid = await grant_guid(http, client, other)
    for path in (
        f"/grants/{guid}",
        f"/processors/{other.guid}",
        f"/stop?grant={guid}",
        f"/stop?account_guid={stranger.guid}",
        f"/stop?member_guid={stranger.member_guid}",
        f"/stop?processor_guid={other.guid}",
        "/stop?everything=no",
    ):
        assert (await portal.get(path)).status_code == 404, path
    assert (await portal.post("/stop", grant=guid)).status_code == 404
    assert (await portal.post(f"/grants/{guid}", permissions="balances")).status_code == 404
    assert (await portal.post("/stop")).status_code == 400
    assert await reads(http, kept) == 200


async def test_a_grant_is_narrowed_and_never_widened(
    http: httpx.AsyncClient, client: Keyed, account: Account, processor: Keyed, portal: Portal, token: str
) -> None:
    guid = await grant_guid(http, client, processor)
    path = f"/grants/{guid}"
    assert (await portal.post(path, on=path, permissions="balances", lookback_days="30")).status_code == 303
    assert await reads(http, token) == 403
    grant = (await http.get(f"/coatcheck/grants/{guid}", auth=client.auth)).json()["grant"]
    assert (grant["permissions"], grant["lookback_days"], grant["version"]) == (["balances"], 30, 2)
    for wider in (
        {"permissions": ["balances", "numbers"]},
        {"permissions": "balances", "lookback_days": "31"},
        {"permissions": "balances", "ends_on": "2199-01-01"},
        {"permissions": []},
    ):
        refused = await portal.post(path, on=path, **wider)
        assert refused.status_code == 422, wider
        assert "Access can be reduced, not extended" in refused.text
    for invalid in ({"lookback_days": "0"}, {"max_reads": "many"}, {"ends_on": "soon"}):
        assert (await portal.post(path, on=path, permissions="balances", **invalid)).status_code == 400


@pytest.mark.parametrize("path", ["/grants/{guid}", "/apps"])
async def test_a_number_of_days_that_no_date_is_away_is_refused(
    http: httpx.AsyncClient,
    client: Keyed,
    account: Account,
    processor: Keyed,
    portal: Portal,
    token: str,
    path: str,
) -> None:
    path = path.format(guid=await grant_guid(http, client, processor))
    fields = {"permissions": "balances", "app_name": "Actual", "account_guids": account.guid}
    refused = await portal.post(path, on=path, lookback_days="999999999", **fields)
    assert refused.status_code == 400
    assert await reads(http, token) == 200


async def test_a_refusal_leads_back_to_the_first_page(portal: Portal) -> None:
    for answer, status, title in (
        (await portal.post("/apps", app_name=""), 400, "This change is not possible"),
        (await portal.get("/grants/TKN-unknown"), 404, "This page does not exist"),
    ):
        assert (answer.status_code, title in text_of(answer)) == (status, True)
        assert f'href="{portal.home}"' in answer.text


async def test_a_form_with_the_values_that_it_showed_changes_nothing(
    http: httpx.AsyncClient, client: Keyed, processor: Keyed, portal: Portal, token: str
) -> None:
    guid = await grant_guid(http, client, processor)
    page = (await portal.get(f"/grants/{guid}")).text
    shown = {
        "permissions": re.findall(r'name="permissions" value="(\w+)"', page),
        "lookback_days": "",
        "max_reads": "",
        "ends_on": re.findall(r'id="ends_on".*value="([0-9-]+)"', page)[0],
    }
    await portal.post(f"/grants/{guid}", on=f"/grants/{guid}", **shown)
    grant = (await http.get(f"/coatcheck/grants/{guid}", auth=client.auth)).json()["grant"]
    assert grant["version"] == 1


async def test_all_data_is_downloaded_as_json_and_tables(
    services: Services,
    http: httpx.AsyncClient,
    account: Account,
    processor: Keyed,
    portal: Portal,
    token: str,
) -> None:
    await make_transaction(services, account, description="=HYPERLINK(0)")
    await reads(http, token)
    everything = (await portal.get("/coatcheck.json")).json()
    assert [each["guid"] for each in everything["accounts"]] == [account.guid]
    table = list(csv.DictReader(StringIO((await portal.get("/transactions.csv")).text)))
    # A spreadsheet would take it for a formula.
    assert [(row["description"], row["amount"]) for row in table] == [("'=HYPERLINK(0)", "12.34")]
    answer = await portal.get("/reads.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="reads.csv"'
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert processor.guid in {row["reader_guid"] for row in rows}


async def test_everything_is_deleted_with_an_attestation(
    http: httpx.AsyncClient, client: Keyed, account: Account, portal: Portal, token: str
) -> None:
    assert "This cannot be undone" in (await portal.get("/delete")).text
    page = await portal.post("/delete", on="/delete")
    assert "Everything is deleted" in page.text
    keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
    assert verify(document_of(page), keys).claims["user_guid"] == account.user_guid
    assert await reads(http, token) == 401
    assert (await portal.get()).status_code == 403
    assert (await http.get(f"/users/{account.user_guid}", auth=client.auth)).status_code == 404


@pytest.mark.parametrize(
    ("locale", "title"),
    [("es", "Sus cuentas conectadas"), ("fr-CA", "Vos comptes connectés"), ("de", "Your")],
)
async def test_the_pages_have_the_language_of_the_link(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, locale: str, title: str
) -> None:
    portal = await open_portal(services, client, account.user_guid, http, locale=locale)
    page = (await portal.get()).text
    assert f"<h1>{title}" in page


async def test_pages_load_nothing_from_elsewhere_and_are_framed_by_the_client_only(portal: Portal) -> None:
    page = await portal.get()
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert policy.endswith("frame-ancestors 'self'")
    assert page.headers["cache-control"] == "no-store"
    assert "style=" not in page.text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)


async def test_each_act_is_in_the_audit_log_with_the_user_as_actor(
    services: Services, account: Account, portal: Portal, token: str
) -> None:
    await portal.get("/reads.csv")
    await portal.post("/stop", everything="yes")
    await portal.post("/leave")
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body::json->>'action' FROM audit_entry WHERE body::json->>'actor' = %s",
            (account.user_guid,),
        )
        actions = {action for (action,) in await cursor.fetchall()}
    assert {"portal.opened", "user.exported", "tokens.revoked", "portal.left"} <= actions


def test_the_session_lasts_as_long_as_the_pages_say() -> None:
    assert timedelta(minutes=15) == IDLE_TIMEOUT


async def test_an_app_of_the_user_reads_with_a_setup_token_that_is_shown_once(
    http: httpx.AsyncClient, services: Services, account: Account, portal: Portal
) -> None:
    page = await portal.post(
        "/apps", on="/apps", app_name="Actual", account_guids=account.guid, days="30", lookback_days="90"
    )
    claim_url = b64decode(document_of(page)).decode()
    assert claim_url.startswith(f"{services.settings.base_url}/simplefin/claim/")
    claimed = await http.post(claim_url)
    assert claimed.status_code == 200
    read = await http.get(f"{claimed.text}/accounts")
    assert [each["id"] for each in read.json()["accounts"]] == [account.guid]
    text = text_of(await portal.get())
    assert "Actual Last read" in text
    assert "Transactions of the last 90 days" in text
    assert (await http.post(claim_url)).status_code == 403


async def test_an_app_needs_a_name_and_accounts_of_the_user(
    services: Services, client: Keyed, account: Account, portal: Portal
) -> None:
    stranger = await make_account(services, await make_user(services, client))
    for fields, status in (
        ({"app_name": "", "account_guids": account.guid}, 400),
        ({"app_name": "Actual"}, 400),
        ({"app_name": "Actual", "account_guids": account.guid, "days": "soon"}, 400),
        ({"app_name": "Actual", "account_guids": stranger.guid}, 404),
    ):
        assert (await portal.post("/apps", on="/apps", **fields)).status_code == status, fields
