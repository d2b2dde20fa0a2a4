"""What a code or a token may read, as MX's scope string.

    user-guid:USR-... member-guid:MBR-... account-guid:ACT-... read-protected

The atoms are a set: their order has no meaning (RFC 6749 3.3). All three guids are required. The other atoms belong to
the restrictions; each of those is given once, except `read:`. `write-protected` is accepted and has no effect (MX's
documentation names it without a meaning).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from coatcheck.errors import InvalidScope
from coatcheck.grants.restrictions import RESTRICTIONS, Restriction

GUIDS = ("user-guid", "member-guid", "account-guid")
WITHOUT_EFFECT = frozenset({"write-protected"})
MAX_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Scope:
    user_guid: str
    member_guid: str
    account_guid: str
    restrictions: Sequence[Restriction]
    """A restriction that is not in the list has the value that its `parse` returns for a scope without its atom."""

    def __str__(self) -> str:
        guids = f"user-guid:{self.user_guid} member-guid:{self.member_guid} account-guid:{self.account_guid}"
        return f"{guids}{self.atoms}"

    @property
    def atoms(self) -> str:
        """What follows the guids: each atom of a restriction after a space."""
        return "".join(f" {atom}" for atom in chain.from_iterable(each.atoms() for each in self.restrictions))

    @property
    def guids(self) -> tuple[str, str, str]:
        """Of the user, the member and the account."""
        return self.user_guid, self.member_guid, self.account_guid

    def replacing(self, *restrictions: Restriction) -> "Scope":
        """The scope with these restrictions in place of those of the same kind."""
        given = {type(each): each for each in (*self.restrictions, *restrictions)}
        return replace(self, restrictions=[given[kind] for kind in RESTRICTIONS if kind in given])

    def stored(self) -> Mapping[str, object]:
        """The columns of every restriction, `CODE_COLUMNS`, with their values."""
        given = {type(each): each for each in self.restrictions}
        return {
            column: value
            for kind in RESTRICTIONS
            for column, value in (given.get(kind) or kind.parse({})).stored().items()
        }


def scope_of(row: str) -> str:
    """The scope of a code or of a token, SQL over its row. The guids have columns of their own; `atoms` is the rest."""
    return (
        f"'user-guid:' || {row}.user_guid || ' member-guid:' || {row}.member_guid"
        f" || ' account-guid:' || {row}.account_guid || {row}.atoms"
    )


def parse_scope(text: str | None) -> Scope:
    """Reads a scope string. Atoms are case-sensitive.

    Raises:
        InvalidScope: an atom is unknown, missing, invalid, or repeated with another value.
    """
    if not text or len(text) > MAX_CHARACTERS:
        raise InvalidScope
    known = {*GUIDS, *(kind.atom for kind in RESTRICTIONS if kind.atom)}
    found: defaultdict[str, list[str]] = defaultdict(list)
    # Spaces only: RFC 6749 3.3 knows no other separator, and `split()` takes those of every script.
    for atom in text.split(" "):
        if atom in WITHOUT_EFFECT or not atom:
            continue
        name, _, value = atom.partition(":")
        # An atom without its value is not the atom: `read-protected:` could be a mistyped longer one.
        if name not in known or atom.endswith(":"):
            raise InvalidScope(f"The scope contains an unknown atom. Known are {', '.join(sorted(known))}.")
        found[name].append(value)
    if missing := [name for name in GUIDS if not any(found[name])]:
        raise InvalidScope(f"The scope has no {', '.join(missing)}.")
    user_guid, member_guid, account_guid = (_only(found, name) for name in GUIDS)
    return Scope(user_guid, member_guid, account_guid, [kind.parse(found) for kind in RESTRICTIONS])


def _only(found: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of an atom, which may be repeated with the same value."""
    value, *others = set(found[name])
    if others:
        raise InvalidScope(f"The scope has more than one {name}.")
    return value
