"""Restrictions: what limits the reads of a token. One class for each; `RESTRICTIONS` lists them.

A restriction is given in the scope (`parse`, `atoms`), stored with the code and copied to the token (`stored`), and
enforced by the statement that exchanges (`expires`) and by the one that reads (`permits`, `narrows`, `admits`).

To add one, write its class, add it to `RESTRICTIONS` and, if it stores anything, write a migration that adds its
columns to `authorization_code`, `access_token` and the view `live_token`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self

from coatcheck.errors import InsufficientScope, InvalidScope, Refusal


class ReadKind(StrEnum):
    """A kind of data that a token reads. Its value is stored in the disclosure."""

    NUMBERS = "ACCOUNT_NUMBERS"
    OWNERS = "ACCOUNT_OWNERS"
    TRANSACTIONS = "TRANSACTIONS"
    BALANCES = "BALANCES"


class Restriction(ABC):
    """One limit on what a token reads. The SQL that it gives fails closed: NULL permits nothing."""

    atom: ClassVar[str]
    """Its name in the scope, without a colon."""
    columns: ClassVar[tuple[str, ...]] = ()
    """What it stores: columns of `authorization_code`, `access_token` and `live_token`."""
    expires: ClassVar[str | None] = None
    """An instant over `code`, a row of `authorization_code`, at which its token expires at the latest."""
    refusal: ClassVar[type[Refusal]] = InsufficientScope
    """Raised when it does not permit or does not admit a read."""

    @classmethod
    @abstractmethod
    def parse(cls, atoms: Mapping[str, Sequence[str]]) -> Self:
        """Reads it from the atoms of a scope: by name, what follows the colon of each atom, or `""`.

        Raises:
            InvalidScope: its atom has a value that it does not take, or contradicts another atom.
        """

    @abstractmethod
    def atoms(self) -> Sequence[str]:
        """The atoms that `parse` reads it from."""

    @abstractmethod
    def stored(self) -> Mapping[str, object]:
        """The values of `columns`."""

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (used where it is overridden)
        """A condition over `token`, a row of `live_token`: the token may read this kind. None: it always may."""
        return None

    @classmethod
    def narrows(cls, kind: ReadKind) -> str | None:  # noqa: ARG003 (used where it is overridden)
        """A condition over `n`, a row of this kind: the token reads the row. None: it reads every row.

        The condition can query `admitted`, which has one row: the token's guids and `columns`.
        """
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
    columns = ("reads_protected",)

    @classmethod
    def parse(cls, atoms: Mapping[str, Sequence[str]]) -> Self:
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
        return "token.reads_protected" if kind in {ReadKind.NUMBERS, ReadKind.OWNERS} else None


RESTRICTIONS: tuple[type[Restriction], ...] = (ReadProtected,)
"""Checked in this order; those that write a count come last, so that a refused read is not counted."""

COLUMNS = tuple(column for each in RESTRICTIONS for column in each.columns)
"""What the restrictions store with a code and with its token."""
