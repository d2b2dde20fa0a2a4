"""API keys of clients and processors. Two keys of an owner can be valid at once, so that rotation leaves no gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

from coatcheck.audit.entries import OPERATOR, Entry, entry_instant
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import InvalidClient
from coatcheck.grants.secrets import Kind, generate, parse_secret
from coatcheck.model.clients import Client, Processor
from coatcheck.model.processor_authentication import ClientAuthentication
from coatcheck.request_context import current_request

Owner = TypeVar("Owner", Client, Processor)

LIVE = "(k.expires_at IS NULL OR k.expires_at > %(now)s)"
# A key that leaked earlier must not work for a processor that was moved to a stronger method.
PROCESSORS = f"(SELECT * FROM processor WHERE client_authentication = '{ClientAuthentication.CLIENT_SECRET}')"


def is_allowed(owner: str) -> str:
    """A condition over the row of a client or a processor: it accepts its keys from the address of the request.

    The parameter `address` is that of `RequestContext`. An address that is not known is in no network.
    """
    return f"({owner}.allowed_networks IS NULL OR %(address)s::text::inet <<= ANY ({owner}.allowed_networks)) IS TRUE"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is accepted, without the key itself."""

    last_characters: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To within an hour, in this cell; None: it was not used since uses are recorded."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new key, which is not shown again, and when the previous one stops working."""

    api_key: str
    old_expires_at: datetime

    def __repr__(self) -> str:
        return f"Rotated(api_key=..., old_expires_at={self.old_expires_at})"


class ApiKeys:
    """Issues, rotates and authenticates the keys of HTTP Basic."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal

    async def issue(
        self, connection: Connection, owner_guid: str, *, entropy: int | None = None, actor: str = OPERATOR
    ) -> str:
        """A new key for a client (`CLT-`) or a processor (`PPR-`). Its other keys stay valid.

        Args:
            connection: the caller's transaction.
            owner_guid: who authenticates with the key.
            entropy: 256 bits that determine the key, for a sandbox with a seed.
            actor: who issues it.
        """
        return await self._issue(connection, owner_guid, entropy=entropy, actor=actor)

    async def _issue(
        self,
        connection: Connection,
        owner_guid: str,
        *,
        actor: str,
        entropy: int | None = None,
        detail: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        kind = self._kind(owner_guid)
        key = generate(kind, self._hash_key, entropy=entropy)
        await run(
            connection,
            """INSERT INTO api_key (key_hash, owner_guid, last_characters, created_at)
               VALUES (%(key_hash)s, %(owner_guid)s, %(last_characters)s, %(now)s)""",
            {
                "key_hash": key.hash,
                "owner_guid": owner_guid,
                # They tell keys apart. They belong to the checksum, so at most 24 bits of the 256 are disclosed.
                "last_characters": key.text[-4:],
                "now": self._clock.instant(),
            },
        )
        await self._journal.record(
            connection,
            Entry(
                # In the log of the client whose key it is. Processors have no log of their own.
                client_guid=owner_guid if kind is Kind.CLIENT_KEY else None,
                actor=actor,
                action="api_key.issued",
                subject=owner_guid,
                detail=detail,
            ),
        )
        return key.text

    async def rotate(
        self,
        connection: Connection,
        owner_guid: str,
        *,
        overlap: timedelta | None = None,
        actor: str = OPERATOR,
    ) -> Rotated:
        """A new key. The newest previous key stays valid for `overlap` at most; older keys expire now.

        Args:
            connection: the caller's transaction. Concurrent rotations of an owner run one after the other.
            owner_guid: whose keys.
            overlap: by default the setting `key_overlap`; zero after a leak.
            actor: who rotates it.
        """
        now = self._clock.instant()
        old_expires_at = now + (self._settings.key_overlap if overlap is None else overlap)
        # Row locks are not enough: two rotations at once would each miss the key that the other inserts.
        await run(
            connection,
            # An advisory lock is named by a number. Two owners with the same hash only wait for each other.
            "SELECT pg_advisory_xact_lock(hashtextextended(%(owner_guid)s, 0))",
            {"owner_guid": owner_guid},
        )
        await run(
            connection,
            # `least` ignores NULL, and does not prolong a key that an earlier rotation lets end sooner.
            # A key without an expiry ranks before every key that an earlier rotation already limited.
            """WITH ranked AS (
                   SELECT key_hash, row_number() OVER (ORDER BY expires_at IS NOT NULL, created_at DESC) AS rank
                   FROM api_key k WHERE owner_guid = %(owner_guid)s AND (expires_at IS NULL OR expires_at > %(now)s)
               )
               UPDATE api_key k
               SET expires_at = CASE WHEN rank = 1 THEN least(k.expires_at, %(old_expires_at)s) ELSE %(now)s END
               FROM ranked WHERE ranked.key_hash = k.key_hash""",
            {"owner_guid": owner_guid, "now": now, "old_expires_at": old_expires_at},
        )
        # Without it, the log would not show that the key of a leak was ended, and when.
        detail = {"earlier_keys_end": entry_instant(old_expires_at)}
        return Rotated(await self._issue(connection, owner_guid, actor=actor, detail=detail), old_expires_at)

    async def list(self, connection: Connection, owner_guid: str) -> Sequence[ApiKey]:
        """The keys of an owner that are accepted, newest first."""
        return await fetch_all(
            connection,
            ApiKey,
            f"""SELECT {columns(ApiKey)} FROM api_key k LEFT JOIN api_key_use u USING (key_hash)
                WHERE owner_guid = %(owner_guid)s AND {LIVE} ORDER BY created_at DESC, last_characters""",
            {"owner_guid": owner_guid, "now": self._clock.instant()},
        )

    async def client(self, connection: Connection, client_guid: str, api_key: str) -> Client:
        """Authenticates a client, in one statement.

        Raises:
            InvalidClient: the client does not exist or is disabled, or the key is not its key or comes from a network
                that is not allowed.
        """
        client = await self._owner(connection, Client, "client", Kind.CLIENT_KEY, client_guid, api_key)
        if client is None:
            raise InvalidClient
        return client

    async def processor(self, connection: Connection, processor_guid: str, api_key: str) -> Processor:
        """Authenticates a processor, in one statement.

        Raises:
            InvalidClient: the processor does not exist, is disabled or does not authenticate with a key, or the key is
                not its key or comes from a network that is not allowed.
        """
        processor = await self._owner(
            connection, Processor, PROCESSORS, Kind.PROCESSOR_KEY, processor_guid, api_key
        )
        if processor is None:
            raise InvalidClient
        return processor

    async def _owner(
        self, connection: Connection, record: type[Owner], relation: str, kind: Kind, guid: str, api_key: str
    ) -> Owner | None:
        key = parse_secret(kind, api_key, self._hash_key)
        if key is None:
            return None
        # The owner is a condition of the same statement: an unknown id costs what a wrong key costs.
        return await fetch_one(
            connection,
            record,
            f"""SELECT {columns(record, "o.")} FROM api_key k JOIN {relation} o ON o.guid = k.owner_guid
                WHERE k.key_hash = %(key_hash)s AND k.owner_guid = %(guid)s AND NOT o.is_disabled AND {LIVE}
                  AND {is_allowed("o")}""",
            {
                "key_hash": key.hash,
                "guid": guid,
                "now": self._clock.instant(),
                "address": current_request.get().address,
            },
        )

    @staticmethod
    def _kind(owner_guid: str) -> Kind:
        return Kind.CLIENT_KEY if owner_guid.startswith("CLT-") else Kind.PROCESSOR_KEY
