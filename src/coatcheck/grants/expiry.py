"""Announces what time causes: a grant that expires in a week, a grant that expired, a code that nobody redeemed.

`announced_expiry` has the instant until which everything was announced. One transaction announces what fell due since
then and moves the instant, so that each event is announced once, in the order of the due times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one, run
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.grants.announcements import AnnouncedGrant, about_grants

NOTICE = timedelta(days=7)
"""How long before its expiry `token.expiring` is announced for a grant."""
BATCH = 500

# Three ranges of one index each. That of the codes has those with `expires_at > created_at`, which leaves out the codes
# that a revocation ended. A grant that was issued or narrowed to less than `NOTICE` has passed its notice.
FALLEN_DUE = f"""
SELECT {{columns}} FROM (
    SELECT '{EventType.TOKEN_EXPIRING}' AS type, t.expires_at - %(notice)s AS due_at, {columns(AnnouncedGrant, "t.")}
    FROM access_token t
    WHERE t.expires_at > %(after)s + %(notice)s AND t.expires_at <= %(until)s + %(notice)s AND t.revoked_at IS NULL
      AND t.created_at <= t.expires_at - %(notice)s
    UNION ALL
    SELECT '{EventType.TOKEN_EXPIRED}', t.expires_at, {columns(AnnouncedGrant, "t.")}
    FROM access_token t
    WHERE t.expires_at > %(after)s AND t.expires_at <= %(until)s AND t.revoked_at IS NULL
    UNION ALL
    SELECT '{EventType.CODE_EXPIRED}', c.expires_at, '', c.client_guid, coalesce(c.processor_guid, ''), c.user_guid,
           c.member_guid, c.account_guid, c.expires_at
    FROM authorization_code c
    WHERE c.expires_at > %(after)s AND c.expires_at <= %(until)s AND c.expires_at > c.created_at
) AS fallen_due
"""


@dataclass(frozen=True, slots=True)
class _FallenDue(AnnouncedGrant):
    """A grant, or a code: its `guid` is empty, and its `processor_guid` too if any processor may redeem it."""

    type: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


ANNOUNCED = "SELECT until AS at FROM announced_expiry"
NEXT_EXPIRY = f"""
    SELECT least(
        (SELECT min(t.expires_at) - %(notice)s FROM access_token t
         WHERE t.expires_at > a.at + %(notice)s AND t.revoked_at IS NULL
           AND t.created_at <= t.expires_at - %(notice)s),
        (SELECT min(t.expires_at) FROM access_token t WHERE t.expires_at > a.at AND t.revoked_at IS NULL),
        (SELECT min(c.expires_at) FROM authorization_code c
         WHERE c.expires_at > a.at AND c.expires_at > c.created_at)
    ) FROM ({ANNOUNCED}) AS a"""
"""When the next grant or code falls due to be announced, or fell. The parameter `notice` is `NOTICE`."""


class ExpiryAnnouncer:
    def __init__(self, clock: Clock, db: Database, journal: Journal) -> None:
        self._clock = clock
        self._db = db
        self._journal = journal

    async def sweep(self) -> None:
        """Announces everything that has fallen due, in batches."""
        while await self._announce_batch():
            pass

    async def _announce_batch(self) -> bool:
        """Returns whether there may be more."""
        now = self._clock.instant()
        async with self._db.transaction() as connection:
            # Another worker that announces at the moment does all there is to do.
            announced = await fetch_one(connection, _Moment, f"{ANNOUNCED} FOR UPDATE SKIP LOCKED")
            if announced is None or announced.at is None or announced.at >= now:
                return False
            found = await _fallen_due(connection, after=announced.at, until=now)
            await self._journal.announce(connection, *(each for due in found for each in _about(due)))
            # After a full batch there may be more before `now`: the next one begins where this one ended.
            is_full = len(found) >= BATCH
            await run(
                connection,
                "UPDATE announced_expiry SET until = %(until)s",
                {"until": found[-1].due_at if is_full else now},
            )
        return is_full


async def _fallen_due(connection: Connection, *, after: datetime, until: datetime) -> Sequence[_FallenDue]:
    """At least `BATCH` in the order of the due times, if there are as many: those due at one instant stay together."""
    statement = FALLEN_DUE.format(columns=columns(_FallenDue))
    return await fetch_all(
        connection,
        _FallenDue,
        f"{statement} ORDER BY due_at FETCH FIRST {BATCH} ROWS WITH TIES",
        {"after": after, "until": until, "notice": NOTICE},
    )


def _about(due: _FallenDue) -> list[Announcement]:
    if due.type == EventType.CODE_EXPIRED:
        data = {
            "account_guid": due.account_guid,
            "member_guid": due.member_guid,
            "user_guid": due.user_guid,
            "processor_guid": due.processor_guid or None,
        }
        return [
            Announcement(
                type=EventType.CODE_EXPIRED, owner_guid=due.client_guid, data=data, due_at=due.due_at
            )
        ]
    return about_grants(EventType(due.type), [due], due_at=due.due_at)
