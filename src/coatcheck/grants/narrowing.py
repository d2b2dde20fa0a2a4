"""Narrowing a grant: a new version of its token that reads less. A grant is never widened; a renewal does that."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import TypeAlias, TypeVar

from coatcheck.audit.entries import Entry, entry_instant
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import GrantEnded, GrantWidened, NotFound, Unprocessable
from coatcheck.events.catalogue import EventType
from coatcheck.grants.announcements import AnnouncedGrant, about_grants
from coatcheck.grants.restrictions import LookbackDays, MaxReads, Permission, Permissions, default_permissions
from coatcheck.grants.scope import parse_scope, scope_of
from coatcheck.grants.token_indexes import is_grant, is_of
from coatcheck.vault.disclosures import reads_with


class Unset(Enum):
    """The value of a field that a request does not have."""

    UNSET = "unset"


UNSET = Unset.UNSET
Limit: TypeAlias = int | Unset | None
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a grant becomes. What is UNSET stays; None takes a limit away, which is refused if there is one."""

    permissions: Collection[Permission] | Unset = UNSET
    max_reads: Limit = UNSET
    """At least 1. It counts the reads of every version."""
    lookback_days: Limit = UNSET
    """At least 1."""
    expires_at: datetime | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one version of a grant allows."""

    permissions: frozenset[Permission]
    max_reads: int | None
    lookback_days: int | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Locked:
    guid: str
    client_guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    expires_week: int
    token_hash: bytes
    scope: str
    reads_protected: bool
    permissions: list[str] | None
    max_reads: int | None
    lookback_days: int | None
    expires_at: datetime
    revoked_at: datetime | None
    version: int

    @property
    def announced(self) -> AnnouncedGrant:
        return AnnouncedGrant(**{each.name: getattr(self, each.name) for each in fields(AnnouncedGrant)})

    @property
    def allowed(self) -> Allowed:
        given = map(Permission, self.permissions or default_permissions(protected=self.reads_protected))
        return Allowed(frozenset(given), self.max_reads, self.lookback_days, self.expires_at)


class Narrowing:
    """Narrows grants."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal

    async def narrow(
        self,
        connection: Connection,
        *,
        client_guid: str,
        token_guid: str,
        changes: Changes,
        actor: str | None = None,
    ) -> None:
        """Makes the next version of a grant, with less. Changes that change nothing make no version.

        A read that began before the commit is of the version before.

        Args:
            connection: the caller's transaction.
            client_guid: whose grant it is.
            token_guid: the grant.
            changes: what it becomes.
            actor: who narrows it; by default the client.

        Raises:
            NotFound: the client has no such grant.
            GrantEnded: it was revoked or has expired.
            GrantWidened: a change would let it read more or longer.
            Unprocessable: a change would leave nothing to read. Revoke the grant instead.
        """
        # Locked: two changes at once would both be compared with this version, and the later one would undo the first.
        locked = await _lock(connection, client_guid, token_guid)
        now = self._clock.instant()
        if locked.revoked_at is not None or locked.expires_at <= now:
            raise GrantEnded("The grant was revoked or has expired, so it cannot be changed.")
        before = locked.allowed
        after = narrowed(before, changes, now)
        # A form that was sent twice makes no second version, and no second event.
        if after == before:
            return
        await _store(connection, locked, after)
        await self._journal.record(
            connection,
            Entry(
                client_guid=client_guid,
                actor=actor or client_guid,
                action="token.narrowed",
                subject=token_guid,
                detail={"version": str(locked.version + 1), **_differences(before, after)},
            ),
            *about_grants(
                EventType.CONSENT_CHANGED,
                [replace(locked.announced, expires_at=after.expires_at)],
                version=locked.version + 1,
                cause="narrowed",
            ),
        )


def narrowed(allowed: Allowed, changes: Changes, now: datetime) -> Allowed:
    """What is allowed after the changes.

    Raises:
        GrantWidened: they would allow more.
        Unprocessable: they would leave nothing.
    """
    permissions: Collection[Permission] = allowed.permissions
    if not isinstance(changes.permissions, Unset):
        permissions = changes.permissions
    expires_at = _given(changes.expires_at, allowed.expires_at)
    after = Allowed(
        frozenset(permissions),
        _given(changes.max_reads, allowed.max_reads),
        _given(changes.lookback_days, allowed.lookback_days),
        expires_at,
    )
    if not after.permissions:
        raise Unprocessable("A grant must permit something. Revoke it instead.")
    if expires_at <= now:
        raise Unprocessable("expires_at must be in the future. To end the grant now, revoke it.")
    widened = {
        "permissions": not after.permissions <= allowed.permissions,
        "max_reads": _exceeds(after.max_reads, allowed.max_reads),
        "lookback_days": _exceeds(after.lookback_days, allowed.lookback_days),
        "expires_at": expires_at > allowed.expires_at,
    }
    if names := [name for name, is_wider in widened.items() if is_wider]:
        raise GrantWidened(
            f"{', '.join(names)} would widen the grant, and a grant can only be narrowed. Widening needs a new"
            " authorization: request a renewal."
        )
    return after


def _given(value: Value | Unset, current: Value) -> Value:
    return current if isinstance(value, Unset) else value


def _exceeds(value: int | None, limit: int | None) -> bool:
    """Whether the value allows more than the limit. None allows everything."""
    return limit is not None and (value is None or value > limit)


def _differences(before: Allowed, after: Allowed) -> Mapping[str, str]:
    """The fields that differ, with both values, for the audit log."""

    def text(value: object) -> str:
        match value:
            case frozenset():
                return ",".join(sorted(value))
            case datetime():
                return entry_instant(value)
            case _:
                return "none" if value is None else str(value)

    values = ((each.name, getattr(before, each.name), getattr(after, each.name)) for each in fields(Allowed))
    return {name: f"{text(old)} -> {text(new)}" for name, old, new in values if old != new}


async def _lock(connection: Connection, client_guid: str, token_guid: str) -> _Locked:
    """The grant, which nobody else changes until the caller's transaction ends.

    Raises:
        NotFound: the client has no such grant.
    """
    locked = await fetch_one(
        connection,
        _Locked,
        f"""SELECT {columns(_Locked)}
            FROM (SELECT *, {scope_of("t")} AS scope FROM access_token t
                  WHERE {is_of("client_guid")} AND {is_grant()} FOR UPDATE) AS locked""",
        {"client_guid": client_guid, "guid": token_guid},
    )
    if locked is None:
        raise NotFound
    return locked


async def _store(connection: Connection, locked: _Locked, after: Allowed) -> None:
    # A grant without `read:` atoms stays one, unless the permissions themselves are narrowed.
    is_default = locked.permissions is None and after.permissions == locked.allowed.permissions
    permissions = Permissions() if is_default else Permissions(after.permissions)
    scope = parse_scope(locked.scope).replacing(
        permissions, LookbackDays(after.lookback_days), MaxReads(after.max_reads)
    )
    # The row stays in the week of its first expiry: the token names that partition.
    await run(
        connection,
        # A grant without max_reads is not counted. Its disclosures say how often it has been read.
        f"""UPDATE access_token
            SET atoms = %(atoms)s, permissions = %(permissions)s, lookback_days = %(lookback_days)s,
                reads = CASE WHEN max_reads IS NULL AND %(max_reads)s::integer IS NOT NULL
                             THEN {reads_with("%(guid)s", since="created_at")} ELSE reads END,
                max_reads = %(max_reads)s, expires_at = %(expires_at)s, version = version + 1
            WHERE expires_week = %(expires_week)s AND token_hash = %(token_hash)s""",
        {
            "guid": locked.guid,
            "expires_week": locked.expires_week,
            "token_hash": locked.token_hash,
            "atoms": scope.atoms,
            **permissions.stored(),
            "lookback_days": after.lookback_days,
            "max_reads": after.max_reads,
            "expires_at": after.expires_at,
        },
    )
