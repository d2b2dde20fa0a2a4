"""Ends at the upstream what a deleted member has there: a consent, a session, a login.

    a member or its user is deleted --> request: its secrets move under a key of their own, a row is queued
    a worker claims the row         --> Connector.disconnect --> row and key are destroyed
                                        `- fails: again later, for `KEPT` at most

Without its user, nothing in the database but these secrets can reach the upstream. A connector that leaves nothing
there (`has_disconnect`) keeps none.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from coatcheck import ids, metrics
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import Connector, DisconnectedMember, Disconnection, SessionEnded
from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.errors import (
    BankError,
    BankFailed,
    BankTimedOut,
    BankUnavailable,
    ConnectionDiscontinued,
    ConsentRevoked,
    LoginClosed,
    NotFound,
)
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members.dependencies import Dependencies
from coatcheck.model.moving_users import is_settled
from coatcheck.vault.vault import SecretKind, WorkerReader

log = structlog.get_logger(__name__)

KEPT = timedelta(days=7)
"""How long it is tried. Then the secrets are destroyed all the same."""
LEASE = timedelta(minutes=5)
"""How long a claimed row belongs to its worker."""
TIMEOUT = timedelta(minutes=1)
"""How long one attempt may take."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
"""Between two attempts. The pause doubles."""
HAS_ENDED = (ConsentRevoked, LoginClosed, ConnectionDiscontinued)
"""Errors that say that there is nothing left to end."""
NEXT_DISCONNECTION = "SELECT min(next_attempt_at) FROM disconnection"
"""When the next attempt is due."""
IS_ANY_DUE = "EXISTS (SELECT FROM disconnection WHERE next_attempt_at <= %(now)s)"
"""A condition: `Disconnector.claim` may find a row."""


@dataclass(frozen=True, slots=True)
class DeletedMember:
    guid: str
    user_guid: str
    client_guid: str
    institution_code: str


@dataclass(frozen=True, slots=True)
class DueDisconnection:
    """A claimed row."""

    guid: str
    client_guid: str
    user_guid: str
    member_guid: str
    institution_code: str
    attempts: int
    """Including this one. It identifies the lease."""
    created_at: datetime


class Disconnections:
    """Requests disconnections, in the transaction that deletes the members."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._registry = dependencies.registry

    async def request(self, connection: Connection, members: Sequence[DeletedMember]) -> None:
        """Keeps the secrets of members that are about to be deleted, where their upstream needs them."""
        for member in members:
            await self._request(connection, member)

    async def request_of_user(self, connection: Connection, user_guid: str) -> None:
        """As `request`, for all members of a user."""
        members = await fetch_all(
            connection,
            DeletedMember,
            f"SELECT {columns(DeletedMember)} FROM member WHERE user_guid = %(user_guid)s ORDER BY guid",
            {"user_guid": user_guid},
        )
        await self.request(connection, members)

    async def _request(self, connection: Connection, member: DeletedMember) -> None:
        try:
            connector = self._registry.connector_for(member.institution_code)
        except NotFound:
            return
        if not connector.has_disconnect:
            return
        secrets = await self._vault.disclose_secrets(
            connection,
            owner_guid=member.user_guid,
            secrets=[(member.guid, SecretKind.CREDENTIALS), (member.guid, SecretKind.STATE)],
            reader=WorkerReader(member.guid, member.client_guid),
        )
        # It never signed in: there is no access to end.
        if (member.guid, SecretKind.CREDENTIALS) not in secrets:
            return
        # Not under the guid of the user: the key of a deleted user is destroyed, and with it all that it sealed.
        guid, now = ids.new("DSC"), self._clock.now()
        for (_, kind), value in secrets.items():
            await self._vault.store_secret(
                connection, owner_guid=guid, record_guid=member.guid, kind=kind, value=value
            )
        await run(
            connection,
            """INSERT INTO disconnection (guid, client_guid, user_guid, member_guid, institution_code,
                                          next_attempt_at, created_at)
               VALUES (%(guid)s, %(client_guid)s, %(user_guid)s, %(member_guid)s, %(institution_code)s,
                       %(now)s, %(now)s)""",
            {
                "guid": guid,
                "client_guid": member.client_guid,
                "user_guid": member.user_guid,
                "member_guid": member.guid,
                "institution_code": member.institution_code,
                "now": now,
            },
        )
        await notify_workers(connection, TaskKind.DISCONNECTION)


class Disconnector:
    """Runs disconnections, in the worker."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._seeding = dependencies.seeding

    async def claim(self, limit: int) -> Sequence[DueDisconnection]:
        """Leases due disconnections to this worker, and counts an attempt at each."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            return await fetch_all(
                connection,
                DueDisconnection,
                f"""UPDATE disconnection d SET attempts = attempts + 1, next_attempt_at = %(until)s
                    FROM (SELECT guid FROM disconnection
                          WHERE next_attempt_at <= %(now)s AND {is_settled("disconnection.user_guid")}
                          ORDER BY next_attempt_at, guid LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
                    WHERE d.guid = due.guid
                    RETURNING {columns(DueDisconnection, "d.")}""",
                {"now": now, "until": now + LEASE, "limit": limit},
            )

    async def run(self, due: DueDisconnection) -> None:
        """One attempt. A worker that no longer has the lease changes nothing."""
        with self._seeding.once(due.guid, f"attempt {due.attempts}"):
            try:
                connector = self._registry.connector_for(due.institution_code)
            except NotFound:
                # The operator may enable the connector again.
                error: BankError | None = BankUnavailable()
            else:
                try:
                    error = await self._attempt(connector, due)
                except SessionEnded:
                    return
            async with self._db.transaction() as connection:
                if await self._has_lease(connection, due):
                    await self._save(connection, due, error)

    async def _attempt(self, connector: Connector, due: DueDisconnection) -> BankError | None:
        async with self._db.connection() as connection:
            secrets = await self._vault.disclose_secrets(
                connection,
                owner_guid=due.guid,
                secrets=[(due.member_guid, SecretKind.CREDENTIALS), (due.member_guid, SecretKind.STATE)],
                reader=WorkerReader(due.guid, due.client_guid),
            )
        credentials: Mapping[str, str] = json.loads(secrets[due.member_guid, SecretKind.CREDENTIALS])
        disconnection = Disconnection(
            DisconnectedMember(due.member_guid, due.user_guid, due.institution_code),
            credentials,
            state=secrets.get((due.member_guid, SecretKind.STATE)),
            store_state=partial(self._store_state, due),
            check_lease=partial(self._check_lease, due),
        )
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                await connector.disconnect(disconnection)
        except HAS_ENDED:
            return None
        except SessionEnded:
            raise
        except BankError as error:
            return error
        except TimeoutError:
            return BankTimedOut()
        except Exception as error:  # noqa: BLE001 (an error of the connector must not stop the worker)
            # Only the type: the message and the traceback may contain what the upstream sent.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400
            return BankFailed()
        return None

    async def _save(self, connection: Connection, due: DueDisconnection, error: BankError | None) -> None:
        now = self._clock.now()
        if error is None:
            await self._end(connection, due, "member.access_ended")
            metrics.DISCONNECTIONS.labels("ended").inc()
        elif now - due.created_at >= KEPT:
            await self._end(connection, due, "member.access_not_ended")
            metrics.DISCONNECTIONS.labels("given_up").inc()
            log.error("disconnection.given_up", member_guid=due.member_guid, error=type(error).__name__)
        else:
            pause = min(FIRST_PAUSE * 2 ** min(due.attempts - 1, 10), LONGEST_PAUSE)
            await run(
                connection,
                "UPDATE disconnection SET next_attempt_at = %(at)s WHERE guid = %(guid)s",
                {"at": now + pause, "guid": due.guid},
            )
            metrics.DISCONNECTIONS.labels("failed").inc()
            log.warning("disconnection.failed", member_guid=due.member_guid, error=type(error).__name__)

    async def _end(self, connection: Connection, due: DueDisconnection, action: str) -> None:
        await run(connection, "DELETE FROM disconnection WHERE guid = %(guid)s", {"guid": due.guid})
        await self._vault.delete_owner(connection, due.guid)
        await self._journal.record(
            connection,
            Entry(
                client_guid=due.client_guid,
                actor=due.guid,
                action=action,
                subject=due.member_guid,
                detail={"institution_code": due.institution_code, "user_guid": due.user_guid},
            ),
        )

    async def _store_state(self, due: DueDisconnection, state: bytes) -> None:
        async with self._db.transaction() as connection:
            if not await self._has_lease(connection, due):
                raise SessionEnded
            await self._vault.store_secret(
                connection,
                owner_guid=due.guid,
                record_guid=due.member_guid,
                kind=SecretKind.STATE,
                value=state,
            )

    async def _check_lease(self, due: DueDisconnection) -> None:
        async with self._db.transaction() as connection:
            if not await self._has_lease(connection, due):
                raise SessionEnded

    async def _has_lease(self, connection: Connection, due: DueDisconnection) -> bool:
        """Whether no other worker has claimed the row since. Locks it."""
        cursor = await connection.execute(
            "SELECT FROM disconnection WHERE guid = %(guid)s AND attempts = %(attempts)s FOR UPDATE",
            {"guid": due.guid, "attempts": due.attempts},
        )
        return await cursor.fetchone() is not None
