"""The audit entries of a client, newest first, for its staff."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from coatcheck.db.database import Connection, Database, fetch_all
from coatcheck.db.guid_ends import is_guid

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries of a client to list."""

    client_guid: str
    since: datetime
    until: datetime
    """Inclusive: an entry of this second is listed."""
    action: str | None = None
    """An action such as `token.revoked`, or a group such as `token.*`."""
    actor: str | None = None
    """The guid of who acted, or a part of the name of a person of the staff."""
    before: int | None = None
    """Only entries with a smaller number: those after a page of the list."""


@dataclass(frozen=True, slots=True)
class FoundEntry:
    number: int
    """Its place in the log."""
    at: datetime
    guid: str
    action: str
    actor: str
    subject: str
    detail: Mapping[str, str]

    @property
    def actor_name(self) -> str:
        """The name of a person of the staff, else the guid."""
        return self.detail.get("actor_name", self.actor)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    at: datetime
    guid: str
    action: str
    actor: str
    subject: str
    detail: str


async def list_entries(connection: Connection, filters: EntryFilter, limit: int) -> Sequence[FoundEntry]:
    """The newest `limit` entries that match, in the order of their numbers, which is that of the sealed log."""
    conditions, values = _conditions(filters)
    more = "".join(f" AND {each}" for each in conditions)
    rows = await fetch_all(
        connection,
        _Row,
        # The times select the months, of which each is a table.
        f"""SELECT number, date_trunc('second', at) AS at, guid, action, actor, subject, detail FROM audit_entry
            WHERE {is_guid("client_guid", "%(client_guid)s")}
              AND at >= %(since)s AND at < %(until)s + interval '1 second' {more}
            ORDER BY number DESC LIMIT %(limit)s""",
        {
            "client_guid": filters.client_guid,
            "since": filters.since,
            "until": filters.until,
            "limit": limit,
            **values,
        },
    )
    return [_entry(row) for row in rows]


async def each_entry(db: Database, filters: EntryFilter) -> AsyncIterator[Sequence[FoundEntry]]:
    """Every entry that matches, newest first, in batches. No connection is held between two batches."""
    rest = filters
    while True:
        async with db.connection() as connection:
            entries = await list_entries(connection, rest, BATCH)
        if entries:
            yield entries
        if len(entries) < BATCH:
            return
        rest = replace(filters, before=entries[-1].number)


def _conditions(filters: EntryFilter) -> tuple[Sequence[str], Mapping[str, object]]:
    conditions: list[str] = []
    values: dict[str, object] = {}
    if filters.action is not None:
        group = filters.action.removesuffix("*")
        is_group = group.endswith(".") and group != filters.action
        conditions.append("starts_with(action, %(action)s)" if is_group else "action = %(action)s")
        values["action"] = group if is_group else filters.action
    if filters.actor is not None:
        conditions.append(
            "(actor = %(actor)s OR strpos(lower(detail::json ->> 'actor_name'), lower(%(actor)s)) > 0)"
        )
        values["actor"] = filters.actor
    if filters.before is not None:
        conditions.append("number < %(before)s")
        values["before"] = filters.before
    return conditions, values


def _entry(row: _Row) -> FoundEntry:
    return FoundEntry(**{**asdict(row), "detail": json.loads(row.detail)})
