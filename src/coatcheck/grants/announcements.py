"""Announcements about grants: to their client, and to each processor about its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.db.lockstep import ask
from coatcheck.errors import NotFound
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.grants.listing import IS_BROKEN, PERMISSIONS
from coatcheck.grants.restrictions import Permission
from coatcheck.grants.token_indexes import is_grant, is_of, is_of_any


@dataclass(frozen=True, slots=True)
class AnnouncedGrant:
    """What announcements say about a grant."""

    guid: str
    client_guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    expires_at: datetime

    @property
    def data(self) -> Mapping[str, object]:
        return {
            "grant_guid": self.guid,
            "processor_guid": self.processor_guid,
            "user_guid": self.user_guid,
            "member_guid": self.member_guid,
            "account_guid": self.account_guid,
            "expires_at": self.expires_at,
        }


@dataclass(frozen=True, slots=True)
class LiveGrant(AnnouncedGrant):
    """A grant that was not revoked and has not expired."""

    permissions: Sequence[str]
    version: int
    is_broken: bool
    """The connection of its member is broken."""
    user_is_disabled: bool

    @property
    def is_suspended(self) -> bool:
        return self.is_broken or self.user_is_disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedAccount:
    """An account and the live grants on it."""

    guid: str
    member_guid: str
    user_guid: str
    client_guid: str
    grants: Sequence[LiveGrant] = ()


async def announced_grant(connection: Connection, client_guid: str, guid: str) -> AnnouncedGrant:
    """Raises NotFound if the client has no such grant."""
    found = await fetch_one(
        connection,
        AnnouncedGrant,
        f"""SELECT {columns(AnnouncedGrant)} FROM access_token t
            WHERE {is_of("client_guid")} AND {is_grant()}""",
        {"client_guid": client_guid, "guid": guid},
    )
    if found is None:
        raise NotFound
    return found


async def live_grants_of_user(connection: Connection, user_guid: str, now: datetime) -> Sequence[LiveGrant]:
    return await _live_grants(connection, is_of("user_guid", "%(guid)s"), user_guid, now)


async def live_grants_of_member(
    connection: Connection, member_guid: str, now: datetime
) -> Sequence[LiveGrant]:
    rows = await ask(connection, _OF_MEMBERS.answers, {"guid": member_guid, "now": now})
    return [LiveGrant(*row) for row in rows]


async def live_grants_of_accounts(
    connection: Connection, account_guids: Sequence[str], now: datetime
) -> Sequence[LiveGrant]:
    return await _live_grants(connection, is_of_any("account_guid", "%(guid)s"), list(account_guids), now)


_LIVE = f"""
    SELECT {columns(AnnouncedGrant, "t.")}, {PERMISSIONS} AS permissions, t.version,
           coalesce({IS_BROKEN}, false) AS is_broken,
           u.is_disabled AS user_is_disabled
    FROM access_token t
    JOIN end_user u ON u.guid = t.user_guid
    JOIN member m ON m.user_guid = t.user_guid AND m.guid = t.member_guid
    WHERE t.revoked_at IS NULL AND t.expires_at > %(now)s"""

_ASKED = Asked({"guid": "text", "now": "timestamptz"})
_OF_MEMBERS = CoalescedStatement(
    _ASKED,
    f"""WITH {_ASKED.cte}
        SELECT asked.caller, {columns(LiveGrant, "live.")}
        FROM asked CROSS JOIN LATERAL ({_ASKED.of("asked", f"{_LIVE} AND {is_of('member_guid', '%(guid)s')}")}) AS live
        ORDER BY live.guid""",
    (LiveGrant,),
)


async def _live_grants(
    connection: Connection, condition: str, guid: str | list[str], now: datetime
) -> Sequence[LiveGrant]:
    # The row of the token decides whether it lives, not `live_token`: a suspended grant is announced too.
    return await fetch_all(
        connection,
        LiveGrant,
        f"SELECT {columns(LiveGrant)} FROM ({_LIVE} AND {condition}) AS live ORDER BY guid",
        {"guid": guid, "now": now},
    )


def about_grants(
    event_type: EventType,
    grants: Iterable[AnnouncedGrant],
    *,
    due_at: datetime | None = None,
    **more: object,
) -> list[Announcement]:
    """An event about each grant, to its client and to its processor. `more` is added to the data."""
    return [
        Announcement(type=event_type, owner_guid=owner, data={**each.data, **more}, due_at=due_at)
        for each in grants
        # Each owner has a sequence of its own, so each gets an event of its own.
        for owner in (each.client_guid, each.processor_guid)
    ]


def about_account(
    event_type: EventType,
    account: AnnouncedAccount,
    *,
    permission: Permission | None = None,
    **more: object,
) -> list[Announcement]:
    """An event about an account, to its client and to the processors that have live grants on it.

    Args:
        event_type: what happened to the account.
        account: the account.
        permission: only processors with a grant that permits it are told; None: all.
        more: is added to the data.
    """
    readers: dict[str, list[str]] = {account.client_guid: [each.guid for each in account.grants]}
    for each in account.grants:
        # The event alone would tell the others that there is such data.
        if permission is None or permission in each.permissions:
            readers.setdefault(each.processor_guid, []).append(each.guid)
    return [
        Announcement(
            type=event_type,
            owner_guid=owner,
            data={
                "account_guid": account.guid,
                "member_guid": account.member_guid,
                "user_guid": account.user_guid,
                "grant_guids": grant_guids,
                **more,
            },
        )
        for owner, grant_guids in readers.items()
    ]
