"""How staff sign in to the dashboard: invitations, passkeys, sessions, cookies, and confirming who they are."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.model.clients import find_client
from coatcheck.staff.people import INVITATION_TTL
from coatcheck.staff.roles import Role
from coatcheck.staff.sessions import CONFIRMATION_TTL, IDLE_TIMEOUT, MAX_AGE
from tests.factories import Keyed
from tests.portal_client import text_of
from tests.staff import (
    Authenticator,
    Window,
    encode,
    invite,
    join,
    joined,
    served_at,
    sign_in,
    signed_in,
    window_of,
)

HOME = "/dashboard"
SIGN_IN = "/dashboard/sign-in"
SESSION = "coatcheck_staff"


async def entries(services: Services, subject_or_actor: str) -> list[tuple[str, str]]:
    """The actions of the audit log about a person or by them, with the name of who acted."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json ->> 'action', body::json -> 'detail' ->> 'actor_name' FROM audit_entry
               WHERE %(guid)s IN (body::json ->> 'subject', body::json ->> 'actor') ORDER BY guid""",
            {"guid": subject_or_actor},
        )
        return [(action, name) for action, name in await cursor.fetchall()]


async def test_an_invited_person_creates_a_passkey_and_signs_in_with_it(
    services: Services, http: httpx.AsyncClient
) -> None:
    staff, invitation = await invite(services)
    device = Authenticator()
    window = await join(http, invitation, device)
    assert text_of(await window.get(HOME)).count("Ann Lee") == 2
    window = await sign_in(http, device)
    assert (window.page.status_code, window.page.headers["location"]) == (303, HOME)
    assert (await window.get(HOME)).status_code == 200
    found = await entries(services, staff.guid)
    assert [action for action, _ in found] == [
        "staff.invited",
        "staff.passkey_added",
        "staff.joined",
        "staff.signed_in",
        "staff.signed_in",
    ]
    assert found[-1][1] == "Ann Lee"


async def test_an_invitation_works_once(services: Services, http: httpx.AsyncClient) -> None:
    _, invitation = await invite(services)
    waiting = Window(http)
    await waiting.get(invitation)
    await join(http, invitation, Authenticator())
    again = await waiting.send(invitation, response=Authenticator().create(waiting.options()))
    assert again.status_code == 410
    assert "This invitation no longer works" in text_of(again)
    assert (await Window(http).get(invitation)).status_code == 410


async def test_a_preview_does_not_use_an_invitation_up(services: Services, http: httpx.AsyncClient) -> None:
    _, invitation = await invite(services)
    for _ in range(2):
        assert (await http.get(invitation)).status_code == 200
        assert (await http.head(invitation)).status_code == 405
    await join(http, invitation, Authenticator())


async def test_an_invitation_expires(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    _, invitation = await invite(services)
    clock.advance(INVITATION_TTL)
    assert (await http.get(invitation)).status_code == 410


async def test_a_new_invitation_replaces_the_old_one_and_ends_passkeys_and_sessions(
    services: Services, http: httpx.AsyncClient
) -> None:
    staff, invitation = await invite(services)
    device = Authenticator()
    window = await join(http, invitation, device)
    async with services.db.transaction() as connection:
        renewed = await services.staff.people.reset(connection, staff.guid, actor="operator")
    assert (await window.get(HOME)).status_code == 303
    assert (await sign_in(http, device)).page.status_code == 401
    await join(http, "/dashboard" + renewed.url.partition("/dashboard")[2], Authenticator())


async def test_a_removed_person_is_signed_out_and_cannot_sign_in(
    services: Services, http: httpx.AsyncClient
) -> None:
    staff, invitation = await invite(services)
    device = Authenticator()
    window = await join(http, invitation, device)
    async with services.db.transaction() as connection:
        await services.staff.people.remove(connection, staff.guid, actor="operator")
    assert (await window.get(HOME)).headers["location"].startswith(SIGN_IN)
    assert (await sign_in(http, device)).page.status_code == 401


async def test_a_copied_passkey_is_refused_disabled_and_recorded(
    services: Services, http: httpx.AsyncClient
) -> None:
    staff, invitation = await invite(services)
    device = Authenticator()
    await join(http, invitation, device)
    copy = replace(device)
    window = await sign_in(http, device)
    assert window.page.status_code == 303
    refused = (await sign_in(http, copy)).page
    assert refused.status_code == 401
    assert "This passkey was copied" in text_of(refused)
    assert (await window.get(HOME)).status_code == 303
    # The original does not work any more either: nobody knows which of the two is the copy.
    assert (await sign_in(http, device)).page.status_code == 401
    assert "staff.passkey_cloned" in [action for action, _ in await entries(services, staff.guid)]


async def test_an_authenticator_without_a_counter_signs_in(
    services: Services, http: httpx.AsyncClient
) -> None:
    _, device = await joined(services, http)
    for _ in range(2):
        device.sign_count = -1
        assert (await sign_in(http, device)).page.status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"origin": "http://evil.test"}, id="another origin"),
        pytest.param({"flags": 0x01}, id="nobody verified"),
        pytest.param({"credential_id": b"unknown"}, id="unknown"),
        pytest.param({"key": Authenticator().key}, id="another key"),
    ],
)
async def test_a_wrong_answer_of_a_passkey_is_refused(
    services: Services, http: httpx.AsyncClient, change: dict[str, object]
) -> None:
    _, device = await joined(services, http)
    window = await sign_in(http, replace(device, **change))  # type: ignore[arg-type]
    assert window.page.status_code == 401
    assert SESSION not in window.cookies


async def test_an_answer_works_once_and_in_the_browser_that_asked(
    services: Services, http: httpx.AsyncClient
) -> None:
    _, device = await joined(services, http)
    victim, attacker = Window(http), Window(http)
    await attacker.get(SIGN_IN)
    await victim.get(SIGN_IN)
    answer = device.get(victim.options())
    begun = dict(victim.cookies)
    assert (await attacker.send(SIGN_IN, response=answer)).status_code == 401
    assert (await victim.send(SIGN_IN, response=answer)).status_code == 303
    assert (await Window(http, begun).send(SIGN_IN, response=answer)).status_code == 401
    assert (await Window(http).send(SIGN_IN, response=answer)).status_code == 401


async def test_a_sign_in_must_be_answered_within_ten_minutes(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    _, device = await joined(services, http)
    window = Window(http)
    await window.get(SIGN_IN)
    clock.advance(timedelta(minutes=10))
    assert (await window.send(SIGN_IN, response=device.get(window.options()))).status_code == 401


@pytest.mark.parametrize("answer", ["", "{", "[]", "null", '{"id": 1}', "x" * 40_000])
async def test_an_unreadable_answer_is_refused(http: httpx.AsyncClient, answer: str) -> None:
    window = Window(http)
    await window.get(SIGN_IN)
    assert (await window.send(SIGN_IN, response=answer)).status_code == 401


async def test_signing_in_replaces_the_session_of_the_browser(
    services: Services, http: httpx.AsyncClient
) -> None:
    """Session fixation: a secret that an attacker planted or knew before is worth nothing after the sign-in."""
    window, device = await joined(services, http)
    planted = dict(window.cookies)
    await window.get(SIGN_IN)
    await window.send(SIGN_IN, response=device.get(window.options()))
    assert window.cookies[SESSION] != planted[SESSION]
    assert (await window.get(HOME)).status_code == 200
    assert (await Window(http, planted).get(HOME)).status_code == 303
    made_up = {SESSION: "css_" + "0" * 52}
    assert (await Window(http, made_up).get(HOME)).status_code == 303


async def test_a_session_ends_after_30_minutes_without_a_request(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    window = await signed_in(services, http)
    for _ in range(3):
        clock.advance(IDLE_TIMEOUT - timedelta(seconds=1))
        assert (await window.get(HOME)).status_code == 200
    clock.advance(IDLE_TIMEOUT)
    assert (await window.get(HOME)).headers["location"] == f"{SIGN_IN}?next=%2Fdashboard"


async def test_every_session_ends_after_12_hours(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    window = await signed_in(services, http)
    for _ in range(MAX_AGE // timedelta(minutes=20) - 1):
        clock.advance(timedelta(minutes=20))
        assert (await window.get(HOME)).status_code == 200
    clock.advance(timedelta(minutes=20))
    assert (await window.get(HOME)).status_code == 303


async def test_signing_out_ends_the_session(services: Services, http: httpx.AsyncClient) -> None:
    window = await signed_in(services, http)
    kept = dict(window.cookies)
    assert (await window.post("/dashboard/sign-out", on=HOME)).status_code == 303
    assert SESSION not in window.cookies
    assert (await Window(http, kept).get(HOME)).status_code == 303


@pytest.mark.parametrize("role", [Role.CLIENT_ADMIN, Role.PROCESSOR_ADMIN])
async def test_a_disabled_organisation_signs_its_staff_out(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed, role: Role
) -> None:
    organisation = client if role is Role.CLIENT_ADMIN else processor
    window = await signed_in(services, http, role, organisation)
    assert (await window.get(HOME)).status_code == 200
    async with services.db.transaction() as connection:
        if role is Role.CLIENT_ADMIN:
            await services.clients.disable(connection, client.guid, actor="operator")
            assert (await find_client(connection, client.guid)).is_disabled
        else:
            await services.processors.disable(connection, processor.guid, actor="operator")
    assert (await window.get(HOME)).status_code == 303


async def test_a_form_needs_the_token_of_its_session(services: Services, http: httpx.AsyncClient) -> None:
    window, other = await signed_in(services, http), await signed_in(services, http)
    await other.get(HOME)
    stolen = services.staff.sessions.form_token(other.cookies[SESSION])
    for token in ("", stolen, "é"):
        answer = await window.send("/dashboard/sign-out", form_token=token)
        assert answer.status_code == 403, token
        assert "This form was not sent from this page" in text_of(answer)
    assert (await window.get(HOME)).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_form_of_another_site_is_refused(
    services: Services, http: httpx.AsyncClient, site: str
) -> None:
    window = await signed_in(services, http)
    token = services.staff.sessions.form_token(window.cookies[SESSION])
    for path in ("/dashboard/sign-out", SIGN_IN, (await invite(services))[1]):
        answer = await http.post(
            path,
            data={"form_token": token},
            headers={"Cookie": f"{SESSION}={window.cookies[SESSION]}", "Sec-Fetch-Site": site},
        )
        assert answer.status_code == 403, path
    assert (await window.get(HOME)).status_code == 200


async def test_the_cookie_is_hidden_from_scripts_and_other_sites(
    services: Services, http: httpx.AsyncClient
) -> None:
    _, invitation = await invite(services)
    window = await join(http, invitation, Authenticator())
    name, _, attributes = window.page.headers.get_list("set-cookie")[0].partition("; ")
    assert name.startswith("coatcheck_staff=css_")
    assert attributes == "Path=/; HttpOnly; SameSite=Lax"
    assert window.page.headers["cache-control"] == "no-store"


async def test_over_https_no_other_host_and_no_http_page_can_set_the_cookie(
    services: Services, master_key: str
) -> None:
    base_url = "https://coatcheck.example"
    async with served_at(services, base_url, master_key) as (secure, over_https):
        _, invitation = await invite(secure)
        window = await join(over_https, invitation, Authenticator(base_url))
        cookies = window.page.headers.get_list("set-cookie")
        assert (await window.get(HOME)).status_code == 200
    assert cookies[0].startswith("__Host-coatcheck_staff=css_")
    for cookie in cookies:
        assert {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))


async def test_the_pages_load_nothing_from_elsewhere_and_cannot_be_framed(
    services: Services, http: httpx.AsyncClient
) -> None:
    window = await signed_in(services, http)
    for path in (HOME, SIGN_IN):
        headers = (await window.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"


async def test_what_is_sensitive_needs_a_recent_sign_in_and_leads_back(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    staff, invitation = await invite(services)
    device = Authenticator()
    window = await join(http, invitation, device)
    page = "/dashboard/staff/invite"
    assert (await window.get(page)).status_code == 200
    clock.advance(CONFIRMATION_TTL)
    confirm = f"/dashboard/confirm?next={page.replace('/', '%2F')}"
    assert (await window.get(page)).headers["location"] == confirm
    token = services.staff.sessions.form_token(window.cookies[SESSION])
    refused = await window.send(page, form_token=token, name="Eve", email="eve@example.com", role=":operator")
    assert refused.headers["location"] == confirm
    before = dict(window.cookies)
    await window.get(confirm)
    answer = await window.send("/dashboard/confirm", form_token=token, response=device.get(window.options()))
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert (await window.get(page)).status_code == 200
    # The secret from before the confirmation is worth nothing.
    assert (await Window(http, before).get(HOME)).status_code == 303
    assert ("staff.confirmed", "Ann Lee") in await entries(services, staff.guid)


async def test_the_passkey_of_another_person_does_not_confirm(
    services: Services, clock: MovableClock, http: httpx.AsyncClient
) -> None:
    other = Authenticator()
    await join(http, (await invite(services))[1], other)
    window = await join(http, (await invite(services))[1], Authenticator())
    clock.advance(CONFIRMATION_TTL)
    await window.get("/dashboard/confirm")
    token = services.staff.sessions.form_token(window.cookies[SESSION])
    answer = await window.send("/dashboard/confirm", form_token=token, response=other.get(window.options()))
    assert answer.status_code == 401
    assert (await window.get("/dashboard/staff/invite")).status_code == 303


async def test_an_answer_to_one_question_does_not_answer_another(
    services: Services, http: httpx.AsyncClient
) -> None:
    """A passkey that is asked for a sign-in must not confirm a key rotation, or the other way round."""
    staff, invitation = await invite(services)
    device = Authenticator()
    await join(http, invitation, device)
    window = await window_of(services, http, staff)
    await window.get("/dashboard/confirm")
    assert (await window.send(SIGN_IN, response=device.get(window.options()))).status_code == 401


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "/dashboard\\evil",
        "/dashboards",
        "/api",
        "javascript:x",
        # Whoever begins a sign-in has it stored.
        f"/dashboard/{'a' * 2000}",
    ],
)
async def test_signing_in_leads_to_the_dashboard_only(
    services: Services, http: httpx.AsyncClient, text: str
) -> None:
    _, device = await joined(services, http)
    window = Window(http)
    await window.get(f"{SIGN_IN}?next={text}")
    answer = await window.send(SIGN_IN, response=device.get(window.options()))
    assert answer.headers["location"] == HOME


async def test_signing_in_leads_back_to_the_page_that_was_asked_for(
    services: Services, http: httpx.AsyncClient
) -> None:
    _, device = await joined(services, http)
    window = Window(http)
    asked = await window.get("/dashboard/staff?search=ann&page=2")
    await window.get(asked.headers["location"])
    answer = await window.send(SIGN_IN, response=device.get(window.options()))
    assert answer.headers["location"] == "/dashboard/staff?search=ann&page=2"


async def test_at_its_loopback_address_the_server_leads_to_localhost(
    services: Services, master_key: str
) -> None:
    async with served_at(services, "http://127.0.0.1:8000", master_key) as (local, here):
        answer = await here.get(SIGN_IN)
        assert answer.headers["location"] == "http://localhost:8000/dashboard/sign-in?next=%2Fdashboard"
        _, invitation = await invite(local)
        await join(here, invitation, Authenticator("http://localhost:8000"))


async def test_a_person_adds_and_removes_passkeys(services: Services, http: httpx.AsyncClient) -> None:
    _, invitation = await invite(services)
    first, second = Authenticator(), Authenticator()
    window = await join(http, invitation, first)
    page = "/dashboard/passkeys"
    await window.get(page)
    token = services.staff.sessions.form_token(window.cookies[SESSION])
    response = second.create(window.options())
    assert (await window.send(page, form_token=token, response=response)).status_code == 303
    assert (await sign_in(http, second)).page.status_code == 303
    path = f"{page}/{encode(first.credential_id)}/remove"
    assert f'href="{path}"' in (await window.get(page)).text
    assert (await window.post(path)).status_code == 303
    assert (await sign_in(http, first)).page.status_code == 401
    assert (await sign_in(http, second)).page.status_code == 303
    for unknown in ("AAAA", "é", "!"):
        assert (await window.get(f"{page}/{unknown}/remove")).status_code == 404
