"""Makes a sandbox as new: without any user, or one user without members."""

from contextlib import suppress
from operator import attrgetter

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.emulator.faults import current_faults
from coatcheck.errors import NotFound
from coatcheck.members.account_identity import forget_accounts
from coatcheck.model.clients import Client, list_clients
from coatcheck.model.members import list_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import find_user, list_users
from coatcheck.rate_limits.connects import forget_connects

BATCH = PageRequest(size=100)


async def reset(services: Services, client: Client, user_guid: str | None = None) -> None:
    """Deletes all users of every client and the ordered faults, or the members of one of the client's users.

    Their accounts and tokens go with them. Keys, webhooks, clients, processors and the clock stay. No webhook is sent.

    Raises:
        NotFound: the client has no such user.
    """
    if user_guid is not None:
        await _empty(services, client, user_guid)
        return
    current_faults.get().clear()
    async with services.db.connection() as connection:
        clients = await list_clients(connection)
    for each in clients:
        await _delete_all(services, each, actor=client.guid)


async def _delete_all(services: Services, client: Client, *, actor: str) -> None:
    """Deletes all users of the client, each in a transaction of its own."""
    while True:
        async with services.db.connection() as connection:
            users = (await list_users(connection, client.guid, BATCH)).items
        if not users:
            return
        for user in users:
            # Its client, or another reset, can have deleted it meanwhile.
            with suppress(NotFound):
                async with services.db.transaction() as connection:
                    await services.users.delete(connection, user, actor=actor, notify=False)


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
