"""Sends events to the clients' webhooks.

    claim (the row's lease) --> POST, outside any transaction --> save the outcome, if no later attempt has begun
      2xx             delivered
      410             given up: the receiver is gone for good
      anything else   retried after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h, then given up

A claim counts an attempt and moves `next_attempt_at` past the longest time that an attempt can take. Two workers
therefore never send the same attempt, and when a worker dies, the delivery becomes due again.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version

import httpx
import structlog

from coatcheck import metrics
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one, run
from coatcheck.errors import InvalidRequest, OperatorError
from coatcheck.events.signing import signature_headers, signing_secret
from coatcheck.events.ssrf import check_url, public_only, resolve
from coatcheck.vault.vault import Vault

log = structlog.get_logger(__name__)

WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
)
"""The waits between attempts: 8 attempts over 31 hours (Standard Webhooks; MX: 13 over 24 hours)."""
JITTER = 0.1
"""Each wait is longer by up to this share, so that events that failed together are not retried together."""
TIMEOUT = timedelta(seconds=15)
"""Covers everything from the look-up of the host to the status of the answer. It is shorter than `LEASE`."""
LEASE = timedelta(seconds=60)
"""How long a claimed delivery belongs to its worker."""
RETENTION = timedelta(days=30)
"""How long an event can be looked up."""
GONE = 410
SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed delivery."""

    guid: str
    client_guid: str
    payload: str
    callback_payload: str | None
    webhook_url: str | None
    is_disabled: bool
    attempts: int
    """The number of attempts, including this one."""


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


class Deliverer:
    def __init__(self, settings: Settings, clock: Clock, db: Database, vault: Vault) -> None:
        self._allow_private = settings.webhook_allow_private
        self._clock = clock
        self._db = db
        self._vault = vault

    async def claim(self, limit: int) -> Sequence[Attempt]:
        """Claims deliveries that are due, beginning with those that have been due for the longest time."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            return await fetch_all(
                connection,
                Attempt,
                # SKIP LOCKED: workers that claim at once get different rows and do not wait for each other.
                f"""WITH due AS (
                        SELECT event_guid FROM delivery WHERE next_attempt_at <= %(now)s
                        ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
                    ), claimed AS (
                        UPDATE delivery d SET attempts = attempts + 1, next_attempt_at = %(until)s FROM due
                        WHERE d.event_guid = due.event_guid RETURNING d.event_guid, d.attempts
                    )
                    SELECT {columns(Attempt)} FROM (
                        SELECT e.guid, e.client_guid, e.payload, e.callback_payload, d.attempts,
                               c.webhook_url, c.is_disabled
                        FROM claimed d JOIN event e ON e.guid = d.event_guid
                        JOIN client c ON c.guid = e.client_guid
                    ) AS attempt ORDER BY guid""",
                {"now": now, "until": now + LEASE, "limit": limit},
            )

    async def deliver(self, attempt: Attempt) -> None:
        """Makes a claimed attempt and saves its outcome. It raises no error for a failure of the receiver."""
        status, answer = await self._try(attempt)
        is_delivered = 200 <= status < 300
        has_ended = is_delivered or status == GONE
        wait = None if has_ended else wait_after(attempt.attempts, attempt.guid)
        await self._save(attempt, answer, is_delivered=is_delivered, wait=wait)

    async def sweep(self) -> None:
        """Deletes events that are older than `RETENTION`, in batches."""
        async with self._db.transaction() as connection:
            await run(
                connection,
                """DELETE FROM event WHERE guid IN (
                       SELECT guid FROM event WHERE created_at < %(before)s ORDER BY created_at LIMIT %(batch)s)""",
                {"before": self._clock.now() - RETENTION, "batch": SWEEP_BATCH},
            )

    async def _try(self, attempt: Attempt) -> tuple[int, str]:
        """The status of the answer, 0 where there was none, and the text to save about it."""
        if attempt.webhook_url is None or attempt.is_disabled:
            return GONE, "no receiver"  # ends the delivery, like a 410 of the receiver
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                status = await self._post(attempt, attempt.webhook_url)
        except InvalidRequest as refusal:
            return 0, refusal.problem
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OperatorError) as error:
            # An operator error, such as a secret that does not open, must count as an attempt, or it never ends.
            return 0, type(error).__name__
        return status, str(status)

    async def _post(self, attempt: Attempt, url: str) -> int:
        """The status of the answer; its body is never read.

        Raises:
            InvalidRequest: webhooks may not be sent to this address.
            httpx.HTTPError: there was no answer.
        """
        async with self._db.transaction() as connection:
            secret = await signing_secret(
                connection, self._vault, attempt.client_guid, reader_guid=attempt.guid
            )
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": f"Coatcheck/{version('coatcheck')}",
            **signature_headers(secret, attempt.guid, attempt.payload, self._clock.now()),
        }
        if attempt.callback_payload is not None:
            headers["x-callback-payload"] = _one_line(attempt.callback_payload)
        checked = check_url(url, allow_private=self._allow_private)
        if not self._allow_private:
            await resolve(checked)
        # A proxy from the environment would resolve the host itself, and a redirect leads to another URL: both would
        # avoid the checks of the address.
        client = httpx.AsyncClient(
            verify=_tls(), timeout=TIMEOUT.total_seconds(), follow_redirects=False, trust_env=False
        )
        body = attempt.payload.encode()
        async with (
            client if self._allow_private else public_only(client),
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            return response.status_code

    async def _save(
        self, attempt: Attempt, answer: str, *, is_delivered: bool, wait: timedelta | None
    ) -> None:
        """Saves the outcome of the attempt, unless a later attempt has begun."""
        now = self._clock.now()
        # The number of attempts is a fencing token: after the lease ended, another worker's claim has increased it.
        async with self._db.connection() as connection:
            await run(
                connection,
                """UPDATE delivery SET next_attempt_at = %(next)s, delivered_at = %(delivered_at)s,
                                       gave_up_at = %(gave_up_at)s, last_answer = %(answer)s
                   WHERE event_guid = %(guid)s AND attempts = %(attempts)s""",
                {
                    "guid": attempt.guid,
                    "attempts": attempt.attempts,
                    "next": None if wait is None else now + wait,
                    "delivered_at": now if is_delivered else None,
                    "gave_up_at": None if is_delivered or wait is not None else now,
                    "answer": answer,
                },
            )
        log.info(
            "webhook.attempted",
            event_guid=attempt.guid,
            client_guid=attempt.client_guid,
            attempt=attempt.attempts,
            result=answer,
            is_delivered=is_delivered,
        )
        result = "delivered" if is_delivered else "gave_up" if wait is None else "failed"
        metrics.WEBHOOKS.labels(result).inc()


async def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """When the delivery that has been due for the longest time became due."""
    found = await fetch_one(
        connection,
        _Moment,
        "SELECT min(next_attempt_at) AS at FROM delivery WHERE next_attempt_at <= %(now)s",
        {"now": now},
    )
    return found.at if found else None


async def next_attempt(connection: Connection) -> datetime | None:
    """When the next delivery is due, or was."""
    found = await fetch_one(connection, _Moment, "SELECT min(next_attempt_at) AS at FROM delivery")
    return found.at if found else None


async def count_events(connection: Connection, since: datetime) -> int:
    """How many events have happened since."""
    cursor = await connection.execute(
        "SELECT count(*) FROM event WHERE created_at >= %(since)s", {"since": since}
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


def wait_after(attempts: int, event_guid: str) -> timedelta | None:
    """How long to wait after so many failed attempts, in whole seconds; None to give up."""
    if attempts > len(WAITS):
        return None
    # A guid ends in random digits: jitter that needs no state and can be tested.
    share = int(event_guid[-4:], 16) / 0x10000
    return timedelta(seconds=round(WAITS[attempts - 1].total_seconds() * (1 + JITTER * share)))


def _one_line(text: str) -> str:
    """The printable ASCII of the text, which is all that a header may contain."""
    return "".join(character for character in text if character.isascii() and character.isprintable())


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
