"""The vault's door. Every way out writes down, in the same statement, who was shown what."""

from collections.abc import Sequence
from datetime import datetime
from typing import overload

from coatcheck.clock import Clock
from coatcheck.crypto import context, open_sealed, seal
from coatcheck.db.database import Connection, run
from coatcheck.db.partitions import ensure_month_partitions
from coatcheck.errors import InsufficientScope
from coatcheck.model.paging import Page, PageRequest
from coatcheck.vault.keys import MasterKeys, lock_data_key
from coatcheck.vault.records import (
    AccountNumbers,
    AccountOwner,
    ClientReader,
    Disclosed,
    Reader,
    SecretKind,
    TokenReader,
    WorkerReader,
)
from coatcheck.vault.sealed_records import NUMBERS, OWNERS, disclose_to_client, disclose_to_token, store

__all__ = [
    "AccountNumbers",
    "AccountOwner",
    "ClientReader",
    "Disclosed",
    "Reader",
    "SecretKind",
    "TokenReader",
    "Vault",
    "WorkerReader",
    "delete_expired_links",
    "prepare_partitions",
]

FOR_CLIENTS = frozenset({SecretKind.STATEMENT})
"""The secrets a client may read of its users; the others are the house's own to use."""

FIRST_PAGE = PageRequest()

SHOW = """
    WITH shown AS (
        SELECT s.sealed, k.master_key_id, k.wrapped
        FROM sealed_secret s JOIN data_key k ON k.owner_guid = s.owner_guid
        WHERE s.owner_guid = %(owner_guid)s AND s.record_guid = %(record_guid)s AND s.kind = %(kind)s
          AND (%(below)s::text IS NULL OR EXISTS (
               SELECT FROM end_user u WHERE u.guid = s.owner_guid AND u.client_guid = %(below)s))
    ),
    disclosed AS (
        INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown)
        SELECT %(now)s, %(reader_guid)s, %(client_guid)s, %(owner_guid)s, %(record_guid)s, %(kind)s, 1
        FROM shown
    )
    SELECT sealed, master_key_id, wrapped FROM shown"""


class Vault:
    """Keeps what must not be read at rest, and shows it to those who may see it."""

    def __init__(self, clock: Clock, master_keys: MasterKeys) -> None:
        self._clock = clock
        self._master_keys = master_keys

    async def store_secret(
        self, connection: Connection, *, owner_guid: str, record_guid: str, kind: SecretKind, value: bytes
    ) -> None:
        """Seals the value for a record of an owner (a user or a client); over the one that was there."""
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
        """The value in the clear, or None where none is kept; discloses it to the reader, in one statement.

        Raises:
            InsufficientScope: a client asked for what is not its user's statement. Nothing was disclosed.
            SealBroken: it was altered or moved.
        """
        if isinstance(reader, ClientReader):
            if kind not in FOR_CLIENTS or owner_guid != reader.user_guid:
                raise InsufficientScope
            below, reader_guid = reader.client_guid, reader.reader_guid or reader.client_guid
        else:
            below, reader_guid = None, reader.job_guid
        cursor = await connection.execute(
            SHOW,
            {
                "owner_guid": owner_guid,
                "record_guid": record_guid,
                "kind": kind.value,
                "below": below,
                "reader_guid": reader_guid,
                "client_guid": reader.client_guid,
                "now": self._clock.now(),
            },
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        sealed, master_key_id, wrapped = row
        key = self._master_keys.unwrap(master_key_id, wrapped, "data_key", owner_guid)
        return open_sealed(key, sealed, context("sealed_secret", owner_guid, record_guid, kind))

    async def delete(
        self, connection: Connection, *, owner_guid: str, record_guid: str | None = None
    ) -> None:
        """Removes the secrets of one record; or, without one, the owner's key and everything under it.

        Without its key nothing of the owner opens again, not from a replica, a dump or the write-ahead log.
        A backup that still holds the wrapped key opens until it is gone or its master key is destroyed.
        """
        parameters = {"owner_guid": owner_guid, "record_guid": record_guid}
        if record_guid is not None:
            await run(
                connection,
                """DELETE FROM sealed_secret
                   WHERE owner_guid = %(owner_guid)s AND record_guid = %(record_guid)s""",
                parameters,
            )
            return
        # The key first: that waits for whoever is sealing under it, whose rows the next two then see.
        await run(connection, "DELETE FROM data_key WHERE owner_guid = %(owner_guid)s", parameters)
        await run(connection, "DELETE FROM account_number WHERE user_guid = %(owner_guid)s", parameters)
        await run(connection, "DELETE FROM account_owner WHERE user_guid = %(owner_guid)s", parameters)

    async def store_numbers(
        self, connection: Connection, *, user_guid: str, member_guid: str, numbers: Sequence[AccountNumbers]
    ) -> None:
        """Replaces the numbers of every account that is named; the first keeps its guid, and so on."""
        if numbers:
            now = self._clock.now()
            key = await lock_data_key(connection, self._master_keys, user_guid, now)
            await store(
                connection, NUMBERS, key, now, user_guid=user_guid, member_guid=member_guid, records=numbers
            )

    async def store_owners(
        self, connection: Connection, *, user_guid: str, member_guid: str, owners: Sequence[AccountOwner]
    ) -> None:
        """Replaces the owners of every account that is named; the first keeps its guid, and so on."""
        if owners:
            now = self._clock.now()
            key = await lock_data_key(connection, self._master_keys, user_guid, now)
            await store(
                connection, OWNERS, key, now, user_guid=user_guid, member_guid=member_guid, records=owners
            )

    @overload
    async def disclose_numbers(
        self, connection: Connection, reader: TokenReader, page: PageRequest = ...
    ) -> Disclosed[AccountNumbers]: ...
    @overload
    async def disclose_numbers(
        self, connection: Connection, reader: ClientReader, page: PageRequest = ...
    ) -> Page[AccountNumbers]: ...
    async def disclose_numbers(
        self, connection: Connection, reader: TokenReader | ClientReader, page: PageRequest = FIRST_PAGE
    ) -> Page[AccountNumbers]:
        """Full account numbers, and the disclosure of them, in one statement.

        Raises:
            InvalidToken: no such token lives at the reader's `now`.
            InsufficientScope: the token does not read protected data. Nothing was disclosed.
            NotFound: the user is not this client's. Nothing was disclosed.
            SealBroken: a row was altered or moved.
        """
        if isinstance(reader, TokenReader):
            return await disclose_to_token(connection, NUMBERS, self._master_keys, reader, page)
        return await disclose_to_client(
            connection, NUMBERS, self._master_keys, reader, page, self._clock.now()
        )

    @overload
    async def disclose_owners(
        self, connection: Connection, reader: TokenReader, page: PageRequest = ...
    ) -> Disclosed[AccountOwner]: ...
    @overload
    async def disclose_owners(
        self, connection: Connection, reader: ClientReader, page: PageRequest = ...
    ) -> Page[AccountOwner]: ...
    async def disclose_owners(
        self, connection: Connection, reader: TokenReader | ClientReader, page: PageRequest = FIRST_PAGE
    ) -> Page[AccountOwner]:
        """Who holds the accounts; as `show_numbers` in all else."""
        if isinstance(reader, TokenReader):
            return await disclose_to_token(connection, OWNERS, self._master_keys, reader, page)
        return await disclose_to_client(
            connection, OWNERS, self._master_keys, reader, page, self._clock.now()
        )


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Makes the months of disclosures, this one and the next two, where they are missing."""
    await ensure_month_partitions(connection, "disclosure", now)


async def delete_expired_links(connection: Connection, before: datetime) -> int:
    """Removes what links carried that were made before then and never claimed; how many they were."""
    milliseconds = f"{int(before.timestamp() * 1000):012x}"
    return await run(
        connection,
        """DELETE FROM sealed_secret WHERE kind = 'LINK' AND record_guid COLLATE "C" < %(bound)s""",
        # A link's guid begins with when it was made (RFC 9562 5.7).
        {"bound": f"LNK-{milliseconds[:8]}-{milliseconds[8:]}"},
    )
