"""Connections to the primary of the database, which answer within a deadline.

new connection ---> each host of the URL at the same time --> is it the primary? --no--> closed, and tried again
checkout ---------> did the server close it? did another one fail? was it idle? --yes--> is it the primary?
statement --------> no answer within the deadline --> closed, because its outcome is unknown
"""

import asyncio
import random
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from coatcheck.deadline import remaining, within

RV = TypeVar("RV")

STATEMENT_TIMEOUT = timedelta(seconds=30)
"""How long a statement may take where no request waits for it."""
LOCK_TIMEOUT = timedelta(seconds=4)
"""How long a statement waits for a lock. Less than the wait for a connection, so that requests that a lock holds up
return their connections before the others give up."""
IDLE_IN_TRANSACTION_TIMEOUT = timedelta(seconds=20)
"""After it, PostgreSQL ends a session whose process stopped in a transaction, and releases its locks."""
CONNECTION_CHECK_INTERVAL = timedelta(seconds=2)
"""How often PostgreSQL checks during a statement that its client is still connected."""
VERIFICATION_TIMEOUT = timedelta(seconds=2)
HEAD_START = timedelta(milliseconds=250)
"""How long other hosts are left alone while that of the last connection is tried."""
RETRY_SECONDS = 0.2, 0.4
"""The least and the longest pause before a host is tried again. Random, so that processes do not connect at the same
instant."""
MAX_IDLE = timedelta(seconds=5)
"""After it, a connection is verified before its next use."""
DEFAULTS = {
    "application_name": "coatcheck",
    "connect_timeout": 3,
    # A host that vanished sends no reset. Without these a connection to it is quiet for hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,  # milliseconds
}
"""Parameters of libpq, unless the URL has them. Those of TCP have no effect on Unix sockets."""

# Redemption, revocation and key disabling must survive a failover, whatever the server's default.
# A custom plan considers every partition of the tokens; a generic plan prunes at run time (2.3 ms -> 0.8 ms).
# With PostgreSQL's default of 4, for discs that seek, a table of a few pages is scanned, and still is for the minute
# until it is analysed again, in which thousands of rows can come.
SESSION_SETTINGS = {
    "synchronous_commit": "on",
    "timezone": "UTC",
    "plan_cache_mode": "force_generic_plan",
    "random_page_cost": "1.1",
    "statement_timeout": f"{STATEMENT_TIMEOUT.seconds * 1000}",
    "lock_timeout": f"{LOCK_TIMEOUT.seconds * 1000}",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT.seconds * 1000}",
    "client_connection_check_interval": f"{CONNECTION_CHECK_INTERVAL.seconds * 1000}",
}
CONFIGURATION = "; ".join(f"SET {name} TO '{value}'" for name, value in SESSION_SETTINGS.items())
STATE = "SELECT pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only"
# The name of a write-ahead log file starts with its timeline, in hexadecimal. A standby has none of its own.
IDENTITY = f"""{STATE}, system_identifier::text AS cluster,
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline
    FROM pg_control_system()"""


class Overdue(psycopg.OperationalError):
    """The server did not answer within the deadline."""


class NotPrimary(psycopg.OperationalError):
    """The server is a standby, read-only, or a leader that another one has replaced."""


class DeadlineConnection(psycopg.AsyncConnection[Any]):
    """A connection whose statements end within the deadline of the request, or within `STATEMENT_TIMEOUT`."""

    verified_at = used_at = 0.0
    """By `time.monotonic`."""

    @classmethod
    async def connect(  # type: ignore[override]  # one parameter more
        cls, conninfo: str = "", *, primary: "Primary | None" = None, **parameters: Any
    ) -> "DeadlineConnection":
        """Connects to the host of the URL that is the primary.

        All hosts are tried at the same time, again and again until `connect_timeout`: one that hangs must not delay the
        one that is just being promoted.

        Raises:
            psycopg.OperationalError: none of them is the primary.
        """
        primary = primary or Primary()
        failures: list[psycopg.OperationalError] = []
        attempts = [
            asyncio.create_task(cls._connect_to(conninfo, host, primary, failures, parameters))
            for host in hosts(conninfo)
        ]
        try:
            await asyncio.wait(
                attempts, timeout=connect_timeout(conninfo), return_when=asyncio.FIRST_COMPLETED
            )
            done = [attempt for attempt in attempts if attempt.done()]
            if not done:
                raise failures[-1] if failures else psycopg.errors.ConnectionTimeout("No host answers.")
            return done[0].result()
        finally:
            # Also if this task is cancelled: nobody else would close what the attempts open.
            await _abandon([attempt for attempt in attempts if attempt not in done[:1]])

    @classmethod
    async def _connect_to(
        cls,
        conninfo: str,
        host: Mapping[str, str],
        primary: "Primary",
        failures: list[psycopg.OperationalError],
        parameters: Mapping[str, Any],
    ) -> "DeadlineConnection":
        """Tries one host until it is the primary."""
        if primary.host is not None and primary.host != host:
            await asyncio.sleep(HEAD_START.total_seconds())
        while True:
            try:
                connection = await super().connect(conninfo, **{**parameters, **host})
                await primary.verify(connection)
            except psycopg.OperationalError as error:
                failures.append(error)
            else:
                primary.host = host
                return connection
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 (a pause, not a secret)

    async def wait(  # psycopg's parameters
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 (psycopg's)
    ) -> RV:
        """As psycopg's, which every statement uses.

        Raises:
            Overdue: there is no answer in time. The connection is closed: a late answer would be taken for that of the
                next statement.
        """
        limit = remaining(STATEMENT_TIMEOUT.total_seconds() if timeout is None else timeout)
        try:
            return await super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            # Not ACTIVE: the server has answered with this error, and the connection can be used again.
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            await self.close()
            raise Overdue("The server did not answer in time.") from error


@dataclass(frozen=True, slots=True)
class _Server:
    is_standby: bool
    is_read_only: bool
    cluster: str = ""
    timeline: str | None = None


class Primary:
    """What this process knows about the primary.

    Each promotion of a standby starts a new timeline. A leader that was frozen, and that does not know yet that another
    one has replaced it, is recognised by its older timeline.
    """

    def __init__(self) -> None:
        self._timelines: dict[str, int] = {}
        """The newest timeline by cluster."""
        self._statement = IDENTITY
        self.host: Mapping[str, str] | None = None
        """The host to which the last connection was made, if the URL names several."""

    async def verify(self, connection: DeadlineConnection) -> None:
        """Closes the connection if its server does not answer at once or is not the primary.

        Raises:
            psycopg.OperationalError: it was closed.
        """
        try:
            with within(VERIFICATION_TIMEOUT):
                server = await self._examine(connection)
            if server.is_standby or server.is_read_only:
                raise NotPrimary("The server is a standby or read-only.")
            if server.timeline is not None:
                self._compare(server.cluster, int(server.timeline, 16))
        # A cancellation too: the connection could have half of an answer, and would go back to the pool.
        except BaseException:
            await connection.close()
            raise
        connection.verified_at = connection.used_at = time.monotonic()

    async def _examine(self, connection: DeadlineConnection) -> _Server:
        async with connection.cursor(row_factory=class_row(_Server)) as cursor:
            try:
                await cursor.execute(self._statement)
            except (psycopg.ProgrammingError, psycopg.NotSupportedError):
                # A managed database that does not allow these functions, and keeps old leaders away itself.
                self._statement = STATE
                await cursor.execute(self._statement)
            server = await cursor.fetchone()
        assert server is not None, "the statement returns one row"
        return server

    def _compare(self, cluster: str, timeline: int) -> None:
        newest = self._timelines.setdefault(cluster, timeline)
        if timeline < newest:
            raise NotPrimary(f"The server is on timeline {timeline}; the primary is on timeline {newest}.")
        self._timelines[cluster] = timeline


def defaults(url: str) -> dict[str, Any]:
    """The parameters of libpq that the URL does not have."""
    given = conninfo.conninfo_to_dict(url)
    return {name: value for name, value in DEFAULTS.items() if name not in given}


async def missing_settings(connection: psycopg.AsyncConnection[Any]) -> Mapping[str, str]:
    """Which of `SESSION_SETTINGS` the session does not have."""
    cursor = await connection.execute("SELECT lower(name), setting FROM pg_settings")
    found = dict(await cursor.fetchall())
    return {name: value for name, value in SESSION_SETTINGS.items() if found.get(name) != value}


def hosts(url: str) -> Sequence[Mapping[str, str]]:
    """The parameters of libpq for each host of the URL; one mapping, perhaps empty, if it does not name several."""
    given = conninfo.conninfo_to_dict(url)
    lists = {name: str(given[name]).split(",") for name in ("host", "hostaddr", "port") if name in given}
    count = max(map(len, lists.values()), default=1)
    # A list of one value is that of every host.
    return [{name: values[number % len(values)] for name, values in lists.items()} for number in range(count)]


def connect_timeout(url: str) -> float:
    """Seconds. As libpq has it, at least two."""
    given = conninfo.conninfo_to_dict(url, **defaults(url))
    return max(2.0, float(str(given["connect_timeout"])))


async def _abandon(attempts: Sequence["asyncio.Task[DeadlineConnection]"]) -> None:
    """Ends attempts to connect, and closes the connections of those that succeeded."""
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, DeadlineConnection):
            await result.close()


def has_input(connection: DeadlineConnection) -> bool:
    """Whether the server sent something, such as the end of the connection. A healthy one sends nothing unasked.

    Raises:
        psycopg.OperationalError: the connection is closed.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def is_unavailability(error: psycopg.Error) -> bool:
    """Whether the state of the database caused the error, and not the statement."""
    return isinstance(
        error,
        (
            psycopg.OperationalError,  # lost, refused, overdue, disk full, too many connections, lock not free
            psycopg.InterfaceError,  # closed
            psycopg.errors.ReadOnlySqlTransaction,
            psycopg.errors.IdleInTransactionSessionTimeout,
        ),
    )
