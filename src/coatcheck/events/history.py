"""What was announced and delivered: events, deliveries, and making a delivery again.

Each query starts at the owner. Events in MX's format are not listed; their deliveries are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from coatcheck import ids
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.events.catalogue import CATALOGUE, EventType, StoredEvent, encode_data, sample
from coatcheck.events.endpoints import Endpoint
from coatcheck.events.partitions import RETENTION
from coatcheck.events.publisher import SUBSCRIBED
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


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


DELIVERIES = """(SELECT d.*, e.type FROM delivery d
                 JOIN event e ON e.guid = d.event_guid AND e.occurred_at = d.event_at) AS made"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of an owner to list."""

    type: str | None = None
    """A type, a group such as `member.*`, or `*`."""
    after: str | None = None
    """Only what was announced after the event with this guid, oldest first. Otherwise the newest is first."""
    since: datetime | None = None
    """Only what occurred after this, oldest first."""


@dataclass(frozen=True, slots=True)
class _Position:
    position: int


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
    conditions = ["format = 'coatcheck'", "occurred_at > %(since)s"]
    if filters.type is not None and filters.type != "*":
        group = filters.type.endswith(".*")
        conditions.append("starts_with(type, %(type)s)" if group else "type = %(type)s")
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
            WHERE guid = %(guid)s AND owner_guid = %(owner_guid)s AND format = 'coatcheck'
              AND occurred_at > %(since)s""",
        {"guid": guid, "owner_guid": owner_guid, "since": now - RETENTION},
    )
    if found is None:
        raise NotFound
    return found


async def list_deliveries(
    connection: Connection,
    owner_guid: str,
    page: PageRequest,
    now: datetime,
    *,
    receiver_guid: str | None = None,
    status: str | None = None,
) -> Page[Delivery]:
    """The deliveries to the owner in the last 30 days, those of the newest events first."""
    selection = Selection(
        DELIVERIES,
        ("position DESC", "guid"),
        {"owner_guid": owner_guid, "receiver_guid": receiver_guid, "status": status},
        ["created_at > %(since)s"],
        {"since": now - RETENTION},
        moving={"since"},
        counted="delivery",
    )
    return await fetch_page(connection, Delivery, selection, page)


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


async def redeliver_range(
    connection: Connection, endpoint: Endpoint, since: datetime, until: datetime, now: datetime
) -> int:
    """Delivers to the endpoint every event from `since` until before `until` that it subscribes to; returns how many.

    What still waits to be delivered to it is not delivered twice.
    """
    return await run(
        connection,
        f"""INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position,
                                  next_attempt_at, created_at)
            SELECT 'DLV-' || md5(e.guid || w.guid || %(now)s::text)::uuid, e.guid, e.occurred_at, w.guid, e.owner_guid,
                   e.object, e.position, %(now)s, %(now)s
            -- The guid contains the time: without it, it would be that of the first delivery.
            FROM webhook_endpoint w JOIN event e ON e.owner_guid = w.owner_guid
            WHERE w.guid = %(guid)s AND e.format = 'coatcheck' AND {SUBSCRIBED.format(type="e.type")}
              AND e.occurred_at >= %(since)s AND e.occurred_at < %(until)s AND e.occurred_at > %(oldest)s
              AND NOT EXISTS (SELECT FROM delivery d WHERE d.event_guid = e.guid AND d.receiver_guid = w.guid
                              AND d.next_attempt_at IS NOT NULL)
            ORDER BY e.position""",
        {"guid": endpoint.guid, "since": since, "until": until, "now": now, "oldest": now - RETENTION},
    )


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
        "payload": encode_data(data),
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
        "SELECT position FROM event WHERE guid = %(guid)s AND owner_guid = %(owner_guid)s",
        {"guid": guid, "owner_guid": owner_guid},
    )
    if found is None:
        raise NotFound
    return found.position
