"""What the pages show: the user's banks and accounts, who may read them, and who read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from coatcheck.db.database import Connection
from coatcheck.grants.listing import GrantFilter, Grants
from coatcheck.grants.portal_sessions import PortalSession
from coatcheck.http.charts import Bar, bars
from coatcheck.model.accounts import Account, list_accounts
from coatcheck.model.members import Member, list_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.tokens import Grant, GrantStatus
from coatcheck.vault.grant_reads import DayOfReads

MOST = PageRequest(size=500)
"""How many banks, accounts and grants a page shows at most."""
CHART_DAYS = 30
READING = frozenset({GrantStatus.ACTIVE, GrantStatus.SUSPENDED})
"""The states of a grant that reads, or reads again when the connection is repaired."""


@dataclass(frozen=True, slots=True)
class Bank:
    member: Member
    accounts: Sequence[Account]


@dataclass(frozen=True, slots=True)
class Reader:
    """A processor and its grants."""

    guid: str
    name: str
    grants: Sequence[Grant]

    @property
    def last_read_at(self) -> datetime | None:
        return max((grant.last_read_at for grant in self.grants if grant.last_read_at), default=None)

    @property
    def is_reading(self) -> bool:
        return any(grant.status in READING for grant in self.grants)


@dataclass(frozen=True, slots=True)
class Overview:
    banks: Sequence[Bank]
    readers: Sequence[Reader]
    """Those who can read first."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """By guid."""
        return {account.guid: account for bank in self.banks for account in bank.accounts}


async def overview(connection: Connection, grants: Grants, session: PortalSession) -> Overview:
    members = await list_members(connection, session.user_guid, MOST)
    accounts = await list_accounts(connection, session.user_guid, MOST)
    given = await _grants(connection, grants, session)
    # By the grants and not by a query of processors: also those that can no longer read are shown, for what they
    # read.
    readers = [
        Reader(guid, items[0].processor_name, items)
        for guid in dict.fromkeys(grant.processor_guid for grant in given)
        if (items := [grant for grant in given if grant.processor_guid == guid])
    ]
    return Overview(
        [
            Bank(member, [each for each in accounts.items if each.member_guid == member.guid])
            for member in members.items
        ],
        sorted(readers, key=lambda reader: (not reader.is_reading, reader.name.casefold())),
    )


async def _grants(connection: Connection, grants: Grants, session: PortalSession) -> Sequence[Grant]:
    """The newest grants, and each that can read: many that ended must not hide one that is older."""
    of_user = GrantFilter(client_guid=session.client_guid, user_guid=session.user_guid)
    newest = await grants.list(connection, of_user, MOST)
    if newest.total <= MOST.size:
        return newest.items
    found = {grant.guid: grant for grant in newest.items}
    for status in READING:
        page = await grants.list(connection, replace(of_user, status=status), MOST)
        found |= {grant.guid: grant for grant in page.items}
    return sorted(found.values(), key=lambda grant: grant.guid, reverse=True)


def chart(days: Sequence[DayOfReads], today: date) -> Sequence[Bar]:
    """One bar for each of the last `CHART_DAYS`, those without a read included."""
    reads = {each.day: each.reads for each in days}
    shown = [today - timedelta(days=age) for age in reversed(range(CHART_DAYS))]
    return bars((day.isoformat(), reads.get(day, 0)) for day in shown)
