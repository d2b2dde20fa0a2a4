"""Delivering: an event goes out until it arrives, is told to stop, or has been tried often enough.

    claim (one conditional UPDATE) -> POST, outside any transaction -> settle
      2xx               delivered
      410               given up: the receiver wants no more of it
      anything else     tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h, then given up

The claim moves `next_attempt_at` past the longest an attempt can take. Two workers therefore never send the same
attempt, and a worker that dies in one leaves it to the sweep.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import version

import httpx
import structlog

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Database, columns, fetch_all, fetch_one, run
from coatcheck.errors import InvalidRequest
from coatcheck.events.signing import signature_headers, signing_secret
from coatcheck.events.ssrf import check_url, public_only, resolve
from coatcheck.jobs.queue import Jobs, TaskKind
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
"""Between one attempt and the next: 8 attempts over 31 hours (Standard Webhooks; MX: 13 over 24 hours)."""
SPREAD = 0.1
"""Up to this much longer, so that the events of one moment do not all come back at one moment."""
TIMEOUT = timedelta(seconds=15)
"""From looking the host up until the answer's status is read."""
CLAIM = timedelta(seconds=60)
KEPT = timedelta(days=30)
"""How long an event can be looked up."""
GONE = 410
SWEEP = 500


@dataclass(frozen=True, slots=True)
class _Attempt:
    guid: str
    client_guid: str
    payload: str
    callback_payload: str | None
    webhook_url: str | None
    is_disabled: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class _Due:
    event_guid: str


class Deliverer:
    def __init__(self, settings: Settings, clock: Clock, db: Database, vault: Vault, jobs: Jobs) -> None:
        self._allow_private = settings.webhook_allow_private
        self._clock = clock
        self._db = db
        self._vault = vault
        self._jobs = jobs

    async def deliver(self, event_guid: str) -> None:
        """One attempt, if one is due; otherwise nothing. It never raises for what the receiver does."""
        attempt = await self._claim(event_guid)
        if attempt is None:
            return
        status, answer = await self._try(attempt)
        is_delivered = 200 <= status < 300
        has_ended = is_delivered or status == GONE
        wait = None if has_ended else wait_after(attempt.attempts, attempt.guid)
        await self._settle(attempt, answer, is_delivered=is_delivered, wait=wait)

    async def sweep(self) -> None:
        """Wakes what is due and was never woken; removes events that are old enough."""
        now = self._clock.now()
        async with self._db.transaction() as connection:
            due = await fetch_all(
                connection,
                _Due,
                """SELECT event_guid FROM delivery WHERE next_attempt_at <= %(late)s
                   ORDER BY next_attempt_at LIMIT %(sweep)s""",
                {"late": now - CLAIM, "sweep": SWEEP},
            )
            for delivery in due:
                await self._jobs.wake(connection, TaskKind.DELIVERY, delivery.event_guid, once=True)
            await run(
                connection,
                """DELETE FROM event WHERE guid IN (
                       SELECT guid FROM event WHERE created_at < %(old)s LIMIT %(sweep)s)""",
                {"old": now - KEPT, "sweep": SWEEP},
            )

    async def _claim(self, event_guid: str) -> _Attempt | None:
        now = self._clock.now()
        async with self._db.connection() as connection:
            return await fetch_one(
                connection,
                _Attempt,
                f"""WITH claimed AS (
                        UPDATE delivery SET attempts = attempts + 1, next_attempt_at = %(until)s
                        WHERE event_guid = %(guid)s AND next_attempt_at <= %(now)s
                        RETURNING event_guid, attempts
                    )
                    SELECT {columns(_Attempt)} FROM (
                        SELECT e.guid, e.client_guid, e.payload, e.callback_payload, d.attempts,
                               c.webhook_url, c.is_disabled
                        FROM claimed d JOIN event e ON e.guid = d.event_guid
                        JOIN client c ON c.guid = e.client_guid
                    ) AS attempt""",
                {"guid": event_guid, "now": now, "until": now + CLAIM},
            )

    async def _try(self, attempt: _Attempt) -> tuple[int, str]:
        """The answer's status, 0 for none, and what to write down about it."""
        if attempt.webhook_url is None or attempt.is_disabled:
            return GONE, "no receiver"
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                status = await self._post(attempt, attempt.webhook_url)
        except InvalidRequest as refusal:
            return 0, refusal.problem
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, type(error).__name__
        return status, str(status)

    async def _post(self, attempt: _Attempt, url: str) -> int:
        """The status of the answer; its body is of no interest and never read.

        Raises:
            InvalidRequest: webhooks may not go there.
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
        if not self._allow_private:
            await resolve(check_url(url))
        client = httpx.AsyncClient(
            verify=_tls(), timeout=TIMEOUT.total_seconds(), follow_redirects=False, trust_env=False
        )
        body = attempt.payload.encode()
        async with (
            client if self._allow_private else public_only(client),
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            return response.status_code

    async def _settle(
        self, attempt: _Attempt, answer: str, *, is_delivered: bool, wait: timedelta | None
    ) -> None:
        """Writes down how the attempt ended, unless a later one has begun."""
        now = self._clock.now()
        async with self._db.transaction() as connection:
            settled = await run(
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
            if settled and wait is not None:
                await self._jobs.wake(connection, TaskKind.DELIVERY, attempt.guid, after=wait)
        log.info(
            "webhook.attempted",
            event_guid=attempt.guid,
            client_guid=attempt.client_guid,
            attempt=attempt.attempts,
            answer=answer,
            is_delivered=is_delivered,
        )


def wait_after(attempts: int, event_guid: str) -> timedelta | None:
    """How long to wait after so many failed attempts, in whole seconds; None to give up."""
    if attempts > len(WAITS):
        return None
    # The end of a guid is random, and the same each time.
    share = int(event_guid[-4:], 16) / 0x10000
    return timedelta(seconds=round(WAITS[attempts - 1].total_seconds() * (1 + SPREAD * share)))


def _one_line(text: str) -> str:
    """A header's value is printable ASCII; whatever else was kept is dropped."""
    return "".join(character for character in text if character.isascii() and character.isprintable())


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
