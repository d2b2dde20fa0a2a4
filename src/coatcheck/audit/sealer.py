"""The sealer: appends what was written to the Merkle tree of the log, and signs a checkpoint.

    entries and disclosures get numbers when they are written --> settled --> sealed in the order of their numbers

A number is settled when no transaction can still write a row with it or a smaller one. A writer takes its number after
it has locked its table, and keeps the lock until its rows are visible. So the numbers up to the last one taken are
settled once the transactions that held such a lock afterwards have ended. Writers do not wait for the sealer, and make
no further round trip.

Any worker seals, one at a time. A checkpoint is one row, so a sealer that is killed leaves nothing half done.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from coatcheck.audit.checkpoints import Checkpoint, parse, sign
from coatcheck.audit.merkle import extend, root_of, split
from coatcheck.audit.sealed_log import BEFORE_FIRST, OF_RANGE, next_number
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database, fetch_all, fetch_one, run
from coatcheck.vault.disclosures import disclosure_texts
from coatcheck.vault.signing_keys import SigningKeys

LOCK = 7_166_418
"""Advisory lock of the one process that seals."""
BATCH = 5_000
"""Entries that one checkpoint adds at most."""
MAX_MARKS = 60
"""How many marks are remembered while a transaction runs that keeps them from settling."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The last number taken at some moment, and the transactions that may still write numbers up to it."""

    number: int
    writers: Collection[str]


@dataclass(frozen=True, slots=True)
class _Last:
    size: int
    through: int
    at: datetime
    note: str
    peaks: bytes


@dataclass(frozen=True, slots=True)
class _Leaf:
    number: int
    hash: bytes


class Sealer:
    """Seals the log. Each worker has one; it remembers which numbers are about to settle."""

    def __init__(self, settings: Settings, clock: Clock, db: Database, signing_keys: SigningKeys) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._signing_keys = signing_keys
        self._marks: list[Mark] = []

    async def seal(self) -> int:
        """Seals what is settled, and returns the number of entries that were sealed.

        Raises:
            MasterKeyMissing: the signing key is wrapped with a master key that is not configured.
        """
        async with self._db.connection() as connection:
            through = self._settled(await _mark(connection))
        if through is None:
            return 0
        count = 0
        while sealed := await self._seal_batch(through):
            count += sealed
        return count

    def _settled(self, mark: Mark) -> int | None:
        """The number up to which everything is settled, if it is known."""
        # When there are too many, the oldest stay: they settle first.
        if len(self._marks) < MAX_MARKS:
            self._marks.append(mark)
        running = {*mark.writers}
        settled = [each for each in self._marks if running.isdisjoint(each.writers)]
        if not settled:
            return None
        # The marks up to the last settled one are not needed any more.
        number = max(each.number for each in settled)
        self._marks = [each for each in self._marks if each.number > number]
        return number

    async def _seal_batch(self, through: int) -> int:
        async with self._db.transaction() as connection:
            # It does not wait: whoever holds the lock seals the same numbers.
            cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if await cursor.fetchone() != (True,):
                return 0
            last = await fetch_one(
                connection,
                _Last,
                "SELECT size, through, at, note, peaks FROM audit_checkpoint ORDER BY size DESC LIMIT 1",
            )
            leaves = await _leaves(connection, after=last.through if last else BEFORE_FIRST, through=through)
            if leaves:
                await self._sign(connection, last, leaves)
        return len(leaves)

    async def _sign(self, connection: Connection, last: _Last | None, leaves: Sequence[_Leaf]) -> None:
        now = self._clock.now()
        before = last.size if last else 0
        peaks = extend(before, split(last.peaks) if last else (), [leaf.hash for leaf in leaves])
        checkpoint = Checkpoint(
            # The log keeps its name when the address of the server changes.
            origin=parse(last.note).origin if last else f"{urlsplit(self._settings.base_url).netloc}/audit",
            size=before + len(leaves),
            root=root_of(peaks),
            # A clock that was set back must not make the log look rewritten.
            at=max(now, last.at) if last else now,
        )
        # Read now, for this time: a checkpoint that a key signs after it was replaced would be invalid.
        key = await self._signing_keys.current(connection, max_age=timedelta(), at=checkpoint.at)
        await run(
            connection,
            """INSERT INTO audit_checkpoint (size, through, at, note, numbers, hashes, peaks)
               VALUES (%(size)s, %(through)s, %(at)s, %(note)s, %(numbers)s, %(hashes)s, %(peaks)s)""",
            {
                "size": checkpoint.size,
                "through": leaves[-1].number,
                "at": checkpoint.at,
                "note": sign(checkpoint, key.public_bytes, key.sign_bytes),
                "numbers": [leaf.number for leaf in leaves],
                "hashes": b"".join(leaf.hash for leaf in leaves),
                "peaks": b"".join(peaks),
            },
        )


async def _mark(connection: Connection) -> Mark:
    # First the number and then the locks: a transaction that begins in between takes a greater number.
    cursor = await connection.execute(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_number"
    )
    row = await cursor.fetchone()
    assert row is not None, "a sequence has one row"
    cursor = await connection.execute(
        """SELECT DISTINCT virtualtransaction FROM pg_locks
           WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND relation IN ('audit_event'::regclass, 'disclosure'::regclass) AND mode = 'RowExclusiveLock'"""
    )
    return Mark(row[0], frozenset(writer for (writer,) in await cursor.fetchall()))


async def _leaves(connection: Connection, *, after: int, through: int) -> Sequence[_Leaf]:
    """The first leaves after a number, at most `BATCH`, in order."""
    first = await next_number(connection, after)
    if first is None:
        return ()
    # The hash of an entry is the one that was stored with it, so that a change before the seal shows too.
    return await fetch_all(
        connection,
        _Leaf,
        f"""SELECT number, hash FROM (
                SELECT number, leaf_hash AS hash FROM audit_event WHERE {OF_RANGE}
                UNION ALL
                SELECT number, sha256('\\x00'::bytea || convert_to(text, 'UTF8')) AS hash
                FROM ({disclosure_texts()} WHERE {OF_RANGE}) AS disclosed
            ) AS written
            ORDER BY number""",
        {"first": first, "last": min(through, first + BATCH - 1)},
    )
