"""The journal: one call records a state change in the audit log and publishes its events."""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.audit.entries import Entry, EntryRow, draft, row_of
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, run
from coatcheck.db.json_rows import encode_rows
from coatcheck.db.lockstep import ask
from coatcheck.db.partitions import ensure_month_partitions
from coatcheck.events.catalogue import Announcement
from coatcheck.events.mx_events import Event
from coatcheck.events.publisher import EventPublisher

# JSON, because psycopg converts an array element by element in Python.
RECORD = """
INSERT INTO audit_event (at, guid, client_guid, actor, action, subject, detail)
SELECT at, guid, client_guid, actor, action, subject, detail
FROM json_to_recordset(%(rows)s::json)
     AS given (at timestamptz, guid uuid, client_guid text, actor text, action text, subject text, detail text)"""


async def _write(connection: Connection, each: Sequence[Sequence[EntryRow]]) -> Sequence[None]:
    await run(connection, RECORD, {"rows": encode_rows([row for rows in each for row in rows])})
    return [None] * len(each)


class Journal:
    """Writes in the caller's transaction: the change, its audit entry and its events commit together or not at all."""

    def __init__(self, clock: Clock, publisher: EventPublisher) -> None:
        self._clock = clock
        self._publisher = publisher

    async def record(
        self, connection: Connection, entry: Entry, *events: Event | Announcement | None, notify: bool = True
    ) -> None:
        """Records a state change.

        Args:
            connection: the caller's transaction.
            entry: the audit entry.
            events: MX's events, which the client of the entry gets, and announcements; None is ignored.
            notify: False stores the events without delivering them (MX-Skip-Webhook).
        """
        await self.record_each(connection, [entry])
        for event in events:
            if isinstance(event, Event):
                assert entry.client_guid is not None, "an event belongs to a client"
                await self._publisher.publish(
                    connection, client_guid=entry.client_guid, event=event, notify=notify
                )
        await self.announce(
            connection, *(each for each in events if isinstance(each, Announcement)), notify=notify
        )

    async def record_each(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Records changes that no event announces, in one statement."""
        at = self._clock.instant()
        await ask(connection, _write, [row_of(entry, at) for entry in entries])

    async def announce(
        self, connection: Connection, *announcements: Announcement, notify: bool = True
    ) -> None:
        """Announces what time caused, or what a statement has recorded with its change, in the caller's transaction."""
        await self._publisher.announce(connection, announcements, notify=notify)

    def draft(self, *, actor: str, action: str, at: datetime | None = None) -> dict[str, object]:
        """The parameters of `entries.insert_from`, at this instant or one that the caller read."""
        return draft(actor, action, at or self._clock.instant())


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Creates the missing partitions of the audit log for this month and the next two."""
    await ensure_month_partitions(connection, "audit_event", now)
