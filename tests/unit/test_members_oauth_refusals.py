"""When a user's return from the institution's page counts for nothing, and what a failure there changes."""

from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.errors import BankError, BankUnavailable, CredentialsDenied, NotFound
from coatcheck.grants.links import LinkKind
from coatcheck.members.oauth import OAuthWindow
from coatcheck.model.oauth_states import OAuthError
from tests.member_setup import make_home


async def open_window(home):
    """A PENDING member, and the state of its window."""
    member = await home.connect(institution="mxcu_oauth", is_oauth=True)
    prepared = await home.services.oauth.prepare_window(member.institution_code)
    async with home.services.db.transaction() as connection:
        url = await home.services.oauth.open_window(connection, member, OAuthWindow(), prepared)
    (state,) = parse_qs(urlsplit(url).query)["state"]
    return member, state


async def claim(services, state):
    async with services.db.transaction() as connection:
        return await services.oauth.claim(connection, state)


@pytest.mark.parametrize("table", ["client", "end_user"])
async def test_the_window_of_a_disabled_user_or_client_is_over(services, table):
    home, other = await make_home(services), await make_home(services)
    (_, state), (member, state_of_other) = await open_window(home), await open_window(other)
    guid = home.client.guid if table == "client" else home.user.guid
    await home.rows(f"UPDATE {table} SET is_disabled = true WHERE guid = %(guid)s", guid=guid)
    with pytest.raises(NotFound):
        await claim(services, state)
    assert (await claim(services, state_of_other)).member.guid == member.guid


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (BankUnavailable, OAuthError.PROVIDER_ERROR, "PENDING"),
        (CredentialsDenied, OAuthError.DENIED, "DENIED"),
    ],
)
async def test_trouble_at_the_bank_that_passes_does_not_make_a_member_denied(
    services, monkeypatch, error, reason, status
):
    home = await make_home(services)
    member, state = await open_window(home)

    async def complete(_response):
        raise error

    monkeypatch.setattr(services.registry.connector_for(member.institution_code), "complete", complete)
    claimed = await claim(services, state)
    assert issubclass(error, BankError)
    assert await services.oauth.finish(claimed, code="a-code", error=None) is reason
    assert (await home.again(member)).connection_status == status
    told = [event["connection_status"] for event in await home.events("CONNECTION_STATUS")]
    assert told == ([] if status == "PENDING" else [status])


async def test_a_link_of_the_widget_opens_no_oauth_window(services):
    home = await make_home(services)
    async with services.db.transaction() as connection:
        _, secret = await services.links.issue(
            connection, LinkKind.WIDGET, client_guid=home.client.guid, user_guid=home.user.guid
        )
    with pytest.raises(NotFound):
        await claim(services, secret)
    async with services.db.transaction() as connection:
        assert (await services.links.open(connection, LinkKind.WIDGET, secret)).user_guid == home.user.guid


async def test_the_state_of_an_oauth_window_opens_no_widget(services, http):
    home = await make_home(services)
    member, state = await open_window(home)
    assert (await http.get(f"/md/connect/{state}")).status_code == 410
    assert (await claim(services, state)).member.guid == member.guid
