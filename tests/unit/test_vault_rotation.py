"""Rotating the master key, which wraps the keys of every owner in the database again."""

import asyncio

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database
from coatcheck.errors import MasterKeyMissing
from coatcheck.ids import new
from coatcheck.vault.keys import BATCH, open_keyring, rotate
from coatcheck.vault.master_keys import MasterKeys, new_master_key_line
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader

OWNERS = 2 * BATCH + 100
PURPOSES = 2
"""The keys of the keyring."""
SHARED = PURPOSES + 1
"""Those and the signing key, which are wrapped again too."""


pytestmark = pytest.mark.own_database


@pytest.fixture
def old(settings: Settings) -> MasterKeys:
    return MasterKeys.load(settings)


@pytest.fixture
def both(settings: Settings) -> MasterKeys:
    """A new key first, then the old one."""
    return MasterKeys.load(Settings(master_key=f"{new_master_key_line()},{settings.master_key}"))


@pytest.fixture
async def owners(services: Services, old: MasterKeys) -> list[str]:
    """Owners whose keys are wrapped with the old master key. Each of the first fifty has a secret: its own guid."""
    owners = [new("USR") for _ in range(OWNERS)]
    async with services.db.transaction() as connection:
        for owner in owners[:50]:
            await services.vault.store_secret(
                connection,
                owner_guid=owner,
                record_guid="MBR-1",
                kind=SecretKind.CREDENTIALS,
                value=owner.encode(),
            )
        await connection.execute(
            """INSERT INTO data_key (owner_guid, master_key_id, wrapped, created_at)
               SELECT owner, %s, wrapped, now() FROM unnest(%s::text[], %s::bytea[]) AS fresh (owner, wrapped)""",
            (old.sealing_id, owners[50:], [old.wrap(b"k" * 32, "data_key", owner) for owner in owners[50:]]),
        )
    return owners


async def read_secret(connection: Connection, vault: Vault, owner: str) -> bytes | None:
    return await vault.disclose_secret(
        connection,
        owner_guid=owner,
        record_guid="MBR-1",
        kind=SecretKind.CREDENTIALS,
        reader=WorkerReader("JOB-1"),
    )


async def wrapped_by(db: Database, master_key_id: str) -> tuple[int, int]:
    """The number of keys that this master key wraps, and of those that others wrap."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            """SELECT count(*) FILTER (WHERE master_key_id = %(id)s), count(*) FILTER (WHERE master_key_id <> %(id)s)
               FROM (SELECT master_key_id FROM data_key UNION ALL SELECT master_key_id FROM keyring
                     UNION ALL SELECT master_key_id FROM signing_key) AS keys""",
            {"id": master_key_id},
        )
        row = await cursor.fetchone()
    assert row is not None
    return row


async def test_a_rotation_wraps_every_key_again_and_changes_no_value(
    services: Services, clock: MovableClock, old: MasterKeys, both: MasterKeys, owners: list[str]
) -> None:
    async with services.db.connection() as connection:
        before = await open_keyring(connection, old)
    progress: list[tuple[int, int]] = []
    assert (
        await rotate(services.db, both, lambda done, total: progress.append((done, total))) == OWNERS + SHARED
    )
    assert await wrapped_by(services.db, both.sealing_id) == (OWNERS + SHARED, 0)
    assert progress == [
        (done, OWNERS + SHARED)
        for done in (PURPOSES, SHARED, SHARED + BATCH, SHARED + 2 * BATCH, SHARED + OWNERS)
    ]
    new_only = MasterKeys(both.sealing_id, {both.sealing_id: both.keys[both.sealing_id]})
    async with services.db.connection() as connection:
        assert await read_secret(connection, Vault(clock, new_only), owners[0]) == owners[0].encode()
        assert await open_keyring(connection, new_only) == before
        with pytest.raises(MasterKeyMissing):
            await read_secret(connection, Vault(clock, old), owners[0])
    assert await rotate(services.db, both) == 0


async def test_a_killed_rotation_continues_where_it_stopped(
    services: Services, both: MasterKeys, owners: list[str]
) -> None:
    class Killed(BaseException):
        """An error that no code catches."""

    def kill(done: int, _total: int) -> None:
        if done > BATCH:
            raise Killed

    with pytest.raises(Killed):
        await rotate(services.db, both, kill)
    assert await wrapped_by(services.db, both.sealing_id) == (SHARED + BATCH, OWNERS - BATCH)
    assert await rotate(services.db, both) == OWNERS - BATCH
    assert await wrapped_by(services.db, both.sealing_id) == (OWNERS + SHARED, 0)


async def test_concurrent_rotations_share_the_work(
    services: Services, both: MasterKeys, owners: list[str]
) -> None:
    done = await asyncio.gather(rotate(services.db, both), rotate(services.db, both))
    assert sum(done) == OWNERS + SHARED
    assert await wrapped_by(services.db, both.sealing_id) == (OWNERS + SHARED, 0)


async def test_reads_and_writes_continue_during_a_rotation(
    services: Services, clock: MovableClock, both: MasterKeys, owners: list[str]
) -> None:
    vault = Vault(clock, both)
    rotation = asyncio.create_task(rotate(services.db, both))
    reads = writes = 0

    async def read() -> None:
        nonlocal reads
        while not rotation.done():
            for owner in owners[:10]:
                async with services.db.connection() as connection:
                    assert await read_secret(connection, vault, owner) == owner.encode()
                reads += 1

    async def write() -> None:
        nonlocal writes
        while not rotation.done():
            for owner in (owners[-1], new("USR")):
                async with services.db.transaction() as connection:
                    await vault.store_secret(
                        connection,
                        owner_guid=owner,
                        record_guid="MBR-2",
                        kind=SecretKind.STATE,
                        value=b"written meanwhile",
                    )
                writes += 1

    await asyncio.gather(read(), read(), write())
    await rotation
    assert reads
    assert writes
    assert (await wrapped_by(services.db, both.sealing_id))[1] == 0


async def test_a_key_that_was_read_before_the_rotation_can_still_be_unwrapped(
    services: Services, both: MasterKeys, owners: list[str]
) -> None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT master_key_id, wrapped FROM data_key WHERE owner_guid = %s", (owners[-1],)
        )
        row = await cursor.fetchone()
    assert row is not None
    await rotate(services.db, both)
    assert both.unwrap(*row, "data_key", owners[-1]) == b"k" * 32


async def test_a_writer_and_a_rotation_do_not_wait_for_each_other(
    services: Services, clock: MovableClock, both: MasterKeys, owners: list[str]
) -> None:
    async with services.db.transaction() as connection:
        await connection.execute("SELECT FROM data_key WHERE owner_guid = ANY (%s) FOR KEY SHARE", (owners,))
        assert await rotate(services.db, both) == OWNERS + SHARED


async def test_a_missing_old_key_is_named_by_its_id_and_nothing_changes(
    services: Services, old: MasterKeys, owners: list[str]
) -> None:
    unrelated = MasterKeys.load(Settings(master_key=new_master_key_line()))
    with pytest.raises(MasterKeyMissing) as missing:
        await rotate(services.db, unrelated)
    assert missing.value.detail == f"master key {old.sealing_id}"
    assert await wrapped_by(services.db, old.sealing_id) == (OWNERS + SHARED, 0)
