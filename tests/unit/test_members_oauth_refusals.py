"""Returns from the institution's page that are refused, and failures of the institution."""

import pytest

from coatcheck.errors import BankError, BankUnavailable, CredentialsDenied, NotFound
from coatcheck.grants.links import LinkKind
from coatcheck.members.oauth_windows import OAuthWindow, SignInPlace
from coatcheck.model.oauth_states import OAuthError
from tests.member_setup import make_end_user

BROWSER = "b" * 43
"""The cookie of a browser."""


async def open_window(end_user):
    """A PENDING member, and the state of its window."""
    member = await end_user.connect(institution="mxcu_oauth", is_oauth=True)
    prepared = await end_user.services.oauth.prepare_window(
        SignInPlace(member.institution_code, member.user_guid)
    )
    async with end_user.services.db.transaction() as connection:
        url = await end_user.services.oauth.open_window(connection, member, OAuthWindow(), prepared)
        state = url.rpartition("/")[2]
        await end_user.services.oauth.start(connection, state, BROWSER, site=None)
    return member, state


async def claim(services, state, browser=BROWSER):
    async with services.db.transaction() as connection:
        return await services.oauth.claim(connection, state, browser)


@pytest.mark.parametrize("table", ["client", "end_user"])
async def test_the_window_of_a_disabled_user_or_client_is_refused(services, table):
    end_user, other = await make_end_user(services), await make_end_user(services)
    (_, state), (member, state_of_other) = await open_window(end_user), await open_window(other)
    guid = end_user.client.guid if table == "client" else end_user.user.guid
    await end_user.rows(f"UPDATE {table} SET is_disabled = true WHERE guid = %(guid)s", guid=guid)
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
async def test_a_temporary_failure_of_the_bank_does_not_set_denied(
    services, monkeypatch, error, reason, status
):
    end_user = await make_end_user(services)
    member, state = await open_window(end_user)

    async def complete(_response):
        raise error

    monkeypatch.setattr(services.registry.connector_for(member.institution_code), "complete", complete)
    claimed = await claim(services, state)
    assert issubclass(error, BankError)
    assert await services.oauth.finish(claimed, code="a-code", error=None) is reason
    assert (await end_user.reload(member)).connection_status == status
    statuses = [event["connection_status"] for event in await end_user.events("CONNECTION_STATUS")]
    assert statuses == ([] if status == "PENDING" else [status])


async def test_a_widget_link_is_not_accepted_as_state(services):
    end_user = await make_end_user(services)
    async with services.db.transaction() as connection:
        _, secret = await services.links.issue(
            connection, LinkKind.WIDGET, client_guid=end_user.client.guid, user_guid=end_user.user.guid
        )
    with pytest.raises(NotFound):
        await claim(services, secret)
    async with services.db.transaction() as connection:
        assert (
            await services.links.open(connection, LinkKind.WIDGET, secret)
        ).user_guid == end_user.user.guid


async def test_a_state_is_not_accepted_as_a_widget_link(services, http):
    end_user = await make_end_user(services)
    member, state = await open_window(end_user)
    assert (await http.get(f"/md/connect/{state}")).status_code == 410
    assert (await claim(services, state)).member.guid == member.guid
