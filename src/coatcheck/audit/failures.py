"""Failed authentications in the audit log: who tried, from where, and how often more.

An attacker can fail as often as the network allows. So each process records at most `MAX_OF_CALLER` failures of one id
and address and `MAX_PER_PERIOD` in all in each `PERIOD`; the others are counted, and the next entry has their number.
"""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

from coatcheck.audit.entries import Entry, request_detail
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Database
from coatcheck.errors import Unavailable
from coatcheck.request_context import current_request

MAX_OF_CALLER = 3
MAX_PER_PERIOD = 60
PERIOD = timedelta(minutes=1)
GUID = re.compile(r"(?:CLT|PPR)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UNKNOWN = "unknown"


class FailedAuthentications:
    """Records failed authentications, in a transaction of their own."""

    def __init__(self, clock: Clock, db: Database, journal: Journal) -> None:
        self._clock = clock
        self._db = db
        self._journal = journal
        self._since = datetime.min.replace(tzinfo=UTC)
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._suppressed = 0

    async def record(self, claimed: str, credential: str) -> None:
        """Records a failure, or counts it. It raises nothing: the request is refused all the same.

        Args:
            claimed: the id that the caller gave. Anything but a guid is not recorded: it may be a secret or a name.
            credential: what failed, such as `api_key`.
        """
        # Users type passwords into the field of the name.
        caller = claimed if GUID.fullmatch(claimed) else UNKNOWN
        if self._exceeds(caller, current_request.get().address):
            self._suppressed += 1
            return
        detail = {"credential": credential, **request_detail()}
        suppressed, self._suppressed = self._suppressed, 0
        if suppressed:
            detail["suppressed"] = str(suppressed)
        entry = Entry(actor=caller, action="authentication.failed", subject=caller, detail=detail)
        try:
            # In no transaction of the request, which is rolled back.
            async with self._db.connection() as connection:
                await self._journal.record(connection, entry)
        # The request is refused without the database too. What was not recorded is counted for the next entry.
        except Unavailable:
            self._suppressed += suppressed + 1

    def _exceeds(self, caller: str, address: str | None) -> bool:
        now = self._clock.instant()
        # The counts are bounded by `MAX_PER_PERIOD`, whatever an attacker sends: beyond it no caller is added.
        if now - self._since >= PERIOD:
            self._since = now
            self._counts.clear()
        if self._counts.total() >= MAX_PER_PERIOD or self._counts[caller, address] >= MAX_OF_CALLER:
            return True
        self._counts[caller, address] += 1
        return False
