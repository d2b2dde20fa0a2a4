"""Sealed records of accounts: numbers in one table, owners in another. Each row is one sealed JSON object."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeVar

from coatcheck import ids
from coatcheck.crypto import context, open_sealed, seal
from coatcheck.db.database import Connection, fetch_all, run
from coatcheck.db.fragments import PagedRows, paged_rows
from coatcheck.errors import SealBroken
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.vault.records import AccountNumbers, AccountOwner

Stored = TypeVar("Stored", AccountNumbers, AccountOwner)

IDENTIFIERS = ("guid", "user_guid", "member_guid", "account_guid")


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row as it is stored, with the wrapped data key of its owner."""

    guid: str
    member_guid: str
    account_guid: str
    sealed: bytes
    master_key_id: str
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedNumbers(SealedRow):
    passed_validation: bool


@dataclass(frozen=True)
class SealedTable(Generic[Stored]):
    """A table of sealed rows and the SQL that reads and writes it."""

    record: type[Stored]
    row: type[SealedRow]
    table: str
    prefix: str
    """The prefix of the guids of its rows."""
    clear: Mapping[str, str]
    """The columns that are not sealed, and their SQL types."""

    @cached_property
    def sealed(self) -> Sequence[str]:
        """The fields that are sealed together."""
        names = (each.name for each in fields(self.record))
        return [name for name in names if name not in IDENTIFIERS and name not in self.clear]

    def rows(self, where: str) -> PagedRows[SealedRow]:
        """The rows that satisfy a condition over the alias `n`, with their data keys, in the order of storing."""
        clear = "".join(f", n.{name}" for name in self.clear)
        # LEFT JOIN: a row whose data key was destroyed must raise SealBroken, not be missing from the page.
        return paged_rows(
            self.row,
            f"""SELECT n.guid, n.member_guid, n.account_guid, n.position, n.sealed, k.master_key_id, k.wrapped{clear}
                FROM {self.table} n LEFT JOIN data_key k ON k.owner_guid = n.user_guid
                WHERE {where}""",
            counted=f"{self.table} n WHERE {where}",
            order=("account_guid", "position"),
        )

    @cached_property
    def upsert(self) -> str:
        """Writes rows given as arrays, over those with the same account and position."""
        names = "".join(f", {name}" for name in self.clear)
        new = "".join(f", new.{name}" for name in self.clear)
        arrays = "".join(f", %({name})s::{kind}[]" for name, kind in self.clear.items())
        changes = "".join(f", {name} = excluded.{name}" for name in self.clear)
        # The guid is overwritten too, because the seal is bound to it. Of two concurrent writers, the last one replaces
        # the row completely.
        return f"""
            INSERT INTO {self.table} (user_guid, guid, member_guid, account_guid, position, sealed, updated_at{names})
            SELECT %(user_guid)s, new.guid, %(member_guid)s, new.account_guid, new.position, new.sealed, %(now)s{new}
            FROM unnest(%(guids)s::text[], %(accounts)s::text[], %(positions)s::smallint[],
                        %(sealed)s::bytea[]{arrays})
                 AS new (guid, account_guid, position, sealed{names})
            ON CONFLICT (user_guid, account_guid, position) DO UPDATE
            SET guid = excluded.guid, member_guid = excluded.member_guid, sealed = excluded.sealed,
                updated_at = excluded.updated_at{changes}"""


NUMBERS = SealedTable(
    AccountNumbers, SealedNumbers, "account_number", prefix="ACN", clear={"passed_validation": "boolean"}
)
OWNERS = SealedTable(AccountOwner, SealedRow, "account_owner", prefix="ACO", clear={})


def has_numbers(account: str) -> str:
    """A condition: the vault has numbers of the account, given by the alias of a row of `account`."""
    return f"""EXISTS (SELECT FROM account_number n
                       WHERE n.user_guid = {account}.user_guid AND n.account_guid = {account}.guid)"""


async def unseal(
    table: SealedTable[Stored], master_keys: MasterKeys, user_guid: str, rows: Sequence[SealedRow]
) -> Sequence[Stored]:
    """The records of one user's rows.

    Raises:
        SealBroken: a row was altered or moved, or the user's data key was destroyed.
        MasterKeyMissing: the data key is wrapped under a master key that is not configured.
    """
    if not rows:
        return []
    if rows[0].wrapped is None:
        raise SealBroken
    # The rows are of one user, so they have one data key.
    await master_keys.find([rows[0].master_key_id])
    key = master_keys.unwrap(rows[0].master_key_id, rows[0].wrapped, "data_key", user_guid)
    return [_unseal_row(table, key, user_guid, row) for row in rows]


def _unseal_row(table: SealedTable[Stored], key: bytes, user_guid: str, row: SealedRow) -> Stored:
    # Bytes that were copied here from another row, account, user or table do not open.
    place = context(table.table, user_guid, row.account_guid, row.guid)
    values = json.loads(open_sealed(key, row.sealed, place).decode())
    return table.record(
        guid=row.guid,
        user_guid=user_guid,
        member_guid=row.member_guid,
        account_guid=row.account_guid,
        # A newer version may have sealed a field that this one does not know.
        **{name: values[name] for name in table.sealed if name in values},
        **{name: getattr(row, name) for name in table.clear},
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    account_guid: str
    position: int
    guid: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class NewRecords(Generic[Stored]):
    """Records of one member's accounts that are to be stored."""

    user_guid: str
    member_guid: str
    records: Sequence[Stored]


async def store(
    connection: Connection, table: SealedTable[Stored], key: bytes, now: datetime, new: NewRecords[Stored]
) -> frozenset[str]:
    """Replaces the records of every account in `new`. Those of other accounts do not change.

    Returns:
        The guids of the accounts that had other records before. An account without records before is not one of them.
    """
    before = await _stored(connection, table, new)
    counts = Counter(record.account_guid for record in new.records)
    await run(
        connection,
        table.upsert,
        {"member_guid": new.member_guid, "now": now, **_new_rows(table, key, new, before)},
    )
    # What lies beyond the new records: an account that had three sets of numbers, and has two now.
    await run(
        connection,
        f"""DELETE FROM {table.table} n
            USING unnest(%(accounts)s::text[], %(counts)s::smallint[]) AS stored (account_guid, count)
            WHERE n.user_guid = %(user_guid)s AND n.account_guid = stored.account_guid
              AND n.position >= stored.count""",
        {"user_guid": new.user_guid, "accounts": list(counts), "counts": list(counts.values())},
    )
    return _changed_accounts(table, key, new, before)


async def _stored(
    connection: Connection, table: SealedTable[Stored], new: NewRecords[Stored]
) -> Sequence[_Stored]:
    """The rows of the accounts of the new records, in the order of storing."""
    return await fetch_all(
        connection,
        _Stored,
        f"""SELECT account_guid, position, guid, sealed FROM {table.table}
            WHERE user_guid = %(user_guid)s AND account_guid = ANY (%(accounts)s)
            ORDER BY account_guid, position""",
        {"user_guid": new.user_guid, "accounts": [record.account_guid for record in new.records]},
    )


def _changed_accounts(
    table: SealedTable[Stored], key: bytes, new: NewRecords[Stored], before: Sequence[_Stored]
) -> frozenset[str]:
    """The accounts whose rows before had other values. Nobody learns the values."""
    # Compared in the clear: each seal has a nonce of its own, so equal values have different bytes.
    old_values: dict[str, list[object]] = {}
    for row in before:
        place = context(table.table, new.user_guid, row.account_guid, row.guid)
        old_values.setdefault(row.account_guid, []).append(json.loads(open_sealed(key, row.sealed, place)))
    new_values: dict[str, list[object]] = {}
    for record in new.records:
        new_values.setdefault(record.account_guid, []).append(json.loads(_encode(table, record)))
    return frozenset(guid for guid, values in old_values.items() if values != new_values[guid])


def _new_rows(
    table: SealedTable[Stored], key: bytes, new: NewRecords[Stored], before: Sequence[_Stored]
) -> Mapping[str, object]:
    """The parameters of `upsert`. A record gets the guid of the row that it replaces."""
    guids = {(each.account_guid, each.position): each.guid for each in before}
    next_position: Counter[str] = Counter()
    rows: list[tuple[str, str, int, bytes]] = []
    for record in new.records:
        account_guid, position = record.account_guid, next_position[record.account_guid]
        next_position[account_guid] += 1
        # The guid stays although the values change: MX's clients keep it.
        guid = guids.get((account_guid, position)) or ids.new(table.prefix)
        place = context(table.table, new.user_guid, account_guid, guid)
        rows.append((guid, account_guid, position, seal(key, _encode(table, record), place)))
    return {
        "user_guid": new.user_guid,
        "guids": [row[0] for row in rows],
        "accounts": [row[1] for row in rows],
        "positions": [row[2] for row in rows],
        "sealed": [row[3] for row in rows],
        **{name: [getattr(record, name) for record in new.records] for name in table.clear},
    }


def _encode(table: SealedTable[Stored], record: Stored) -> bytes:
    values = {name: getattr(record, name) for name in table.sealed}
    # Without the empty fields, so that a field that a later version adds does not make equal records differ.
    return json.dumps({name: value for name, value in values.items() if value is not None}).encode()
