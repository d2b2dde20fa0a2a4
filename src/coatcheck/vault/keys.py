"""Envelope keys: what the master keys wrap.

    master key (`master_keys`)        wraps  keyring: the keys of the installation, one for each purpose
                                      wraps  data_key: one key for each owner, which seals the owner's values
                                      wraps  signing_key: the private keys of receipts

Rotating a master key wraps the lower keys again; no sealed value changes.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from coatcheck.crypto import new_key
from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one, run
from coatcheck.errors import ConfigurationError, MasterKeyMissing, SealBroken
from coatcheck.vault.master_keys import MasterKeys

BATCH = 500
"""Keys re-wrapped in one transaction."""

PURPOSES = ("hash_key", "index_key")
"""The keys of a `Keyring`."""

Progress = Callable[[int, int], None]
"""Receives how many keys have been wrapped again, and how many there are to wrap."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of the installation, unwrapped."""

    hash_key: bytes = field(repr=False)
    """Hashes the secrets that a caller presents: codes, tokens, API keys, links."""
    index_key: bytes = field(repr=False)
    """Hashes values that are searched for but not stored, such as a login."""


@dataclass(frozen=True, slots=True)
class _Wrapped:
    owner: str
    master_key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class _Destroyed:
    master_key_id: str
    wrapped: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DestroyedKey:
    """A data key that was deleted."""

    id: str | None
    """The SHA-256 of the key, in hexadecimal: it identifies the key in a backup. None if it could not be opened."""
    created_at: datetime
    master_key_id: str
    """The master key that wrapped it."""


@dataclass(frozen=True, slots=True)
class _WrappedBy:
    master_key_id: str
    count: int


async def open_keyring(connection: Connection, master_keys: MasterKeys) -> Keyring:
    """Unwraps the keys of the installation. It creates those that are missing; concurrent processes agree on one.

    Raises:
        MasterKeyMissing: a key is wrapped with a master key that is not configured.
        SealBroken: a key was altered.
    """
    # New keys are made each time and almost always thrown away: whoever inserts first decides for all processes.
    await run(
        connection,
        """INSERT INTO keyring (purpose, master_key_id, wrapped)
           SELECT purpose, %(master_key_id)s, wrapped
           FROM unnest(%(purposes)s::text[], %(wrapped)s::bytea[]) AS new (purpose, wrapped)
           ON CONFLICT (purpose) DO NOTHING""",
        {
            "master_key_id": master_keys.sealing_id,
            "purposes": list(PURPOSES),
            "wrapped": [master_keys.wrap(new_key(), "keyring", purpose) for purpose in PURPOSES],
        },
    )
    return await read_keyring(connection, master_keys)


async def read_keyring(connection: Connection, master_keys: MasterKeys) -> Keyring:
    """Unwraps the keys of the installation, which exist.

    Raises:
        ConfigurationError: there is none, because the database is not prepared as a cell.
        MasterKeyMissing: a key is wrapped with a master key that is not configured.
        SealBroken: a key was altered.
    """
    rows = await fetch_all(
        connection, _Wrapped, "SELECT purpose AS owner, master_key_id, wrapped FROM keyring"
    )
    if not rows:
        raise ConfigurationError("The cell has no keys. Run `coatcheck cell prepare` in cell 0 first.")
    await master_keys.find(row.master_key_id for row in rows)
    opened = {
        row.owner: master_keys.unwrap(row.master_key_id, row.wrapped, "keyring", row.owner) for row in rows
    }
    return Keyring(**{purpose: opened[purpose] for purpose in PURPOSES})


async def rotate(db: Database, master_keys: MasterKeys, progress: Progress | None = None) -> int:
    """Wraps every key with the first master key and returns how many it wrapped.

    First restart every process with the new key first in its list. Keep the old key configured until the rotation has
    finished, because a concurrent reader may still unwrap with it. Each batch is a transaction, so the rotation can run
    under load, be killed, and run again.

    Raises:
        MasterKeyMissing: a key is wrapped with a master key that is not configured. Nothing was changed.
    """
    tables = (("keyring", "purpose"), ("signing_key", "kid"), ("data_key", "owner_guid"))
    # All tables before the first change: if a master key is missing, nothing is half rotated.
    old = {table: await _old_master_keys(db, table, master_keys) for table, _ in tables}
    total = sum(count for counts in old.values() for count in counts.values())
    done = 0
    for table, name in tables:
        for master_key_id in old[table]:
            # Concurrent rotations share the work: each skips rows that the other has locked, and waits only at the end.
            for lock_option in ("SKIP LOCKED", ""):
                while count := await _rewrap(
                    db, master_keys, _Batch(table, name, master_key_id, lock_option)
                ):
                    done += count
                    if progress is not None:
                        progress(done, max(total, done))
    return done


async def _old_master_keys(db: Database, table: str, master_keys: MasterKeys) -> dict[str, int]:
    """The master keys, other than the first, that wrap keys of the table, with the number of those keys."""
    async with db.connection() as connection:
        rows = await fetch_all(
            connection,
            _WrappedBy,
            f"""SELECT master_key_id, count(*) AS count FROM {table}
                WHERE master_key_id <> %(sealing_id)s GROUP BY master_key_id""",
            {"sealing_id": master_keys.sealing_id},
        )
    if missing := sorted({row.master_key_id for row in rows} - master_keys.keys.keys()):
        raise MasterKeyMissing(detail=f"master key {', '.join(missing)}")
    return {row.master_key_id: row.count for row in rows}


@dataclass(frozen=True, slots=True)
class _Batch:
    table: str
    name: str
    """The column that identifies a row."""
    master_key_id: str
    lock_option: str
    """`SKIP LOCKED`, or empty to wait for locked rows."""


async def _rewrap(db: Database, master_keys: MasterKeys, batch: _Batch) -> int:
    """Wraps up to `BATCH` keys again and returns how many."""
    table, name = batch.table, batch.name
    async with db.transaction() as connection:
        rows = await fetch_all(
            connection,
            _Wrapped,
            # FOR NO KEY UPDATE does not conflict with the FOR KEY SHARE of a writer (`lock_data_key`): neither waits.
            f"""SELECT {name} AS owner, master_key_id, wrapped FROM {table}
                WHERE master_key_id = %(master_key_id)s ORDER BY {name} LIMIT %(batch)s
                FOR NO KEY UPDATE {batch.lock_option}""",
            {"master_key_id": batch.master_key_id, "batch": BATCH},
        )
        await run(
            connection,
            f"""UPDATE {table} SET master_key_id = %(sealing_id)s, wrapped = new.wrapped
                FROM unnest(%(owners)s::text[], %(wrapped)s::bytea[]) AS new (owner, wrapped)
                WHERE {table}.{name} = new.owner""",
            {
                "sealing_id": master_keys.sealing_id,
                "owners": [row.owner for row in rows],
                "wrapped": [
                    master_keys.wrap(
                        master_keys.unwrap(row.master_key_id, row.wrapped, table, row.owner), table, row.owner
                    )
                    for row in rows
                ],
            },
        )
    return len(rows)


async def lock_data_key(
    connection: Connection, master_keys: MasterKeys, owner_guid: str, now: datetime
) -> bytes:
    """The data key of an owner, created on first use and locked until the caller's transaction ends.

    The lock prevents a concurrent deletion of the key, which would leave a new value that nothing can open.
    """
    # A loop: between the statements another transaction can insert the key (then use that one) or delete it again.
    while (row := await _lock(connection, owner_guid)) is None:
        await run(
            connection,
            """INSERT INTO data_key (owner_guid, master_key_id, wrapped, created_at)
               VALUES (%(owner_guid)s, %(master_key_id)s, %(wrapped)s, %(now)s)
               ON CONFLICT (owner_guid) DO NOTHING""",
            {
                "owner_guid": owner_guid,
                "master_key_id": master_keys.sealing_id,
                "wrapped": master_keys.wrap(new_key(), "data_key", owner_guid),
                "now": now,
            },
        )
    await master_keys.find([row.master_key_id])
    return master_keys.unwrap(row.master_key_id, row.wrapped, "data_key", owner_guid)


async def destroy_data_key(
    connection: Connection, master_keys: MasterKeys, owner_guid: str
) -> DestroyedKey | None:
    """Deletes the data key of an owner, and with it the owner's sealed secrets. None if there was no key.

    It waits for concurrent writers, which lock the key.
    """
    row = await fetch_one(
        connection,
        _Destroyed,
        f"DELETE FROM data_key WHERE owner_guid = %(owner_guid)s RETURNING {columns(_Destroyed)}",
        {"owner_guid": owner_guid},
    )
    if row is None:
        return None
    await master_keys.find([row.master_key_id])
    try:
        key = master_keys.unwrap(row.master_key_id, row.wrapped, "data_key", owner_guid)
    except (MasterKeyMissing, SealBroken):
        # A deletion must not fail because the key that it destroys can no longer be opened.
        return DestroyedKey(None, row.created_at, row.master_key_id)
    return DestroyedKey(sha256(key).hexdigest(), row.created_at, row.master_key_id)


async def master_keys_in_use(connection: Connection) -> Collection[str]:
    """The ids of the master keys that wrap data keys and signing keys."""
    cursor = await connection.execute(
        """SELECT master_key_id FROM data_key
           UNION SELECT master_key_id FROM signing_key WHERE master_key_id IS NOT NULL"""
    )
    return {master_key_id for (master_key_id,) in await cursor.fetchall()}


# KEY SHARE: writers do not wait for one another, and the deletion of the key waits for all of them.
async def _lock(connection: Connection, owner_guid: str) -> _Wrapped | None:
    return await fetch_one(
        connection,
        _Wrapped,
        """SELECT owner_guid AS owner, master_key_id, wrapped FROM data_key
           WHERE owner_guid = %(owner_guid)s FOR KEY SHARE""",
        {"owner_guid": owner_guid},
    )
