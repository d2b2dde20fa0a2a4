"""Why a code was refused: for the operator and for the code's client.

The caller does not learn the reason: it could test which codes exist and which were redeemed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from coatcheck.audit.entries import Entry, request_detail
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection
from coatcheck.events.catalogue import Announcement, EventType

MAX_PER_PERIOD = 60
"""Refusals of one processor that one server process records in a period. The log contains all of them."""
PERIOD = timedelta(minutes=1)


class RefusalReason(StrEnum):
    """The first condition that failed."""

    MALFORMED = "malformed"
    """The text cannot be a code."""
    UNKNOWN = "unknown"
    """No such code was issued, or it expired more than a month ago."""
    RETRIED = "retried"
    """This processor redeemed it in the last 10 seconds: a race or a retry, so the token stays."""
    REDEEMED = "redeemed"
    """If this processor redeemed it, the token was revoked, unless `on_code_reuse` is `reject`."""
    OTHER_PROCESSOR = "other_processor"
    """The client issued the code for another processor."""
    NOT_ENABLED = "processor_not_enabled"
    """The operator has not enabled the processor for the code's client."""
    CLIENT_DISABLED = "client_disabled"
    USER_DELETED = "user_deleted"
    USER_DISABLED = "user_disabled"
    GRANT_ENDED = "grant_ended"
    """The code renews a grant that was revoked or renewed meanwhile."""
    WRONG_VERIFIER = "wrong_verifier"
    """The code has a code_challenge and the verifier does not fit it or is missing; or the reverse."""
    EXPIRED = "expired"
    """Or ended by a revocation, or older than the profile `fapi2` of the processor permits."""
    CHANGED = "changed"
    """No condition fails any more: it changed between the exchange and the explanation."""


NEVER_REDEEMABLE = frozenset(
    {RefusalReason.MALFORMED, RefusalReason.UNKNOWN, RefusalReason.OTHER_PROCESSOR, RefusalReason.NOT_ENABLED}
)
"""Reasons for which the processor could not have redeemed the code at any time, as if it had been guessed or stolen."""

REASON = f"""
    CASE WHEN token.processor_guid = %(processor_guid)s AND token.created_at >= %(race_since)s
         THEN '{RefusalReason.RETRIED}'
         WHEN token.guid IS NOT NULL THEN '{RefusalReason.REDEEMED}'
         WHEN code.code_hash IS NULL THEN '{RefusalReason.UNKNOWN}'
         WHEN code.processor_guid <> %(processor_guid)s THEN '{RefusalReason.OTHER_PROCESSOR}'
         WHEN NOT EXISTS (SELECT FROM client_processor cp
                          WHERE cp.client_guid = code.client_guid AND cp.processor_guid = %(processor_guid)s)
         THEN '{RefusalReason.NOT_ENABLED}'
         WHEN NOT EXISTS (SELECT FROM client c WHERE c.guid = code.client_guid AND NOT c.is_disabled)
         THEN '{RefusalReason.CLIENT_DISABLED}'
         WHEN NOT EXISTS (SELECT FROM end_user u WHERE u.guid = code.user_guid)
         THEN '{RefusalReason.USER_DELETED}'
         WHEN NOT EXISTS (SELECT FROM end_user u WHERE u.guid = code.user_guid AND NOT u.is_disabled)
         THEN '{RefusalReason.USER_DISABLED}'
         WHEN code.renews_hash IS NOT NULL AND NOT EXISTS (
                  SELECT FROM access_token old WHERE old.expires_week = code.renews_week
                  AND old.token_hash = code.renews_hash AND old.revoked_at IS NULL)
         THEN '{RefusalReason.GRANT_ENDED}'
         WHEN code.code_challenge IS DISTINCT FROM %(code_challenge)s THEN '{RefusalReason.WRONG_VERIFIER}'
         WHEN code.expires_at <= %(now)s OR code.created_at <= %(fapi2_since)s AND EXISTS (
                  SELECT FROM processor p WHERE p.guid = %(processor_guid)s AND p.profile = 'fapi2')
         THEN '{RefusalReason.EXPIRED}'
         ELSE '{RefusalReason.CHANGED}' END"""
"""A fragment: the reason, over `code`, which is NULL if it is unknown or redeemed, and `token`, for which it was."""


class RecordingLimit:
    """Counts the refusals of each processor: at most `MAX_PER_PERIOD` in each `PERIOD` are recorded.

    Without the limit, a processor that repeats a refused request in a loop would fill the audit log. Each process
    counts for itself: two servers record twice as many.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = datetime.min.replace(tzinfo=UTC)
        # Only processors that exist are counted, so neither dictionary grows without end.
        self._counts: dict[str, int] = {}
        self._suppressed: dict[str, int] = {}

    def admit(self, processor_guid: str) -> Mapping[str, str] | None:
        """Counts one more refusal. Returns members for the detail of its entry, or None if there are too many.

        The members are the request and, as `suppressed`, how many refusals were not recorded since the last entry.
        """
        now = self._clock.instant()
        if now - self._since >= PERIOD:
            self._since, self._counts = now, {}
        self._counts[processor_guid] = self._counts.get(processor_guid, 0) + 1
        if self._counts[processor_guid] > MAX_PER_PERIOD:
            self._suppressed[processor_guid] = self._suppressed.get(processor_guid, 0) + 1
            return None
        # Not cleared with the period: the next entry counts all since the last one, however long ago.
        suppressed = self._suppressed.pop(processor_guid, 0)
        return request_detail() | ({"suppressed": str(suppressed)} if suppressed else {})


class Refusals:
    """Records refused exchanges in the audit log, up to the `RecordingLimit`."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._limit = RecordingLimit(clock)

    async def record(
        self,
        connection: Connection,
        *,
        processor_guid: str,
        reason: RefusalReason,
        client_guid: str | None,
        account_guid: str | None,
    ) -> None:
        """Records a refusal in the log of the code's client, or of the operator if the code is unknown.

        Args:
            connection: the caller's connection.
            processor_guid: who presented the code; it is authenticated.
            reason: the condition that failed.
            client_guid: whose code it is, if it is known.
            account_guid: what the code is for, if it is known; otherwise the entry is about the processor.
        """
        detail = self._limit.admit(processor_guid)
        if detail is None:
            return
        await self._journal.record(
            connection,
            Entry(
                client_guid=client_guid,
                actor=processor_guid,
                action="code.refused",
                subject=account_guid or processor_guid,
                detail={"reason": reason, **detail},
            ),
            _refused(processor_guid, reason, client_guid, account_guid),
        )


def _refused(
    processor_guid: str, reason: RefusalReason, client_guid: str | None, account_guid: str | None
) -> Announcement | None:
    """The event for the client of the code, if the code is known."""
    if client_guid is None or account_guid is None:
        return None
    return Announcement(
        type=EventType.CODE_REFUSED,
        owner_guid=client_guid,
        data={"account_guid": account_guid, "processor_guid": processor_guid, "reason": reason.value},
    )
