"""Audit entries: what one says, its canonical form, and its hash.

The body is stored as the bytes that were hashed: canonical JSON (keys sorted, no spaces, UTF-8). Its hash is that of a
leaf of a Merkle tree (RFC 9162 2.1.1).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from coatcheck import ids

INSERT = """
INSERT INTO audit_event (at, guid, client_guid, body, leaf_hash)
SELECT %(audit_at)s, %(audit_guid)s, client_guid, %(audit_body)s, %(audit_hash)s"""
"""For a statement that makes a change and records it at once. Append `FROM` a relation with a column `client_guid`.
The parameters are those of `SealedEntry.parameters`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One state change. It holds identifiers only: no personal data and no secret."""

    actor: str
    """The guid of who made the change, or `operator`."""
    action: str
    """What was done, such as `token.revoked`."""
    subject: str
    """The guid of the object that changed."""
    client_guid: str | None = None
    """The client whose log has the entry. None for operator actions, and where only the SQL statement that makes
    the change knows the client."""
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry with its instant, guid and hash, ready to be written."""

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


def seal_entry(entry: Entry, at: datetime) -> SealedEntry:
    """The entry as it is written at this instant."""
    guid = ids.new("AUD")
    body = canonical_json(
        {
            "action": entry.action,
            "actor": entry.actor,
            "at": format_instant(at),
            "client_guid": entry.client_guid,
            "detail": dict(entry.detail),
            "guid": guid,
            "subject": entry.subject,
        }
    )
    return SealedEntry(at, guid, body, leaf_hash(body))


def canonical_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def format_instant(at: datetime) -> str:
    """The instant in the form that entries use, such as `2026-01-31T12:00:00Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def leaf_hash(body: str) -> bytes:
    """RFC 9162 2.1.1: the zero byte distinguishes a leaf from an inner node."""
    return sha256(b"\x00" + body.encode()).digest()
