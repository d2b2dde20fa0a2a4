"""The catalogue of Coatcheck's own events: their types, who gets them, and what their `data` contains. No I/O.

A payload contains identifiers, names, times and counts: no secret, no account number, no owner, no balance. MX's events
are in `mx_events`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

EVERYTHING = "*"


class EventType(StrEnum):
    TOKEN_EXPIRING = "token.expiring"
    TOKEN_EXPIRED = "token.expired"
    TOKEN_REVOKED = "token.revoked"
    TOKEN_SUSPENDED = "token.suspended"
    TOKEN_RESUMED = "token.resumed"
    ACCOUNT_NUMBERS_CHANGED = "account_numbers.changed"
    ACCOUNT_CLOSED = "account.closed"
    ACCOUNT_OWNERS_CHANGED = "account_owners.changed"
    TRANSACTIONS_AVAILABLE = "transactions.available"
    CONSENT_CHANGED = "consent.changed"
    CODE_REDEEMED = "code.redeemed"
    CODE_EXPIRED = "code.expired"
    CODE_REFUSED = "code.refused"
    CONNECTION_BROKEN = "connection.broken"
    CONNECTION_REPAIRED = "connection.repaired"
    MEMBER_CREATED = "member.created"
    MEMBER_UPDATED = "member.updated"
    MEMBER_STATUS_CHANGED = "member.status_changed"
    MEMBER_DELETED = "member.deleted"
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"


@dataclass(frozen=True, slots=True)
class DataField:
    """A field of `data`."""

    description: str
    example: str | int | list[str]


@dataclass(frozen=True, slots=True)
class Described:
    """What an event of a type says."""

    summary: str
    object: str
    """The field of `data` whose guid is the `object`: what the event is about."""
    fields: Sequence[str]
    """The names in `FIELDS` that `data` contains, each in every event of the type. Events are stored without the names,
    so the order stays, and a new field is the last."""
    is_for_processors: bool = False
    """Processors get it too, about their own grants."""
    nullable: Sequence[str] = ()
    """The fields that may be null."""

    @property
    def stored(self) -> Sequence[str]:
        """The fields that are stored beside the object, in this order."""
        return [name for name in self.fields if name != self.object]


FIELDS: Mapping[str, DataField] = MappingProxyType(
    {
        "account_guid": DataField("The account.", "ACT-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d03"),
        "cause": DataField(
            "`narrowed`: the client narrowed the grant. `withdrawn`: the end user withdrew the consent at the "
            "institution.",
            "narrowed",
        ),
        "connection_status": DataField(
            "The connection status of the member, as in MX's API.", "DISCONNECTED"
        ),
        "created_count": DataField("How many transactions are new.", 12),
        "expires_at": DataField("When the grant expires.", "2027-01-25T12:00:00.000000Z"),
        "grant_guid": DataField(
            "The grant: the guid of the access token.", "TKN-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d04"
        ),
        "grant_guids": DataField(
            "The grants on it that have not ended; a processor sees its own.",
            ["TKN-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d04"],
        ),
        "institution_code": DataField("The institution.", "mxbank"),
        "member_guid": DataField("The member.", "MBR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d02"),
        "processor_guid": DataField(
            "The processor.",
            "PPR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d05",
        ),
        "reason": DataField("Why, as in the audit log.", "other_processor"),
        "revoked_by": DataField(
            "The guid of who revoked it. Null if something that it needs was deleted.",
            "CLT-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d00",
        ),
        "updated_count": DataField("How many known transactions changed.", 3),
        "user_guid": DataField("The user.", "USR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d01"),
        "version": DataField("The version of the grant.", 2),
    }
)
GRANT = ("grant_guid", "processor_guid", "user_guid", "member_guid", "account_guid", "expires_at")
ACCOUNT = ("account_guid", "member_guid", "user_guid", "grant_guids")
MEMBER = ("member_guid", "user_guid", "institution_code", "connection_status")


def _of_member(summary: str) -> Described:
    return Described(summary, "member_guid", MEMBER, nullable=("connection_status",))


CATALOGUE: Mapping[EventType, Described] = MappingProxyType(
    {
        EventType.TOKEN_EXPIRING: Described(
            "A grant expires in seven days. Not sent for a grant that was issued for less.",
            "grant_guid",
            GRANT,
            True,
        ),
        EventType.TOKEN_EXPIRED: Described("A grant has expired.", "grant_guid", GRANT, True),
        EventType.TOKEN_REVOKED: Described(
            "A grant was revoked, or ended because something that it needs was deleted. It reads no more.",
            "grant_guid",
            (*GRANT, "revoked_by"),
            True,
            nullable=("revoked_by",),
        ),
        EventType.TOKEN_SUSPENDED: Described(
            "A grant reads nothing for now: the connection of its member is broken, or its user is disabled.",
            "grant_guid",
            GRANT,
            True,
        ),
        EventType.TOKEN_RESUMED: Described("A suspended grant reads again.", "grant_guid", GRANT, True),
        EventType.ACCOUNT_NUMBERS_CHANGED: Described(
            "The institution gave other account or routing numbers than before. Read them again. Processors get it "
            "for grants that permit `numbers`.",
            "account_guid",
            ACCOUNT,
            True,
        ),
        EventType.ACCOUNT_CLOSED: Described(
            "The account is closed at the institution.", "account_guid", ACCOUNT, True
        ),
        EventType.ACCOUNT_OWNERS_CHANGED: Described(
            "The institution gave other owners than before. Read them again. Processors get it for grants that permit "
            "`owners`.",
            "account_guid",
            ACCOUNT,
            True,
        ),
        EventType.TRANSACTIONS_AVAILABLE: Described(
            "The institution gave new or changed transactions. Processors get it for grants that permit "
            "`transactions`.",
            "account_guid",
            (*ACCOUNT, "created_count", "updated_count"),
            True,
        ),
        EventType.CONSENT_CHANGED: Described(
            "What a grant may read has changed.", "grant_guid", (*GRANT, "version", "cause"), True
        ),
        EventType.CODE_REDEEMED: Described(
            "A processor exchanged an authorization code for an access token.", "grant_guid", GRANT
        ),
        EventType.CODE_EXPIRED: Described(
            "An authorization code expired before a processor redeemed it. `processor_guid` is null if any could.",
            "account_guid",
            ("account_guid", "member_guid", "user_guid", "processor_guid"),
            nullable=("processor_guid",),
        ),
        EventType.CODE_REFUSED: Described(
            "A processor presented an authorization code of yours that it cannot redeem.",
            "account_guid",
            ("account_guid", "processor_guid", "reason"),
        ),
        EventType.CONNECTION_BROKEN: Described(
            "The institution or the operator ended the connection of a member. "
            "Its grants read nothing until it is repaired.",
            "member_guid",
            (*MEMBER, "grant_guids"),
        ),
        EventType.CONNECTION_REPAIRED: Described(
            "A broken connection works again.", "member_guid", (*MEMBER, "grant_guids")
        ),
        EventType.MEMBER_CREATED: _of_member("A member was created."),
        EventType.MEMBER_UPDATED: _of_member("A member or its credentials were changed."),
        EventType.MEMBER_STATUS_CHANGED: _of_member(
            "A job ended or waits, and the connection status is another one."
        ),
        EventType.MEMBER_DELETED: _of_member("A member was deleted."),
        EventType.USER_CREATED: Described("A user was created.", "user_guid", ("user_guid",)),
        EventType.USER_UPDATED: Described("A user was changed.", "user_guid", ("user_guid",)),
        EventType.USER_DELETED: Described("A user was deleted.", "user_guid", ("user_guid",)),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An event to be announced to one owner."""

    type: EventType
    owner_guid: str
    """The client or the processor that is told."""
    data: Mapping[str, object]
    due_at: datetime | None = None
    """When it fell due, if time caused it."""

    def __post_init__(self) -> None:
        # Receivers generate their types from the documented fields.
        assert self.data.keys() == set(CATALOGUE[self.type].fields), f"{self.type}: not the documented fields"

    @property
    def object(self) -> str:
        """The guid of what it is about. Its events are numbered, and delivered in order."""
        return str(self.data[CATALOGUE[self.type].object])


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as its owner sees it."""

    guid: str
    type: str
    object: str
    sequence: int
    payload: str
    """What `stored_data` gives."""
    occurred_at: datetime
    due_at: datetime

    @property
    def data(self) -> Mapping[str, Any]:
        described, values = CATALOGUE[EventType(self.type)], json.loads(self.payload)
        # Until migration 0036 the names were stored too.
        if isinstance(values, dict):
            return values
        # Not strict: an event that is older than a field does not have it.
        return {described.object: self.object, **dict(zip(described.stored, values, strict=False))}


def stored_data(event_type: EventType, data: Mapping[str, object]) -> str:
    """The data as it is stored: without the names, and without the object, which has a column. That is half as long."""
    return _encode([data[name] for name in CATALOGUE[event_type].stored])


def _encode(value: object) -> str:
    """Canonical JSON. Instants are UTC with microseconds."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_instant)


def body(event: StoredEvent) -> str:
    """The body of a webhook. It is the same at every attempt."""
    return _encode(
        {
            "guid": event.guid,
            "type": event.type,
            "occurred_at": event.occurred_at,
            "due_at": event.due_at,
            "sequence": event.sequence,
            "object": event.object,
            "data": event.data,
        }
    )


def is_subscribed(patterns: Sequence[str], event_type: str) -> bool:
    """Whether one of the patterns (`*`, `member.*` or a type) fits the type."""
    return any(each in {EVERYTHING, event_type, f"{event_type.partition('.')[0]}.*"} for each in patterns)


def patterns(*, is_processor: bool) -> Sequence[str]:
    """What an endpoint can subscribe to: `*`, each group such as `token.*`, and each type."""
    types = [each.value for each in EventType if CATALOGUE[each].is_for_processors or not is_processor]
    groups = dict.fromkeys(f"{each.partition('.')[0]}.*" for each in types)
    return [EVERYTHING, *groups, *types]


def sample(event_type: EventType) -> Mapping[str, object]:
    """Example data of an event of the type."""
    return {name: FIELDS[name].example for name in CATALOGUE[event_type].fields}


def _instant(value: object) -> str:
    assert isinstance(value, datetime), "data contains text, numbers, lists and instants"
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
