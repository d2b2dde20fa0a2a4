"""What is kept of a member: its access URL, and how often it was read today."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

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

    def requests_on(self, day: date) -> int:
        return self.requests if self.day == day.isoformat() else 0

    def counted(self, now: datetime) -> "AccessState":
        """With one more request."""
        return replace(self, day=now.date().isoformat(), requests=self.requests_on(now.date()) + 1)

    def encode(self) -> bytes:
        values = {
            "access_url": self.access_url,
            "day": self.day,
            "requests": self.requests,
            "not_before": self.not_before,
        }
        # Only if there are any: a worker of an earlier version does not know the field.
        return json.dumps(values | ({"shared_ids": [*self.shared_ids]} if self.shared_ids else {})).encode()

    @classmethod
    def decode(cls, state: bytes) -> "AccessState":
        try:
            return cls(**json.loads(state))
        except (ValueError, TypeError):
            raise BankDataUnusable("The state of the member cannot be read.") from None
