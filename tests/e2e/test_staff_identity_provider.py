"""Staff sign in with npm's `oidc-provider`, unchanged: code flow, PKCE, state, nonce; nobody gets an account by it."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from tests.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    answer_at_provider,
    needs_oidc_provider,
    oidc_provider,
)
from tests.portal_client import text_of
from tests.staff import Window, invite

BASE_URL = "http://coatcheck.test"
RETURN_URL = f"{BASE_URL}/dashboard/sign-in/return"
PROVIDER = "/dashboard/sign-in/provider"

pytestmark = needs_oidc_provider


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider(RETURN_URL) as issuer:
        yield issuer


@pytest.fixture
def settings(settings: Settings, issuer: str) -> Settings:
    return replace(
        settings,
        base_url=BASE_URL,
        staff_oidc_issuer=issuer,
        staff_oidc_client_id=CLIENT_ID,
        staff_oidc_client_secret=CLIENT_SECRET,
    )


@dataclass
class Person:
    """A browser window, with what it keeps for the provider."""

    window: Window
    browser: httpx.AsyncClient

    async def come_back(self, path: str, login: str, decision: str = "allow") -> httpx.Response:
        """Follows a link to the provider, signs in there, and opens the URL to which the provider leads back."""
        url = (await self.window.get(path)).headers["location"]
        returned = await answer_at_provider(self.browser, url, RETURN_URL, login=login, decision=decision)
        return await self.window.get(returned.removeprefix(BASE_URL))


@pytest.fixture
async def person(http: httpx.AsyncClient) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(timeout=60) as browser:
        yield Person(Window(http), browser)


@pytest.fixture
def login() -> str:
    return f"ann{secrets.token_hex(4)}"


async def test_a_person_is_found_by_their_verified_address_and_then_by_their_subject(
    services: Services, person: Person, login: str
) -> None:
    staff, _ = await invite(services, email=f"{login.upper()}@example.com")
    answer = await person.come_back(PROVIDER, login)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    assert (await person.window.get("/dashboard")).status_code == 200
    async with services.db.transaction() as connection:
        await connection.execute("UPDATE staff SET email = 'new' WHERE guid = %s", (staff.guid,))
    assert (await person.come_back(PROVIDER, login)).status_code == 303


async def test_nobody_gets_an_account_by_signing_in(person: Person, login: str) -> None:
    answer = await person.come_back(PROVIDER, login)
    assert answer.status_code == 401
    assert "Only staff who were invited can sign in" in text_of(answer)
    assert "coatcheck_staff" not in person.window.cookies


async def test_an_address_that_is_not_verified_finds_nobody(
    services: Services, person: Person, login: str
) -> None:
    await invite(services, email=f"{login}@example.com")
    assert (await person.come_back(PROVIDER, f"unverified-{login}")).status_code == 401


async def test_an_address_that_another_subject_has_now_finds_nobody(
    services: Services, person: Person, login: str
) -> None:
    staff, _ = await invite(services, email=f"{login}@example.com")
    async with services.db.transaction() as connection:
        await services.staff.people.bind(connection, staff.guid, f"the first {login}")
    assert (await person.come_back(PROVIDER, login)).status_code == 401


async def test_an_invitation_binds_the_account_with_which_it_is_accepted(
    services: Services, person: Person, login: str
) -> None:
    _, invitation = await invite(services, email=f"{login}@elsewhere.example")
    assert (await person.come_back(f"{invitation}/provider", login)).status_code == 303
    assert (await person.window.get(invitation)).status_code == 410
    assert (await person.come_back(PROVIDER, login)).status_code == 303
    # The account is this person's now, and cannot become another's.
    _, other = await invite(services)
    assert (await person.come_back(f"{other}/provider", login)).status_code == 401
    assert (await person.window.get(other)).status_code == 200


async def test_an_answer_belongs_to_the_browser_that_asked_and_works_once(
    services: Services, http: httpx.AsyncClient, person: Person, login: str
) -> None:
    await invite(services, email=f"{login}@example.com")
    url = (await person.window.get(PROVIDER)).headers["location"]
    returned = await answer_at_provider(person.browser, url, RETURN_URL, login=login)
    path = returned.removeprefix(BASE_URL)
    stranger = Window(http)
    assert (await stranger.get(path)).status_code == 401
    await stranger.get(PROVIDER)
    assert (await stranger.get(path)).status_code == 401
    begun = dict(person.window.cookies)
    assert (await person.window.get(path)).status_code == 303
    assert (await Window(http, begun).get(path)).status_code == 401


async def test_refusing_at_the_provider_signs_nobody_in(
    services: Services, person: Person, login: str
) -> None:
    await invite(services, email=f"{login}@example.com")
    assert (await person.come_back(PROVIDER, login, decision="deny")).status_code == 401


async def test_a_person_confirms_with_the_provider_by_authenticating_again(
    services: Services, http: httpx.AsyncClient, person: Person, login: str
) -> None:
    await invite(services, email=f"{login}@example.com")
    await person.come_back(PROVIDER, login)
    before = dict(person.window.cookies)
    confirm = "/dashboard/confirm/provider?next=/dashboard/staff/invite"
    asked = await person.window.get(confirm)
    assert "prompt=login" in asked.headers["location"]
    assert "max_age=0" in asked.headers["location"]
    answer = await person.come_back(confirm, login)
    assert answer.headers["location"] == "/dashboard/staff/invite"
    assert (await Window(http, before).get("/dashboard")).status_code == 303
    # Another person of the same provider does not confirm this session.
    await invite(services, email=f"{login}2@example.com")
    person.browser.cookies.clear()
    assert (await person.come_back(confirm, f"{login}2")).status_code == 401


async def test_the_sign_in_page_and_an_invitation_offer_both_ways(
    services: Services, http: httpx.AsyncClient
) -> None:
    for path in ("/dashboard/sign-in", (await invite(services))[1]):
        page = text_of(await http.get(path))
        assert "passkey" in page
        assert "Sign in with your organisation" in page
