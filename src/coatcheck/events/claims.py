"""Which deliveries a worker makes next.

    of each receiver that does not rest: the oldest due delivery of each object, at most PER_RECEIVER at once
    of each owner: at most PER_OWNER at once
    owners take turns: the one that occupies the fewest slots is first

A claim leases a delivery to its worker and counts an attempt. When the lease has ended, another worker claims it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.events.catalogue import StoredEvent, body
from coatcheck.events.event_indexes import is_event
from coatcheck.events.receivers import FAILURES

LEASE = timedelta(seconds=60)
"""How long a claimed delivery belongs to its worker."""
PER_RECEIVER = 8
"""Deliveries of one receiver at the same time, over all workers. After `FAILURES` failures in a row it is one."""
PER_OWNER = 16
"""Deliveries of one client or processor at the same time, over all workers."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed delivery."""

    guid: str
    created_at: datetime
    receiver_guid: str
    owner_guid: str
    is_endpoint: bool
    """False: the receiver is the webhook URL of a client, which gets MX's events."""
    url: str | None
    is_disabled: bool
    attempts: int
    """The number of attempts, including this one."""
    event_guid: str
    type: str
    object: str | None
    sequence: int | None
    payload: str
    callback_payload: str | None
    occurred_at: datetime
    due_at: datetime

    @property
    def body(self) -> str:
        if self.object is None or self.sequence is None:
            return self.payload
        return body(
            StoredEvent(
                self.event_guid,
                self.type,
                self.object,
                self.sequence,
                self.payload,
                self.occurred_at,
                self.due_at,
            )
        )


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


# The recursion makes one index look-up for each receiver; DISTINCT would read every pending delivery.
WAITING = """
receiver AS (
    (SELECT receiver_guid FROM delivery WHERE next_attempt_at IS NOT NULL ORDER BY receiver_guid LIMIT 1)
    UNION ALL
    SELECT next_receiver.receiver_guid
    FROM receiver CROSS JOIN LATERAL (
        SELECT receiver_guid FROM delivery
        WHERE next_attempt_at IS NOT NULL AND receiver_guid > receiver.receiver_guid
        ORDER BY receiver_guid LIMIT 1) AS next_receiver
), active AS (
    SELECT r.receiver_guid, f.failures, f.rests_until
    FROM receiver r LEFT JOIN failing_receiver f ON f.guid = r.receiver_guid
    LEFT JOIN webhook_endpoint w ON w.guid = r.receiver_guid
    WHERE coalesce(w.status, 'enabled') = 'enabled'
)"""
# An event waits for the earlier ones about the same object: their deliveries have not ended.
IS_NEXT = """(d.object IS NULL OR NOT EXISTS (
    SELECT FROM delivery earlier
    WHERE earlier.receiver_guid = d.receiver_guid AND earlier.object = d.object AND earlier.position < d.position
      AND earlier.next_attempt_at IS NOT NULL))"""
# A worker whose lease has ended has probably died.
IS_DUE = "d.next_attempt_at <= %(now)s AND (d.lease_until IS NULL OR d.lease_until <= %(now)s)"

CLAIM = f"""
WITH RECURSIVE {WAITING}, running AS (
    SELECT receiver_guid, owner_guid, count(*) AS deliveries FROM delivery
    WHERE lease_until IS NOT NULL AND lease_until > %(now)s GROUP BY receiver_guid, owner_guid
), ready AS (
    SELECT receiver_guid,
           CASE WHEN coalesce(failures, 0) < {FAILURES} THEN {PER_RECEIVER} ELSE 1 END
           - coalesce((SELECT sum(deliveries)::bigint FROM running
                       WHERE receiver_guid = active.receiver_guid), 0) AS free
    FROM active WHERE rests_until IS NULL OR rests_until <= %(now)s
), next_delivery AS (
    SELECT d.guid, d.created_at, d.owner_guid, d.next_attempt_at,
           row_number() OVER (PARTITION BY d.owner_guid ORDER BY d.next_attempt_at, d.position)
           + coalesce((SELECT sum(deliveries)::bigint FROM running WHERE owner_guid = d.owner_guid), 0) AS turn
    FROM ready CROSS JOIN LATERAL (
        SELECT d.guid, d.created_at, d.owner_guid, d.next_attempt_at, d.position FROM delivery d
        WHERE d.receiver_guid = ready.receiver_guid AND {IS_DUE} AND {IS_NEXT}
        ORDER BY d.next_attempt_at, d.position LIMIT ready.free) AS d
    WHERE ready.free > 0
), chosen AS (
    SELECT d.guid, d.created_at FROM delivery d
    JOIN (SELECT guid, created_at FROM next_delivery WHERE turn <= {PER_OWNER}
          ORDER BY turn, next_attempt_at LIMIT %(limit)s) AS first USING (guid, created_at)
    -- Checked again, because another worker can have claimed it after the snapshot was taken. SKIP LOCKED: workers
    -- that claim at once get different rows and do not wait for each other.
    WHERE {IS_DUE}
    FOR UPDATE OF d SKIP LOCKED
), claimed AS (
    UPDATE delivery d SET attempts = d.attempts + 1, lease_until = %(until)s
    FROM chosen WHERE d.guid = chosen.guid AND d.created_at = chosen.created_at
    RETURNING d.*
)
SELECT {columns(Attempt)} FROM (
    SELECT d.guid, d.created_at, d.receiver_guid, d.owner_guid, d.receiver_guid <> d.owner_guid AS is_endpoint,
           CASE WHEN d.receiver_guid = d.owner_guid THEN c.webhook_url ELSE w.url END AS url,
           coalesce(c.is_disabled, p.is_disabled, true) AS is_disabled, d.attempts,
           e.guid AS event_guid, e.type, e.object, e.sequence, e.payload, e.callback_payload, e.occurred_at, e.due_at,
           d.next_attempt_at, d.position
    FROM claimed d
    JOIN event e ON {is_event("e", "d.event_guid")} AND e.occurred_at = d.event_at
    LEFT JOIN client c ON c.guid = d.owner_guid
    LEFT JOIN processor p ON p.guid = d.owner_guid
    LEFT JOIN webhook_endpoint w ON w.guid = d.receiver_guid
) AS attempt ORDER BY next_attempt_at, position"""

NEXT_DUE = f"""
WITH RECURSIVE {WAITING}
SELECT min(greatest(first.next_attempt_at, active.rests_until)) AS at
FROM active CROSS JOIN LATERAL (
    SELECT min(next_attempt_at) AS next_attempt_at FROM delivery d
    WHERE d.receiver_guid = active.receiver_guid AND d.next_attempt_at IS NOT NULL AND {IS_NEXT}) AS first"""


IS_ANY_DUE = f"coalesce(({NEXT_DUE}) <= %(now)s, false)"
"""A condition: `claim` may find a delivery."""


async def claim(connection: Connection, *, now: datetime, limit: int) -> Sequence[Attempt]:
    """Claims at most `limit` deliveries that are due. The cost grows with the number of receivers that wait."""
    return await fetch_all(connection, Attempt, CLAIM, {"now": now, "until": now + LEASE, "limit": limit})


async def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """When the delivery that has been due for the longest time became due. Those of a resting receiver are not due."""
    at = await next_attempt(connection)
    return at if at is not None and at <= now else None


async def next_attempt(connection: Connection) -> datetime | None:
    """When the next delivery is due, or was."""
    found = await fetch_one(connection, _Moment, NEXT_DUE)
    return found.at if found else None
