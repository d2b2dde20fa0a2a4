"""Publishing: an event is stored, with its deliveries, in the transaction that caused it.

A trigger of the table `delivery` notifies the workers at the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, Parameters, run
from coatcheck.db.json_rows import encode_rows
from coatcheck.db.lockstep import ask
from coatcheck.events.catalogue import Announcement, EventType, stored_data
from coatcheck.events.mx_events import Event
from coatcheck.seeding import Seeding

SUBSCRIBED = "w.events && ARRAY['*', {type}, split_part({type}, '.', 1) || '.*']"
"""Whether an endpoint `w` gets events of a type, as `catalogue.is_subscribed`."""
INSTANT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
"""The format of instants in `data`, for `to_char`."""


def deliveries_of(relation: str) -> str:
    """The body of a CTE that makes the deliveries of each new event of `relation` to the endpoints of its owner."""
    # The guid follows from those of the event and the endpoint: PostgreSQL knows no guid of this program.
    return f"""
    INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position, next_attempt_at,
                          created_at)
    SELECT 'DLV-' || md5(e.guid || w.guid)::uuid, e.guid, e.occurred_at, w.guid, e.owner_guid, e.object, e.position,
           e.occurred_at, e.occurred_at
    FROM {relation} e JOIN webhook_endpoint w ON w.owner_guid = e.owner_guid
    WHERE w.status <> 'disabled' AND {SUBSCRIBED.format(type="e.type")}"""


def announce_redeemed(relation: str) -> str:
    """CTEs that announce `code.redeemed` for each row of `relation`, a new grant.

    The values are those of `catalogue.stored_data`. It is the first event of the new grant, so that it needs no counter
    (`_COUNTED_BEFORE`). The parameters are `event_guid` and `now`.
    """
    return f"""announced AS (
    INSERT INTO event (guid, owner_guid, format, type, object, sequence, payload, occurred_at, due_at)
    SELECT %(event_guid)s, client_guid, 'coatcheck', '{EventType.CODE_REDEEMED}', subject, 1,
           json_build_array(processor_guid, user_guid, member_guid, account_guid,
                            to_char(expires_at AT TIME ZONE 'UTC', '{INSTANT}'))::text,
           %(now)s, %(now)s
    FROM {relation}
    RETURNING guid, owner_guid, type, object, position, occurred_at
), delivered AS ({deliveries_of("announced")})"""


# The client's first event of a grant is `code.redeemed`, which is written without a counter.
_COUNTED_BEFORE = (
    """CASE WHEN {alias}.object LIKE 'TKN-%%' AND {alias}.owner_guid LIKE 'CLT-%%' THEN 1 ELSE 0 END"""
)

# The counter's row is locked until the end of the transaction, so that the order of the numbers is the order of the
# commits. A statement locks them in one order, so that two cannot deadlock.
ANNOUNCE = f"""
WITH given AS (
    SELECT * FROM ROWS FROM (json_to_recordset(%(rows)s::json)
                             AS (guid text, owner_guid text, type text, object text, payload text, due_at timestamptz))
             WITH ORDINALITY AS given (guid, owner_guid, type, object, payload, due_at, place)
), counted AS (
    INSERT INTO event_sequence AS s (owner_guid, object, last, changed_at)
    SELECT owner_guid, object, {_COUNTED_BEFORE.format(alias="given")} + count(*), %(now)s
    FROM given GROUP BY owner_guid, object ORDER BY owner_guid, object
    ON CONFLICT (owner_guid, object) DO UPDATE
    SET last = s.last + excluded.last - {_COUNTED_BEFORE.format(alias="excluded")}, changed_at = excluded.changed_at
    RETURNING owner_guid, object, last
), announced AS (
    INSERT INTO event (guid, owner_guid, format, type, object, sequence, payload, occurred_at, due_at)
    SELECT guid, owner_guid, 'coatcheck', type, object,
           last - count(*) OVER (PARTITION BY owner_guid, object)
                + row_number() OVER (PARTITION BY owner_guid, object ORDER BY place),
           payload, %(now)s, coalesce(due_at, %(now)s)
    FROM given JOIN counted USING (owner_guid, object) ORDER BY place
    RETURNING guid, owner_guid, type, object, position, occurred_at
)
{deliveries_of("announced")} AND %(notify)s
"""


PUBLISH = """
WITH given AS (
    SELECT * FROM ROWS FROM (json_to_recordset(%(rows)s::json)
                             AS (guid text, owner_guid text, type text, payload text, callback_payload text,
                                 occurred_at timestamptz, notify boolean))
             WITH ORDINALITY AS given (guid, owner_guid, type, payload, callback_payload, occurred_at, notify, place)
), stored AS (
    INSERT INTO event (guid, owner_guid, format, type, payload, callback_payload, occurred_at, due_at)
    SELECT guid, owner_guid, 'mx', type, payload, callback_payload, occurred_at, occurred_at FROM given ORDER BY place
    RETURNING guid, owner_guid, position, occurred_at
)
INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, position, next_attempt_at, created_at)
SELECT 'DLV-' || md5(e.guid || c.guid)::uuid, e.guid, e.occurred_at, c.guid, c.guid, e.position, e.occurred_at,
       e.occurred_at
FROM stored e JOIN given USING (guid)
CROSS JOIN LATERAL (SELECT guid FROM client WHERE guid = e.owner_guid AND webhook_url IS NOT NULL OFFSET 0) AS c
WHERE given.notify"""


async def _publish(connection: Connection, rows: Sequence[Parameters]) -> Sequence[None]:
    await run(connection, PUBLISH, {"rows": encode_rows(rows)})
    return [None] * len(rows)


@dataclass(frozen=True, slots=True)
class _Announced:
    rows: Sequence[Parameters]
    now: datetime
    notify: bool


async def _announce(connection: Connection, each: Sequence[_Announced]) -> Sequence[None]:
    for (now, notify), given in groupby(each, key=lambda one: (one.now, one.notify)):
        rows = [row for one in given for row in one.rows]
        await run(connection, ANNOUNCE, {"rows": encode_rows(rows), "now": now, "notify": notify})
    return [None] * len(each)


class EventPublisher:
    def __init__(self, clock: Clock, seeding: Seeding) -> None:
        self._clock = clock
        self._seeding = seeding

    async def publish(
        self, connection: Connection, *, client_guid: str, event: Event, notify: bool = True
    ) -> None:
        """Stores an event in MX's format and, where the client has a webhook URL, its delivery.

        Args:
            connection: the caller's transaction.
            client_guid: the client that is notified.
            event: what happened.
            notify: False stores the event and delivers nothing (MX-Skip-Webhook).
        """
        row = {
            "guid": ids.new("EVT"),
            "owner_guid": client_guid,
            "type": event.type,
            "payload": event.payload,
            "callback_payload": event.callback_payload,
            "occurred_at": self._clock.instant(),
            "notify": notify,
        }
        await ask(connection, _publish, row)

    async def announce(
        self, connection: Connection, announcements: Sequence[Announcement], *, notify: bool = True
    ) -> None:
        """Stores events, and their deliveries to the endpoints of their owners.

        Args:
            connection: the caller's transaction.
            announcements: what happened, in this order.
            notify: False stores the events and delivers nothing (MX-Skip-Webhook).
        """
        if announcements:
            rows = [
                {
                    "guid": self._new_guid(each),
                    "owner_guid": each.owner_guid,
                    "type": each.type.value,
                    "object": each.object,
                    "payload": stored_data(each.type, each.data),
                    "due_at": each.due_at,
                }
                for each in announcements
            ]
            await ask(connection, _announce, _Announced(rows, self._clock.instant(), notify))

    def _new_guid(self, announcement: Announcement) -> str:
        with self._seeding.about(announcement.object):
            return ids.new("EVT")
