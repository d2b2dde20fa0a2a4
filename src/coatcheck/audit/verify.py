"""Verifies the log: recomputes every hash, every root and every signature, and names what does not agree.

What is in the database is compared in three steps. Each row must have the hash that its checkpoint lists; the listed
hashes must give the signed root; the root must be the published one. Who can write to the database can change the
first two together. The third is out of reach, if the checkpoints are published where this role cannot write.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import starmap

from coatcheck.audit.checkpoints import Checkpoint, Unreadable, open_note
from coatcheck.audit.keys import LogKey
from coatcheck.audit.merkle import Peaks, extend, leaf_hash, root_of, split
from coatcheck.audit.published import PublishedCheckpoint
from coatcheck.audit.sealed_log import (
    BEFORE_FIRST,
    FoundRow,
    Rows,
    StoredCheckpoint,
    StoredRow,
    checkpoints,
    sealed_size,
)
from coatcheck.db.database import Connection

PRUNED = "audit.pruned"
"""The action of an entry that says which partition was dropped."""
SAYS_PRUNED = f'{{"action":"{PRUNED}"'
KEY_TOLERANCE = timedelta(minutes=5)
"""How long a process may still sign with a key that another one replaced."""

Progress = Callable[[int, int], None]
"""Receives how many entries were verified, and how many there are."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. The log is intact if `problems` is empty."""

    sealed: int
    """Entries and disclosures in the tree."""
    unsealed: int
    """Those that were written after the last checkpoint."""
    pruned: int
    """Those in the tree whose partition was dropped, as an entry of the log says."""
    checkpoints: int
    published: int
    """Published checkpoints that were compared."""
    last: Checkpoint | None
    problems: Sequence[str]


async def verify(
    connection: Connection,
    keys: Sequence[LogKey],
    published: Sequence[PublishedCheckpoint] = (),
    progress: Progress | None = None,
) -> Verified:
    """Verifies the whole log.

    Args:
        connection: the caller's transaction, REPEATABLE READ so that the log does not grow meanwhile.
        keys: the keys that may have signed, oldest first.
        published: the checkpoints that were published, in the order of their publication.
        progress: called after each checkpoint.
    """
    # The hashes are compared a checkpoint at a time. Single rows are looked at only where a checkpoint differs.
    verification, total = _Verification(keys, published), await sealed_size(connection)
    async with Rows(connection) as rows:
        async for stored in checkpoints(connection):
            hashes = split(stored.hashes)
            lacks_one = verification.begin(stored, hashes)
            covered = await rows.up_to(stored.numbers[-1]) if stored.numbers else ()
            if lacks_one or not _agree(stored, covered):
                verification.compare_each(
                    zip(stored.numbers, hashes, strict=False),
                    starmap(StoredRow, covered),
                    lacks_one=lacks_one,
                )
            if progress is not None:
                progress(stored.size, total)
        while (row := await rows.next()) is not None:
            verification.unsealed(row)
    return verification.finish()


def _agree(stored: StoredCheckpoint, rows: Sequence[FoundRow]) -> bool:
    """Whether these are the rows that the checkpoint lists, and none needs a closer look."""
    if not rows:
        return not stored.numbers
    numbers, texts, _, leaf_hashes = zip(*rows, strict=True)
    found = [leaf_hash(text.encode()) for text in texts]
    return (
        list(numbers) == stored.numbers
        and b"".join(found) == stored.hashes
        and found == [stored_hash or hash_ for stored_hash, hash_ in zip(leaf_hashes, found, strict=True)]
        and SAYS_PRUNED not in "".join(texts)
    )


@dataclass
class _Verification:
    keys: Sequence[LogKey]
    published: Sequence[PublishedCheckpoint]
    problems: list[str] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    """Numbers that a checkpoint lists, and that no row has."""
    _pruned: list["_Pruned"] = field(default_factory=list)
    _peaks: Peaks = ()
    _last: Checkpoint | None = None
    _last_key: int = 0
    _size: int = 0
    _through: int = BEFORE_FIRST
    _checkpoints: int = 0
    _unsealed: int = 0
    _to_compare: dict[int, list[PublishedCheckpoint]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        # Workers that shared a file could append the same checkpoint twice.
        pairs = zip([None, *self.published], self.published, strict=False)
        self.published = [each for before, each in pairs if before is None or before.note != each.note]
        previous = None
        for each in self.published:
            self._check_key(each.place, each.note)
            if previous is not None and each.checkpoint.size <= previous.checkpoint.size:
                self.problems.append(
                    f"{each.place} has {each.checkpoint.size} entries, not more than the one before it:"
                    " the log was rolled back or forked."
                )
            if previous is not None and each.checkpoint.at < previous.checkpoint.at:
                self.problems.append(f"{each.place} is older than the one before it: its time was set back.")
            self._to_compare[each.checkpoint.size].append(each)
            previous = each
        # The checkpoints of the database begin with the first key again.
        self._last_key = 0

    def begin(self, stored: StoredCheckpoint, hashes: Sequence[bytes]) -> bool:
        """Checks a checkpoint by itself, and its root. Returns whether checkpoints before it are missing."""
        name = f"The checkpoint of {stored.size} entries"
        checkpoint = self._check_key(name, stored.note)
        lacks_one = stored.size != self._size + len(stored.numbers)
        if lacks_one:
            self.problems.append(
                f"{name} does not follow the one of {self._size}: checkpoints between them were deleted or changed."
            )
        if len(hashes) != len(stored.numbers) or not _ascend(self._through, stored):
            self.problems.append(f"{name} lists its entries wrongly: the list was changed.")
        if checkpoint is not None:
            if checkpoint.size != stored.size:
                self.problems.append(f"{name} was signed for {checkpoint.size} entries.")
            if self._last is not None and checkpoint.at < self._last.at:
                self.problems.append(f"{name} is older than the one before it: its time was set back.")
            if self._last is not None and checkpoint.origin != self._last.origin:
                self.problems.append(f"{name} belongs to another log, {checkpoint.origin}.")
        self._grow(stored, hashes, checkpoint, starts_anew=lacks_one)
        self._checkpoints += 1
        self._last = checkpoint or self._last
        self._size, self._through = stored.size, stored.through
        return lacks_one

    def compare_each(
        self, listed: Iterable[tuple[int, bytes]], rows: Iterable[StoredRow], *, lacks_one: bool
    ) -> None:
        """Compares each row with the number and the hash that a checkpoint lists.

        Args:
            listed: numbers and hashes.
            rows: what the table has up to the last of these numbers.
            lacks_one: whether a checkpoint before it is missing, which may have listed the first rows.
        """
        following = iter(rows)
        row = next(following, None)
        for number, expected in listed:
            while row is not None and row.number < number:
                if not lacks_one:
                    self.inserted(row)
                row = next(following, None)
            lacks_one = False
            if row is None or row.number > number:
                self.missing.append(number)
                continue
            found, row = row, next(following, None)
            while row is not None and row.number == number:
                found, inserted = _authentic(found, row, expected)
                self.inserted(inserted)
                row = next(following, None)
            self._compare(found, expected)

    def _compare(self, row: StoredRow, expected: bytes) -> None:
        """Compares a row with the hash that its checkpoint lists."""
        found = leaf_hash(row.text.encode())
        if found != expected:
            self.problems.append(f"{row.name} was changed after it was sealed.")
        else:
            self._compare_stored(row, found)
            if row.text.startswith(SAYS_PRUNED) and (pruned := _parse_pruned(row.text)):
                self._pruned.append(pruned)

    def inserted(self, row: StoredRow) -> None:
        """Names a row that no checkpoint lists, though its number is among theirs."""
        self.problems.append(f"{row.name} is in no checkpoint: it was inserted later, or got another number.")

    def unsealed(self, row: StoredRow) -> None:
        """Checks a row after the last checkpoint by itself."""
        if row.number <= self._through:
            self.inserted(row)
            return
        self._unsealed += 1
        self._compare_stored(row, leaf_hash(row.text.encode()))

    def finish(self) -> Verified:
        pruned = self._compare_missing()
        for size in sorted(self._to_compare):
            self.problems.extend(
                f"{each.place} has {size} entries, the database {self._size}: the log was truncated or rolled back."
                for each in self._to_compare[size]
            )
        return Verified(
            sealed=self._size,
            unsealed=self._unsealed,
            pruned=pruned,
            checkpoints=self._checkpoints,
            published=len(self.published),
            last=self._last,
            problems=self.problems,
        )

    def _check_key(self, name: str, note: str) -> Checkpoint | None:
        try:
            opened = open_note(note, [key.public_key for key in self.keys])
        except Unreadable as error:
            self.problems.append(f"{name} cannot be trusted: {error}.")
            return None
        position = [key.public_key for key in self.keys].index(opened.public_key)
        key, at = self.keys[position], opened.checkpoint.at
        replaced_at = key.replaced_at
        # Whoever has a replaced key, such as one from an old backup, could otherwise sign a rewritten log with it.
        if position < self._last_key or (replaced_at is not None and at > replaced_at + KEY_TOLERANCE):
            self.problems.append(f"{name} is signed with a key that was replaced before.")
        self._last_key = max(position, self._last_key)
        return opened.checkpoint

    def _grow(
        self,
        stored: StoredCheckpoint,
        hashes: Sequence[bytes],
        checkpoint: Checkpoint | None,
        *,
        starts_anew: bool,
    ) -> None:
        """Extends the tree, and compares its root with the signed and the published ones."""
        if starts_anew:
            self._peaks = split(stored.peaks)
        else:
            size = self._size
            for published in sorted(each for each in self._to_compare if size <= each < stored.size):
                self._peaks = extend(size, self._peaks, hashes[: published - size])
                hashes, size = hashes[published - size :], published
                self._compare_published(size)
            self._peaks = extend(size, self._peaks, hashes)
        if checkpoint is not None and root_of(self._peaks) != checkpoint.root:
            numbers = f"{stored.numbers[0]} to {stored.numbers[-1]}" if stored.numbers else "none"
            self.problems.append(
                f"The checkpoint of {stored.size} entries has another root than the hashes of its entries (numbers"
                f" {numbers}): an entry and its listed hash were both changed."
            )
            # If these are authentic, the checkpoints that follow are verified as if this one were right.
            self._peaks = split(stored.peaks)
        self._compare_published(stored.size)

    def _compare_published(self, size: int) -> None:
        root = root_of(self._peaks)
        self.problems.extend(
            f"{each.place} has another root than the database at {size} entries: the log was rewritten or forked."
            for each in self._to_compare.pop(size, ())
            if each.checkpoint.root != root
        )

    def _compare_stored(self, row: StoredRow, found: bytes) -> None:
        """Compares an entry with the hash that was stored with it."""
        if row.leaf_hash is not None and row.leaf_hash != found:
            self.problems.append(f"{row.name} does not have the hash that was stored with it.")

    def _compare_missing(self) -> int:
        """Names the rows that are missing without an entry that says so. Returns how many were pruned."""
        within = [n for n in self.missing if any(each.first <= n <= each.last for each in self._pruned)]
        allowed = sum(each.count for each in self._pruned)
        outside = sorted({*self.missing} - {*within})
        self.problems.extend(f"The row with number {number} was deleted." for number in outside)
        if len(within) > allowed:
            self.problems.append(
                f"{len(within) - allowed} more rows are missing between the numbers {min(within)} and {max(within)}"
                " than were pruned."
            )
        return len(within)


def _authentic(first: StoredRow, second: StoredRow, expected: bytes) -> tuple[StoredRow, StoredRow]:
    """Of two rows with the same number, the one that has the expected hash, and the other."""
    if leaf_hash(second.text.encode()) == expected:
        return second, first
    return first, second


def _ascend(through: int, stored: StoredCheckpoint) -> bool:
    """Whether the numbers follow those of the checkpoint before, in order, up to `through` of this one."""
    numbers = [through, *stored.numbers, stored.through + 1]
    return all(map(int.__lt__, numbers, numbers[1:]))


@dataclass(frozen=True, slots=True)
class _Pruned:
    """What an entry says of a partition that was dropped."""

    first: int
    last: int
    count: int


def _parse_pruned(text: str) -> _Pruned | None:
    """None if the text does not say it: another program wrote the entry."""
    try:
        detail = json.loads(text)["detail"]
        return _Pruned(int(detail["first"]), int(detail["last"]), int(detail["count"]))
    except (ValueError, KeyError, TypeError):
        return None
