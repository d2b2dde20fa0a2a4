"""Audit entries: their content, and how they are written.

The text of an entry is canonical JSON (keys sorted, no spaces, UTF-8). Its hash is that of a leaf of a Merkle tree
(RFC 9162 2.1.1). The text is not stored: the view `audit_entry` makes it from the columns of `audit_event`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck import ids
from coatcheck.request_context import current_request

OPERATOR = "operator"
"""The actor of what the operator does by a command."""
GUID_PREFIX = "AUD"


def insert_from(relation: str) -> str:
    """The body of a CTE that writes one entry for each row of `relation`, a relation with `client_guid` and `subject`.

    For a statement that changes a row whose client and guid the program does not know before. So the change and its
    entry are one round trip. The other parameters are those of `draft`; a coalesced statement has them as columns of
    `written`, a row of the relation.
    """
    return f"""
    INSERT INTO audit_event (at, guid, client_guid, actor, action, subject, detail)
    SELECT %(audit_at)s, %(audit_guid)s::uuid, written.client_guid, %(audit_actor)s::text, %(audit_action)s::text,
           written.subject, %(audit_detail)s::text
    FROM {relation} AS written"""


DRAFTED = {
    "audit_at": "timestamptz",
    "audit_guid": "uuid",
    "audit_actor": "text",
    "audit_action": "text",
    "audit_detail": "text",
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
class EntryRow:
    """A row of `audit_event`, without its number."""

    at: datetime
    guid: str
    """A UUID. The prefix of guids is left out."""
    client_guid: str | None
    actor: str
    action: str
    subject: str
    detail: str | None
    """Canonical JSON. None: there is no detail."""


def draft(actor: str, action: str, at: datetime) -> dict[str, object]:
    """The parameters of `insert_from`: an entry without client and subject, which the statement inserts."""
    return {
        "audit_at": at,
        "audit_guid": _new_uuid(),
        "audit_actor": actor,
        "audit_action": action,
        "audit_detail": _stored_detail(_actor_name(actor)),
    }


def row_of(entry: Entry, at: datetime) -> EntryRow:
    """The entry as it is written at this time."""
    detail = _stored_detail({**entry.detail, **_actor_name(entry.actor)})
    return EntryRow(at, _new_uuid(), entry.client_guid, entry.actor, entry.action, entry.subject, detail)


def _new_uuid() -> str:
    return ids.new(GUID_PREFIX).removeprefix(f"{GUID_PREFIX}-")


def _stored_detail(detail: Mapping[str, str]) -> str | None:
    return canonical_json(detail) if detail else None


def _actor_name(actor: str) -> dict[str, str]:
    """The name of the actor, if it is the person who is signed in to the dashboard: staff can be removed later."""
    person = current_request.get().person
    return {"actor_name": person.name} if person is not None and person.guid == actor else {}


def request_detail() -> dict[str, str]:
    """Members for the detail of a refusal: the request, and the address of the caller. Empty outside of a request."""
    request = current_request.get()
    given = {"request_id": request.request_id, "address": request.address}
    return {name: value for name, value in given.items() if value}


# Without escapes beyond those of JSON: `to_json` of PostgreSQL, which writes the other members, has no others.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Mapping[str, object]) -> str:
    return _CANONICAL.encode(value)


def entry_instant(at: datetime) -> str:
    """The instant in the form that entries use, such as `2026-01-31T12:00:00.000250Z`."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
