"""Makes deliveries: sends a signed event to its receiver, and saves the outcome.

    claim (a lease) --> POST, outside any transaction --> save the outcome, if no later attempt has begun
      2xx             delivered
      410             an endpoint is paused, and its deliveries wait; for the webhook URL of a client: failed
      anything else   tried again after each of `WAITS`, or later if `Retry-After` says so, then failed

A failed delivery can be made again (`redelivery`). Which deliveries are claimed is decided in `claims`.
"""

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import version

import httpx
import psycopg
import structlog
from httpx_secure import SSRFProtectionError

from coatcheck import metrics
from coatcheck.bounded_reading import read_up_to
from coatcheck.clock import Clock, SystemClock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, Database, run
from coatcheck.errors import InvalidRequest, OperatorError
from coatcheck.events import claims, endpoint_secrets
from coatcheck.events.claims import Attempt
from coatcheck.events.endpoints import pause
from coatcheck.events.receivers import forget_failures, record_failure
from coatcheck.events.signing import signature_headers, signing_secret
from coatcheck.events.ssrf import PrivateAddress, check_url, public_only
from coatcheck.vault.vault import Vault

log = structlog.get_logger(__name__)

WAITS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=3),
    timedelta(hours=4),
    timedelta(hours=6),
    timedelta(hours=8),
)
"""The waits between attempts: 12 retries over 24 hours (MX docs: webhooks)."""
JITTER = 0.1
"""Each wait is longer by up to this share, so that events that failed together are not retried together."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
TIMEOUT = timedelta(seconds=15)
"""Covers everything from the look-up of the host to the end of the answer. It is shorter than `claims.LEASE`."""
BODY_TIMEOUT = timedelta(seconds=3)
ANSWER_BYTES = 64 * 1024
"""How much of an answer is read and kept."""
GONE = 410


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt."""

    status: int | None = None
    """None: there was no answer."""
    error: str | None = None
    body: str | None = None
    retry_after: timedelta | None = None
    has_receiver: bool = True

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def result(self) -> str:
        return self.error or str(self.status)


NO_RECEIVER = Answer(error="no receiver", has_receiver=False)
"""The webhook URL was removed, the endpoint deleted, or their owner disabled."""


class Deliverer:
    def __init__(self, settings: Settings, clock: Clock, db: Database, vault: Vault) -> None:
        self._allow_private = settings.webhook_allow_private
        self._clock = clock
        self._db = db
        self._vault = vault

    async def claim(self, limit: int) -> Sequence[Attempt]:
        """Claims deliveries that are due."""
        async with self._db.connection() as connection:
            return await claims.claim(connection, now=self._clock.instant(), limit=limit)

    async def deliver(self, attempt: Attempt) -> None:
        """Makes a claimed attempt and saves its outcome. It raises no error for a failure of the receiver."""
        started = time.monotonic()
        answer = await self._try(attempt)
        await self._save(attempt, answer)
        log.info(
            "webhook.attempted",
            event_guid=attempt.event_guid,
            receiver_guid=attempt.receiver_guid,
            owner_guid=attempt.owner_guid,
            attempt=attempt.attempts,
            result=answer.result,
            is_delivered=answer.is_success,
            seconds=round(time.monotonic() - started, 3),
        )

    async def _try(self, attempt: Attempt) -> Answer:
        # Read by the claim, in one statement with the delivery, so no look-up is needed here.
        if attempt.url is None or attempt.is_disabled:
            return NO_RECEIVER
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                headers = await self._headers(attempt)
                return NO_RECEIVER if headers is None else await self._post(attempt, attempt.url, headers)
        except InvalidRequest as refusal:
            return Answer(error=refusal.problem)
        except PrivateAddress as refusal:
            return Answer(error=str(refusal))
        except SSRFProtectionError:
            # As for a closed port: the owner of the name must not learn which ports of a private host are open.
            return Answer(error=httpx.ConnectError.__name__)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OperatorError) as error:
            # An operator error, such as a secret that does not open, must count as an attempt, or it never ends.
            return Answer(error=type(error).__name__)

    async def _headers(self, attempt: Attempt) -> dict[str, str] | None:
        """The headers of the request, or None if the endpoint was deleted meanwhile."""
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": f"Coatcheck/{version('coatcheck')}",
            # The answer is kept as text: compressed, its beginning would be unreadable.
            "accept-encoding": "identity",
        }
        # A transaction: the first webhook of a client creates the client's secret.
        async with self._db.transaction() as connection:
            if attempt.is_endpoint:
                secrets = await endpoint_secrets.disclose(
                    connection,
                    self._vault,
                    attempt.owner_guid,
                    attempt.receiver_guid,
                    reader_guid=attempt.event_guid,
                )
                if secrets is None:
                    return None
                signing = secrets.signing(self._clock.instant())
                if secrets.authorization is not None:
                    headers["authorization"] = secrets.authorization
            else:
                secret = await signing_secret(
                    connection, self._vault, attempt.owner_guid, reader_guid=attempt.event_guid
                )
                signing = [secret]
        if attempt.callback_payload is not None:
            headers["x-callback-payload"] = _one_line(attempt.callback_payload)
        # The receiver compares it with its own clock, which does not move with that of a sandbox.
        sent_at = SystemClock().now()
        return headers | signature_headers(signing, attempt.event_guid, attempt.body, sent_at)

    async def _post(self, attempt: Attempt, url: str, headers: dict[str, str]) -> Answer:
        """Sends the request.

        Raises:
            InvalidRequest: webhooks may not be sent to this address.
            httpx.HTTPError: there was no answer.
        """
        # At registration it was checked too. The setting, or what counts as public, can have changed since.
        check_url(url, allow_private=self._allow_private)
        # A proxy from the environment would resolve the host itself, and a redirect leads to another URL: both would
        # avoid the checks of the address.
        client = httpx.AsyncClient(
            verify=_tls(), timeout=TIMEOUT.total_seconds(), follow_redirects=False, trust_env=False
        )
        async with (
            client if self._allow_private else public_only(client),
            client.stream("POST", url, content=attempt.body.encode(), headers=headers) as response,
        ):
            return Answer(
                response.status_code,
                body=await _read(response),
                # A date is by the receiver's clock, which does not move with that of a sandbox.
                retry_after=_retry_after(response, SystemClock().now()),
            )

    async def _save(self, attempt: Attempt, answer: Answer) -> None:
        """Saves the outcome of the attempt, unless a later attempt has begun."""
        now = self._clock.instant()
        pauses = attempt.is_endpoint and answer.status == GONE
        status, wait = _outcome(attempt, answer)
        next_attempt_at = None if wait is None else now + wait
        is_saved = False
        async with self._db.transaction() as connection:
            # Endpoint, failures, delivery: the order in which the endpoint is disabled or deleted.
            if pauses:
                await pause(connection, attempt.receiver_guid)
            if answer.is_success:
                await forget_failures(connection, attempt.receiver_guid)
            elif answer.has_receiver:
                await record_failure(connection, attempt.receiver_guid, now, retry_after=answer.retry_after)
            is_saved = await _save_outcome(connection, attempt, answer, status, next_attempt_at, now)
            if not is_saved:
                # Neither does what it says about the receiver count: the later attempt will say it anew.
                raise psycopg.Rollback
        if is_saved:
            metrics.WEBHOOKS.labels(_metric(status)).inc()


def _outcome(attempt: Attempt, answer: Answer) -> tuple[DeliveryStatus, timedelta | None]:
    """What becomes of the delivery, and how long it waits for the next attempt; None if there is none."""
    if answer.is_success:
        return DeliveryStatus.DELIVERED, None
    if answer.status == GONE and attempt.is_endpoint:
        # Due at once when the endpoint is enabled again. Until then `claims` passes over a paused endpoint.
        return DeliveryStatus.PENDING, timedelta()
    wait = wait_after(attempt.attempts, attempt.event_guid)
    if wait is None or answer.status == GONE or not answer.has_receiver:
        return DeliveryStatus.FAILED, None
    return DeliveryStatus.PENDING, max(wait, answer.retry_after or wait)


async def _save_outcome(
    connection: Connection,
    attempt: Attempt,
    answer: Answer,
    status: DeliveryStatus,
    next_attempt_at: datetime | None,
    now: datetime,
) -> bool:
    # The number of attempts is a fencing token: after the lease ended, another worker's claim has increased it.
    return bool(
        await run(
            connection,
            """UPDATE delivery
               SET status = %(status)s, next_attempt_at = %(next)s, lease_until = NULL, last_attempt_at = %(now)s,
                   last_status = %(answer_status)s, last_error = %(error)s, last_answer = %(answer)s
               WHERE guid = %(guid)s AND created_at = %(created_at)s AND attempts = %(attempts)s
                 AND next_attempt_at IS NOT NULL""",
            {
                "guid": attempt.guid,
                "created_at": attempt.created_at,
                "attempts": attempt.attempts,
                "status": status.value,
                "next": next_attempt_at,
                "now": now,
                "answer_status": answer.status,
                "error": answer.error,
                "answer": answer.body,
            },
        )
    )


def wait_after(attempts: int, event_guid: str) -> timedelta | None:
    """How long to wait after so many failed attempts, in whole seconds; None to give up."""
    if attempts > len(WAITS):
        return None
    # A guid ends in random digits: jitter that needs no state and can be tested.
    share = int(event_guid[-4:], 16) / 0x10000
    return timedelta(seconds=round(WAITS[attempts - 1].total_seconds() * (1 + JITTER * share)))


def _metric(status: DeliveryStatus) -> str:
    names = {DeliveryStatus.DELIVERED: "delivered", DeliveryStatus.FAILED: "gave_up"}
    return names.get(status, "failed")


async def _read(response: httpx.Response) -> str:
    """The beginning of the answer as text that the database can store."""
    content = bytearray()
    # The status has arrived, and it decides: what is missing of the body is not worth another attempt.
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(BODY_TIMEOUT.total_seconds()):
            # Raw: a few bytes of a compressed body can become gigabytes.
            await read_up_to(response.aiter_raw(), content, ANSWER_BYTES)
    return content[:ANSWER_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """When the receiver wants to be called again: seconds, or an HTTP date (RFC 9110 10.2.3). None for a success."""
    value = response.headers.get("retry-after", "").strip()
    if not value or response.is_success:
        return None
    try:
        if value.isascii() and value.isdigit():
            # Nine digits are more than the longest wait. A timedelta has no room for many more.
            wait = timedelta(seconds=min(int(value[:9]), LONGEST_RETRY_AFTER.total_seconds()))
        else:
            at = email.utils.parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)


def _one_line(text: str) -> str:
    """The printable ASCII of the text, which is all that a header may contain."""
    return "".join(character for character in text if character.isascii() and character.isprintable())


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
