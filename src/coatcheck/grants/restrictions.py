"""Restrictions: what limits the reads of a token. One class for each; `RESTRICTIONS` lists them.

A restriction is given in the scope (`parse`, `atoms`), stored with the code and copied to the token (`stored`), and
enforced by the statement that exchanges (`expires`) and by the one that reads (`permits`, `narrows`, `first_day`,
`admits`).

    read-protected               full account numbers and owners
    read:numbers                 these kinds of data and no other; may be repeated
    processor-guid:PPR-...       only this processor may redeem the code
    expires-in:3600              seconds from the exchange
    lookback-days:90             no older transaction, counted from the day of the request
    max-reads:10                 answered requests for data

To add one, write its class, add it to `RESTRICTIONS` and, if it stores anything, write a migration that adds its
columns to `authorization_code`, `access_token` and the view `live_token`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Self

from coatcheck.errors import ConnectionBroken, InsufficientScope, InvalidScope, ReadsExhausted, Refusal

Atoms = Mapping[str, Sequence[str]]
"""The atoms of a scope by name: what follows the colon of each, or `""`."""

LARGEST = 2**31 - 1
"""Of the columns of type `integer`."""
NUMBER = re.compile("[1-9][0-9]{0,9}", re.ASCII)
PROCESSOR_GUID = re.compile("PPR-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class ReadKind(StrEnum):
    """A kind of data that a token reads. Its value is stored in the disclosure."""

    NUMBERS = "ACCOUNT_NUMBERS"
    OWNERS = "ACCOUNT_OWNERS"
    TRANSACTIONS = "TRANSACTIONS"
    BALANCES = "BALANCES"


class Permission(StrEnum):
    """A kind of data that a grant names: `read:numbers` in the scope."""

    NUMBERS = "numbers"
    OWNERS = "owners"
    TRANSACTIONS = "transactions"
    BALANCES = "balances"
    STATEMENTS = "statements"


PERMISSION_TO_READ: Mapping[ReadKind, Permission] = MappingProxyType(
    {
        ReadKind.NUMBERS: Permission.NUMBERS,
        ReadKind.OWNERS: Permission.OWNERS,
        ReadKind.TRANSACTIONS: Permission.TRANSACTIONS,
        ReadKind.BALANCES: Permission.BALANCES,
    }
)
UNPROTECTED = frozenset({Permission.BALANCES, Permission.TRANSACTIONS})
PROTECTED = frozenset({Permission.NUMBERS, Permission.OWNERS})
"""What a token reads only if its scope has `read-protected`."""


def default_permissions(*, protected: bool) -> frozenset[Permission]:
    """What a token reads whose scope has no `read:` atom; `protected` if it has `read-protected`."""
    return UNPROTECTED | PROTECTED if protected else UNPROTECTED


def scope_for(permission: Permission) -> str:
    """The atoms that a token needs to read this kind of data."""
    return f"{'read-protected ' if permission in PROTECTED else ''}read:{permission}"


class Restriction(ABC):
    """One limit on what a token reads. The SQL that it gives fails closed: NULL permits nothing."""

    atom: ClassVar[str | None]
    """Its name in the scope, without a colon. None: it applies to every token."""
    columns: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What it stores: columns of `authorization_code`, `access_token` and `live_token`, with their types."""
    code_columns: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What it stores with the code only."""
    expires: ClassVar[str | None] = None
    """An instant over `code`, a row of `authorization_code`, at which its token expires at the latest."""
    counts: ClassVar[str] = "true"
    """A condition over `token`: `admits` has to see its reads. Other tokens read by a statement without `admits`."""
    refusal: ClassVar[type[Refusal]] = InsufficientScope
    """Raised when it does not permit or does not admit a read."""

    @classmethod
    @abstractmethod
    def parse(cls, atoms: Atoms) -> Self:
        """Reads it from the atoms of a scope.

        Raises:
            InvalidScope: its atom has a value that it does not take, or contradicts another atom.
        """

    @abstractmethod
    def atoms(self) -> Sequence[str]:
        """The atoms that `parse` reads it from."""

    @abstractmethod
    def stored(self) -> Mapping[str, object]:
        """The values of `columns` and `code_columns`."""

    @classmethod
    def refuse(cls, kind: ReadKind) -> Refusal:
        """The `refusal` of a read of this kind."""
        if cls.refusal is InsufficientScope:
            return InsufficientScope(needed_scope=scope_for(PERMISSION_TO_READ[kind]))
        return cls.refusal()

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (used where it is overridden)
        """A condition over `token`, a row of `live_token`: the token may read this kind. None: it always may."""
        return None

    @classmethod
    def narrows(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (used where it is overridden)
        """A condition over `n`, a row of this kind: the token reads the row. None: it reads every row.

        The condition can name the columns of `admitted`, a row: the token's guids and `columns`.
        """
        return None

    @classmethod
    def first_day(cls) -> str | None:
        """The date of the oldest transactions that the token reads, SQL over `token`. None: it reads every day."""
        return None

    @classmethod
    def admits(cls, source: str, name: str) -> str | None:  # noqa: ARG003 (used where it is overridden)
        """Common table expressions that count or record the read, for a restriction that writes. None: nothing to do.

        The last of them is called `name` and gives the row of `source`, or none if the read is refused.
        """
        return None


@dataclass(frozen=True, slots=True)
class ReadProtected(Restriction):
    """`read-protected`: the token may read full account numbers and owners. Without it, it may not."""

    is_given: bool

    atom = "read-protected"
    columns = MappingProxyType({"reads_protected": "boolean"})

    @classmethod
    def parse(cls, atoms: Atoms) -> Self:
        values = atoms.get(cls.atom, ())
        if any(values):
            raise InvalidScope(f"{cls.atom} takes no value.")
        return cls(bool(values))

    def atoms(self) -> Sequence[str]:
        return [self.atom] if self.is_given else []

    def stored(self) -> Mapping[str, object]:
        return {"reads_protected": self.is_given}

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:
        return "token.reads_protected" if PERMISSION_TO_READ[kind] in PROTECTED else None


@dataclass(frozen=True, slots=True)
class Permissions(Restriction):
    """`read:numbers` and the like: the token reads these kinds of data and no other."""

    given: frozenset[Permission] = frozenset()
    """Empty: no atom, so the token reads what MX gives."""

    atom = "read"
    columns = MappingProxyType({"permissions": "text[]"})

    @classmethod
    def parse(cls, atoms: Atoms) -> Self:
        values = atoms.get(cls.atom, ())
        if unknown := [value for value in values if value not in [*Permission]]:
            known = ", ".join(Permission)
            raise InvalidScope(
                f"The scope contains an unknown kind of data after read:. Known are {known}."
                if unknown[0]
                else f"read: needs a kind of data: {known}."
            )
        given = frozenset(map(Permission, values))
        if ReadProtected.atom not in atoms and (protected := sorted(given & PROTECTED)):
            raise InvalidScope(
                f"The scope contradicts itself: read:{protected[0]} needs {ReadProtected.atom}, which is missing."
            )
        return cls(given)

    def atoms(self) -> Sequence[str]:
        return [f"{self.atom}:{each}" for each in Permission if each in self.given]

    def stored(self) -> Mapping[str, object]:
        return {"permissions": sorted(self.given) or None}

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:
        # The view fills in the default, so that NULL, which permits nothing, does not occur.
        return f"'{PERMISSION_TO_READ[kind]}' = ANY (token.permissions)"


@dataclass(frozen=True, slots=True)
class ForProcessor(Restriction):
    """`processor-guid:PPR-...`: only this processor may redeem the code."""

    processor_guid: str | None = None

    atom = "processor-guid"
    code_columns = MappingProxyType({"processor_guid": "text"})

    @classmethod
    def parse(cls, atoms: Atoms) -> Self:
        value = _only_value(atoms, cls.atom)
        if value is not None and not PROCESSOR_GUID.fullmatch(value):
            raise InvalidScope(f"{cls.atom} must be the guid of a processor, such as PPR-....")
        return cls(value)

    def atoms(self) -> Sequence[str]:
        return [] if self.processor_guid is None else [f"{self.atom}:{self.processor_guid}"]

    def stored(self) -> Mapping[str, object]:
        return {"processor_guid": self.processor_guid}


@dataclass(frozen=True, slots=True)
class ConnectionIntact(Restriction):
    """No token reads while the connection of its member is broken: DISCONNECTED, CLOSED, consent withdrawn."""

    atom = None
    refusal = ConnectionBroken

    @classmethod
    def parse(cls, atoms: Atoms) -> Self:  # noqa: ARG003 (it has no atom)
        return cls()

    def atoms(self) -> Sequence[str]:
        return []

    def stored(self) -> Mapping[str, object]:
        return {}

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (the same for every kind)
        return "NOT token.is_suspended"


@dataclass(frozen=True, slots=True)
class Numeric(Restriction):
    """A restriction whose atom is given once, with a whole number from 1."""

    value: int | None = None

    atom: ClassVar[str]
    column: ClassVar[str]
    most: ClassVar[int] = LARGEST

    def __post_init__(self) -> None:
        # Forms and the management API give numbers that `parse` has not read.
        if self.value is not None and not 1 <= self.value <= self.most:
            raise InvalidScope(f"{self.atom} must be a whole number from 1 to {self.most}, in ASCII digits.")

    @classmethod
    def parse(cls, atoms: Atoms) -> Self:
        text = _only_value(atoms, cls.atom)
        if text is None:
            return cls()
        # `int` takes signs, spaces, underscores and the digits of every script.
        # 0 is out of range, so what is no number is refused as such a number is.
        return cls(int(text) if NUMBER.fullmatch(text) else 0)

    def atoms(self) -> Sequence[str]:
        return [] if self.value is None else [f"{self.atom}:{self.value}"]

    def stored(self) -> Mapping[str, object]:
        return {self.column: self.value}


class ExpiresIn(Numeric):
    """`expires-in:<seconds>`: the token expires at most this long after the exchange, or earlier by `token_ttl`."""

    atom = "expires-in"
    column = "expires_in"
    code_columns = MappingProxyType({"expires_in": "integer"})
    expires = "%(now)s::timestamptz + make_interval(secs => code.expires_in)"


class LookbackDays(Numeric):
    """`lookback-days:<n>`: no transaction dated more than n days before the request, by the date in UTC (FDX 6.3)."""

    atom = "lookback-days"
    column = "lookback_days"
    columns = MappingProxyType({"lookback_days": "integer"})
    # A century. PostgreSQL has no date as many days back as an integer can say: every read would fail.
    most = 36_500

    @classmethod
    def first_day(cls) -> str | None:
        return """CASE WHEN token.lookback_days IS NULL THEN '-infinity'::date
                  ELSE (%(now)s::timestamptz AT TIME ZONE 'UTC')::date - token.lookback_days END"""


class MaxReads(Numeric):
    """`max-reads:<n>`: n answered requests for data. The statement that reads counts, so no two reads are one."""

    atom = "max-reads"
    column = "max_reads"
    columns = MappingProxyType({"max_reads": "integer"})
    counts = "token.max_reads IS NOT NULL"
    refusal = ReadsExhausted

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (the same for every kind)
        return "token.max_reads IS NULL OR token.reads < token.max_reads"

    @classmethod
    def admits(cls, source: str, name: str) -> str | None:
        # A concurrent read may have taken the last one since `permits`: the UPDATE waits for it and checks again.
        return f"""{name}_counted AS (
            UPDATE access_token t SET reads = t.reads + 1, last_read_at = %(now)s
            WHERE t.expires_week = %(expires_week)s AND t.token_hash = %(token_hash)s AND t.reads < t.max_reads
              AND t.revoked_at IS NULL AND EXISTS (SELECT FROM {source} WHERE max_reads IS NOT NULL)
            RETURNING t.guid
        ), {name} AS (
            SELECT * FROM {source} WHERE max_reads IS NULL OR EXISTS (SELECT FROM {name}_counted)
        )"""


def _only_value(atoms: Atoms, name: str) -> str | None:
    """The value of an atom that may be given once, or None if the scope does not have it.

    Raises:
        InvalidScope: it is given twice or has no value.
    """
    values = atoms.get(name, ())
    if len(values) > 1:
        raise InvalidScope(f"The scope has more than one {name}.")
    if values and not values[0]:
        raise InvalidScope(f"{name} needs a value, as in {name}:....")
    return values[0] if values else None


RESTRICTIONS: tuple[type[Restriction], ...] = (
    ReadProtected,
    Permissions,
    ForProcessor,
    ExpiresIn,
    ConnectionIntact,
    LookbackDays,
    MaxReads,
)
"""Checked in this order; those that write a count come last, so that a refused read is not counted."""

COLUMNS = {column: type_ for each in RESTRICTIONS for column, type_ in each.columns.items()}
"""What the restrictions store with a code and with its token, with the types of the columns."""
CODE_COLUMNS = COLUMNS | {
    column: type_ for each in RESTRICTIONS for column, type_ in each.code_columns.items()
}
"""What they store with a code."""
