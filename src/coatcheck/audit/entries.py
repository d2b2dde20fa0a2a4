"""Audit entries: their content, their canonical form and their hash.

The body is stored as the bytes that were hashed: canonical JSON (keys sorted, no spaces, UTF-8). Its hash is that of a
leaf of a Merkle tree (RFC 9162 2.1.1).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from coatcheck import ids
from coatcheck.audit.merkle import leaf_hash
from coatcheck.clock import whole_second
from coatcheck.request_context import current_request

OPERATOR = "operator"
"""The actor of what the operator does by a command."""


def insert_from(relation: str) -> str:
    """The body of a CTE that writes one entry for each row of `relation`, a relation with `client_guid` and `subject`.

    For a statement that changes a row whose client and guid the program does not know before. PostgreSQL inserts them
    into the body and hashes it, so that the change and its entry are one round trip. The other parameters are those of
    `draft`; a coalesced statement has them as columns of `written`, a row of the relation.
    """
    return f"""
    INSERT INTO audit_event (at, guid, client_guid, body, leaf_hash)
    SELECT %(audit_at)s, %(audit_guid)s, entry.client_guid, entry.body,
           sha256('\\x00'::bytea || convert_to(entry.body, 'UTF8'))
    FROM {relation} AS written CROSS JOIN LATERAL (
        SELECT written.client_guid, %(audit_head)s::text || to_json(written.client_guid)::text || %(audit_middle)s::text
                                    || to_json(written.subject)::text || %(audit_tail)s::text AS body
    ) AS entry"""


DRAFTED = {
    "audit_at": "timestamptz",
    "audit_guid": "text",
    "audit_head": "text",
    "audit_middle": "text",
    "audit_tail": "text",
}
"""The types of the parameters of `draft`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One state change, or a refusal. It holds identifiers, for a refusal also the caller's address, and no secret."""

    actor: str
    """The guid of who made the change, or `operator`."""
    action: str
    """What was done, such as `token.revoked`."""
    subject: str
    """The guid of the object that changed."""
    client_guid: str | None = None
    """The client whose log has the entry. None for actions of the operator that concern no client."""
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HashedEntry:
    """A row of `audit_event`: an entry with its time, guid and hash."""

    at: datetime
    """The second of the entry: partitions are bounded by it. The body has the instant."""
    guid: str
    client_guid: str | None
    body: str
    leaf_hash: bytes


def draft(actor: str, action: str, at: datetime) -> dict[str, object]:
    """The parameters of `insert_from`: an entry without client and subject, which the statement inserts."""
    guid, name = ids.new("AUD"), _actor_name(actor)
    detail = canonical_json(name) if name else "{}"
    # The pieces are joined in the order of the sorted keys, so that the result is the canonical form.
    return {
        "audit_at": whole_second(at),
        "audit_guid": guid,
        "audit_head": f'{_beginning(action, actor)},"at":"{entry_instant(at)}","client_guid":',
        "audit_middle": f',"detail":{detail},"guid":"{guid}","subject":',
        "audit_tail": "}",
    }


@lru_cache(maxsize=1024)
def _beginning(action: str, actor: str) -> str:
    return canonical_json({"action": action, "actor": actor})[:-1]


def hash_entry(entry: Entry, at: datetime) -> HashedEntry:
    """The entry as it is written at this time."""
    guid = ids.new("AUD")
    body = canonical_json(
        {
            "action": entry.action,
            "actor": entry.actor,
            "at": entry_instant(at),
            "client_guid": entry.client_guid,
            "detail": {**entry.detail, **_actor_name(entry.actor)},
            "guid": guid,
            "subject": entry.subject,
        }
    )
    return HashedEntry(whole_second(at), guid, entry.client_guid, body, leaf_hash(body.encode()))


def _actor_name(actor: str) -> dict[str, str]:
    """The name of the actor, if it is the person who is signed in to the dashboard: staff can be removed later."""
    person = current_request.get().person
    return {"actor_name": person.name} if person is not None and person.guid == actor else {}


def request_detail() -> dict[str, str]:
    """Members for the detail of a refusal: the request, and the address of the caller. Empty outside of a request."""
    request = current_request.get()
    given = {"request_id": request.request_id, "address": request.address}
    return {name: value for name, value in given.items() if value}


# Without escapes beyond those of JSON: `to_json` of PostgreSQL, which writes a part of some bodies, has no others.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Mapping[str, object]) -> str:
    return _CANONICAL.encode(value)


def entry_instant(at: datetime) -> str:
    """The instant in the form that entries use, such as `2026-01-31T12:00:00.000250Z`."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
