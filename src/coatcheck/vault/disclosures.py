"""Disclosures: who read whose data, written by the statement that reads."""

import asyncio
from datetime import datetime, timedelta

from coatcheck.db.database import Connection
from coatcheck.db.partitions import ensure_month_partitions
from coatcheck.errors import Unavailable
from coatcheck.request_context import current_request

MAX_WAIT = timedelta(seconds=5)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=1), timedelta(milliseconds=20)

# A statement locks its tables before it takes its snapshot, and releases the locks after its commit is visible.
WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'disclosure'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid <> pg_backend_pid()"""

SEALED_COLUMNS = (
    "address",
    "at",
    "client_guid",
    "reader_guid",
    "record_guid",
    "request_id",
    "shown",
    "token_guid",
    "user_guid",
    "what",
)
"""What the sealed audit log covers of a disclosure, in the order of the text. Only the number is left out."""


def disclosure(
    reader: str,
    *,
    reader_guid: str,
    record_guid: str,
    what: str,
    count: str,
    grant_guid: str = "NULL",
) -> str:
    """The body of a common table expression that writes one disclosure for each row of `reader`.

    Its parameters are those of `disclosure_parameters`.

    Args:
        reader: a relation with the columns `client_guid` and `user_guid`; the other arguments are SQL expressions
            over its alias `r`.
        reader_guid: who reads.
        record_guid: what the read is limited to: a record, an account, a member or a user.
        what: the kind of data.
        count: how many records are read. It can be 0: an answered read is disclosed, whatever it finds.
        grant_guid: the token with which a processor reads.
    """
    return f"""INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown, token_guid,
                                       request_id, address)
               SELECT %(now)s, {reader_guid}, r.client_guid, r.user_guid, {record_guid}, {what}, {count}, {grant_guid},
                      %(request_id)s, %(address)s
               FROM {reader} r"""


def reads_with(grant_guid: str, *, since: str) -> str:
    """A fragment: how many reads with a token were answered since an instant; both are SQL expressions."""
    return f"(SELECT count(*) FROM disclosure d WHERE d.token_guid = {grant_guid} AND d.at >= {since})"


def last_read_with(grant_guid: str, *, since: str) -> str:
    """A fragment: the instant of the last read with a token, or NULL. Otherwise as `reads_with`."""
    return f"(SELECT max(d.at) FROM disclosure d WHERE d.token_guid = {grant_guid} AND d.at >= {since})"


def disclosure_parameters(now: datetime) -> dict[str, object]:
    """The parameters of `disclosure`: the instant, and the request that reads."""
    request = current_request.get()
    return {"now": now, "request_id": request.request_id or None, "address": request.address}


def disclosure_texts() -> str:
    """A fragment: the `number` and the canonical JSON of each disclosure, for the sealed audit log.

    A column that is NULL is left out, so that a later column does not change the text of earlier rows.
    """
    members = ", ".join(f"""'"{column}":' || to_json({_value(column)})::text""" for column in SEALED_COLUMNS)
    return f"SELECT number, '{{' || concat_ws(',', {members}) || '}}' AS text FROM disclosure"


def _value(column: str) -> str:
    if column == "at":
        # A cast to text would depend on the DateStyle of the session.
        return """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return column


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Creates the missing partitions of the disclosures for this month and the next two."""
    await ensure_month_partitions(connection, "disclosure", now)


async def wait_for_earlier_reads(connection: Connection) -> None:
    """Waits until every read that began before this call has ended.

    Call it after the commit of a change that refuses reads, such as a revocation. A read that does not see the change
    took its snapshot before that commit, so it holds the lock of `disclosure` now. When it has released it, every later
    read sees the change. New reads are not delayed.

    Raises:
        Unavailable: a transaction that writes disclosures runs for longer than `MAX_WAIT`.
    """
    cursor = await connection.execute(WRITERS)
    # Only those of now: whoever begins later sees the change already, and could otherwise hold this up for ever.
    earlier = [name for (name,) in await cursor.fetchall()]
    pause = FIRST_PAUSE
    try:
        async with asyncio.timeout(MAX_WAIT.total_seconds()):
            while earlier:
                await asyncio.sleep(pause.total_seconds())
                pause = min(2 * pause, LONGEST_PAUSE)
                cursor = await connection.execute(
                    f"{WRITERS} AND virtualtransaction = ANY (%(earlier)s)", {"earlier": earlier}
                )
                earlier = [name for (name,) in await cursor.fetchall()]
    except TimeoutError:
        raise Unavailable("A read that began earlier still runs. Send the request again.") from None
