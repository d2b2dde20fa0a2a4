"""The vault: stores sealed secrets and records, discloses them, deletes them.

Every read writes its disclosure in the same statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from coatcheck.clock import Clock
from coatcheck.crypto import context, open_sealed, seal
from coatcheck.db.database import Connection, fetch_all, fetch_joined, run
from coatcheck.db.fragments import PagedRows
from coatcheck.db.json_rows import encode_rows
from coatcheck.db.lockstep import ask
from coatcheck.errors import InsufficientScope, NotFound
from coatcheck.model.moving_users import is_settled
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.users import OF_CLIENT
from coatcheck.vault.disclosures import disclosure, disclosure_parameters, prepare_partitions
from coatcheck.vault.keys import DestroyedKey, destroy_data_key, lock_data_key, read_keyring
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.vault.records import AccountNumbers, AccountOwner, ClientReader, SecretKind, WorkerReader
from coatcheck.vault.sealed_records import (
    NUMBERS,
    OWNERS,
    NewRecords,
    SealedNumbers,
    SealedRow,
    SealedTable,
    has_numbers,
    store,
    unseal,
)

__all__ = [
    "AccountNumbers",
    "AccountOwner",
    "ClientReader",
    "DestroyedKey",
    "SealedNumbers",
    "SealedRow",
    "SecretKind",
    "Vault",
    "WorkerReader",
    "accounts_with_numbers",
    "delete_expired_links",
    "disclosure",
    "disclosure_parameters",
    "has_numbers",
    "number_rows",
    "owner_rows",
    "prepare_partitions",
]

CLIENT_READABLE = frozenset({SecretKind.STATEMENT})
"""The secrets of its users that a client may read. Only this server uses the others."""

FIRST_PAGE = PageRequest()
EXPIRED_LINKS = 1_000
"""Options of links that one statement deletes."""

Stored = TypeVar("Stored", AccountNumbers, AccountOwner)

OF_READER = """n.user_guid = (SELECT user_guid FROM reader)
                  AND (%(member_guid)s::text IS NULL OR n.member_guid = %(member_guid)s)
                  AND (%(account_guid)s::text IS NULL OR n.account_guid = %(account_guid)s)"""


def number_rows(where: str) -> PagedRows[SealedRow]:
    """A fragment: the sealed account numbers that satisfy a condition over the alias `n`. Open them with the vault."""
    return NUMBERS.rows(where)


def owner_rows(where: str) -> PagedRows[SealedRow]:
    """A fragment: the sealed owners that satisfy a condition over the alias `n`. Open them with the vault."""
    return OWNERS.rows(where)


SEALED_COUNTS = """
    SELECT 'account_numbers' AS kind, count(*) AS number FROM account_number WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'account_owners', count(*) FROM account_owner WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'sealed_secrets', count(*) FROM sealed_secret WHERE owner_guid = %(user_guid)s"""
"""A fragment: how many sealed records a user has, by kind."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    caller: int
    record_guid: str
    kind: str
    sealed: bytes
    master_key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class _Total:
    total: int


def _disclose_to_client(rows: PagedRows[SealedRow], what: str) -> str:
    """A statement that reads a page of the rows that a `ClientReader` may read, and discloses it."""
    written = disclosure(
        "reader",
        reader_guid="%(reader_guid)s",
        record_guid="coalesce(%(account_guid)s, %(member_guid)s, r.user_guid)",
        what=f"'{what}'",
        count="(SELECT count(*) FROM page)",
    )
    # LEFT JOIN: for an empty page there is one row, so that it differs from a user who does not exist.
    return f"""
        WITH reader AS ({OF_CLIENT}), page AS ({rows.page}), disclosed AS ({written})
        SELECT {rows.total} AS total, {rows.columns}
        FROM reader r LEFT JOIN page p ON true
        ORDER BY {rows.final_order}"""


NUMBERS_TO_CLIENT = _disclose_to_client(NUMBERS.rows(OF_READER), "ACCOUNT_NUMBERS")
OWNERS_TO_CLIENT = _disclose_to_client(OWNERS.rows(OF_READER), "ACCOUNT_OWNERS")


def _disclose_secrets(readers: str) -> str:
    """A statement that reads secrets and discloses them: each row of `readers` names one, and who reads it."""
    # The data key is joined: a foreign key deletes the secrets of an owner with it, so none is without. OFFSET 0 keeps
    # the look-up for each row of `reader`.
    written = disclosure(
        "secret", reader_guid="r.reader_guid", record_guid="r.record_guid", what="r.kind", count="1"
    )
    return f"""
        WITH reader AS ({readers}), secret AS (
            SELECT r.caller, r.user_guid, r.client_guid, r.reader_guid, s.*
            FROM reader r CROSS JOIN LATERAL (
                SELECT s.record_guid, s.kind, s.sealed, k.master_key_id, k.wrapped
                FROM sealed_secret s JOIN data_key k ON k.owner_guid = s.owner_guid
                WHERE s.owner_guid = r.user_guid AND s.record_guid = r.record_guid AND s.kind = r.kind OFFSET 0) AS s
            ORDER BY r.caller, s.record_guid, s.kind
        ), disclosed AS ({written})
        SELECT caller, record_guid, kind, sealed, master_key_id, wrapped FROM secret"""


# A worker is trusted with the owner that it names, a client's user is looked up.
SECRETS_TO_WORKERS = _disclose_secrets(
    """SELECT * FROM json_to_recordset(%(asked)s::json)
       AS given (caller integer, user_guid text, client_guid text, reader_guid text, record_guid text, kind text)"""
)
SECRETS_TO_CLIENT = _disclose_secrets(
    f"""SELECT 0 AS caller, own.user_guid, own.client_guid, %(reader_guid)s::text AS reader_guid, asked.*
        FROM ({OF_CLIENT}) AS own
        CROSS JOIN unnest(%(record_guids)s::text[], %(kinds)s::text[]) AS asked (record_guid, kind)"""
)


class Vault:
    """Stores what must not be readable at rest, and discloses it to those who may read it."""

    def __init__(self, clock: Clock, master_keys: MasterKeys) -> None:
        self._clock = clock
        self._master_keys = master_keys
        self.sealing_id = master_keys.sealing_id
        """The id of the master key that wraps new keys."""

    async def verify_keys(self, connection: Connection) -> None:
        """Unwraps the keys of the installation. It writes nothing.

        Raises:
            MasterKeyMissing: the master key that wrapped one is not configured.
            SealBroken: one was altered.
        """
        await read_keyring(connection, self._master_keys)

    async def store_secret(
        self, connection: Connection, *, owner_guid: str, record_guid: str, kind: SecretKind, value: bytes
    ) -> None:
        """Seals a value for a record of an owner (a user or a client). It replaces the value of the same kind."""
        key = await lock_data_key(connection, self._master_keys, owner_guid, self._clock.now())
        await run(
            connection,
            """INSERT INTO sealed_secret (owner_guid, record_guid, kind, sealed)
               VALUES (%(owner_guid)s, %(record_guid)s, %(kind)s, %(sealed)s)
               ON CONFLICT (owner_guid, record_guid, kind) DO UPDATE SET sealed = excluded.sealed""",
            {
                "owner_guid": owner_guid,
                "record_guid": record_guid,
                "kind": kind.value,
                "sealed": seal(key, value, context("sealed_secret", owner_guid, record_guid, kind)),
            },
        )

    async def disclose_secret(
        self,
        connection: Connection,
        *,
        owner_guid: str,
        record_guid: str,
        kind: SecretKind,
        reader: ClientReader | WorkerReader,
    ) -> bytes | None:
        """A secret in the clear, or None if there is none. Otherwise as `disclose_secrets`."""
        disclosed = await self.disclose_secrets(
            connection, owner_guid=owner_guid, secrets=[(record_guid, kind)], reader=reader
        )
        return disclosed.get((record_guid, kind))

    async def disclose_secrets(
        self,
        connection: Connection,
        *,
        owner_guid: str,
        secrets: Sequence[tuple[str, SecretKind]],
        reader: ClientReader | WorkerReader,
    ) -> Mapping[tuple[str, SecretKind], bytes]:
        """Those of an owner's secrets that exist, in the clear. Each is given by the guid of its record and its kind.

        One statement reads them and writes a disclosure for each.

        Raises:
            InsufficientScope: a client asked for anything but statements of its user. Nothing was disclosed.
            SealBroken: a secret was altered or moved.
        """
        if isinstance(reader, WorkerReader):
            rows = await ask(
                connection,
                self._disclose_to_workers,
                [
                    {
                        "user_guid": owner_guid,
                        "client_guid": reader.client_guid,
                        "reader_guid": reader.job_guid,
                        "record_guid": record_guid,
                        "kind": kind.value,
                    }
                    for record_guid, kind in secrets
                ],
            )
        # Before the statement: a read that is refused must leave no disclosure.
        elif owner_guid == reader.user_guid and all(kind in CLIENT_READABLE for _, kind in secrets):
            rows = await fetch_all(
                connection,
                _Sealed,
                SECRETS_TO_CLIENT,
                {
                    "user_guid": owner_guid,
                    "record_guids": [record_guid for record_guid, _ in secrets],
                    "kinds": [kind.value for _, kind in secrets],
                    "reader_guid": reader.reader_guid or reader.client_guid,
                    "client_guid": reader.client_guid,
                    **disclosure_parameters(self._clock.instant()),
                },
            )
        else:
            raise InsufficientScope
        await self._master_keys.find(row.master_key_id for row in rows)
        return {(row.record_guid, SecretKind(row.kind)): self._open(owner_guid, row) for row in rows}

    async def _disclose_to_workers(
        self, connection: Connection, each: Sequence[Sequence[Mapping[str, str | None]]]
    ) -> Sequence[Sequence[_Sealed]]:
        """The secrets that several workers' jobs read, sealed."""
        asked = [{"caller": caller, **secret} for caller, secrets in enumerate(each) for secret in secrets]
        rows = await fetch_all(
            connection,
            _Sealed,
            SECRETS_TO_WORKERS,
            {"asked": encode_rows(asked), **disclosure_parameters(self._clock.instant())},
        )
        found: list[list[_Sealed]] = [[] for _ in each]
        for row in rows:
            found[row.caller].append(row)
        return found

    def _open(self, owner_guid: str, row: _Sealed) -> bytes:
        key = self._master_keys.unwrap(row.master_key_id, row.wrapped, "data_key", owner_guid)
        return open_sealed(key, row.sealed, context("sealed_secret", owner_guid, row.record_guid, row.kind))

    async def delete(self, connection: Connection, *, owner_guid: str, record_guid: str) -> None:
        """Deletes the secrets of one record."""
        await self.delete_records(connection, [(owner_guid, record_guid)])

    async def delete_records(self, connection: Connection, records: Sequence[tuple[str, str]]) -> None:
        """Deletes the secrets of every record, each given by the guids of its owner and of itself."""
        await run(
            connection,
            """DELETE FROM sealed_secret s
               USING unnest(%(owners)s::text[], %(records)s::text[]) AS deleted (owner_guid, record_guid)
               WHERE s.owner_guid = deleted.owner_guid AND s.record_guid = deleted.record_guid""",
            {"owners": [owner for owner, _ in records], "records": [record for _, record in records]},
        )

    async def delete_owner(self, connection: Connection, owner_guid: str) -> DestroyedKey | None:
        """Destroys the data key of an owner and deletes everything sealed under it.

        Without the key, no copy of the data can be opened: not in a replica, a dump or the write-ahead log. A backup
        that contains the wrapped key can be opened until the backup is deleted or its master key is destroyed.
        """
        owner = {"owner_guid": owner_guid}
        # The key first: the statement waits for concurrent writers, which lock the key, so that the next statements see
        # their rows. The foreign key of `sealed_secret` deletes the secrets.
        key = await destroy_data_key(connection, self._master_keys, owner_guid)
        await run(connection, "DELETE FROM account_number WHERE user_guid = %(owner_guid)s", owner)
        await run(connection, "DELETE FROM account_owner WHERE user_guid = %(owner_guid)s", owner)
        return key

    async def store_numbers(
        self, connection: Connection, *, user_guid: str, member_guid: str, numbers: Sequence[AccountNumbers]
    ) -> frozenset[str]:
        """Replaces the numbers of every account in `numbers`. An account's n-th numbers keep their guid.

        Returns:
            The guids of the accounts that had other numbers before.
        """
        return await self._store(connection, NUMBERS, NewRecords(user_guid, member_guid, numbers))

    async def store_owners(
        self, connection: Connection, *, user_guid: str, member_guid: str, owners: Sequence[AccountOwner]
    ) -> frozenset[str]:
        """Replaces the owners of every account in `owners`. An account's n-th owner keeps its guid.

        Returns:
            The guids of the accounts that had other owners before.
        """
        return await self._store(connection, OWNERS, NewRecords(user_guid, member_guid, owners))

    async def disclose_numbers(
        self, connection: Connection, reader: ClientReader, page: PageRequest = FIRST_PAGE
    ) -> Page[AccountNumbers]:
        """Full account numbers for a client. One statement reads them and writes the disclosure.

        Raises:
            NotFound: the user is not a user of this client. Nothing was disclosed.
            SealBroken: a row was altered or moved.
        """
        rows, total = await self._read(connection, NUMBERS_TO_CLIENT, NUMBERS.row, reader, page)
        return Page(await self.open_numbers(reader.user_guid, rows), total, page)

    async def disclose_owners(
        self, connection: Connection, reader: ClientReader, page: PageRequest = FIRST_PAGE
    ) -> Page[AccountOwner]:
        """The owners of accounts for a client. Otherwise as `disclose_numbers`."""
        rows, total = await self._read(connection, OWNERS_TO_CLIENT, OWNERS.row, reader, page)
        return Page(await self.open_owners(reader.user_guid, rows), total, page)

    async def open_numbers(self, user_guid: str, rows: Sequence[SealedRow]) -> Sequence[AccountNumbers]:
        """Opens rows of `number_rows`. The statement that reads the rows must write the disclosure.

        Raises:
            SealBroken: a row was altered or moved.
        """
        return await unseal(NUMBERS, self._master_keys, user_guid, rows)

    async def open_owners(self, user_guid: str, rows: Sequence[SealedRow]) -> Sequence[AccountOwner]:
        """Opens rows of `owner_rows`. Otherwise as `open_numbers`."""
        return await unseal(OWNERS, self._master_keys, user_guid, rows)

    async def _store(
        self, connection: Connection, table: SealedTable[Stored], new: NewRecords[Stored]
    ) -> frozenset[str]:
        if not new.records:
            return frozenset()
        now = self._clock.now()
        key = await lock_data_key(connection, self._master_keys, new.user_guid, now)
        return await store(connection, table, key, now, new)

    async def _read(
        self,
        connection: Connection,
        statement: str,
        row: type[SealedRow],
        reader: ClientReader,
        page: PageRequest,
    ) -> tuple[Sequence[SealedRow], int]:
        found = await fetch_joined(
            connection,
            (_Total,),
            (row,),
            statement,
            {
                "client_guid": reader.client_guid,
                "user_guid": reader.user_guid,
                "member_guid": reader.member_guid,
                "account_guid": reader.account_guid,
                "reader_guid": reader.reader_guid or reader.client_guid,
                **disclosure_parameters(self._clock.instant()),
                "size": page.size,
                "offset": page.offset,
            },
        )
        if found is None:
            raise NotFound
        (total,), rows = found
        # The one row of an empty page has NULLs.
        return [row for (row,) in rows if row.guid is not None], total.total


async def accounts_with_numbers(connection: Connection, user_guid: str, member_guid: str) -> frozenset[str]:
    """The guids of the member's accounts whose numbers the vault has."""
    cursor = await connection.execute(
        """SELECT DISTINCT account_guid FROM account_number
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )
    return frozenset(guid for (guid,) in await cursor.fetchall())


async def delete_expired_links(connection: Connection, before: datetime) -> int:
    """Deletes the options of links that were created before the instant, and returns how many it deleted.

    Args:
        connection: in autocommit mode: each batch is a transaction of its own.
        before: the instant.
    """
    milliseconds = f"{int(before.timestamp() * 1000):012x}"
    total, deleted = 0, EXPIRED_LINKS
    while deleted == EXPIRED_LINKS:
        deleted = await run(
            connection,
            # SKIP LOCKED: what is locked goes with its user, who is being deleted.
            f"""DELETE FROM sealed_secret s USING (
                    SELECT owner_guid, record_guid, kind FROM sealed_secret
                    WHERE kind = 'LINK' AND record_guid COLLATE "C" < %(bound)s
                      AND {is_settled("sealed_secret.owner_guid")}
                    LIMIT {EXPIRED_LINKS} FOR UPDATE SKIP LOCKED) AS old
                WHERE s.owner_guid = old.owner_guid AND s.record_guid = old.record_guid AND s.kind = old.kind""",
            # The guid of a link begins with its time of creation (RFC 9562 5.7). COLLATE "C" is that of the index.
            {"bound": f"LNK-{milliseconds[:8]}-{milliseconds[8:]}"},
        )
        total += deleted
    return total
