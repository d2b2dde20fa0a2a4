"""Publishing: an event is stored, with its delivery, in the transaction that caused it."""

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, run
from coatcheck.events.mx_events import Event
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind


class EventPublisher:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def publish(
        self, connection: Connection, *, client_guid: str, event: Event, notify: bool = True
    ) -> None:
        """Stores the event and, where the client has a webhook URL, its delivery.

        Args:
            connection: the caller's transaction.
            client_guid: the client that is notified.
            event: what happened.
            notify: False stores the event and delivers nothing (MX-Skip-Webhook).
        """
        guid = ids.new("EVT")
        deliveries = await run(
            connection,
            """WITH stored AS (
                   INSERT INTO event (guid, client_guid, type, payload, callback_payload, created_at)
                   VALUES (%(guid)s, %(client_guid)s, %(type)s, %(payload)s, %(callback_payload)s, %(now)s)
               )
               INSERT INTO delivery (event_guid, next_attempt_at)
               SELECT %(guid)s, %(now)s FROM client
               WHERE guid = %(client_guid)s AND webhook_url IS NOT NULL AND %(notify)s""",
            {
                "guid": guid,
                "client_guid": client_guid,
                "type": event.type,
                "payload": event.payload,
                "callback_payload": event.callback_payload,
                "now": self._clock.now(),
                "notify": notify,
            },
        )
        if deliveries:
            await notify_workers(connection, TaskKind.DELIVERY)
