"""Receivers that fail rest for a while, so that they occupy no slots.

    a failure --> counted      a success --> forgotten
    FAILURES in a row --> rests; then one delivery at a time is tried

A receiver is an endpoint, or the webhook URL of a client, which has the guid of the client.
"""

from datetime import datetime, timedelta

from coatcheck.db.database import Connection, run

FAILURES = 5
"""Failures in a row after which a receiver rests."""
FIRST_REST = timedelta(seconds=10)
LONGEST_REST = timedelta(minutes=10)
"""The rest doubles with each further failure, up to this. It is shorter than every wait between two late attempts."""


def rest_after(failures: int) -> timedelta:
    """How long a receiver rests after so many failures in a row."""
    if failures < FAILURES:
        return timedelta()
    return min(FIRST_REST * (1 << min(failures - FAILURES, 10)), LONGEST_REST)


async def record_failure(
    connection: Connection, receiver_guid: str, now: datetime, *, retry_after: timedelta | None
) -> None:
    """Counts a failure. The receiver rests for as long as it asked (`Retry-After`), or as `rest_after` says."""
    cursor = await connection.execute(
        """INSERT INTO failing_receiver AS r (guid, failures, rests_until) VALUES (%(guid)s, 1, %(now)s)
           ON CONFLICT (guid) DO UPDATE SET failures = r.failures + 1
           RETURNING failures""",
        {"guid": receiver_guid, "now": now},
    )
    row = await cursor.fetchone()
    rest = max(rest_after(row[0] if row else 0), retry_after or timedelta())
    if rest:
        await run(
            connection,
            # `greatest`: of several deliveries that fail at once, the longest rest counts.
            "UPDATE failing_receiver SET rests_until = greatest(rests_until, %(until)s) WHERE guid = %(guid)s",
            {"guid": receiver_guid, "until": now + rest},
        )


async def forget_failures(connection: Connection, receiver_guid: str) -> None:
    await run(connection, "DELETE FROM failing_receiver WHERE guid = %(guid)s", {"guid": receiver_guid})
