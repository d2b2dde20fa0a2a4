"""The operator's switches of institutions: how well each works, and what it permits each client there.

    set_status           every client: no job and no new member under MAINTENANCE and UNAVAILABLE
    set_client_status    one client; PREVENT_ALL_AND_DISCONNECT also disconnects its members

`validation.check_availability` has the rules that requests and workers check.
"""

from dataclasses import dataclass

from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection, run
from coatcheck.errors import NotFound
from coatcheck.events import mx_events
from coatcheck.members import member_rows
from coatcheck.members.announcements import about_disconnection
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.member_rows import MemberKey
from coatcheck.members.status import MemberEvent, transition
from coatcheck.model.institution_statuses import ClientStatus, InstitutionStatus
from coatcheck.model.members import find_member

BATCH = 200
"""Members that are looked up at once."""
REASON = "The operator disconnected the institution."


@dataclass(frozen=True, slots=True)
class ClientAt:
    """A client at an institution."""

    client_guid: str
    institution_code: str


class Institutions:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._journal = dependencies.journal
        self._queue = JobQueue(dependencies)

    async def set_status(
        self, connection: Connection, institution_code: str, status: InstitutionStatus, *, actor: str
    ) -> None:
        """Sets how well the institution works, for every client."""
        values = {"institution_code": institution_code, "status": status.value}
        if status is InstitutionStatus.OPERATIONAL:
            await run(
                connection,
                "DELETE FROM institution_status WHERE institution_code = %(institution_code)s",
                values,
            )
        else:
            # Two operators may set it at once: an INSERT after a DELETE would fail for the second.
            await run(
                connection,
                """INSERT INTO institution_status (institution_code, status)
                   VALUES (%(institution_code)s, %(status)s)
                   ON CONFLICT (institution_code) DO UPDATE SET status = excluded.status""",
                values,
            )
        await self._journal.record(
            connection,
            Entry(
                client_guid=None,
                actor=actor,
                action="institution.status_set",
                subject=institution_code,
                detail={"status": status.value},
            ),
        )

    async def set_client_status(self, client: ClientAt, client_status: ClientStatus, *, actor: str) -> int:
        """Sets what the client may do at the institution. Returns how many of its members were disconnected.

        Each member is disconnected in a transaction of its own. If the call is interrupted, it can be repeated.
        """
        async with self._db.transaction() as connection:
            await self._write_client_status(connection, client, client_status)
            await self._journal.record(
                connection,
                Entry(
                    client_guid=client.client_guid,
                    actor=actor,
                    action="institution.client_status_set",
                    subject=client.institution_code,
                    detail={"client_status": client_status.value},
                ),
            )
        # The status is committed first, so that no job starts at a member that has just been disconnected.
        if client_status is not ClientStatus.PREVENT_ALL_AND_DISCONNECT:
            return 0
        return await self._disconnect_all(client, actor)

    async def _write_client_status(
        self, connection: Connection, client: ClientAt, client_status: ClientStatus
    ) -> None:
        values = {
            "client_guid": client.client_guid,
            "institution_code": client.institution_code,
            "client_status": client_status.value,
        }
        if client_status is ClientStatus.AVAILABLE:
            await run(
                connection,
                """DELETE FROM institution_client_status
                   WHERE client_guid = %(client_guid)s AND institution_code = %(institution_code)s""",
                values,
            )
        else:
            await run(
                connection,
                """INSERT INTO institution_client_status (client_guid, institution_code, client_status)
                   VALUES (%(client_guid)s, %(institution_code)s, %(client_status)s)
                   ON CONFLICT (client_guid, institution_code) DO UPDATE
                   SET client_status = excluded.client_status""",
                values,
            )

    async def _disconnect_all(self, client: ClientAt, actor: str) -> int:
        count = 0
        # The first members again: those that were disconnected are found no more.
        while True:
            async with self._db.connection() as connection:
                keys = await member_rows.connected_members(
                    connection, client.client_guid, client.institution_code, limit=BATCH
                )
            if not keys:
                return count
            for key in keys:
                async with self._db.transaction() as connection:
                    count += await self._disconnect(connection, key, actor)

    async def _disconnect(self, connection: Connection, key: MemberKey, actor: str) -> bool:
        """Ends the member's job and connection, so that tokens on its accounts read no more. False: it was deleted."""
        try:
            before = await member_rows.lock_member(connection, key.user_guid, key.guid)
        except NotFound:
            return False
        now = self._clock.now()
        # Otherwise the worker that runs the job would set the member CONNECTED again.
        await self._queue.cancel(connection, before, REASON)
        status = transition(MemberEvent.OPERATOR_DISCONNECTED, before.status)
        assert status is not None, "the event is possible in every status"
        await member_rows.change_member(
            connection, key.user_guid, key.guid, {"connection_status": status, "updated_at": now}
        )
        member = await find_member(connection, key.user_guid, key.guid)
        await self._journal.record(
            connection,
            Entry(
                client_guid=member.client_guid,
                actor=actor,
                action="member.disconnected",
                subject=member.guid,
                detail={"institution_code": member.institution_code},
            ),
            mx_events.connection_status(member, status, callback_payload=None),
            *await about_disconnection(connection, before, member, self._clock.instant()),
        )
        return True
