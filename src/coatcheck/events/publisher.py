"""Announcing: an event is stored in the transaction of what it tells of, with its wake-up, or not at all."""

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, run
from coatcheck.events.catalogue import Event
from coatcheck.jobs.queue import Jobs, TaskKind


class EventPublisher:
    def __init__(self, clock: Clock, jobs: Jobs) -> None:
        self._clock = clock
        self._jobs = jobs

    async def publish(
        self, connection: Connection, *, client_guid: str, event: Event | None, skip: bool = False
    ) -> None:
        """Stores the event; has it delivered where the client has a webhook URL.

        Args:
            connection: the caller's transaction.
            client_guid: who is told.
            event: what happened; None tells nothing.
            skip: the caller asked not to be told of its own doing (MX-Skip-Webhook): stored, never sent.
        """
        if event is None:
            return
        guid = ids.new("EVT")
        deliveries = await run(
            connection,
            """WITH told AS (
                   INSERT INTO event (guid, client_guid, type, payload, callback_payload, created_at)
                   VALUES (%(guid)s, %(client_guid)s, %(type)s, %(payload)s, %(callback_payload)s, %(now)s)
               )
               INSERT INTO delivery (event_guid, next_attempt_at)
               SELECT %(guid)s, %(now)s FROM client
               WHERE guid = %(client_guid)s AND webhook_url IS NOT NULL AND NOT %(skip)s""",
            {
                "guid": guid,
                "client_guid": client_guid,
                "type": event.type,
                "payload": event.payload,
                "callback_payload": event.callback_payload,
                "now": self._clock.now(),
                "skip": skip,
            },
        )
        if deliveries:
            await self._jobs.wake(connection, TaskKind.DELIVERY, guid)
