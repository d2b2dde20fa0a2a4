"""Guids and secrets that follow from a seed, in a sandbox that has one. Everywhere else they are random.

    seed, start of the process, scope, kind, how many of the kind the scope made before --SHA-256--> the bits

A scope is what makes them: the caller of a request, an attempt at a job, the object that an event is about. What runs
at the same time has scopes of its own, so that the result does not depend on which ran first.
"""

import contextlib
import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from os import urandom

NUMBER_BITS, START_BITS, CHILD_BITS = 48, 16, 12
"""A guid begins with a number, so that guids of one kind have the order in which they were made: the start of the
process, how many guids of the kind requests made before, and the place among the children of an object."""


class Seeding:
    def __init__(self, seed: int | None = None, start: int = 0) -> None:
        """The scopes of one process.

        Args:
            seed: None makes everything random.
            start: the number of the process among those of its database, so that no two make the same guid.
        """
        self._seed = seed
        self._start = start
        self._made: Counter[str] = Counter()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def has_seed(self) -> bool:
        return self._seed is not None

    def caller(self, name: str) -> AbstractContextManager[None]:
        """What the caller makes in the block, each time the next ones."""
        return self._enter(_Scope(self, name, self._counts[name]))

    def about(self, guid: str) -> AbstractContextManager[None]:
        """What is made in the block for an object, each time the next ones."""
        return self._enter(_Scope(self, guid, self._counts[guid], after=_number_of(guid)))

    def once(self, guid: str, action: str) -> AbstractContextManager[None]:
        """What is made in the block by an action on an object that happens once. Nothing is remembered of it."""
        return self._enter(_Scope(self, f"{guid} {action}", Counter(), after=_number_of(guid)))

    def derive(self, scope: str, kind: str, ordinal: int) -> bytes:
        # The first words keep the bits apart from any other hash of the same seed.
        text = f"coatcheck sandbox|{self._seed}|{self._start}|{scope}|{kind}|{ordinal}"
        return hashlib.sha256(text.encode()).digest()

    def next_number(self, kind: str) -> int:
        number = self._made[kind]
        self._made[kind] += 1
        return (self._start << (NUMBER_BITS - START_BITS)) + (number << CHILD_BITS)

    @contextlib.contextmanager
    def _enter(self, scope: "_Scope") -> Iterator[None]:
        if self._seed is None:
            yield
            return
        token = _current.set(scope)
        try:
            yield
        finally:
            _current.reset(token)


@dataclass(frozen=True, slots=True)
class _Scope:
    seeding: Seeding
    name: str
    counts: Counter[str] = field(repr=False)
    after: int | None = None
    """The number of the object that it makes children of."""

    def bits(self, kind: str) -> tuple[bytes, int]:
        """256 bits, and how many the scope made of the kind before."""
        ordinal = self.counts[kind]
        self.counts[kind] += 1
        return self.seeding.derive(self.name, kind, ordinal), ordinal

    def guid(self, prefix: str) -> str:
        bits, ordinal = self.bits(prefix)
        number = self.seeding.next_number(prefix) if self.after is None else self.after + 1 + ordinal
        value = (number % (1 << NUMBER_BITS)) << 80 | int.from_bytes(bits[:10], "big")
        # Version 8 is for layouts of one's own (RFC 9562 5.8).
        value = value & ~(0xF << 76) | 0x8 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        # As `uuid.UUID` writes it, which takes three times as long: a run makes a guid for each row that may be new.
        digits = f"{value:032x}"
        return f"{prefix}-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_current: ContextVar[_Scope | None] = ContextVar("scope", default=None)
"""None in production: only a `Seeding` with a seed sets it."""


def seeded_guid(prefix: str) -> str | None:
    """The next guid of the present scope; None outside of any."""
    scope = _current.get()
    return None if scope is None else scope.guid(prefix)


def random_bytes(count: int, kind: str) -> bytes:
    """At most 32 bytes from the operating system; in a scope, bytes that follow from the seed.

    Args:
        count: how many.
        kind: what they are for. Each kind has a sequence of its own.
    """
    scope = _current.get()
    return urandom(count) if scope is None else scope.bits(f"secret {kind}")[0][:count]


def _number_of(guid: str) -> int:
    """The number of a guid of this module, and any for another text."""
    try:
        return uuid.UUID(guid.partition("-")[2]).int >> 80
    except ValueError:
        return 0
