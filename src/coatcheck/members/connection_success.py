"""How often the connections of a client's users succeed at each institution.

An attempt is a job that ended while the user or the client waited for it: daily aggregations are left out, because they
would hide how new connections fare. It succeeded if the member was connected after it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck.db.database import Connection, fetch_all
from coatcheck.model.statuses import ConnectionStatus


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts at one institution."""

    by_outcome: Counter[str] = field(default_factory=Counter)
    """By the connection status of the member after the job."""

    @property
    def total(self) -> int:
        return self.by_outcome.total()

    @property
    def succeeded(self) -> int:
        return self.by_outcome[ConnectionStatus.CONNECTED]

    @property
    def percent(self) -> int | None:
        """How many of 100 succeeded, rounded down, so that 100 means all. None: nobody tried."""
        return 100 * self.succeeded // self.total if self.total else None


@dataclass(frozen=True, slots=True)
class _Row:
    institution_code: str
    outcome: str
    jobs: int


async def attempts_by_institution(
    connection: Connection, client_guid: str, since: datetime
) -> Mapping[str, Attempts]:
    """The attempts that ended since then, by the code of the institution. Cancelled jobs are left out."""
    rows = await fetch_all(
        connection,
        _Row,
        """SELECT institution_code, outcome, count(*) AS jobs FROM member_job
           WHERE state = 'ended' AND ended_at >= %(since)s AND client_guid = %(client_guid)s
             AND NOT is_background AND outcome IS NOT NULL
           GROUP BY institution_code, outcome""",
        {"client_guid": client_guid, "since": since},
    )
    found: dict[str, Attempts] = {}
    for row in rows:
        found.setdefault(row.institution_code, Attempts()).by_outcome[row.outcome] = row.jobs
    return found
