"""What is kept of a member: its access URL, and how often it was read today."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date, datetime
from hashlib import sha256

from coatcheck.errors import BankDataUnusable


@dataclass(frozen=True, slots=True)
class AccessState:
    access_url: str | None = field(default=None, repr=False)
    """None: the claim was refused. It is not tried again."""
    day: str = ""
    """The day, in UTC, to which `requests` belongs."""
    requests: int = 0
    not_before: float = 0
    """Seconds since 1970: the server asked not to be called earlier."""
    shared_ids: Sequence[str] = ()
    """Ids that accounts of several connections have had. An id is unique within its connection only."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """The connection of each id that one account alone had, or had until another one came. Both are digests."""

    def requests_on(self, day: date) -> int:
        return self.requests if self.day == day.isoformat() else 0

    def counted(self, now: datetime) -> "AccessState":
        """With one more request."""
        return replace(self, day=now.date().isoformat(), requests=self.requests_on(now.date()) + 1)

    def with_connections(self, connections: Mapping[str, Collection[str]]) -> "AccessState":
        """After an answer that lists accounts.

        Args:
            connections: those of the accounts with each id.
        """
        shared = {*self.shared_ids} | {id for id, found in connections.items() if len(found) > 1}
        alone = {_digest(id): _digest(*found) for id, found in connections.items() if id not in shared}
        kept = {_digest(id) for id in shared}
        before = {id: connection for id, connection in self.owners.items() if id in kept}
        return replace(self, shared_ids=sorted(shared), owners=before | alone)

    def id_of(self, id: str, connection: str) -> str:
        """The id of an account among all accounts of the access."""
        if id not in self.shared_ids or self.owners.get(_digest(id)) == _digest(connection):
            return id
        return f"{connection}/{id}"

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, state: bytes) -> "AccessState":
        known = {each.name for each in fields(cls)}
        try:
            # A worker of a later version may have written more.
            return cls(**{name: value for name, value in json.loads(state).items() if name in known})
        except (ValueError, TypeError, AttributeError):
            raise BankDataUnusable("The state of the member cannot be read.") from None


def _digest(text: str) -> str:
    """What tells a text from others. A thousand ids with their connections would exceed the size of a state."""
    return sha256(text.encode()).hexdigest()[:12]
