"""What is announced about members, their connections and their accounts."""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.db.database import Connection
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.grants.announcements import (
    AnnouncedAccount,
    LiveGrant,
    about_account,
    about_grants,
    live_grants_of_member,
)
from coatcheck.grants.restrictions import Permission
from coatcheck.members.ingest import IngestResult
from coatcheck.members.records import LockedMember
from coatcheck.model.members import Member
from coatcheck.model.statuses import ConnectionStatus

BROKEN = frozenset({ConnectionStatus.DISCONNECTED, ConnectionStatus.CLOSED})
"""The institution ended the connection. It stays broken while a repair is attempted, until CONNECTED."""


def about_member(event_type: EventType, member: Member, **more: object) -> Announcement:
    """An event about a member, to its client. `more` is added to the data."""
    return Announcement(
        type=event_type,
        owner_guid=member.client_guid,
        data={
            "member_guid": member.guid,
            "user_guid": member.user_guid,
            "institution_code": member.institution_code,
            "connection_status": member.connection_status,
            **more,
        },
    )


def status_changed(before: ConnectionStatus | None, member: Member) -> Announcement | None:
    """The event for the new connection status of a member; None if it is the old one."""
    if member.connection_status == before:
        return None
    return about_member(EventType.MEMBER_STATUS_CHANGED, member)


async def about_disconnection(
    connection: Connection, before: LockedMember, member: Member, now: datetime
) -> list[Announcement]:
    """What it changes that the operator ended the connection. The consent of the user is not withdrawn."""
    grants = await live_grants_of_member(connection, member.guid, now)
    changed = status_changed(before.status, member)
    return [*([changed] if changed else []), *_about_broken(before, member, grants)]


async def about_result(
    connection: Connection,
    before: LockedMember,
    member: Member,
    ingested: IngestResult | None,
    now: datetime,
) -> list[Announcement]:
    """What the result of a job changed.

    Args:
        connection: the transaction that saved the result.
        before: the member before it.
        member: the member after it.
        ingested: what was saved; None if the job did not finish.
        now: the current time.
    """
    grants = await live_grants_of_member(connection, member.guid, now)
    changed = status_changed(before.status, member)
    return [
        *([changed] if changed else []),
        *_about_connection(before, member, grants),
        *(_about_accounts(member, ingested, grants) if ingested else []),
    ]


def _about_connection(
    before: LockedMember, member: Member, grants: Sequence[LiveGrant]
) -> list[Announcement]:
    if member.connection_status in BROKEN and not before.is_broken:
        # The one status that an institution reports when the user withdrew the consent.
        is_withdrawn = member.connection_status == ConnectionStatus.DISCONNECTED
        return [
            *_about_broken(before, member, grants),
            *(
                announcement
                for each in (grants if is_withdrawn else [])
                for announcement in about_grants(
                    EventType.CONSENT_CHANGED, [each], version=each.version, cause="withdrawn"
                )
            ),
        ]
    if member.connection_status == ConnectionStatus.CONNECTED and before.is_broken:
        resumed = [each for each in grants if not each.is_suspended]
        return [
            about_member(EventType.CONNECTION_REPAIRED, member, grant_guids=[each.guid for each in grants]),
            *about_grants(EventType.TOKEN_RESUMED, resumed),
        ]
    return []


def _about_broken(before: LockedMember, member: Member, grants: Sequence[LiveGrant]) -> list[Announcement]:
    if before.is_broken:
        return []
    # A disabled user's grants were suspended before.
    suspended = [] if before.user_is_disabled else grants
    return [
        about_member(EventType.CONNECTION_BROKEN, member, grant_guids=[each.guid for each in grants]),
        *about_grants(EventType.TOKEN_SUSPENDED, suspended),
    ]


def _about_accounts(
    member: Member, ingested: IngestResult, grants: Sequence[LiveGrant]
) -> list[Announcement]:
    def account(guid: str) -> AnnouncedAccount:
        return AnnouncedAccount(
            guid=guid,
            member_guid=member.guid,
            user_guid=member.user_guid,
            client_guid=member.client_guid,
            grants=[each for each in grants if each.account_guid == guid],
        )

    announced: list[Announcement] = []
    for event_type, guids, permission in (
        (EventType.ACCOUNT_NUMBERS_CHANGED, ingested.renumbered_account_guids, Permission.NUMBERS),
        (EventType.ACCOUNT_OWNERS_CHANGED, ingested.reowned_account_guids, Permission.OWNERS),
        (EventType.ACCOUNT_CLOSED, ingested.closed_account_guids, None),
    ):
        for guid in guids:
            announced += about_account(event_type, account(guid), permission=permission)
    for guid, counts in sorted(ingested.transactions.items()):
        announced += about_account(
            EventType.TRANSACTIONS_AVAILABLE,
            account(guid),
            permission=Permission.TRANSACTIONS,
            created_count=counts.created,
            updated_count=counts.updated,
        )
    return announced
