"""A user who returns to the widget is not asked for the same consent again."""

from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.authorization_disclosures import CONSENT_COUNTS
from coatcheck.grants.revocation import Selector
from coatcheck.members.verified_accounts import verified_accounts
from tests.api_client import Api
from tests.factories import Keyed, make_processor, make_token
from tests.http.test_authorization_disclosures import disclosure_of_member, disclosures
from tests.widget_client import Page, open_page


@pytest.fixture
async def processor(services: Services, client: Keyed) -> Keyed:
    return await make_processor(services, client, name="Acme Pay")


async def returns(api: Api, user: str, **options: object) -> Page:
    """The widget of the same user, before any consent in it."""
    return await open_page(api, user, consented=False, **options)


def is_asked(page: Page) -> bool:
    start = page.boot["start"]
    assert start["consent_needed"] is (start["step"] == "consent")
    return bool(start["consent_needed"])


async def test_the_same_text_is_not_shown_again_and_its_disclosure_counts_for_new_members(
    api: Api, services: Services, user: str, processor: Keyed
) -> None:
    await (await open_page(api, user)).connect("ann")
    ((agreed, _, _),) = await disclosures(services, user)
    page = await returns(api, user)
    assert not is_asked(page)
    member = await page.connect("ben")
    assert member["step"] == "connected"
    assert await disclosure_of_member(services, member["guid"]) == agreed
    assert len(await disclosures(services, user)) == 1
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb -> 'detail' ->> 'disclosure_guid' FROM audit_entry
               WHERE client_guid = %s AND body::jsonb ->> 'action' = 'widget.opened' ORDER BY guid""",
            (api.caller.guid,),
        )
        assert await cursor.fetchall() == [(None,), (agreed,)]


@pytest.mark.parametrize(
    "options",
    [{"mode": "verification"}, {"include_transactions": False}, {"locale": "es"}],
    ids=["other data", "less data", "another language"],
)
async def test_another_text_is_shown(
    api: Api, user: str, processor: Keyed, options: dict[str, object]
) -> None:
    await (await open_page(api, user)).connect()
    assert is_asked(await returns(api, user, **options))


async def test_another_user_or_another_processor_is_asked(
    api: Api, services: Services, user: str, client: Keyed
) -> None:
    await (await open_page(api, user)).connect()
    assert is_asked(await returns(api, await api.create_user()))
    await make_processor(services, client, name="Zeta Pay")
    assert is_asked(await returns(api, user))


async def test_a_processor_of_the_same_name_is_another_one(
    api: Api, services: Services, user: str, client: Keyed, processor: Keyed
) -> None:
    await (await open_page(api, user)).connect()
    async with services.db.transaction() as connection:
        await connection.execute("DELETE FROM client_processor WHERE processor_guid = %s", (processor.guid,))
    await make_processor(services, client, name="Acme Pay")
    assert is_asked(await returns(api, user))


async def test_without_a_member_under_it_a_consent_no_longer_counts(api: Api, user: str) -> None:
    page = await open_page(api, user)
    assert is_asked(await returns(api, user))
    member = await page.connect()
    assert not is_asked(await returns(api, user))
    assert (await page("DELETE", f"/members/{member['guid']}")).status_code == 204
    assert is_asked(await returns(api, user))


async def test_a_consent_counts_for_a_year(api: Api, user: str, clock: MovableClock) -> None:
    await (await open_page(api, user)).connect()
    clock.advance(CONSENT_COUNTS - timedelta(minutes=1))
    assert not is_asked(await returns(api, user))
    clock.advance(timedelta(minutes=1))
    assert is_asked(await returns(api, user))


@pytest.mark.parametrize("stopped_by_user", [True, False])
async def test_a_user_who_stopped_a_reader_is_asked_again(
    api: Api, services: Services, user: str, client: Keyed, processor: Keyed, stopped_by_user: bool
) -> None:
    page = await open_page(api, user, mode="verification")
    member = await page.connect()
    async with services.db.connection() as connection:
        (account, *_) = await verified_accounts(connection, user, member["guid"])
    await make_token(services, account, processor)
    await services.revocations.revoke_all(
        client_guid=client.guid, selector=Selector(user_guid=user), actor=user if stopped_by_user else None
    )
    assert is_asked(await returns(api, user, mode="verification")) is stopped_by_user
