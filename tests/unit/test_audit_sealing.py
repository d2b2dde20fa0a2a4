"""The sealer: everything that is written is sealed once, in order, whatever else runs."""

import asyncio
import fcntl
import os
import re
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from coatcheck.app import Services, build
from coatcheck.audit import sealer as sealing
from coatcheck.audit.checkpoints import Unreadable, open_note, parse, parse_verifier_key, sign, verifier_key
from coatcheck.audit.entries import Entry
from coatcheck.audit.keys import log_keys
from coatcheck.audit.published import read_published
from coatcheck.audit.sealed_log import Rows, StoredCheckpoint, checkpoints
from coatcheck.audit.sealer import Sealer
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.errors import CheckpointConflict, ConfigurationError
from coatcheck.signatures import SigningKey, new_private_key
from tests.databases import execute
from tests.member_setup import PATIENCE, until
from tests.sealed_log import fill, publisher_of, seal, sealer_of, verified

pytestmark = pytest.mark.own_database


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def settings(settings: Settings, published: Path) -> Settings:
    return Settings(
        database_url=settings.database_url,
        master_key=settings.master_key,
        connectors=settings.connectors,
        base_url="https://coatcheck.example",
        audit_checkpoint_file=str(published),
    )


@pytest.fixture
def sealer(services: Services) -> Sealer:
    return sealer_of(services)


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def write_bytes(file: Path, content: bytes) -> None:
    file.write_bytes(content)


async def record(connection: Connection, services: Services, subject: str) -> None:
    entry = Entry(client_guid="CLT-1", actor="CLT-1", action="token.revoked", subject=subject)
    await services.journal.record(connection, entry)


async def record_alone(services: Services, subject: str) -> None:
    async with services.db.transaction() as connection:
        await record(connection, services, subject)


async def seal_until(sealer: Sealer, count: int) -> int:
    """Seals until so much is sealed: the server ends a transaction after it answered."""
    sealed = 0
    async with asyncio.timeout(PATIENCE):
        while sealed < count:
            sealed += await sealer.seal()
    return sealed


async def stored(services: Services) -> list[StoredCheckpoint]:
    async with services.db.connection() as connection:
        return [each async for each in checkpoints(connection)]


async def test_nothing_is_sealed_where_nothing_was_written(
    services: Services, sealer: Sealer, published: Path
) -> None:
    assert await sealer.seal() == 0
    await publisher_of(services).publish()
    assert await stored(services) == []
    assert text_of(published) == ""


async def test_entries_and_disclosures_are_sealed_in_the_order_of_their_numbers(services: Services) -> None:
    await fill(services, 50)
    assert await seal(services) == 50
    (checkpoint,) = await stored(services)
    assert list(checkpoint.numbers) == sorted(checkpoint.numbers)
    assert checkpoint.size == len({*checkpoint.numbers}) == 50
    result = await verified(services)
    assert (result.sealed, result.unsealed, result.problems) == (50, 0, [])


async def test_a_long_backlog_is_sealed_in_batches(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 20)
    await fill(services, 50)
    assert await seal(services) == 50
    assert [each.size for each in await stored(services)] == [20, 40, 50]
    assert (await verified(services)).problems == []


async def test_an_entry_of_a_transaction_that_commits_late_is_sealed_too(
    services: Services, sealer: Sealer
) -> None:
    async with services.db.transaction() as late:
        await record(late, services, "TKN-late")  # takes its number now
        await record_alone(services, "TKN-early")
        assert await sealer.seal() == 0  # a row with a smaller number may still appear
        assert await sealer.seal() == 0
    await record_alone(services, "TKN-last")
    assert await seal(services) == 3
    assert (await verified(services)).problems == []


async def test_what_was_written_before_a_transaction_began_is_sealed_while_it_runs(
    services: Services, sealer: Sealer
) -> None:
    async with AsyncExitStack() as stack:
        async with services.db.transaction() as earlier:
            await record(earlier, services, "TKN-1")
            await record_alone(services, "TKN-2")
            assert await sealer.seal() == 0
            running = await stack.enter_async_context(services.db.transaction())
            await record(running, services, "TKN-3")
            assert await sealer.seal() == 0
        assert await seal_until(sealer, 2) == 2
        assert await sealer.seal() == 0
    assert await seal(services) == 1


async def test_the_number_of_a_transaction_that_failed_stays_unused(services: Services) -> None:
    await record_alone(services, "TKN-1")

    async def fail() -> None:
        async with services.db.transaction() as connection:
            await record(connection, services, "TKN-2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await record_alone(services, "TKN-3")
    assert await seal(services) == 2
    assert (await verified(services)).problems == []


async def test_entries_written_by_many_while_several_seal_are_each_sealed_once(
    services: Services, settings: Settings, clock: MovableClock
) -> None:
    """Twelve writers with slow transactions, some of which fail, and three sealers that compete."""
    stop = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(20):
            async with services.db.transaction() as connection:
                await record(connection, services, f"TKN-{writer}-{number}")
                await connection.execute("SELECT pg_sleep(0.002)")

    async def keep_sealing(other: Services) -> None:
        sealer = sealer_of(other)
        while not stop.is_set():
            await sealer.seal()

    async with build(settings, clock) as second, build(settings, clock) as third:
        sealers = [asyncio.create_task(keep_sealing(each)) for each in (services, second, third)]
        await asyncio.gather(*(write(writer) for writer in range(6)))
        stop.set()
        await asyncio.gather(*sealers)
    await seal(services)
    result = await verified(services)
    assert (result.sealed, result.unsealed, result.problems) == (120, 0, [])
    numbers = [number for each in await stored(services) for number in each.numbers]
    assert numbers == sorted({*numbers})


async def test_a_checkpoint_is_signed_text_that_names_log_size_root_and_time(
    services: Services, clock: MovableClock
) -> None:
    await fill(services, 3)
    await seal(services)
    (checkpoint,) = await stored(services)
    async with services.db.connection() as connection:
        (key,) = await log_keys(connection)
    opened = open_note(checkpoint.note, [key.public_key])
    text, _, signature = checkpoint.note.partition("\n\n")
    assert text.splitlines()[:2] == ["coatcheck.example/audit", "3"]
    assert signature.startswith("— coatcheck.example/audit ")
    assert opened.checkpoint.size == 3
    assert timedelta() <= clock.now() - opened.checkpoint.at <= timedelta(seconds=30)


async def test_the_log_keeps_its_name_when_the_server_gets_another_address(
    services: Services, settings: Settings, clock: MovableClock
) -> None:
    await fill(services, 3)
    await seal(services)
    moved = Settings(
        database_url=settings.database_url, master_key=settings.master_key, base_url="https://new.example"
    )
    async with build(moved, clock) as other:
        await record_alone(other, "TKN-1")
        await seal(other)
    assert {parse(each.note).origin for each in await stored(services)} == {"coatcheck.example/audit"}


async def test_the_time_of_a_checkpoint_never_goes_back(services: Services, clock: MovableClock) -> None:
    clock.advance(timedelta(days=1))
    await record_alone(services, "TKN-1")
    await seal(services)
    clock.advance(-timedelta(days=1))
    await record_alone(services, "TKN-2")
    await seal(services)
    first, second = (parse(each.note).at for each in await stored(services))
    assert first == second
    assert (await verified(services)).problems == []


async def test_a_clock_that_is_set_back_over_a_rotation_leaves_a_log_that_verifies(
    services: Services, clock: MovableClock
) -> None:
    await record_alone(services, "TKN-1")
    await seal(services)
    clock.advance(timedelta(days=1))
    async with services.db.transaction() as connection:
        await services.signing_keys.rotate(connection, documents_kept=timedelta(), at_once=True)
    await record_alone(services, "TKN-2")
    await seal(services)
    clock.advance(-timedelta(days=1))
    await record_alone(services, "TKN-3")
    await seal(services)
    result = await verified(services)
    assert (result.problems, result.checkpoints) == ([], 3)


async def test_a_key_of_the_log_is_replaced_when_the_next_one_begins_to_sign(services: Services) -> None:
    await fill(services, 1)
    await seal(services)
    async with services.db.transaction() as connection:
        (only,) = await log_keys(connection)
        await services.signing_keys.rotate(connection, documents_kept=timedelta(), at_once=True)
        old, new = await log_keys(connection)
    assert only.replaced_at is None
    assert (old.replaced_at, new.replaced_at) == (new.signs_from, None)
    assert old.signs_from < new.signs_from


async def test_every_checkpoint_is_appended_to_the_file(services: Services, published: Path) -> None:
    for number in range(3):
        await record_alone(services, f"TKN-{number}")
        await seal(services)
    notes = [each.note for each in read_published(published)]
    assert notes == [each.note for each in await stored(services)]
    assert text_of(published) == "".join(f"{note}\n" for note in notes)


async def test_each_worker_publishes_what_another_one_sealed(
    services: Services, settings: Settings, clock: MovableClock, tmp_path: Path
) -> None:
    await record_alone(services, "TKN-1")
    await seal(services)
    other_settings = Settings(
        database_url=settings.database_url,
        master_key=settings.master_key,
        audit_checkpoint_file=str(tmp_path / "other"),
    )
    async with build(other_settings, clock) as other:
        await publisher_of(other).publish()
    assert text_of(tmp_path / "other") == text_of(Path(settings.audit_checkpoint_file))


async def test_workers_that_share_a_file_append_each_checkpoint_once(
    services: Services, sealer: Sealer, settings: Settings, clock: MovableClock, published: Path
) -> None:
    async with build(settings, clock) as other:
        publishers = [publisher_of(services), publisher_of(other)]
        for number in range(10):
            await record_alone(services, f"TKN-{number}")
            await sealer.seal()
            if number % 2:
                await asyncio.gather(*(each.publish() for each in publishers))
            else:
                for each in publishers:
                    await each.publish()
    notes = [each.note for each in read_published(published)]
    assert notes == [each.note for each in await stored(services)]
    assert (await verified(services, published)).problems == []


async def test_a_restarted_worker_publishes_only_what_its_file_lacks(
    services: Services, sealer: Sealer, settings: Settings, clock: MovableClock, published: Path
) -> None:
    for number in range(30):  # more than the part of the file that is read
        await record_alone(services, f"TKN-{number}")
        await seal(services)
    await record_alone(services, "TKN-last")
    await sealer.seal()  # killed before it was published
    async with build(settings, clock) as restarted:
        await publisher_of(restarted).publish()
    assert [each.checkpoint.size for each in read_published(published)] == [*range(1, 32)]


async def test_a_database_that_was_rolled_back_is_neither_published_nor_hidden(
    services: Services, settings: Settings, clock: MovableClock, published: Path, url: str
) -> None:
    await record_alone(services, "TKN-1")
    await seal(services)
    await record_alone(services, "TKN-2")
    await seal(services)
    before = text_of(published)
    execute(
        url,
        "SET session_replication_role TO replica",
        "DELETE FROM audit_event",
        "DELETE FROM audit_checkpoint",
    )
    async with build(settings, clock) as restarted:
        await record_alone(restarted, "TKN-3")
        await sealer_of(restarted).seal()
        with pytest.raises(CheckpointConflict):
            await publisher_of(restarted).publish()
    assert text_of(published) == before
    assert any("truncated or rolled back" in each for each in (await verified(services, published)).problems)


async def test_a_checkpoint_of_which_the_system_writes_a_part_at_a_time_is_published_whole(
    services: Services, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    for number in range(2):
        await record_alone(services, f"TKN-{number}")
        await seal(services)
    notes = [each.note for each in await stored(services)]
    assert text_of(published) == "".join(f"{note}\n" for note in notes)


async def test_a_checkpoint_that_was_cut_short_anywhere_is_completed_by_the_next_write(
    services: Services, published: Path
) -> None:
    for number in range(3):
        await record_alone(services, f"TKN-{number}")
        await seal(services)
    whole = text_of(published)
    for length in range(len(whole.encode())):
        write_bytes(published, whole.encode()[:length])
        await publisher_of(services).publish()
        assert text_of(published) == whole, length


async def test_a_checkpoint_that_another_worker_began_after_the_notes_were_read_is_no_conflict(
    services: Services, published: Path
) -> None:
    await record_alone(services, "TKN-1")
    await seal(services)
    await record_alone(services, "TKN-2")
    await sealer_of(services).seal()
    with published.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        publishing = asyncio.create_task(publisher_of(services).publish())
        await until(lambda: waits_for(published))
        await record_alone(services, "TKN-3")
        await sealer_of(services).seal()
        _, second, third = [each.note for each in await stored(services)]
        other.write(f"{second}\n{third[:40]}".encode())
    await publishing
    assert text_of(published) == "".join(f"{each.note}\n" for each in await stored(services))


async def waits_for(file: Path) -> bool:
    """Whether somebody waits for the lock of the file: `->`, and the inode (man proc_locks)."""
    inode = (await asyncio.to_thread(file.stat)).st_ino
    locks = await asyncio.to_thread(Path("/proc/locks").read_text)
    return re.search(rf"-> FLOCK .*:{inode} ", locks) is not None


async def test_a_file_that_ends_with_something_else_is_not_appended_to(
    services: Services, published: Path
) -> None:
    await record_alone(services, "TKN-1")
    await seal(services)
    altered = text_of(published) + "another log\n"
    write_bytes(published, altered.encode())
    await record_alone(services, "TKN-2")
    with pytest.raises(CheckpointConflict):
        await seal(services)
    assert text_of(published) == altered


async def test_a_file_that_cannot_be_written_is_a_configuration_error(
    services: Services, sealer: Sealer, settings: Settings, clock: MovableClock, tmp_path: Path
) -> None:
    await record_alone(services, "TKN-1")
    await sealer.seal()
    wrong = Settings(
        database_url=settings.database_url,
        master_key=settings.master_key,
        audit_checkpoint_file=str(tmp_path / "missing" / "checkpoints"),
    )
    async with build(wrong, clock) as other:
        with pytest.raises(ConfigurationError, match="audit_checkpoint_file cannot be written"):
            await publisher_of(other).publish()


async def test_a_note_verifies_only_with_the_key_that_signed_it_and_only_unchanged(
    services: Services,
) -> None:
    await fill(services, 3)
    await seal(services)
    (stored_checkpoint,) = await stored(services)
    note = stored_checkpoint.note
    async with services.db.connection() as connection:
        (key,) = await log_keys(connection)
    assert open_note(note, [key.public_key]).public_key == key.public_key
    other = SigningKey.of(new_private_key())
    with pytest.raises(Unreadable):
        open_note(note, [other.public_bytes])
    with pytest.raises(Unreadable):
        open_note(note.replace("\n3\n", "\n4\n"), [key.public_key])
    with pytest.raises(Unreadable):
        open_note(note.replace("\n3\n", "\n03\n"), [key.public_key])
    with pytest.raises(Unreadable, match="it is not the text of a checkpoint"):
        open_note(note.replace("\n3\n", "\nthree\n"), [key.public_key])
    forged = sign(parse(note), other.public_bytes, other.sign_bytes)
    with pytest.raises(Unreadable):
        open_note(forged, [key.public_key])


def test_a_verifier_key_is_read_back_and_refused_when_it_was_changed() -> None:
    origin = "coatcheck.example/audit"
    keys = iter(lambda: SigningKey.of(new_private_key()).public_bytes, None)
    # The parts are separated by "+", which base64 may contain.
    key, text = next((key, text) for key in keys if (text := verifier_key(origin, key)).count("+") > 2)
    assert parse_verifier_key(text) == key
    others = (text.replace("+", "-"), text[:-4], f"{text[:-1]}!", text.replace("example", "other"), "x", "")
    for wrong in others:
        with pytest.raises(Unreadable):
            parse_verifier_key(wrong)


async def test_a_page_of_rows_ends_at_no_row_that_is_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.audit.sealed_log.ROWS_PER_PAGE", 7)
    await fill(services, 100)
    async with services.db.connection() as connection, Rows(connection) as rows:
        numbers = []
        while (row := await rows.next()) is not None:
            numbers.append(row.number)
    assert numbers == list(range(1, 101))
    async with services.db.connection() as connection, Rows(connection) as rows:
        pages = [await rows.up_to(number) for number in (3, 3, 50, 101)]
    assert [[number for number, *_ in page] for page in pages] == [
        [1, 2, 3],
        [],
        list(range(4, 51)),
        list(range(51, 101)),
    ]
