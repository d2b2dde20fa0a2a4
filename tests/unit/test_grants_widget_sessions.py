"""Sessions of the widget: what is stored with one."""

from coatcheck.app import Services
from coatcheck.grants.links import Link
from coatcheck.model.users import User


async def test_the_accounts_that_a_user_selects_are_stored_with_this_session_alone(
    services: Services, user: User
) -> None:
    link = Link("LNK-opened", user.client_guid, user.guid, None)
    async with services.db.transaction() as connection:
        sessions = services.widget_sessions
        session, secret = await sessions.start(connection, link, options="{}", locale="en")
        _, other = await sessions.start(connection, link, options="{}", locale="en")
        changed = await sessions.record_accounts(connection, session, ["ACT-chosen", "ACT-other"])
        assert await sessions.find(connection, secret) == changed
        assert changed.selected_account_guids == ["ACT-chosen", "ACT-other"]
        assert (await sessions.find(connection, other)).selected_account_guids == []
