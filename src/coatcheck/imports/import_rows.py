"""SQL statements on the tables of imports.

`statement_import_row` has the transactions that a file listed, whether it added them or not: a transaction goes when
no import lists it any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.imports.records import Import, ImportedAccount
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


@dataclass(frozen=True, slots=True)
class ImportRow:
    guid: str
    user_guid: str
    member_guid: str
    format: str
    warnings: list[str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _AccountRow:
    import_guid: str
    account_guid: str
    name: str | None
    added: int
    already_known: int
    balance: Decimal | None
    available_balance: Decimal | None
    balance_on: date | None


@dataclass(frozen=True, slots=True)
class AccountBalance:
    balance: Decimal | None
    available_balance: Decimal | None
    balance_on: date


@dataclass(frozen=True, slots=True)
class ListedRow:
    account_guid: str
    id: str


@dataclass(frozen=True, slots=True)
class AccountKey:
    account_guid: str
    member_guid: str


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


@dataclass(frozen=True, slots=True)
class _Guid:
    account_guid: str


async def add_import(connection: Connection, client_guid: str, one: Import) -> None:
    await run(
        connection,
        """INSERT INTO statement_import (user_guid, guid, client_guid, member_guid, format, warnings, created_at)
           VALUES (%(user_guid)s, %(guid)s, %(client_guid)s, %(member_guid)s, %(format)s, %(warnings)s, %(now)s)""",
        {
            "user_guid": one.user_guid,
            "guid": one.guid,
            "client_guid": client_guid,
            "member_guid": one.member_guid,
            "format": one.format,
            "warnings": list(one.warnings),
            "now": one.created_at,
        },
    )


async def add_account(
    connection: Connection, user_guid: str, import_guid: str, account: ImportedAccount, ids: Sequence[str]
) -> None:
    """Writes what the import brought to one account, and the `id` of every transaction that the file listed."""
    values = {
        "user_guid": user_guid,
        "import_guid": import_guid,
        "account_guid": account.account_guid,
        "name": account.name,
        "added": account.added,
        "already_known": account.already_known,
        "balance": account.balance,
        "available_balance": account.available_balance,
        "balance_on": account.balance_on,
        "account_hash": account.account_hash,
        "ids": list(ids),
    }
    await run(
        connection,
        """INSERT INTO statement_import_account
               (user_guid, import_guid, account_guid, name, added, already_known,
                balance, available_balance, balance_on, account_hash)
           VALUES (%(user_guid)s, %(import_guid)s, %(account_guid)s, %(name)s, %(added)s, %(already_known)s,
                   %(balance)s, %(available_balance)s, %(balance_on)s, %(account_hash)s)""",
        values,
    )
    await run(
        connection,
        """INSERT INTO statement_import_row (user_guid, import_guid, account_guid, id)
           SELECT %(user_guid)s, %(import_guid)s, %(account_guid)s, id FROM unnest(%(ids)s::text[]) AS listed (id)""",
        values,
    )


async def find_import(connection: Connection, client_guid: str, guid: str) -> ImportRow:
    """The import of a user of the client.

    Raises:
        NotFound: the client has no such import.
    """
    found = await fetch_one(
        connection,
        ImportRow,
        f"""SELECT {columns(ImportRow)} FROM statement_import
            WHERE client_guid = %(client_guid)s AND guid = %(guid)s""",
        {"client_guid": client_guid, "guid": guid},
    )
    if found is None:
        raise NotFound
    return found


async def list_imports(
    connection: Connection, client_guid: str, user_guid: str | None, page: PageRequest
) -> Page[ImportRow]:
    """The imports of the client's users, newest first."""
    return await fetch_page(
        connection,
        ImportRow,
        Selection(
            "statement_import",
            ("created_at DESC", "guid DESC"),
            {"client_guid": client_guid, "user_guid": user_guid},
        ),
        page,
    )


async def with_accounts(connection: Connection, imports: Sequence[ImportRow]) -> Sequence[Import]:
    """The imports with what they brought to each account that still exists."""
    rows = await fetch_all(
        connection,
        _AccountRow,
        f"""SELECT {columns(_AccountRow)} FROM statement_import_account
            WHERE (user_guid, import_guid) IN (
                  SELECT user_guid, guid FROM unnest(%(users)s::text[], %(guids)s::text[]) AS asked (user_guid, guid))
            ORDER BY account_guid""",
        {"users": [each.user_guid for each in imports], "guids": [each.guid for each in imports]},
    )
    return [
        Import(
            guid=one.guid,
            user_guid=one.user_guid,
            member_guid=one.member_guid,
            format=one.format,
            warnings=one.warnings,
            accounts=[
                ImportedAccount(
                    row.account_guid,
                    row.name,
                    row.added,
                    row.already_known,
                    row.balance,
                    row.available_balance,
                    row.balance_on,
                )
                for row in rows
                if row.import_guid == one.guid
            ],
            created_at=one.created_at,
        )
        for one in imports
    ]


async def rows_of_this_import_alone(
    connection: Connection, user_guid: str, import_guid: str
) -> Sequence[ListedRow]:
    """The transactions that no other import lists."""
    return await fetch_all(
        connection,
        ListedRow,
        """SELECT r.account_guid, r.id FROM statement_import_row r
           WHERE r.user_guid = %(user_guid)s AND r.import_guid = %(import_guid)s AND NOT EXISTS (
                 SELECT FROM statement_import_row other
                 WHERE other.user_guid = r.user_guid AND other.account_guid = r.account_guid AND other.id = r.id
                   AND other.import_guid <> r.import_guid)""",
        {"user_guid": user_guid, "import_guid": import_guid},
    )


async def delete_import(connection: Connection, user_guid: str, import_guid: str) -> None:
    await run(
        connection,
        "DELETE FROM statement_import WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {"user_guid": user_guid, "guid": import_guid},
    )


async def newest_balance(connection: Connection, user_guid: str, account_guid: str) -> AccountBalance | None:
    """The balance of the newest day that a file states; of one day, the one that was imported last."""
    return await fetch_one(
        connection,
        AccountBalance,
        """SELECT a.balance, a.available_balance, a.balance_on
           FROM statement_import_account a
           JOIN statement_import i ON i.user_guid = a.user_guid AND i.guid = a.import_guid
           WHERE a.user_guid = %(user_guid)s AND a.account_guid = %(account_guid)s AND a.balance_on IS NOT NULL
           ORDER BY a.balance_on DESC, i.created_at DESC, i.guid DESC LIMIT 1""",
        {"user_guid": user_guid, "account_guid": account_guid},
    )


async def last_import(connection: Connection, user_guid: str, account_guid: str) -> datetime | None:
    """When a file last brought something to the account."""
    found = await fetch_one(
        connection,
        _Moment,
        """SELECT max(i.created_at) AS at FROM statement_import_account a
           JOIN statement_import i ON i.user_guid = a.user_guid AND i.guid = a.import_guid
           WHERE a.user_guid = %(user_guid)s AND a.account_guid = %(account_guid)s""",
        {"user_guid": user_guid, "account_guid": account_guid},
    )
    return found.at if found else None


async def accounts_without_import(
    connection: Connection, user_guid: str, guids: Sequence[str]
) -> Sequence[str]:
    """Those of the accounts that no import brought anything to."""
    found = await fetch_all(
        connection,
        _Guid,
        """SELECT account_guid FROM unnest(%(guids)s::text[]) AS asked (account_guid)
           WHERE NOT EXISTS (SELECT FROM statement_import_account a
                             WHERE a.user_guid = %(user_guid)s AND a.account_guid = asked.account_guid)""",
        {"user_guid": user_guid, "guids": list(guids)},
    )
    return [each.account_guid for each in found]


async def accounts_with_hash(connection: Connection, user_guid: str, hashed: bytes) -> Sequence[AccountKey]:
    """The user's accounts of files that have the numbers of this `account_hash`."""
    return await fetch_all(
        connection,
        AccountKey,
        """SELECT DISTINCT a.account_guid, i.member_guid FROM statement_import_account a
           JOIN statement_import i ON i.user_guid = a.user_guid AND i.guid = a.import_guid
           WHERE a.user_guid = %(user_guid)s AND a.account_hash = %(account_hash)s""",
        {"user_guid": user_guid, "account_hash": hashed},
    )
