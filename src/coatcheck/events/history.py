"""What was announced and delivered: events, deliveries, and making a delivery again.

Each query starts at the owner. Events in MX's format are not listed; their deliveries are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from coatcheck import ids
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.events.catalogue import CATALOGUE, EVERYTHING, EventType, StoredEvent, sample, stored_data
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.endpoints import Endpoint
from coatcheck.events.event_indexes import is_event, is_owner
from coatcheck.events.partitions import RETENTION
from coatcheck.events.publisher import SUBSCRIBED
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page

REDELIVERED_AT_ONCE = 1_000
"""Events that one transaction delivers again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    guid: str
    event_guid: str
    type: str
    receiver_guid: str
    """The guid of the endpoint, or of the client whose webhook URL it is."""
    status: str
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_answer: str | None
    created_at: datetime


# With a join, PostgreSQL would read all events of every owner for a list by type. LIMIT has it look up each one.
DELIVERIES = f"""(SELECT d.*, e.type FROM delivery d CROSS JOIN LATERAL (
                      SELECT type FROM event e
                      WHERE {is_event("e", "d.event_guid")} AND e.occurred_at = d.event_at LIMIT 1
                  ) AS e) AS made"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of an owner to list."""

    type: str | None = None
    """A type, a group such as `member.*`, or `*`."""
    after: str | None = None
    """Only what was announced after the event with this guid, oldest first. Otherwise the newest is first."""
    since: datetime | None = None
    """Only what occurred after this, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries of the last 30 days to list."""

    receiver_guid: str | None = None
    """An endpoint, or the client whose webhook URL it is."""
    type: str | None = None
    """A type of event, or a group such as `member.*`."""
    status: DeliveryStatus | None = None
    since: datetime | None = None
    """Only what was attempted since then, or made and not yet attempted."""
    until: datetime | None = None
    """Until the end of this second."""


@dataclass(frozen=True, slots=True)
class _Position:
    position: int


@dataclass(frozen=True, slots=True)
class _Count:
    number: int


@dataclass(frozen=True, slots=True)
class _Made:
    guid: str


async def list_events(
    connection: Connection, owner_guid: str, filters: EventFilter, page: PageRequest, now: datetime
) -> Page[StoredEvent]:
    """The events of the owner in the last 30 days.

    Raises:
        NotFound: the owner has no event with the guid `after`.
    """
    values: dict[str, object] = {"since": filters.since or now - RETENTION}
    conditions = [is_owner("event", "%(owner_guid)s"), "format = 'coatcheck'", "occurred_at > %(since)s"]
    if filters.type is not None and filters.type != EVERYTHING:
        conditions.append(_of_type(filters.type))
        values["type"] = filters.type.removesuffix("*")
    if filters.after is not None:
        conditions.append("position > %(after)s")
        values["after"] = await _position(connection, owner_guid, filters.after)
    is_oldest_first = filters.after is not None or filters.since is not None
    selection = Selection(
        "event",
        ("position" if is_oldest_first else "position DESC",),
        {"owner_guid": owner_guid},
        conditions,
        values,
        moving={"since"} if filters.since is None else (),
    )
    return await fetch_page(connection, StoredEvent, selection, page)


async def find_event(connection: Connection, owner_guid: str, guid: str, now: datetime) -> StoredEvent:
    """Raises NotFound if the owner has no such event, or if it is older than 30 days."""
    found = await fetch_one(
        connection,
        StoredEvent,
        f"""SELECT {columns(StoredEvent)} FROM event
            WHERE {is_event("event", "%(guid)s")} AND owner_guid = %(owner_guid)s AND format = 'coatcheck'
              AND occurred_at > %(since)s""",
        {"guid": guid, "owner_guid": owner_guid, "since": now - RETENTION},
    )
    if found is None:
        raise NotFound
    return found


async def list_deliveries(
    connection: Connection, owner_guid: str, filters: DeliveryFilter, page: PageRequest, now: datetime
) -> Page[Delivery]:
    """The deliveries to the owner in the last 30 days, those of the newest events first."""
    return await fetch_page(connection, Delivery, _selection(owner_guid, filters, now), page)


def _selection(owner_guid: str, filters: DeliveryFilter, now: datetime) -> Selection:
    conditions = ["created_at > %(oldest)s"]
    values: dict[str, object] = {"oldest": now - RETENTION}
    if filters.status is not None:
        # No parameter: a generic plan could not use the index of failed deliveries.
        conditions.append(f"status = '{DeliveryStatus(filters.status).value}'")
    if filters.type is not None:
        conditions.append(_of_type(filters.type))
        values["type"] = filters.type.removesuffix("*")
    if filters.since is not None:
        conditions.append("coalesce(last_attempt_at, created_at) >= %(since)s")
        values["since"] = filters.since
    if filters.until is not None:
        # PostgreSQL adds the second: Python has no instant after the year 9999. `created_at` leaves out partitions.
        ended = "%(until)s::timestamptz + interval '1 second'"
        conditions += [f"coalesce(last_attempt_at, created_at) < {ended}", f"created_at < {ended}"]
        values["until"] = filters.until
    return Selection(
        DELIVERIES,
        ("position DESC", "guid"),
        {"owner_guid": owner_guid, "receiver_guid": filters.receiver_guid},
        conditions,
        values,
        moving={"oldest"},
        counted="delivery" if filters.type is None else None,
    )


def _of_type(type_: str) -> str:
    return "starts_with(type, %(type)s)" if type_.endswith(".*") else "type = %(type)s"


async def find_delivery(connection: Connection, owner_guid: str, guid: str) -> Delivery:
    """Raises NotFound if there is no such delivery to the owner."""
    found = await fetch_one(
        connection,
        Delivery,
        f"SELECT {columns(Delivery)} FROM {DELIVERIES} WHERE owner_guid = %(owner_guid)s AND guid = %(guid)s",
        {"owner_guid": owner_guid, "guid": guid},
    )
    if found is None:
        raise NotFound
    return found


async def redeliver(connection: Connection, owner_guid: str, guid: str, now: datetime) -> Delivery:
    """Makes a delivery again, as a new one of the same event to the same receiver.

    Raises:
        NotFound: there is no such delivery to the owner.
    """
    made = await fetch_one(
        connection,
        _Made,
        # With the position of the event, so that later events about the object wait for it.
        """INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position,
                                 next_attempt_at, created_at)
           SELECT %(new_guid)s, event_guid, event_at, receiver_guid, owner_guid, object, position, %(now)s, %(now)s
           FROM delivery WHERE guid = %(guid)s AND owner_guid = %(owner_guid)s
           RETURNING guid""",
        {"new_guid": ids.new("DLV"), "guid": guid, "owner_guid": owner_guid, "now": now},
    )
    if made is None:
        raise NotFound
    return await find_delivery(connection, owner_guid, made.guid)


async def count_redeliverable(
    connection: Connection, owner_guid: str, filters: DeliveryFilter, now: datetime
) -> int:
    """How many deliveries `redeliver_selected` makes next."""
    again, values = _again(owner_guid, filters, now)
    found = await fetch_one(connection, _Count, f"SELECT count(*) AS number FROM ({again}) AS again", values)
    return found.number if found else 0


async def redeliver_selected(
    connection: Connection, owner_guid: str, filters: DeliveryFilter, now: datetime
) -> int:
    """Makes the deliveries again that the filter selects, at most `REDELIVERED_AT_ONCE`; returns how many.

    Those of the oldest events are first, and each event is delivered once to a receiver. Left out is what still waits,
    what was delivered by a later attempt to make it again, and what goes to an endpoint that is disabled or deleted.
    """
    again, values = _again(owner_guid, filters, now)
    return await run(
        connection,
        # Of two at the same instant, as a clock that stands can have, the second makes nothing.
        f"""INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position,
                                  next_attempt_at, created_at)
            SELECT 'DLV-' || md5(event_guid || receiver_guid || %(now)s::text)::uuid, event_guid, event_at,
                   receiver_guid, owner_guid, object, position, %(now)s, %(now)s
            FROM ({again}) AS again ORDER BY position
            ON CONFLICT DO NOTHING""",
        values,
    )


def _again(owner_guid: str, filters: DeliveryFilter, now: datetime) -> tuple[str, Mapping[str, object]]:
    selection = _selection(owner_guid, filters, now)
    return (
        f"""SELECT DISTINCT ON (position, event_guid, receiver_guid)
                   event_guid, event_at, receiver_guid, owner_guid, object, position
            FROM {selection.source}
            WHERE {selection.where} AND status <> 'pending'
              AND (receiver_guid = owner_guid
                   OR receiver_guid IN (SELECT w.guid FROM webhook_endpoint w
                                        WHERE w.owner_guid = %(owner_guid)s AND w.status <> 'disabled'))
              AND NOT EXISTS (SELECT FROM delivery later
                              WHERE later.event_guid = made.event_guid AND later.receiver_guid = made.receiver_guid
                                AND later.guid <> made.guid AND later.created_at >= made.created_at
                                AND later.status <> 'failed')
            ORDER BY position, event_guid, receiver_guid LIMIT {REDELIVERED_AT_ONCE}""",
        {**selection.parameters, "now": now},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """Which events an endpoint gets again: from `since` until before `until`."""

    endpoint_guid: str
    since: datetime
    until: datetime
    now: datetime
    """The same for all batches."""


@dataclass(frozen=True, slots=True)
class Redelivered:
    """What became of a batch."""

    count: int
    """How many deliveries were made."""
    last_position: int | None
    """Where the next batch begins. None: there is none."""


async def redeliver_batch(connection: Connection, wanted: Redelivery, after: int) -> Redelivered:
    """Delivers to the endpoint some of the events that it subscribes to, those after the position, in their order.

    What still waits to be delivered to it is not delivered twice.
    """
    made = await fetch_one(
        connection,
        Redelivered,
        f"""WITH batch AS (
                SELECT w.guid AS receiver_guid, e.guid, e.occurred_at, e.owner_guid, e.object, e.position
                FROM webhook_endpoint w JOIN event e ON {is_owner("e", "w.owner_guid")}
                WHERE w.guid = %(endpoint_guid)s AND e.format = 'coatcheck' AND {SUBSCRIBED.format(type="e.type")}
                  AND e.occurred_at >= %(since)s AND e.occurred_at < %(until)s AND e.occurred_at > %(oldest)s
                  AND e.position > %(after)s
                ORDER BY e.position LIMIT {REDELIVERED_AT_ONCE}
            ), made AS (
                INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position,
                                      next_attempt_at, created_at)
                SELECT 'DLV-' || md5(guid || receiver_guid || %(now)s::text)::uuid, guid, occurred_at, receiver_guid,
                       owner_guid, object, position, %(now)s, %(now)s
                -- The guid contains the time: without it, it would be that of the first delivery.
                FROM batch
                WHERE NOT EXISTS (SELECT FROM delivery d WHERE d.event_guid = batch.guid
                                  AND d.receiver_guid = batch.receiver_guid AND d.next_attempt_at IS NOT NULL)
                -- Of two calls at one instant, as when the clock stands.
                ORDER BY position ON CONFLICT DO NOTHING RETURNING guid
            )
            SELECT (SELECT count(*) FROM made) AS count, (SELECT max(position) FROM batch) AS last_position""",
        {**asdict(wanted), "oldest": wanted.now - RETENTION, "after": after},
    )
    assert made is not None, "the statement returns one row"
    return made


async def send_sample(
    connection: Connection, endpoint: Endpoint, event_type: EventType, now: datetime
) -> Delivery:
    """Delivers an example event of the type to the endpoint. The example is in no list of events."""
    data: Mapping[str, object] = sample(event_type)
    values = {
        "guid": ids.new("EVT"),
        "delivery_guid": ids.new("DLV"),
        "receiver_guid": endpoint.guid,
        "owner_guid": endpoint.owner_guid,
        "type": event_type.value,
        "object": data[CATALOGUE[event_type].object],
        "payload": stored_data(event_type, data),
        "now": now,
    }
    await run(
        connection,
        """WITH sample AS (
               INSERT INTO event (guid, owner_guid, format, type, object, sequence, payload, occurred_at, due_at)
               VALUES (%(guid)s, %(owner_guid)s, 'sample', %(type)s, %(object)s, 1, %(payload)s, %(now)s, %(now)s)
               RETURNING position
           )
           -- Without an object: a sample waits for no event, and no event waits for a sample.
           INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, position, next_attempt_at,
                                 created_at)
           SELECT %(delivery_guid)s, %(guid)s, %(now)s, %(receiver_guid)s, %(owner_guid)s, position, %(now)s, %(now)s
           FROM sample""",
        values,
    )
    return await find_delivery(connection, endpoint.owner_guid, str(values["delivery_guid"]))


async def last_position(connection: Connection) -> int:
    """The position of the newest event of anybody."""
    found = await fetch_one(connection, _Position, "SELECT last_value AS position FROM event_position")
    return found.position if found else 0


async def _position(connection: Connection, owner_guid: str, guid: str) -> int:
    found = await fetch_one(
        connection,
        _Position,
        f"SELECT position FROM event WHERE {is_event('event', '%(guid)s')} AND owner_guid = %(owner_guid)s",
        {"guid": guid, "owner_guid": owner_guid},
    )
    if found is None:
        raise NotFound
    return found.position
