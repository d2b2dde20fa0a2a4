"""What a code or a token may reach, read from and written as MX's scope string.

    user-guid:USR-... member-guid:MBR-... account-guid:ACT-... read-protected

The order says nothing. All three guids are required; `read-protected` opens full numbers and owners;
`write-protected` is accepted and opens nothing (mx-contract Q12, Q13).
"""

from dataclasses import dataclass

from coatcheck.errors import InvalidScope

GUIDS = ("user-guid", "member-guid", "account-guid")
READ_PROTECTED = "read-protected"
INERT = frozenset({"write-protected"})
MAX_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Scope:
    user_guid: str
    member_guid: str
    account_guid: str
    reads_protected: bool

    def __str__(self) -> str:
        guids = f"user-guid:{self.user_guid} member-guid:{self.member_guid} account-guid:{self.account_guid}"
        return f"{guids} {READ_PROTECTED}" if self.reads_protected else guids


def parse_scope(text: str | None) -> Scope:
    """Reads a scope string (RFC 6749 3.3: a set, case-sensitive).

    Raises:
        InvalidScope: an atom is unknown, repeated with another value, or missing.
    """
    if not text or len(text) > MAX_CHARACTERS:
        raise InvalidScope
    found: dict[str, str] = {}
    for atom in text.split(" "):
        name, _, value = atom.partition(":")
        if atom in INERT or not atom:
            continue
        if not (name in GUIDS and value) and atom != READ_PROTECTED:
            raise InvalidScope("The scope holds something unknown.")
        if found.setdefault(name, value) != value:
            raise InvalidScope(f"The scope names more than one {name}.")
    if missing := [name for name in GUIDS if name not in found]:
        raise InvalidScope(f"The scope misses {', '.join(missing)}.")
    return Scope(
        user_guid=found["user-guid"],
        member_guid=found["member-guid"],
        account_guid=found["account-guid"],
        reads_protected=READ_PROTECTED in found,
    )
