"""The audit log: an event stands in the same transaction as what it tells of, or neither does.

The body is kept as the very bytes that were hashed: canonical JSON (keys sorted, no spaces, UTF-8) with
everything the event says. Its leaf hash is that of a Merkle tree (RFC 9162 2.1.1),
which checkpoints can seal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, ensure_month_partitions, run

NOTHING: Mapping[str, str] = MappingProxyType({})


INSERT = """
INSERT INTO audit_event (at, guid, client_guid, body, leaf_hash)
SELECT %(audit_at)s, %(audit_guid)s, client_guid, %(audit_body)s, %(audit_hash)s"""
"""To be followed by `FROM` something that gives `client_guid`: for a statement that does its deed and tells of
it at once. The values are those of `Entry.parameters`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, ready to be written."""

    at: datetime
    guid: str
    body: str
    leaf_hash: bytes

    def parameters(self) -> dict[str, object]:
        return {
            "audit_at": self.at,
            "audit_guid": self.guid,
            "audit_body": self.body,
            "audit_hash": self.leaf_hash,
        }


class AuditLog:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def entry(
        self,
        *,
        actor: str,
        action: str,
        subject: str,
        client_guid: str | None = None,
        detail: Mapping[str, str] = NOTHING,
    ) -> Entry:
        """An event of now, not yet written. Identifiers alone: no personal data, no secret.

        Args:
            actor: the guid of who did it, or `operator`.
            action: what was done, such as `token.revoked`.
            subject: the guid of what it was done to.
            client_guid: whose log it belongs to; None for what the operator did, and where only the
                statement that does the deed finds out.
            detail: what else matters, by name.
        """
        at, guid = self._clock.now(), ids.new("AUD")
        body = canonical(
            {
                "action": action,
                "actor": actor,
                "at": written(at),
                "client_guid": client_guid,
                "detail": dict(detail),
                "guid": guid,
                "subject": subject,
            }
        )
        return Entry(at, guid, body, leaf_hash(body))

    async def record(
        self,
        connection: Connection,
        *,
        client_guid: str | None,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, str] = NOTHING,
    ) -> None:
        """Appends an event to the caller's transaction; the arguments are those of `entry`."""
        entry = self.entry(
            actor=actor, action=action, subject=subject, client_guid=client_guid, detail=detail
        )
        await run(
            connection,
            f"{INSERT} FROM (SELECT %(client_guid)s::text AS client_guid) AS whose",
            {"client_guid": client_guid, **entry.parameters()},
        )


def canonical(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def written(at: datetime) -> str:
    """The instant as events write it, such as `2026-01-31T12:00:00Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def leaf_hash(body: str) -> bytes:
    """RFC 9162 2.1.1: the zero byte keeps a leaf from being passed off as a node."""
    return sha256(b"\x00" + body.encode()).digest()


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Makes the months of events, this one and the next two, where they are missing."""
    await ensure_month_partitions(connection, "audit_event", now)
