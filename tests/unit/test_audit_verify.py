"""Whatever is changed in the database, or published again, is named; an intact log has no problem.

The changes are made by the owner of the tables, without their triggers, in 100,000 rows, and rolled back.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from coatcheck.app import Services, build
from coatcheck.audit.checkpoints import Checkpoint, Unreadable, parse, sign
from coatcheck.audit.entries import Entry
from coatcheck.audit.keys import LogKey, log_keys
from coatcheck.audit.merkle import extend, leaf_hash, root_of, split
from coatcheck.audit.published import PublishedCheckpoint, read_published
from coatcheck.audit.sealed_log import StoredCheckpoint, checkpoints
from coatcheck.audit.verify import Verified, verify
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.errors import CoatcheckError
from coatcheck.signatures import SigningKey, new_private_key
from coatcheck.vault.disclosures import SEALED_COLUMNS
from tests.sealed_log import fill, seal, verified, verified_on

COUNT = 100_000
VICTIM = 50_004
"""Any number of an entry, away from the borders of a batch."""
OTHER = 50_008
DISCLOSED = 50_010
"""A number of a disclosure."""


class Undo(CoatcheckError):
    """Rolls back what a test changed."""


@dataclass(frozen=True)
class Log:
    services: Services
    published: Sequence[PublishedCheckpoint]
    guids: dict[int, str]


@pytest.fixture(scope="module")
async def log(file_url: str, master_key: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Log]:
    """A sealed and published log of 100,000 rows."""
    file = tmp_path_factory.mktemp("published") / "checkpoints"
    settings = Settings(database_url=file_url, master_key=master_key, audit_checkpoint_file=str(file))
    async with build(settings, MovableClock()) as services:
        await fill(services, COUNT)
        assert await seal(services) == COUNT
        async with services.db.connection() as connection:
            cursor = await connection.execute("SELECT number, guid FROM audit_entry")
            yield Log(services, [*read_published(file)], dict(await cursor.fetchall()))


async def after(
    log: Log, *statements: str, published: Sequence[PublishedCheckpoint] | None = None
) -> Verified:
    """What verification finds after the owner executed the statements."""
    result = None
    try:
        async with log.services.db.transaction() as connection:
            await connection.execute("SET LOCAL session_replication_role TO replica")
            for statement in statements:
                cursor = await connection.execute(statement)
                assert cursor.rowcount != 0, statement
            result = await verified_on(connection, log.published if published is None else published)
            raise Undo
    except Undo:
        assert result is not None
        return result


async def stored(connection: Connection) -> list[StoredCheckpoint]:
    return [each async for each in checkpoints(connection)]


async def test_an_intact_log_verifies(log: Log) -> None:
    result = await after(log, "SELECT 1")
    assert result.problems == []
    assert (result.sealed, result.unsealed, result.pruned) == (COUNT, 0, 0)
    assert result.published == result.checkpoints == 20


@pytest.mark.parametrize(
    "change",
    [
        "action = 'token.revoked'",
        "action = action || ' '",
        "actor = 'PPR-other'",
        "subject = ''",
        "detail = '{}', client_guid = 'CLT-other'",
        "detail = '{ }'",
        "client_guid = NULL",
        "at = at - interval '1 microsecond'",
    ],
)
async def test_an_entry_that_was_changed_is_named(log: Log, change: str) -> None:
    result = await after(log, f"UPDATE audit_event SET {change} WHERE number = {VICTIM}")
    assert result.problems == [f"The entry {log.guids[VICTIM]} was changed after it was sealed."]


async def test_the_progress_is_the_number_of_entries_that_were_verified_and_of_all(log: Log) -> None:
    reported: list[tuple[int, int]] = []
    async with log.services.db.transaction() as connection:
        keys = await log_keys(connection)
        await verify(connection, keys, progress=lambda done, total: reported.append((done, total)))
    assert reported == [(done, COUNT) for done in range(5_000, COUNT + 1, 5_000)]


async def test_an_entry_that_was_given_another_guid_is_named_by_it(log: Log) -> None:
    result = await after(log, f"UPDATE audit_event SET guid = '{OTHER_GUID}' WHERE number = {VICTIM}")
    assert result.problems == [f"The entry AUD-{OTHER_GUID} was changed after it was sealed."]


async def test_every_column_of_an_entry_is_sealed(services: Services) -> None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'audit_event'::regclass AND attnum > 0"
        )
        found = {name for (name,) in await cursor.fetchall()}
    members = {"action", "actor", "at", "client_guid", "detail", "guid", "subject"}
    # The hash is that of the others.
    assert found == {*members, "number", "leaf_hash"}


async def test_an_entry_that_was_given_another_hash_is_named(log: Log) -> None:
    result = await after(log, f"UPDATE audit_event SET leaf_hash = sha256('x') WHERE number = {VICTIM}")
    assert result.problems == [
        f"The entry {log.guids[VICTIM]} does not have the hash that was stored with it."
    ]


@pytest.mark.parametrize(
    "change",
    [
        "client_guid = 'CLT-other'",
        "client_guid = NULL",
        "reader_guid = 'PPR-other'",
        "user_guid = 'USR-other'",
        "record_guid = 'ACT-other'",
        "what = 'ACCOUNT_NUMBERS'",
        "shown = 0",
        "at = at + interval '1 microsecond'",
        "token_guid = 'TKN-other'",
        "address = '192.0.2.1'",
        "request_id = NULL",
    ],
)
async def test_a_disclosure_that_was_changed_is_named(log: Log, change: str) -> None:
    result = await after(log, f"UPDATE disclosure SET {change} WHERE number = {DISCLOSED}")
    assert result.problems == [f"The disclosure with number {DISCLOSED} was changed after it was sealed."]


async def test_every_column_of_a_disclosure_is_sealed(services: Services) -> None:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'disclosure'::regclass AND attnum > 0"
        )
        found = {name for (name,) in await cursor.fetchall()}
    assert found == {*SEALED_COLUMNS, "number"}
    assert list(SEALED_COLUMNS) == sorted(SEALED_COLUMNS)


@pytest.mark.parametrize("number", [1, VICTIM, DISCLOSED, COUNT])
async def test_a_row_that_was_deleted_is_named(log: Log, number: int) -> None:
    table = "disclosure" if number % 10 == 0 else "audit_event"
    result = await after(log, f"DELETE FROM {table} WHERE number = {number}")
    assert result.problems == [f"The row with number {number} was deleted."]


async def test_every_row_of_a_checkpoint_that_was_deleted_is_named(log: Log) -> None:
    within = "number BETWEEN 50001 AND 55000"
    result = await after(
        log, f"DELETE FROM audit_event WHERE {within}", f"DELETE FROM disclosure WHERE {within}"
    )
    assert result.problems == [
        f"The row with number {number} was deleted." for number in range(50_001, 55_001)
    ]


async def test_all_that_was_truncated_is_named(log: Log) -> None:
    result = await after(log, "SELECT 1", "DELETE FROM disclosure")
    assert result.problems == [
        f"The row with number {number} was deleted." for number in range(10, COUNT + 1, 10)
    ]


OTHER_GUID = "00000000-0000-4000-8000-000000000000"
LEAF = "sha256('\\x00'::bytea || convert_to({}, 'UTF8'))"
"""The hash that a forger stores with a text, an SQL expression."""
COPY = f"""
INSERT INTO audit_event (number, at, guid, client_guid, actor, action, subject, leaf_hash)
SELECT {{number}}, at, '{OTHER_GUID}', client_guid, actor, action, subject,
       {LEAF.format(f"audit_text(at, '{OTHER_GUID}', client_guid, actor, action, subject, NULL)")}
FROM audit_event WHERE number = 50004"""


@pytest.mark.parametrize("number", [0, -5, VICTIM, DISCLOSED])
async def test_a_row_that_was_inserted_among_the_sealed_ones_is_named(log: Log, number: int) -> None:
    result = await after(log, COPY.format(number=number))
    inserted = (
        f"The entry AUD-{OTHER_GUID} is in no checkpoint: it was inserted later, or got another number."
    )
    assert result.problems == [inserted]


async def test_two_entries_that_were_swapped_are_both_named(log: Log) -> None:
    swap = f"""UPDATE audit_event a SET number = b.number FROM audit_event b
               WHERE a.number IN ({VICTIM}, {OTHER}) AND b.number IN ({VICTIM}, {OTHER}) AND a.number <> b.number"""
    result = await after(log, swap)
    assert sorted(result.problems) == sorted(
        f"The entry {log.guids[number]} was changed after it was sealed." for number in (VICTIM, OTHER)
    )
    result = await after(
        log,
        f"""UPDATE audit_event a SET at = b.at, guid = b.guid, client_guid = b.client_guid, subject = b.subject
            FROM audit_event b
            WHERE a.number IN ({VICTIM}, {OTHER}) AND b.number IN ({VICTIM}, {OTHER}) AND a.number <> b.number""",
    )
    assert len(result.problems) == 2


async def test_an_entry_that_was_changed_together_with_its_listed_hash_is_traced_to_its_checkpoint(
    log: Log,
) -> None:
    position = (VICTIM - 1) % 5000
    result = await after(
        log,
        f"UPDATE audit_event SET action = 'token.revoked' WHERE number = {VICTIM}",
        f"""UPDATE audit_event a SET leaf_hash = {LEAF.format("e.body")}
            FROM audit_entry e WHERE e.number = {VICTIM} AND a.number = {VICTIM}""",
        f"""UPDATE audit_checkpoint c SET hashes = overlay(hashes PLACING e.leaf_hash FROM {position * 32 + 1})
            FROM audit_event e WHERE e.number = {VICTIM} AND {VICTIM} = ANY (numbers)""",
    )
    assert len(result.problems) == 1
    assert result.problems[0].startswith(
        "The checkpoint of 55000 entries has another root than the hashes of its entries (numbers 50001 to 55000)"
    )


@pytest.mark.parametrize("is_published", [True, False])
async def test_a_checkpoint_that_was_deleted_is_named(log: Log, is_published: bool) -> None:
    result = await after(
        log,
        "DELETE FROM audit_checkpoint WHERE size = 55000",
        published=log.published if is_published else [],
    )
    follows = "does not follow the one of 50000: checkpoints between them were deleted or changed."
    assert result.problems[0] == f"The checkpoint of 60000 entries {follows}"
    assert not any(
        "was inserted" in each or "has another root than the hashes" in each for each in result.problems
    )


async def test_a_log_that_was_cut_off_is_named_by_what_was_published(log: Log) -> None:
    cut = [
        "DELETE FROM audit_checkpoint WHERE size > 60000",
        "DELETE FROM audit_event WHERE number > 60000",
        "DELETE FROM disclosure WHERE number > 60000",
    ]
    assert (await after(log, *cut, published=[])).problems == []
    result = await after(log, *cut)
    assert len(result.problems) == 8
    assert all("the log was truncated or rolled back" in each for each in result.problems)


async def test_a_checkpoint_whose_note_was_changed_is_named(log: Log) -> None:
    for change in (
        "note = replace(note, E'\\n55000\\n', E'\\n55001\\n')",
        "note = replace(note, 'T', 't')",
        "note = 'x'",
    ):
        result = await after(log, f"UPDATE audit_checkpoint SET {change} WHERE size = 55000")
        assert any("The checkpoint of 55000 entries cannot be trusted" in each for each in result.problems)


async def test_a_list_of_entries_that_was_changed_is_named(log: Log) -> None:
    for change in (
        f"numbers = array_replace(numbers, {VICTIM}, {OTHER})",
        "numbers = numbers[2:], hashes = substr(hashes, 33)",
        "hashes = substr(hashes, 33)",
        "hashes = hashes || sha256('x')",
        "through = through + 1",
        "through = through - 1",
    ):
        result = await after(log, f"UPDATE audit_checkpoint SET {change} WHERE size = 55000")
        is_shorter = "numbers[2:]" in change
        expected = "does not follow the one of 50000" if is_shorter else "lists its entries wrongly"
        assert any(expected in each for each in result.problems), (change, result.problems)


def rewritten(
    notes: Sequence[StoredCheckpoint],
    key: SigningKey,
    *,
    first: int,
    later: timedelta = timedelta(),
    change: bool = True,
) -> dict[int, tuple[str, bytes]]:
    """The notes and hashes of the checkpoints from the `first` on, with another first entry, signed again."""
    size, peaks, result = 0, (), {}
    for number, each in enumerate(notes):
        hashes = [*split(each.hashes)]
        if number == first and change:
            hashes[0] = leaf_hash(b"other")
        peaks = extend(size, peaks, hashes)
        size += len(hashes)
        old = parse(each.note)
        if number >= first:
            new = Checkpoint(old.origin, size, root_of(peaks), old.at + later)
            result[size] = sign(new, key.public_bytes, key.sign_bytes), b"".join(hashes)
    return result


async def sign_again(log: Log, connection: Connection, changed: dict[int, tuple[str, bytes]]) -> None:
    await connection.execute("SET LOCAL session_replication_role TO replica")
    for size, (note, hashes) in changed.items():
        await connection.execute(
            "UPDATE audit_checkpoint SET note = %s, hashes = %s WHERE size = %s", [note, hashes, size]
        )


async def test_a_log_that_was_rewritten_and_signed_again_with_its_own_key_is_named_by_what_was_published(
    log: Log,
) -> None:
    """An operator with the master key can do this. The published checkpoints are what remains."""
    result = None
    try:
        async with log.services.db.transaction() as connection:
            key = await log.services.signing_keys.current(connection)
            await sign_again(log, connection, rewritten(await stored(connection), key, first=10))
            result = await verified_on(connection, log.published)
            raise Undo
    except Undo:
        assert result is not None
    forked = [each for each in result.problems if "was rewritten or forked" in each]
    assert len(forked) == 10
    assert any("was changed after it was sealed" in each for each in result.problems)


async def test_checkpoints_that_were_signed_with_another_key_or_set_back_are_named(log: Log) -> None:
    async with log.services.db.connection() as connection:
        notes, keys = await stored(connection), await log_keys(connection)
        key = await log.services.signing_keys.current(connection)
    old, stranger = SigningKey.of(new_private_key()), SigningKey.of(new_private_key())
    replaced_at = parse(notes[0].note).at - timedelta(days=1)
    known = [
        LogKey(old.public_bytes, replaced_at - timedelta(days=90), replaced_at),
        LogKey(key.public_bytes, replaced_at, keys[0].replaced_at),
    ]
    for by, later, expected in (
        (stranger, timedelta(), "cannot be trusted: its signature is not by a key of this log."),
        (old, timedelta(), "is signed with a key that was replaced before."),
        (key, -timedelta(hours=1), "is older than the one before it: its time was set back."),
    ):
        changed = rewritten(notes, by, first=19, later=later, change=False)
        result = None
        try:
            async with log.services.db.transaction() as connection:
                await sign_again(log, connection, changed)
                result = await verify(connection, known)
                raise Undo
        except Undo:
            assert result is not None
        assert result.problems == [f"The checkpoint of {COUNT} entries {expected}"]


async def test_a_fork_and_a_rollback_in_the_published_file_are_named(log: Log) -> None:
    last, before = log.published[-1], log.published[-2]
    again = replace(last, note=before.note, checkpoint=before.checkpoint)
    result = await after(log, "SELECT 1", published=[*log.published, again])
    assert any(each.endswith("the log was rolled back or forked.") for each in result.problems)
    key = SigningKey.of(new_private_key())
    fork = Checkpoint(last.checkpoint.origin, COUNT, leaf_hash(b"fork"), last.checkpoint.at)
    forked = replace(last, note=sign(fork, key.public_bytes, key.sign_bytes), checkpoint=fork)
    result = await after(log, "SELECT 1", published=[*log.published[:-1], forked])
    assert any("was rewritten or forked" in each for each in result.problems)
    assert any(each.startswith(f"{last.place} cannot be trusted: ") for each in result.problems)
    earlier = replace(last, checkpoint=replace(last.checkpoint, at=last.checkpoint.at - timedelta(days=1)))
    result = await after(log, "SELECT 1", published=[*log.published[:-1], earlier])
    assert any("its time was set back" in each for each in result.problems)


async def test_a_checkpoint_that_was_published_twice_in_a_row_is_counted_once(log: Log) -> None:
    twice = [each for each in log.published for _ in range(2)]
    result = await after(log, "SELECT 1", published=twice)
    assert (result.problems, result.published) == ([], len(log.published))


async def test_a_published_checkpoint_between_two_of_the_database_is_compared_too(log: Log) -> None:
    """The last checkpoints were deleted, and the same entries were sealed again in other steps."""
    result = await after(
        log,
        """UPDATE audit_checkpoint c SET numbers = b.numbers || c.numbers, hashes = b.hashes || c.hashes
           FROM audit_checkpoint b WHERE c.size = 55000 AND b.size = 50000""",
        "DELETE FROM audit_checkpoint WHERE size = 50000",
    )
    assert result.problems == []
    wrong = [
        replace(each, checkpoint=replace(each.checkpoint, root=leaf_hash(b"x")))
        if each.checkpoint.size == 50000
        else each
        for each in log.published
    ]
    result = await after(
        log,
        """UPDATE audit_checkpoint c SET numbers = b.numbers || c.numbers, hashes = b.hashes || c.hashes
           FROM audit_checkpoint b WHERE c.size = 55000 AND b.size = 50000""",
        "DELETE FROM audit_checkpoint WHERE size = 50000",
        published=wrong,
    )
    assert len(result.problems) == 1
    assert "has another root than the database at 50000 entries" in result.problems[0]


async def test_an_entry_that_is_not_sealed_yet_is_checked_by_itself(log: Log) -> None:
    entry = Entry(client_guid="CLT-1", actor="CLT-1", action="token.revoked", subject="TKN-unsealed")
    result = None
    try:
        async with log.services.db.transaction() as connection:
            await log.services.journal.record(connection, entry)
            intact = await verified_on(connection, log.published)
            assert (intact.unsealed, intact.problems) == (1, [])
            await connection.execute("SET LOCAL session_replication_role TO replica")
            await connection.execute(
                "UPDATE audit_event SET client_guid = 'CLT-2' WHERE number > %s", [COUNT]
            )
            result = await verified_on(connection, log.published)
            raise Undo
    except Undo:
        assert result is not None
    assert len(result.problems) == 1
    assert "does not have the hash that was stored with it" in result.problems[0]


@pytest.mark.own_database
async def test_an_entry_that_was_changed_before_it_was_sealed_is_named(services: Services) -> None:
    entry = Entry(client_guid="CLT-1", actor="CLT-1", action="token.revoked", subject="TKN-1")
    async with services.db.transaction() as connection:
        await services.journal.record(connection, entry)
    async with services.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        await connection.execute("UPDATE audit_event SET action = 'token.issued' WHERE subject = 'TKN-1'")
    await seal(services)
    async with services.db.connection() as connection:
        result = await verified_on(connection, [])
    assert len(result.problems) == 1
    assert "was changed" in result.problems[0]


PRUNED = f"""
INSERT INTO audit_event (at, guid, actor, action, subject, detail, leaf_hash)
SELECT at, guid, 'operator', 'audit.pruned', 'x', detail,
       {LEAF.format("audit_text(at, guid, NULL, 'operator', 'audit.pruned', 'x', detail)")}
FROM (SELECT timestamptz '2026-11-26T12:00:00Z' AS at, gen_random_uuid() AS guid,
             '{{"count":"%s","first":"10","last":"5000"}}' AS detail) AS pruned"""


@pytest.mark.own_database
async def test_rows_that_an_entry_says_were_pruned_are_not_missed_but_one_more_is(
    own_log: Services,
) -> None:
    async with own_log.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        await connection.execute(PRUNED % 500)
        await connection.execute("DELETE FROM disclosure WHERE number <= 5000")
    await seal(own_log)
    result = await verified(own_log)
    assert (result.problems, result.pruned) == ([], 500)
    async with own_log.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        await connection.execute("DELETE FROM audit_event WHERE number IN (777, 6001)")
    assert (await verified(own_log)).problems == [
        "The row with number 6001 was deleted.",
        "1 more rows are missing between the numbers 10 and 5000 than were pruned.",
    ]


@pytest.fixture
async def own_log(settings: Settings, clock: MovableClock) -> AsyncIterator[Services]:
    """A sealed log of 10,000 rows that the test may change for good."""
    async with build(settings, clock) as services:
        await fill(services, 10_000)
        await seal(services)
        yield services


def test_a_published_file_with_something_else_in_it_is_refused_with_its_line(tmp_path: Path) -> None:
    key = SigningKey.of(new_private_key())
    note = sign(
        Checkpoint("x/audit", 1, leaf_hash(b""), MovableClock().now()), key.public_bytes, key.sign_bytes
    )
    file = tmp_path / "checkpoints"
    for text, line in (
        (f"{note}\nx\n{note}\n", 8),
        (f"{note}\n{note[:40]}", 8),
        ("x", 1),
        (note.replace("\n1\n", "\n01\n"), 1),
    ):
        file.write_text(text)
        with pytest.raises(Unreadable, match=f"line {line}:"):
            [*read_published(file)]
    file.write_text(f"{note}\n{note}")
    assert len([*read_published(file)]) == 2
