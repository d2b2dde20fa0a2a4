"""Deletes the users of a client, or the members of one user."""

from operator import attrgetter

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.members.account_identity import forget_accounts
from coatcheck.model.clients import Client
from coatcheck.model.members import list_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import find_user, list_users
from coatcheck.rate_limits.connects import forget_connects

BATCH = PageRequest(size=100)


async def reset(services: Services, client: Client, user_guid: str | None = None) -> None:
    """Deletes all users of the client, or the members of one, with their accounts and tokens.

    Keys, webhooks, processors and the clock stay. No webhook is sent.

    Raises:
        NotFound: the client has no such user.
    """
    if user_guid is not None:
        await _empty(services, client, user_guid)
        return
    while True:
        async with services.db.connection() as connection:
            users = (await list_users(connection, client.guid, BATCH)).items
        if not users:
            return
        for user in users:
            async with services.db.transaction() as connection:
                await services.users.delete(connection, user, actor=client.guid, notify=False)


async def delete_users(services: Services, connection: Connection, client: Client, *, actor: str) -> None:
    """Deletes all users of the client in the caller's transaction. No webhook is sent."""
    # The first page again: those that were on it are gone.
    while users := (await list_users(connection, client.guid, BATCH)).items:
        for user in users:
            await services.users.delete(connection, user, actor=actor, notify=False)


async def _empty(services: Services, client: Client, user_guid: str) -> None:
    async with services.db.transaction() as connection:
        user = await find_user(connection, client.guid, user_guid, lock=True)
        while members := (await list_members(connection, user.guid, BATCH)).items:
            # In the order in which others lock several.
            for member in sorted(members, key=attrgetter("guid")):
                await services.members.disconnect(connection, member, skip_webhook=True)
        await forget_accounts(connection, user.guid)
        await forget_connects(connection, user.guid)
