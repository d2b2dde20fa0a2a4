"""The list of grants: what a client or a processor may see, filtered and paged.

Every condition is part of the statement only if its filter is given. `%(x)s IS NULL OR column = %(x)s` would be
shorter, and no index could serve it: statements have generic plans.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound
from coatcheck.grants.authorization_disclosures import SHOWN
from coatcheck.grants.scope import scope_of
from coatcheck.grants.secrets import week_of
from coatcheck.grants.token_indexes import PLACE, is_grant, is_of, is_older
from coatcheck.model.paging import BATCH, LONG, KeptCounts, Page, PageRequest, Place, place_in
from coatcheck.model.tokens import Grant, GrantStatus
from coatcheck.vault.disclosures import last_read_with, reads_with

# Whether a token is valid is defined by the view `live_token` alone, for this list as for every read. Scalar queries,
# because PostgreSQL may execute EXISTS by reading all live tokens into a hash table, for a page of 25.
STATUS = f"""CASE
    WHEN t.revoked_at IS NOT NULL THEN '{GrantStatus.REVOKED}'
    WHEN t.expires_at <= %(now)s THEN '{GrantStatus.EXPIRED}'
    WHEN t.reads >= t.max_reads THEN '{GrantStatus.EXHAUSTED}'
    ELSE coalesce(
        (SELECT CASE WHEN l.is_suspended THEN '{GrantStatus.SUSPENDED}' ELSE '{GrantStatus.ACTIVE}' END
         FROM live_token l WHERE l.expires_week = t.expires_week AND l.token_hash = t.token_hash),
        (SELECT '{GrantStatus.SUSPENDED}' FROM account a
         WHERE a.user_guid = t.user_guid AND a.guid = t.account_guid AND a.member_guid = t.member_guid),
        '{GrantStatus.REVOKED}') END"""

IS_BROKEN = "(m.broken_since IS NOT NULL OR m.connection_status IN ('DISCONNECTED', 'CLOSED'))"
"""A condition over a member `m`: its connection is broken. It can be null, which means that it is not."""

# The same by columns and sets, for a filter: a list of rare grants looks at many. A test compares both.
# The week is the partition: that of the full lifetime. A narrowed grant, or one with `expires-in`, can expire before it
# begins, none after it. `ENDS_EARLY` follows from the other conditions on time, and an index has the grants it selects.
# NOT IN would hold for no row if a set had a NULL. The columns of `client_processor` cannot be NULL.
MAY_NOT_HAVE_EXPIRED = "t.expires_week >= %(week)s"
HAS_NOT_ENDED = "t.revoked_at IS NULL AND t.expires_at > %(now)s AND (t.reads >= t.max_reads) IS NOT TRUE"
ENDS_EARLY = "t.expires_at < to_timestamp(t.expires_week::double precision * 604800)"
CANNOT_READ = f"""(
    t.member_guid IN (
        SELECT m.guid FROM member m
        WHERE {{of_client}} {IS_BROKEN})
    OR t.user_guid IN (SELECT m.guid FROM end_user m WHERE {{of_client}} m.is_disabled)
    OR (t.client_guid, t.processor_guid) NOT IN (
        SELECT m.client_guid, m.processor_guid
        FROM client_processor m
        JOIN client c ON c.guid = m.client_guid AND NOT c.is_disabled
        JOIN processor p ON p.guid = m.processor_guid AND NOT p.is_disabled WHERE {{of_client}} true)
    OR t.confirmation IS NULL
       AND t.processor_guid IN (SELECT p.guid FROM processor p WHERE p.sender_constraint <> 'none'))"""
CONDITIONS: Mapping[GrantStatus, Sequence[str]] = {
    GrantStatus.REVOKED: ["t.revoked_at IS NOT NULL"],
    GrantStatus.EXPIRED: [
        "t.revoked_at IS NULL AND t.expires_at <= %(now)s AND t.expires_week <= %(week)s",
        f"t.revoked_at IS NULL AND t.expires_at <= %(now)s AND t.expires_week > %(week)s AND {ENDS_EARLY}",
    ],
    GrantStatus.EXHAUSTED: [
        "t.revoked_at IS NULL AND t.expires_at > %(now)s AND t.max_reads IS NOT NULL AND t.reads >= t.max_reads"
    ],
    GrantStatus.SUSPENDED: [f"{MAY_NOT_HAVE_EXPIRED} AND {HAS_NOT_ENDED}"],
    GrantStatus.ACTIVE: [f"{MAY_NOT_HAVE_EXPIRED} AND {HAS_NOT_ENDED}"],
}
"""The condition of a status, or several that exclude one another."""
OF_OTHER_OBJECTS: Mapping[GrantStatus, str] = {
    GrantStatus.SUSPENDED: CANNOT_READ,
    GrantStatus.ACTIVE: f"NOT {CANNOT_READ}",
}
"""What else must hold, of the client, the processor, the user and the member of the grant."""

# Reads are counted with the token only if `max_reads` limits them: an update at every read would double its cost.
READS = f"CASE WHEN t.max_reads IS NULL THEN {reads_with('t.guid', since='t.created_at')} ELSE t.reads END"
# As in `live_token`, which has no row for a token that has ended.
PERMISSIONS = """coalesce(t.permissions, CASE WHEN t.reads_protected
    THEN '{balances,numbers,owners,transactions}'::text[] ELSE '{balances,transactions}'::text[] END)"""
COMPUTED = {
    "status": STATUS,
    "processor_name": "p.name",
    "scope": scope_of("t"),
    "permissions": PERMISSIONS,
    "reads": READS,
    "last_read_at": last_read_with("t.guid", since="t.created_at"),
    "disclosure_text": "d.text",
    "disclosed_at": "d.signed_at",
}
"""The columns of `Grant` that are no columns of `access_token`, over its alias `t`."""

GRANT = ", ".join(f"{COMPUTED.get(field.name, f't.{field.name}')} AS {field.name}" for field in fields(Grant))


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFilter:
    """Which grants to list. Whoever lists must be given: `client_guid` or `processor_guid`."""

    client_guid: str | None = None
    processor_guid: str | None = None
    user_guid: str | None = None
    member_guid: str | None = None
    account_guid: str | None = None
    guid: str | None = None
    status: GrantStatus | None = None
    before: str | None = None
    """Only grants that are listed after the one with this guid."""

    def __post_init__(self) -> None:
        assert self.client_guid or self.processor_guid, (
            "grants are listed for their client or their processor"
        )

    @property
    def guids(self) -> Mapping[str, str]:
        """The given guids, by column."""
        return {
            field.name: value
            for field in fields(self)
            if field.name not in ("status", "before") and (value := getattr(self, field.name)) is not None
        }


@dataclass(frozen=True, slots=True)
class GrantGuid:
    guid: str
    created_at: datetime
    """No read with it is earlier."""


Listed = TypeVar("Listed", Grant, GrantGuid)


@dataclass(frozen=True, slots=True)
class _Owner:
    client_guid: str


class Grants:
    """Lists the grants of a client, or those of a processor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = KeptCounts()

    async def list(self, connection: Connection, filters: GrantFilter, page: PageRequest) -> Page[Grant]:
        """One page, newest first. Expired and revoked grants are included."""
        # Far into a long list, rows are skipped from the nearer end, which only the total tells.
        # Of a status that other objects decide, a page looks at more grants than its offset says.
        if page.offset > LONG or (page.number > 1 and filters.status in OF_OTHER_OBJECTS):
            total = await self._total(connection, filters)
            place = place_in(page, total)
            items = await self._fetch(connection, filters, place)
            return Page(items, total, page)
        items = await self._fetch(connection, filters, Place(page.offset, page.size))
        # The last page itself shows the total, which saves the count.
        if 0 < len(items) < page.size or (page.number == 1 and not items):
            return Page(items, page.offset + len(items), page)
        return Page(items, await self._total(connection, filters), page)

    def each(self, db: Database, filters: GrantFilter) -> AsyncIterator[Sequence[Grant]]:
        """Every grant, newest first, in batches. No connection is held between two batches."""
        return _each(db, filters, partial(self._fetch, place=Place(0, BATCH)))

    def each_guid(self, db: Database, filters: GrantFilter) -> AsyncIterator[Sequence[GrantGuid]]:
        """As `each`, without what is computed for a grant."""
        return _each(db, filters, self._fetch_guids)

    async def find(self, connection: Connection, filters: GrantFilter) -> Grant:
        """The grant of `filters.guid`.

        Raises:
            NotFound: the client or the processor of the filter has no such grant.
        """
        assert filters.guid is not None
        grants = await self._fetch(connection, filters, Place(0, 1))
        if not grants:
            raise NotFound
        return grants[0]

    async def _fetch(self, connection: Connection, filters: GrantFilter, place: Place) -> Sequence[Grant]:
        # The guids of tokens are ordered by time: one index serves the filter and the order. The inner query makes the
        # page, so that nothing is computed for the rows before it. The size is no parameter: for an unknown size or
        # offset, PostgreSQL plans for a tenth of the table.
        order = "place" if place.is_backwards else "place DESC"
        offset = " OFFSET %(offset)s" if place.offset else ""
        return await fetch_all(
            connection,
            Grant,
            f"""SELECT {GRANT}
                FROM ({_ordered(filters, order, at_most=place.offset + place.size)}
                      ORDER BY {order} LIMIT {place.size}{offset}) AS t
                JOIN processor p ON p.guid = t.processor_guid
                {SHOWN}
                ORDER BY t.place DESC""",
            {**self._parameters(filters), "offset": place.offset},
        )

    async def _fetch_guids(self, connection: Connection, filters: GrantFilter) -> Sequence[GrantGuid]:
        return await fetch_all(
            connection,
            GrantGuid,
            f"""SELECT {columns(GrantGuid)} FROM ({_ordered(filters, "place DESC", at_most=BATCH)}) AS t
                ORDER BY place DESC LIMIT {BATCH}""",
            self._parameters(filters),
        )

    async def _total(self, connection: Connection, filters: GrantFilter) -> int:
        return await self._counts.count(connection, _counted(filters), self._parameters(filters), (filters,))

    def _parameters(self, filters: GrantFilter) -> Mapping[str, Any]:
        now = self._clock.instant()
        return {
            **filters.guids,
            "before": filters.before,
            "now": now,
            "week": week_of(now),
            "no_limit": None,
        }


async def _each(
    db: Database,
    filters: GrantFilter,
    fetch: Callable[[Connection, GrantFilter], Awaitable[Sequence[Listed]]],
) -> AsyncIterator[Sequence[Listed]]:
    rest = filters
    while True:
        async with db.connection() as connection:
            grants = await fetch(connection, rest)
        if grants:
            yield grants
        if len(grants) < BATCH:
            return
        rest = replace(filters, before=grants[-1].guid)


def _ordered(filters: GrantFilter, order: str, *, at_most: int) -> str:
    """A query for the first grants that satisfy the filter: the columns of `access_token`, and `place`.

    Args:
        filters: the filter.
        order: `place`, or its reverse.
        at_most: how many of the first are needed. Each of several conditions stops there.
    """
    of_others = _of_others(filters)
    # A column: PostgreSQL knows the order of a subquery by its columns only.
    placed = f"SELECT *, {PLACE} AS place FROM access_token t"
    if of_others:
        # LIMIT keeps the conditions out of the inner query, where each partition would read the sets. It is NULL:
        # there is no limit, but PostgreSQL plans for a tenth of the rows, and reads them in order instead of sorting.
        return f"""SELECT * FROM ({placed} WHERE {_of_objects(filters)} AND {MAY_NOT_HAVE_EXPIRED}
                                  ORDER BY {order} LIMIT %(no_limit)s::bigint) AS t
                   WHERE {HAS_NOT_ENDED} AND {of_others}"""
    queries = [f"{placed} WHERE {each}" for each in _alternatives(filters)]
    if len(queries) == 1:
        return queries[0]
    return " UNION ALL ".join(f"({query} ORDER BY {order} LIMIT {at_most})" for query in queries)


def _counted(filters: GrantFilter) -> str:
    """A query for the number of grants that satisfy the filter, and the number of those that it has to look at."""
    of_others, alternatives = _of_others(filters), _alternatives(filters)
    if of_others:
        return f"""SELECT count(*) FILTER (WHERE {of_others}), count(*)
                   FROM access_token t WHERE {alternatives[0]}"""
    queries = [f"SELECT FROM access_token t WHERE {each}" for each in alternatives]
    return f"SELECT count(*) FROM ({' UNION ALL '.join(queries)}) AS grants"


def _of_objects(filters: GrantFilter) -> str:
    """The conditions over `t` that an index serves."""
    given = [is_grant() if name == "guid" else is_of(name) for name in filters.guids]
    if filters.before is not None:
        given.append(is_older("before"))
    return " AND ".join(given)


def _alternatives(filters: GrantFilter) -> Sequence[str]:
    """Conditions over `t` that exclude one another."""
    of_status = CONDITIONS[filters.status] if filters.status else ["true"]
    return [f"{_of_objects(filters)} AND {each}" for each in of_status]


def _of_others(filters: GrantFilter) -> str | None:
    """What else must hold, of other objects."""
    condition = OF_OTHER_OBJECTS.get(filters.status) if filters.status else None
    of_client = "m.client_guid = %(client_guid)s AND" if filters.client_guid else ""
    return condition.format(of_client=of_client) if condition else None


async def client_of_grant(connection: Connection, guid: str) -> str:
    """The guid of the client whose grant it is, for the operator.

    Raises:
        NotFound: there is no such grant.
    """
    found = await fetch_one(
        connection,
        _Owner,
        # There are few clients, and the index of their grants begins with the client.
        f"""SELECT client_guid FROM access_token t
            WHERE right(t.client_guid, 7) = ANY (ARRAY(SELECT right(guid, 7) FROM client)) AND {is_grant()}""",
        {"guid": guid},
    )
    if found is None:
        raise NotFound
    return found.client_guid
