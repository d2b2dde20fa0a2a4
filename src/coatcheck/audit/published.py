"""Publishes the checkpoints where who can write to the database cannot: in a file, and at a URL.

The file contains the signed notes in order, each followed by an empty line. It is only appended to. Several workers can
share it: each appends what the file lacks, under a lock (`flock`). A note that a full disk cut short is completed by
the next write: nothing can take its first part out of a file that is only appended to.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx
import structlog

from coatcheck.audit.checkpoints import SIGNATURE_MARK, Checkpoint, Unreadable, parse
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database, fetch_all, fetch_one
from coatcheck.errors import CheckpointConflict, ConfigurationError

log = structlog.get_logger(__name__)

BATCH = 1_000
COMPLETE = re.compile(rb"\n\n" + SIGNATURE_MARK.encode() + rb"[^\n]*\n\n")
"""The end of a note, from the empty line before its signature to the one after it."""
TAIL_BYTES = 4_096
"""More than two notes."""
URL_TIMEOUT = 10
"""Seconds."""


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """A checkpoint that was published. Its signature is not verified."""

    place: str
    """Where it is, for a message."""
    note: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class _Note:
    size: int
    note: str


@dataclass(frozen=True, slots=True)
class _End:
    """How a file of checkpoints ends."""

    last: Checkpoint | None
    """The last one that is complete."""
    unfinished: bytes
    """What follows it: the first part of one whose write was cut short."""


class Publisher:
    """Publishes what was sealed, by this or another worker, to this worker's file and URL."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._file = Path(settings.audit_checkpoint_file) if settings.audit_checkpoint_file else None
        self._url = settings.audit_checkpoint_url
        self._db = db
        # In memory alone: after a restart the newest checkpoint is posted again, which changes nothing.
        self._at_url = 0

    async def publish(self) -> None:
        """Publishes the checkpoints that are not published yet. A failure of the URL is logged, and tried again.

        Raises:
            CheckpointConflict: the file ends with a checkpoint that the database does not have. Nothing is published.
            ConfigurationError: the file cannot be written.
        """
        async with self._db.connection() as connection:
            if self._file is not None:
                await self._append(connection, self._file)
            newest = await _newest(connection) if self._url else None
        # Only the newest: its root covers the entries of those before it.
        if newest is not None and newest.size > self._at_url:
            await self._send(newest)

    async def _append(self, connection: Connection, file: Path) -> None:
        # Read each time: another worker can have appended meanwhile.
        size = await _published_size(connection, file)
        while notes := await fetch_all(
            connection,
            _Note,
            f"SELECT size, note FROM audit_checkpoint WHERE size > %(size)s ORDER BY size LIMIT {BATCH}",
            {"size": size},
        ):
            await asyncio.to_thread(_append_newer, file, notes)
            size = notes[-1].size

    async def _send(self, newest: _Note) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        try:
            async with httpx.AsyncClient(timeout=URL_TIMEOUT) as client:
                # The address is a setting of the operator's: a server within the network is allowed.
                answer = await client.post(self._url, content=newest.note.encode(), headers=headers)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("audit.not_published", error=type(error).__name__)
            return
        self._at_url = newest.size


def read_published(file: Path) -> Iterator[PublishedCheckpoint]:
    """The checkpoints in the file, in order.

    Raises:
        ConfigurationError: the file cannot be read.
        Unreadable: a part of it is not a checkpoint. The message names the line.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            yield from _published(file, lines)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The file {file} cannot be read: {error}.") from None


def _published(file: Path, lines: Iterable[str]) -> Iterator[PublishedCheckpoint]:
    start, collected = 1, list[str]()
    for number, line in enumerate(chain(lines, "\n"), start=1):
        collected.append(line)
        if line == "\n" and len(collected) > 1 and collected[-2].startswith(SIGNATURE_MARK):
            note = "".join(collected[:-1])
            try:
                checkpoint = parse(note)
            except Unreadable as error:
                raise Unreadable(f"{file}, line {start}: {error}") from None
            yield PublishedCheckpoint(f"The published checkpoint at {file}:{start}", note, checkpoint)
            start, collected = number + 1, []
    if any(line.strip() for line in collected):
        raise Unreadable(f"{file}, line {start}: it is not a checkpoint, or its end is missing")


async def _published_size(connection: Connection, file: Path) -> int:
    """The size of the last checkpoint in the file, which the database must have too."""
    last = await asyncio.to_thread(_last_published, file)
    if last is None:
        return 0
    stored = await fetch_one(
        connection,
        _Note,
        "SELECT size, note FROM audit_checkpoint WHERE size = %(size)s",
        {"size": last.size},
    )
    if stored is None or parse(stored.note).root != last.root:
        raise CheckpointConflict(detail=f"the file {file} ends with {last.size} entries")
    return last.size


def _last_published(file: Path) -> Checkpoint | None:
    """The last checkpoint in the file that is complete."""
    try:
        return _end_of(file).last
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"The setting audit_checkpoint_file cannot be read: {error.strerror}."
        ) from None


def _end_of(file: Path) -> _End:
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - TAIL_BYTES))
        tail = content.read()
    for signature in reversed([*COMPLETE.finditer(tail)]):
        text = tail[: signature.start()].rpartition(b"\n\n")[2].decode("utf-8", "replace")
        # What only looks like a note counts as unfinished, and nothing of ours begins with it.
        with suppress(Unreadable):
            return _End(parse(f"{text}\n\n"), tail[signature.end() :])
    return _End(None, tail)


async def _newest(connection: Connection) -> _Note | None:
    return await fetch_one(
        connection, _Note, "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
    )


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it: `os.write` may write a part, as when the disk gets full."""
    while data:
        data = data[os.write(descriptor, data) :]


def _append_newer(file: Path, notes: Sequence[_Note]) -> None:
    """Appends those of the notes that are newer than the end of the file."""
    try:
        # Append only: the operating system can refuse everything else to this user (chattr +a).
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Under the lock: another worker may have appended since the notes were read.
            end = _end_of(file)
            size = end.last.size if end.last else 0
            new = "".join(f"{each.note}\n" for each in notes if each.size > size).encode()
            if not new:
                # The unfinished note may have been sealed after ours were read. Whoever has read it completes it.
                return
            if not new.startswith(end.unfinished):
                raise CheckpointConflict(detail=f"the file {file} ends with a part of another checkpoint")
            _write_all(descriptor, new[len(end.unfinished) :])
            # Published is what a crash of the machine does not undo.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(
            f"The setting audit_checkpoint_file cannot be written: {error.strerror}."
        ) from None
