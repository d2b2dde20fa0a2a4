"""Accounts, without their full numbers."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.members import STATEMENT_FILE
from coatcheck.model.paging import Page, PageRequest, Selection, each_batch, fetch_page

SOURCE = """(SELECT a.*, u.id AS user_id, m.id AS member_id, m.institution_code, m.institution_guid,
                    coalesce(a.read_at, m.successfully_aggregated_at) AS fetched_at
             FROM account a
             JOIN end_user u ON u.guid = a.user_guid
             JOIN member m ON m.user_guid = a.user_guid AND m.guid = a.member_guid
            ) AS account"""

JOINED = frozenset({"user_id", "member_id", "institution_code", "institution_guid", "fetched_at"})


class DataSource(StrEnum):
    """Who reported an account."""

    INSTITUTION = "institution"
    STATEMENT_FILE = "statement_file"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Provenance:
    source: DataSource
    fetched_at: datetime | None
    """When the source was last read; None for what the user entered."""

    @property
    def is_user_supplied(self) -> bool:
        """Whether no institution has confirmed the data: the user entered it, or gave a file that anyone can write."""
        return self.source is not DataSource.INSTITUTION


# Not frozen, as `Transaction` is not.
@dataclass(slots=True)
class Account:
    guid: str
    user_guid: str
    client_guid: str
    member_guid: str
    type: str
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    member_id: str | None = None
    institution_code: str | None = None
    institution_guid: str | None = None
    id: str | None = None
    name: str | None = None
    nickname: str | None = None
    subtype: str | None = None
    currency_code: str | None = None
    account_number: str | None = None
    """Masked: the last four digits at most. The vault has the full numbers."""
    account_ownership: str | None = None
    balance: Decimal | None = None
    available_balance: Decimal | None = None
    available_credit: Decimal | None = None
    apr: Decimal | None = None
    apy: Decimal | None = None
    cash_balance: Decimal | None = None
    cash_surrender_value: Decimal | None = None
    credit_limit: Decimal | None = None
    day_payment_is_due: int | None = None
    death_benefit: int | None = None
    federal_insurance_status: str | None = None
    interest_rate: Decimal | None = None
    last_payment: Decimal | None = None
    last_payment_at: datetime | None = None
    loan_amount: Decimal | None = None
    matures_on: date | None = None
    minimum_balance: Decimal | None = None
    minimum_payment: Decimal | None = None
    original_balance: Decimal | None = None
    payment_due_at: datetime | None = None
    payoff_balance: Decimal | None = None
    property_type: str | None = None
    started_on: date | None = None
    statement_balance: Decimal | None = None
    total_account_value: Decimal | None = None
    metadata: str | None = None
    is_business: bool = False
    is_closed: bool = False
    is_hidden: bool = False
    is_manual: bool = False
    imported_at: datetime | None = None
    fetched_at: datetime | None = None
    """When a run last read the account. A run that can read other accounts of the member alone does not count."""

    @property
    def provenance(self) -> Provenance:
        if self.is_manual:
            return Provenance(DataSource.USER, None)
        if self.institution_code == STATEMENT_FILE:
            return Provenance(DataSource.STATEMENT_FILE, self.imported_at)
        return Provenance(DataSource.INSTITUTION, self.fetched_at)


STORED = tuple(field.name for field in fields(Account) if field.name not in JOINED)


def account_row(where: str) -> str:
    """A fragment: the accounts that satisfy a condition on `account`, with at least the columns of `Account`."""
    return f"SELECT account.* FROM {SOURCE} WHERE {where}"


async def find_account(
    connection: Connection, user_guid: str, identifier: str, *, member_guid: str | None = None
) -> Account:
    """The user's account with this guid, or else with this `id`.

    Args:
        connection: an open connection.
        user_guid: the user who owns the account.
        identifier: a guid or an `id`.
        member_guid: restricts the search to this member.

    Raises:
        NotFound: there is none.
    """
    # An `id` comes from the institution and could equal another account's guid, so the guid has priority.
    account = await fetch_one(
        connection,
        Account,
        f"""SELECT {columns(Account)} FROM {SOURCE}
            WHERE user_guid = %(user_guid)s AND (guid = %(identifier)s OR id = %(identifier)s)
              AND (%(member_guid)s::text IS NULL OR member_guid = %(member_guid)s)
            ORDER BY guid = %(identifier)s DESC LIMIT 1""",
        {"user_guid": user_guid, "identifier": identifier, "member_guid": member_guid},
    )
    if account is None:
        raise NotFound
    return account


async def find_accounts(
    connection: Connection, user_guid: str, identifiers: Sequence[str]
) -> Sequence[Account]:
    """The user's accounts with these guids or `id`s, each once and in this order, in one statement.

    Raises:
        NotFound: one of them does not exist.
    """
    found = await fetch_all(
        connection,
        Account,
        f"""SELECT {columns(Account, "account.")}
            FROM unnest(%(identifiers)s::text[]) WITH ORDINALITY AS named (identifier, place)
            CROSS JOIN LATERAL (
                SELECT {columns(Account)} FROM {SOURCE}
                WHERE user_guid = %(user_guid)s AND (guid = named.identifier OR id = named.identifier)
                ORDER BY guid = named.identifier DESC LIMIT 1) AS account
            ORDER BY place""",
        {"user_guid": user_guid, "identifiers": list(identifiers)},
    )
    if len(found) < len(identifiers):
        raise NotFound
    # An account can be named twice: by its guid and by its `id`.
    return [*{account.guid: account for account in found}.values()]


async def find_client_account(connection: Connection, client_guid: str, guid: str) -> Account:
    """The account with this guid, of any user of the client.

    Raises:
        NotFound: the client has no such account.
    """
    account = await fetch_one(
        connection,
        Account,
        f"SELECT {columns(Account)} FROM {SOURCE} WHERE client_guid = %(client_guid)s AND guid = %(guid)s",
        {"client_guid": client_guid, "guid": guid},
    )
    if account is None:
        raise NotFound
    return account


OF_USE_CASE = """EXISTS (SELECT FROM member m WHERE m.user_guid = account.user_guid
                         AND m.guid = account.member_guid AND %(use_case)s = ANY (m.use_cases))"""


async def list_accounts(
    connection: Connection,
    user_guid: str,
    page: PageRequest,
    *,
    member_guid: str | None = None,
    is_manual: bool | None = None,
    use_case: str | None = None,
) -> Page[Account]:
    return await fetch_page(
        connection,
        Account,
        Selection(
            SOURCE,
            ("created_at", "guid"),
            {"user_guid": user_guid, "member_guid": member_guid, "is_manual": is_manual},
            [OF_USE_CASE] if use_case else [],
            {"use_case": use_case} if use_case else {},
        ),
        page,
    )


async def accounts_of_member(connection: Connection, user_guid: str, member_guid: str) -> Sequence[Account]:
    return await fetch_all(
        connection,
        Account,
        f"""SELECT {columns(Account)} FROM {SOURCE}
            WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s ORDER BY created_at, guid""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


def each_account(db: Database, user_guid: str) -> AsyncIterator[Sequence[Account]]:
    """The accounts of a user, in batches."""
    return each_batch(db, Account, Selection(SOURCE, ("guid",), {"user_guid": user_guid}))


IGNORED_IDS = """
    SELECT id FROM merged_account WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s
    UNION ALL
    SELECT id FROM blocked_account WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s"""
"""A fragment: the institution's ids of the member's accounts that are not read."""


async def ignored_ids(connection: Connection, user_guid: str, member_guid: str) -> frozenset[str]:
    """The institution's ids of the member's accounts that are not read: merged into another account, or blocked."""
    cursor = await connection.execute(IGNORED_IDS, {"user_guid": user_guid, "member_guid": member_guid})
    return frozenset(id for (id,) in await cursor.fetchall())


@dataclass(frozen=True, slots=True)
class AccountParents:
    user_guid: str
    member_guid: str


async def parents_of_account(connection: Connection, guid: str) -> AccountParents | None:
    """The user and the member of an account, for the operator, who does not know them."""
    return await fetch_one(
        connection,
        AccountParents,
        "SELECT user_guid, member_guid FROM account WHERE guid = %(guid)s",
        {"guid": guid},
    )
