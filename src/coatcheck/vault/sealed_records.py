"""The shelves: sealed rows below an account, one JSON object each. Numbers stand on one, owners on another.

Showing is ONE statement: it finds the reader, the rows and the key that opens them, and writes who read what.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from coatcheck import ids
from coatcheck.crypto import context, open_sealed, seal
from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.errors import InsufficientScope, InvalidToken, NotFound, SealBroken
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import LiveToken
from coatcheck.vault.keys import MasterKeys
from coatcheck.vault.records import AccountNumbers, AccountOwner, ClientReader, Disclosed, TokenReader

Kept = TypeVar("Kept", AccountNumbers, AccountOwner)

NAMES = ("guid", "user_guid", "member_guid", "account_guid")
ROW = 7
"""Columns of a shown row before the shelf's own: count, key id, wrapped key, three guids, sealed."""


@dataclass(frozen=True, slots=True)
class SealedTable(Generic[Kept]):
    """One table of sealed rows, and the statements that reach it, written once."""

    record: type[Kept]
    table: str
    prefix: str
    sealed: tuple[str, ...]
    """Fields inside the seal."""
    clear: tuple[str, ...]
    """Columns beside it."""
    to_token: str
    to_client: str
    put: str


def _sealed_table(
    record: type[Kept], table: str, *, prefix: str, what: str, clear: Mapping[str, str] | None = None
) -> SealedTable[Kept]:
    """`clear` names the columns that are not sealed, and their types."""
    clear = clear or {}
    return SealedTable(
        record,
        table,
        prefix,
        sealed=tuple(
            field.name for field in fields(record) if field.name not in NAMES and field.name not in clear
        ),
        clear=tuple(clear),
        to_token=_show(
            table,
            what,
            tuple(clear),
            reader=f"""SELECT {columns(LiveToken)} FROM live_token
                       WHERE expires_week = %(expires_week)s AND token_hash = %(token_hash)s
                         AND expires_at > %(now)s""",
            reaches="n.account_guid = r.account_guid AND r.reads_protected",
            disclosed="r.processor_guid, r.client_guid, r.user_guid, r.account_guid",
            allowed="r.reads_protected",
            told=columns(LiveToken, "r."),
        ),
        to_client=_show(
            table,
            what,
            tuple(clear),
            reader="""SELECT guid AS user_guid, client_guid FROM end_user
                      WHERE guid = %(user_guid)s AND client_guid = %(client_guid)s""",
            reaches="""(%(member_guid)s::text IS NULL OR n.member_guid = %(member_guid)s)
                       AND (%(account_guid)s::text IS NULL OR n.account_guid = %(account_guid)s)""",
            disclosed="""%(reader_guid)s, r.client_guid, r.user_guid,
                         coalesce(%(account_guid)s, %(member_guid)s, r.user_guid)""",
            allowed="true",
            told="r.user_guid",
        ),
        put=_put(table, clear),
    )


def _show(
    table: str,
    what: str,
    clear: tuple[str, ...],
    *,
    reader: str,
    reaches: str,
    disclosed: str,
    allowed: str,
    told: str,
) -> str:
    names = "".join(f", n.{name}" for name in clear)
    shown = "".join(f", s.{name}" for name in clear)
    return f"""
        WITH reader AS ({reader}),
        kept AS (
            SELECT n.guid, n.member_guid, n.account_guid, n.position, n.sealed{names}
            FROM reader r JOIN {table} n ON n.user_guid = r.user_guid AND {reaches}
        ),
        shown AS (
            SELECT * FROM kept ORDER BY account_guid, position LIMIT %(size)s OFFSET %(offset)s
        ),
        disclosed AS (
            INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown)
            SELECT %(now)s, {disclosed}, '{what}', (SELECT count(*) FROM shown)
            FROM reader r WHERE {allowed}
        )
        SELECT (SELECT count(*) FROM kept), k.master_key_id, k.wrapped,
               s.guid, s.member_guid, s.account_guid, s.sealed{shown}, {told}
        FROM reader r
        LEFT JOIN data_key k ON k.owner_guid = r.user_guid
        LEFT JOIN shown s ON true
        ORDER BY s.account_guid, s.position"""


def _put(table: str, clear: Mapping[str, str]) -> str:
    names = "".join(f", {name}" for name in clear)
    fresh = "".join(f", fresh.{name}" for name in clear)
    arrays = "".join(f", %({name})s::{kind}[]" for name, kind in clear.items())
    changes = "".join(f", {name} = excluded.{name}" for name in clear)
    # The guid is written too: the seal is bound to it, whoever of two keepers came first.
    return f"""
        INSERT INTO {table} (user_guid, guid, member_guid, account_guid, position, sealed, updated_at{names})
        SELECT %(user_guid)s, fresh.guid, %(member_guid)s, fresh.account_guid, fresh.position, fresh.sealed,
               %(now)s{fresh}
        FROM unnest(%(guids)s::text[], %(accounts)s::text[], %(positions)s::smallint[],
                    %(sealed)s::bytea[]{arrays})
             AS fresh (guid, account_guid, position, sealed{names})
        ON CONFLICT (user_guid, account_guid, position) DO UPDATE
        SET guid = excluded.guid, member_guid = excluded.member_guid, sealed = excluded.sealed,
            updated_at = excluded.updated_at{changes}"""


NUMBERS = _sealed_table(
    AccountNumbers,
    "account_number",
    prefix="ACN",
    what="ACCOUNT_NUMBERS",
    clear={"passed_validation": "boolean"},
)
OWNERS = _sealed_table(AccountOwner, "account_owner", prefix="ACO", what="ACCOUNT_OWNERS")


@dataclass(frozen=True, slots=True)
class _Place:
    account_guid: str
    position: int
    guid: str


async def store(
    connection: Connection,
    sealed_table: SealedTable[Kept],
    key: bytes,
    now: datetime,
    *,
    user_guid: str,
    member_guid: str,
    records: Sequence[Kept],
) -> None:
    """Replaces what stands there for the accounts that `records` name; others stay as they are."""
    accounts = Counter(record.account_guid for record in records)
    places = await fetch_all(
        connection,
        _Place,
        f"""SELECT account_guid, position, guid FROM {sealed_table.table}
            WHERE user_guid = %(user_guid)s AND account_guid = ANY (%(accounts)s)""",
        {"user_guid": user_guid, "accounts": list(accounts)},
    )
    guids = {(place.account_guid, place.position): place.guid for place in places}
    reached: Counter[str] = Counter()
    rows: list[tuple[str, str, int, bytes]] = []
    for record in records:
        account_guid, position = record.account_guid, reached[record.account_guid]
        reached[account_guid] += 1
        guid = guids.get((account_guid, position)) or ids.new(sealed_table.prefix)
        place = context(sealed_table.table, user_guid, account_guid, guid)
        rows.append((guid, account_guid, position, seal(key, _written(sealed_table, record), place)))
    await run(
        connection,
        sealed_table.put,
        {
            "user_guid": user_guid,
            "member_guid": member_guid,
            "now": now,
            "guids": [row[0] for row in rows],
            "accounts": [row[1] for row in rows],
            "positions": [row[2] for row in rows],
            "sealed": [row[3] for row in rows],
        }
        | {name: [getattr(record, name) for record in records] for name in sealed_table.clear},
    )
    await run(
        connection,
        f"""DELETE FROM {sealed_table.table} n
            USING unnest(%(accounts)s::text[], %(counts)s::smallint[]) AS now (account_guid, count)
            WHERE n.user_guid = %(user_guid)s AND n.account_guid = now.account_guid
              AND n.position >= now.count""",
        {"user_guid": user_guid, "accounts": list(accounts), "counts": list(accounts.values())},
    )


async def disclose_to_token(
    connection: Connection,
    sealed_table: SealedTable[Kept],
    master_keys: MasterKeys,
    reader: TokenReader,
    page: PageRequest,
) -> Disclosed[Kept]:
    """One statement.

    Raises:
        InvalidToken: no such token lives now.
        InsufficientScope: it lives, and does not read protected data. Nothing was disclosed.
        SealBroken: a row was altered or moved.
    """
    cursor = await connection.execute(
        sealed_table.to_token,
        {
            "expires_week": reader.expires_week,
            "token_hash": reader.token_hash,
            "now": reader.now,
            "size": page.size,
            "offset": page.offset,
        },
    )
    rows = await cursor.fetchall()
    if not rows:
        raise InvalidToken
    token = LiveToken(*rows[0][ROW + len(sealed_table.clear) :])
    if not token.reads_protected:
        raise InsufficientScope
    return Disclosed(_opened(sealed_table, master_keys, token.user_guid, rows), rows[0][0], page, token)


async def disclose_to_client(
    connection: Connection,
    sealed_table: SealedTable[Kept],
    master_keys: MasterKeys,
    reader: ClientReader,
    page: PageRequest,
    now: datetime,
) -> Page[Kept]:
    """One statement.

    Raises:
        NotFound: the user is not this client's.
        SealBroken: a row was altered or moved.
    """
    cursor = await connection.execute(
        sealed_table.to_client,
        {
            "client_guid": reader.client_guid,
            "user_guid": reader.user_guid,
            "member_guid": reader.member_guid,
            "account_guid": reader.account_guid,
            "reader_guid": reader.reader_guid or reader.client_guid,
            "now": now,
            "size": page.size,
            "offset": page.offset,
        },
    )
    rows = await cursor.fetchall()
    if not rows:
        raise NotFound
    return Page(_opened(sealed_table, master_keys, reader.user_guid, rows), rows[0][0], page)


def _written(sealed_table: SealedTable[Kept], record: Kept) -> bytes:
    values = {name: getattr(record, name) for name in sealed_table.sealed}
    return json.dumps({name: value for name, value in values.items() if value is not None}).encode()


def _opened(
    sealed_table: SealedTable[Kept], master_keys: MasterKeys, user_guid: str, rows: Sequence[tuple[Any, ...]]
) -> list[Kept]:
    _, master_key_id, wrapped, guid, *_ = rows[0]
    if guid is None:
        return []
    if wrapped is None:
        raise SealBroken
    key = master_keys.unwrap(master_key_id, wrapped, "data_key", user_guid)
    return [_open(sealed_table, key, user_guid, row) for row in rows]


def _open(sealed_table: SealedTable[Kept], key: bytes, user_guid: str, row: tuple[Any, ...]) -> Kept:
    _, _, _, guid, member_guid, account_guid, sealed = row[:ROW]
    place = context(sealed_table.table, user_guid, account_guid, guid)
    values = json.loads(open_sealed(key, sealed, place).decode())
    return sealed_table.record(
        guid=guid,
        user_guid=user_guid,
        member_guid=member_guid,
        account_guid=account_guid,
        # A newer process may have sealed a field that this one does not know.
        **{name: values[name] for name in sealed_table.sealed if name in values},
        **dict(zip(sealed_table.clear, row[ROW:], strict=False)),
    )
