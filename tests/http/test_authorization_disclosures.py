"""What an end user agrees to in the widget is signed, and belongs to the members that are connected under it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.authorization_disclosures import UNKNOWN_PROCESSOR, delete_old_disclosures
from coatcheck.model.accounts import Account, find_account
from coatcheck.signatures import DocumentType, verify
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, key_set, published_keys
from coatcheck.widget.consent_text import text_version
from tests.api_client import Api
from tests.factories import Keyed, make_code, make_processor, make_token
from tests.widget_client import Page, open_page


async def disclosures(services: Services, user: str) -> list[tuple[str, str, str]]:
    """The guid, the text and the statement of each disclosure of the user."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT guid, text, statement FROM authorization_disclosure WHERE user_guid = %s ORDER BY guid",
            (user,),
        )
        return await cursor.fetchall()


async def disclosure_of_member(services: Services, member: str) -> str | None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT disclosure_guid FROM member_authorization WHERE member_guid = %s", (member,)
        )
        row = await cursor.fetchone()
    return None if row is None else row[0]


async def claims_of(services: Services, statement: str) -> Mapping[str, Any]:
    async with services.db.connection() as connection:
        document = verify(statement, key_set(await published_keys(connection, services.clock.now()))["keys"])
    assert document.type is DocumentType.DISCLOSURE
    return document.claims


@pytest.fixture
async def processor(services: Services, client: Keyed) -> Keyed:
    return await make_processor(services, client, name="Acme Pay")


async def test_a_consent_is_signed_with_its_text_version_language_parties_and_data(
    api: Api, services: Services, processor: Keyed, client: Keyed, user: str
) -> None:
    page = await open_page(api, user, locale="es")
    ((guid, text, statement),) = await disclosures(services, user)
    claims = dict(await claims_of(services, statement))
    assert (claims.pop("iss"), claims.pop("jti")) == (services.settings.base_url, guid)
    assert claims.pop("iat")
    assert claims.pop("agreed_at").endswith("Z")
    assert claims == {
        "text": text,
        "version": text_version("es"),
        "language": "es",
        "client": {"guid": client.guid, "name": "Acme"},
        "user_guid": user,
        "session_guid": page.boot["session_guid"],
        "processor": None,
        "processor_note": UNKNOWN_PROCESSOR,
        "processors": [{"guid": processor.guid, "name": "Acme Pay"}],
        "data": page.boot["start"]["consent"]["shares"],
        "refreshes": "daily",
        "access_days": 60,
    }
    assert "Acme Pay" in text
    assert text.startswith(page.boot["messages"]["consent.title"].replace("{client}", "Acme"))


async def test_the_text_without_a_processor_says_that_no_other_company_has_access(
    api: Api, services: Services, user: str
) -> None:
    await open_page(api, user)
    ((_, text, statement),) = await disclosures(services, user)
    assert "Only Acme. No other company has access." in text
    assert (await claims_of(services, statement))["processors"] == []


async def test_nothing_is_signed_before_the_user_agrees(api: Api, services: Services, user: str) -> None:
    await open_page(api, user, consented=False)
    assert await disclosures(services, user) == []


async def test_a_second_consent_in_a_session_changes_nothing(api: Api, services: Services, user: str) -> None:
    page = await open_page(api, user)
    before = await disclosures(services, user)
    await page.consent()
    assert await disclosures(services, user) == before


async def test_a_member_has_the_disclosure_under_which_it_was_last_connected(
    api: Api, services: Services, user: str
) -> None:
    member = await (await open_page(api, user)).connect()
    (first,) = await disclosures(services, user)
    assert await disclosure_of_member(services, member["guid"]) == first[0]
    again: Page = await open_page(api, user)
    assert await disclosure_of_member(services, member["guid"]) == first[0]
    await again.send("POST", f"/members/{member['guid']}/jobs")
    _, second = await disclosures(services, user)
    assert await disclosure_of_member(services, member["guid"]) == second[0]


async def test_a_member_that_is_connected_without_the_widget_has_no_disclosure(
    api: Api, services: Services, user: str
) -> None:
    await open_page(api, user)
    member_guid = await api.connect(user)
    assert await disclosure_of_member(services, member_guid) is None


async def test_a_disclosure_outlives_its_member_and_user(api: Api, services: Services, user: str) -> None:
    member = await (await open_page(api, user)).connect()
    before = await disclosures(services, user)
    assert (await api.delete(f"/users/{user}")).status_code == 204
    assert await disclosures(services, user) == before
    assert await disclosure_of_member(services, member["guid"]) is None


async def test_a_grant_has_the_disclosure_under_which_its_member_was_connected(
    api: Api, services: Services, processor: Keyed, user: str
) -> None:
    member = await (await open_page(api, user, mode="verification")).connect()
    account = await _account_of(services, member["guid"])
    await make_token(services, account, processor)
    ((guid, _, _),) = await disclosures(services, user)
    assert await _disclosure_of_grant(services, account) == guid


async def test_a_grant_for_a_member_of_the_api_has_no_disclosure(
    api: Api, services: Services, processor: Keyed, account: Account
) -> None:
    await make_token(services, account, processor)
    assert await _disclosure_of_grant(services, account) is None


async def test_a_code_keeps_the_disclosure_for_longer(
    api: Api, services: Services, clock: MovableClock, user: str
) -> None:
    member = await (await open_page(api, user, mode="verification")).connect()
    account = await _account_of(services, member["guid"])
    for wait, is_later in ((timedelta(hours=1), False), (timedelta(days=1), True), (timedelta(), False)):
        before = await _last_granted(services, user)
        clock.advance(wait)
        await make_code(services, account)
        assert (await _last_granted(services, user) > before) is is_later


async def _account_of(services: Services, member: str) -> Account:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT n.user_guid, n.account_guid FROM account_number n
               WHERE n.member_guid = %s ORDER BY n.account_guid LIMIT 1""",
            (member,),
        )
        row = await cursor.fetchone()
        assert row is not None
        return await find_account(connection, *row)


async def _disclosure_of_grant(services: Services, account: Account) -> str | None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT disclosure_guid FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def _last_granted(services: Services, user: str) -> datetime:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT last_granted_at FROM authorization_disclosure WHERE user_guid = %s", (user,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return row[0]


@pytest.mark.own_database
async def test_a_disclosure_is_kept_for_three_years_after_the_last_grant_under_it(
    api: Api, services: Services, clock: MovableClock, user: str
) -> None:
    await open_page(api, user)
    ttl = services.settings.token_ttl
    for wait, number in ((DOCUMENTS_KEPT + ttl, 1), (timedelta(days=2), 0)):
        clock.advance(wait)
        async with services.db.connection() as connection:
            await delete_old_disclosures(connection, clock.now(), ttl)
        assert len(await disclosures(services, user)) == number


async def test_the_name_of_a_company_cannot_change_the_text(
    api: Api, services: Services, client: Keyed, user: str
) -> None:
    await make_processor(services, client, name="{days} {client}")
    await open_page(api, user)
    ((_, text, _),) = await disclosures(services, user)
    assert (
        "the companies it works with: {days} {client}. Any access it gives them ends after 60 days." in text
    )
