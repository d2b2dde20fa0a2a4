"""The exports of a client's lists for its staff: what they read, and their entries of the audit log.

An export has two entries with the same subject: `export.started` before anything is read, and `export.finished` with
the number of records when the last one was handed on. One that ended early has the first alone.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.db.database import Database
from coatcheck.directory.accounts import Accounts
from coatcheck.grants.listing import GrantFilter, Grants
from coatcheck.model.accounts import each_account
from coatcheck.model.users import User
from coatcheck.vault import user_reads
from coatcheck.vault.user_reads import UserRead
from coatcheck.vault.vault import AccountNumbers

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What the audit log keeps of an export."""

    client_guid: str
    actor: str
    list: str
    """The name of the list."""
    detail: Mapping[str, str]
    """Its filters, and the reason of an export of numbers."""
    guid: str = field(default_factory=lambda: ids.new("EXP"))


async def start_export(
    db: Database, journal: Journal, export: Export, batches: AsyncIterator[Sequence[Item]]
) -> AsyncIterator[Sequence[Item]]:
    """Records that an export starts, and returns its batches, of which the last is followed by the second entry."""
    await _record(db, journal, export, "export.started", export.detail)
    return _counted(db, journal, export, batches)


async def reads_of_grants(
    db: Database, grants: Grants, filters: GrantFilter
) -> AsyncIterator[Sequence[UserRead]]:
    """The reads with each grant that satisfies the filter: the newest grant first, its reads oldest first."""
    # `disclosure` has no index by client, but each grant has its reads by an index.
    async for batch in grants.each_guid(db, filters):
        async for reads in user_reads.reads_of_grants(db, [(each.guid, each.created_at) for each in batch]):
            yield reads


async def numbers_of_user(
    db: Database, accounts: Accounts, user: User, *, reason: str, actor: str
) -> AsyncIterator[Sequence[AccountNumbers]]:
    """The full numbers of each account of a user, each with its disclosure and its audit entry.

    Raises:
        InvalidRequest: there is no reason, or it is not valid.
    """
    async for batch in each_account(db, user.guid):
        for account in batch:
            async with db.transaction() as connection:
                numbers = await accounts.reveal_numbers(connection, account, reason=reason, actor=actor)
            yield numbers


async def _counted(
    db: Database, journal: Journal, export: Export, batches: AsyncIterator[Sequence[Item]]
) -> AsyncIterator[Sequence[Item]]:
    records = 0
    async for batch in batches:
        records += len(batch)
        yield batch
    await _record(db, journal, export, "export.finished", {"records": str(records)})


async def _record(
    db: Database, journal: Journal, export: Export, action: str, detail: Mapping[str, str]
) -> None:
    async with db.transaction() as connection:
        await journal.record(
            connection,
            Entry(
                client_guid=export.client_guid,
                actor=export.actor,
                action=action,
                subject=export.guid,
                detail={"list": export.list, **detail},
            ),
        )
