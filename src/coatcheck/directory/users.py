"""Users: the persons whose accounts a client links."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.directory.attestations import Attestation, Attestations, Destroyed
from coatcheck.directory.user_rows import add_user, change_user, count_user_data, remove_user
from coatcheck.events import mx_events
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.events.mx_events import Action
from coatcheck.grants.announcements import about_grants, live_grants_of_user
from coatcheck.grants.deletion import end_tokens_of_user
from coatcheck.grants.tokens import Tokens
from coatcheck.members.deleted_accounts import has_deleted_accounts
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.disconnections import Disconnections
from coatcheck.model.users import User, find_user
from coatcheck.rate_limits.connects import forget_connects

WRITABLE = ("email", "id", "is_disabled", "metadata")
"""The fields of a user that can be set. Callers pass no other names."""
EVENT_TYPES = MappingProxyType(
    {
        Action.CREATED: EventType.USER_CREATED,
        Action.UPDATED: EventType.USER_UPDATED,
        Action.DELETED: EventType.USER_DELETED,
    }
)


class Users:
    """Each method writes in the caller's transaction, with its audit entry and its event.

    `actor` is the guid of who makes the change. Where `notify` is False, the event is stored and not delivered.
    """

    def __init__(self, dependencies: Dependencies, tokens: Tokens, attestations: Attestations) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._disconnections = Disconnections(dependencies)
        self._tokens = tokens
        self._attestations = attestations

    async def create(
        self,
        connection: Connection,
        client_guid: str,
        values: Mapping[str, Any],
        *,
        actor: str,
        notify: bool = True,
    ) -> User:
        """Creates a user with these values of `WRITABLE`.

        Raises:
            Conflict: another user of the client has this `id`.
        """
        empty = User(
            guid=ids.new("USR"),
            client_guid=client_guid,
            id=None,
            email=None,
            metadata=None,
            is_disabled=False,
            created_at=self._clock.now(),
        )
        user = replace(empty, **values)
        await add_user(connection, user)
        await self._record(connection, user, Action.CREATED, actor, notify=notify)
        return user

    async def update(
        self,
        connection: Connection,
        user: User,
        changes: Mapping[str, Any],
        *,
        actor: str,
        notify: bool = True,
    ) -> User:
        """Writes these values of `WRITABLE`. The other fields are unchanged.

        While a user is disabled, no token reads its data; unexpired tokens work again when it is enabled.

        Raises:
            NotFound: the user was deleted meanwhile.
            Conflict: another user of the client has this `id`.
        """
        # The lock keeps a simultaneous update of other fields from being overwritten.
        current = await find_user(connection, user.client_guid, user.guid, lock=True)
        changed = replace(current, **changes, revision=current.revision + 1)
        await change_user(connection, changed)
        await self._record(
            connection,
            changed,
            Action.UPDATED,
            actor,
            *await self._about_grants(connection, current, changed),
            notify=notify,
        )
        return changed

    async def delete(
        self, connection: Connection, user: User, *, actor: str, notify: bool = True
    ) -> Attestation:
        """Deletes the user and its data key, and returns a signed statement of what was destroyed.

        Without the key, no copy of the user's sealed records can be decrypted. The user is deleted before the key,
        because a job that saves its result locks them in this order.

        Raises:
            NotFound: the user was deleted meanwhile.
        """
        records = dict(await count_user_data(connection, user.guid))
        # Again, now that the row is locked: an update may have come first, and the revision must be greater than its.
        user = await find_user(connection, user.client_guid, user.guid)
        # Before anything is deleted: the events name the grants, and the attestation counts them.
        grants = await live_grants_of_user(connection, user.guid, self._clock.instant())
        grants_ended = await self._tokens.count_live(connection, user.client_guid, user.guid)
        await self._disconnections.request_of_user(connection, user.guid)
        await end_tokens_of_user(connection, user.guid, self._clock.instant())
        await remove_user(connection, user.guid)
        # The counter has the guid in its key.
        await forget_connects(connection, user.guid)
        data_key = await self._vault.delete_owner(connection, user.guid)
        pending = {}
        if await has_deleted_accounts(connection, user.guid):
            pending = {"transactions": records.pop("transactions")}
        destroyed = Destroyed({"users": 1, **records}, grants_ended, data_key, pending)
        attestation = await self._attestations.record(connection, user, destroyed)
        revoked = about_grants(EventType.TOKEN_REVOKED, grants, revoked_by=None)
        deleted = replace(user, revision=user.revision + 1)
        await self._record(connection, deleted, Action.DELETED, actor, *revoked, notify=notify)
        return attestation

    async def _about_grants(
        self, connection: Connection, before: User, after: User
    ) -> Sequence[Announcement]:
        """That the user's grants are suspended, or read again. Those of a broken connection do not change."""
        if before.is_disabled == after.is_disabled:
            return []
        grants = await live_grants_of_user(connection, after.guid, self._clock.instant())
        working = [each for each in grants if not each.is_broken]
        event_type = EventType.TOKEN_SUSPENDED if after.is_disabled else EventType.TOKEN_RESUMED
        return about_grants(event_type, working)

    async def _record(
        self,
        connection: Connection,
        user: User,
        action: Action,
        actor: str,
        *announcements: Announcement,
        notify: bool,
    ) -> None:
        await self._journal.record(
            connection,
            Entry(client_guid=user.client_guid, actor=actor, action=f"user.{action}", subject=user.guid),
            mx_events.user(action, user),
            *announcements,
            Announcement(
                type=EVENT_TYPES[action], owner_guid=user.client_guid, data={"user_guid": user.guid}
            ),
            notify=notify,
        )
