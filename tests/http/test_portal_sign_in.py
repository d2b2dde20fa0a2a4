"""End users open the portal with the operator's own identity provider; what is refused of what comes back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.identity_provider import IdentityProvider
from coatcheck.staff.sign_ins import TTL, Purpose
from tests.api_client import Api
from tests.factories import Keyed, make_client
from tests.identity_provider import ISSUER, REGISTRATION, Provider
from tests.portal_client import Portal, text_of
from tests.portal_sign_in import (
    RETURN,
    SIGN_IN,
    UNKNOWN,
    comes_back,
    leads_to,
    returning,
    window_of,
    with_claim,
)
from tests.staff import Window

NOT_SIGNED_IN = "You are not signed in"


@pytest.fixture
def upstream(clock: MovableClock) -> Provider:
    return Provider(clock)


@pytest.fixture
async def served(services: Services, client: Keyed, upstream: Provider) -> Services:
    """An installation whose portal has the identity provider of the tests, for the users of the client."""
    return with_claim(services, client, upstream, "sub")


@pytest.fixture
async def window(served: Services) -> Window:
    return window_of(served)


async def make_ann(api: Api, **user: Any) -> str:
    return await api.create_user(id="ann", **user)


async def test_a_user_is_found_by_the_subject_and_has_the_session_that_a_link_gives(
    api: Api, services: Services, window: Window, upstream: Provider
) -> None:
    user = await make_ann(api)
    asked = await leads_to(window)
    assert asked["redirect_uri"] == f"{services.settings.base_url}{RETURN}"
    assert asked["code_challenge_method"] == "S256"
    answer = await comes_back(window, upstream)
    assert answer.status_code == 303
    home = answer.headers["location"]
    session_cookie, sign_in_cookie = answer.headers.get_list("set-cookie")
    assert session_cookie.startswith("coatcheck_portal=")
    assert f"Path={home}; HttpOnly" in session_cookie
    assert "Max-Age=0" in sign_in_cookie
    portal = Portal(api.http, home, session_cookie.partition(";")[0])
    assert "Your connected accounts" in text_of(await portal.get())
    assert (await portal.post("/leave")).status_code == 200
    assert (await portal.get()).status_code == 403
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb ->> 'actor', body::jsonb -> 'detail' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'action' = 'portal.opened'""",
            (api.caller.guid,),
        )
        assert await cursor.fetchall() == [(user, {"method": "identity provider"})]


async def test_another_claim_can_be_the_id_of_the_user(
    api: Api, services: Services, client: Keyed, upstream: Provider
) -> None:
    await api.create_user(id="C-1")
    window = window_of(with_claim(services, client, upstream, "customer"))
    upstream.claims = {"customer": "C-1"}
    assert (await comes_back(window, upstream)).status_code == 303


@pytest.mark.parametrize("value", ["auth0|ann", "", "a\x00b", "a" * 256, 7, None], ids=ascii)
async def test_a_claim_that_cannot_be_an_id_identifies_nobody(
    services: Services, client: Keyed, upstream: Provider, value: object
) -> None:
    window = window_of(with_claim(services, client, upstream, "customer"))
    upstream.claims = {"customer": value}
    answer = await comes_back(window, upstream)
    assert (answer.status_code, UNKNOWN in text_of(answer)) == (401, True)


async def test_a_person_who_is_no_user_is_refused_with_a_page_that_says_so(
    services: Services, window: Window, upstream: Provider
) -> None:
    answer = await comes_back(window, upstream)
    assert (answer.status_code, UNKNOWN in text_of(answer)) == (401, True)
    assert "set-cookie" not in answer.headers
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM portal_session WHERE user_guid = 'ann'")
        assert await cursor.fetchone() == (0,)


async def test_a_user_of_another_client_is_refused(
    api: Api, services: Services, window: Window, upstream: Provider
) -> None:
    await Api(api.http, services, await make_client(services)).create_user(id="ann")
    assert (await comes_back(window, upstream)).status_code == 401


async def test_the_guid_of_a_user_identifies_nobody(
    api: Api, services: Services, client: Keyed, upstream: Provider
) -> None:
    """A person may choose some claims, and must not choose another user."""
    upstream.claims = {"customer": await make_ann(api)}
    window = window_of(with_claim(services, client, upstream, "customer"))
    assert (await comes_back(window, upstream)).status_code == 401


async def test_a_disabled_user_is_refused(api: Api, window: Window, upstream: Provider) -> None:
    user = await make_ann(api)
    await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    answer = await comes_back(window, upstream)
    assert (answer.status_code, UNKNOWN in text_of(answer)) == (401, True)


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}],
    ids=str,
)
async def test_an_answer_for_another_sign_in_or_another_client_is_refused(
    api: Api, window: Window, upstream: Provider, claims: dict[str, Any]
) -> None:
    await make_ann(api)
    upstream.claims = claims
    answer = await comes_back(window, upstream)
    assert (answer.status_code, NOT_SIGNED_IN in text_of(answer)) == (401, True)


async def test_an_answer_belongs_to_the_browser_that_began_and_works_once(
    api: Api, served: Services, window: Window, upstream: Provider
) -> None:
    await make_ann(api)
    asked = await leads_to(window)
    upstream.claims = {"nonce": asked["nonce"]}
    answer = {"code": "the code", "state": asked["state"]}
    stranger = window_of(served)
    assert (await stranger.get(returning(answer))).status_code == 401
    await leads_to(stranger)
    assert (await stranger.get(returning(answer))).status_code == 401
    begun = dict(window.cookies)
    assert (await window.get(returning(answer))).status_code == 303
    again = Window(window.http, begun)
    assert (await again.get(returning(answer))).status_code == 401


@pytest.mark.parametrize("query", [{"state": "another"}, {"state": ""}, {"code": ""}])
async def test_another_state_or_no_code_is_refused(
    api: Api, window: Window, upstream: Provider, query: dict[str, str]
) -> None:
    await make_ann(api)
    upstream.status = 400 if "code" in query else 200
    assert (await comes_back(window, upstream, **query)).status_code == 401


async def test_a_sign_in_lasts_ten_minutes(
    api: Api, window: Window, upstream: Provider, clock: MovableClock
) -> None:
    await make_ann(api)
    asked = await leads_to(window)
    clock.advance(TTL + timedelta(seconds=1))
    upstream.claims = {"nonce": asked["nonce"]}
    answer = await window.get(returning({"code": "the code", "state": asked["state"]}))
    assert answer.status_code == 401


async def test_a_refusal_at_the_provider_signs_nobody_in(window: Window) -> None:
    asked = await leads_to(window)
    answer = await window.get(returning({"error": "access_denied", "state": asked["state"]}))
    assert (answer.status_code, NOT_SIGNED_IN in text_of(answer)) == (401, True)


async def test_a_sign_in_of_staff_does_not_open_the_portal(
    api: Api, services: Services, window: Window, upstream: Provider
) -> None:
    await make_ann(api)
    sign_ins = services.staff.sign_ins
    async with services.db.connection() as connection:
        secret = await sign_ins.begin(connection, Purpose.SIGN_IN, next_path="/dashboard")
    window.cookies["coatcheck_portal_sign_in"] = secret
    upstream.claims = {"nonce": sign_ins.nonce(secret)}
    answer = await window.get(returning({"code": "the code", "state": sign_ins.state(secret)}))
    assert answer.status_code == 401


async def test_no_parameter_leads_to_another_address(api: Api, window: Window, upstream: Provider) -> None:
    await make_ann(api)
    evil = {
        "next": "https://evil.example",
        "redirect_uri": "https://evil.example",
        "return": "//evil.example",
    }
    answer = await window.get(f"{SIGN_IN}?{urlencode(evil)}")
    assert answer.headers["location"].startswith(f"{ISSUER}/auth?")
    assert "evil" not in answer.headers["location"]
    assert "evil" not in (await comes_back(window, upstream, **evil)).headers["location"]


async def test_a_provider_that_does_not_answer_is_unavailable(window: Window, upstream: Provider) -> None:
    asked = await leads_to(window)
    upstream.status = 502
    answer = await window.get(returning({"code": "the code", "state": asked["state"]}))
    assert answer.status_code == 503


async def test_without_a_provider_there_is_no_sign_in(services: Services) -> None:
    registration = replace(REGISTRATION, issuer="")
    window = window_of(
        replace(services, portal_identity_provider=IdentityProvider(registration, services.clock))
    )
    for path in (SIGN_IN, RETURN):
        assert (await window.get(path)).status_code == 404


async def test_a_preview_of_the_address_begins_nothing(window: Window) -> None:
    assert (await window.http.head(SIGN_IN)).status_code == 405


async def test_behind_https_the_cookie_is_secure(served: Services) -> None:
    behind = replace(served.settings, base_url="https://coatcheck.example")
    window = window_of(replace(served, settings=behind))
    (cookie,) = (await window.get(SIGN_IN)).headers.get_list("set-cookie")
    assert cookie.startswith("__Secure-coatcheck_portal_sign_in=")
    assert cookie.endswith("Path=/portal/sign-in; HttpOnly; SameSite=Lax; Secure")
