"""Clients, which let their users link accounts, and processors, which read the accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound


@dataclass(frozen=True, slots=True)
class Client:
    guid: str
    name: str
    webhook_url: str | None
    is_disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Processor:
    guid: str
    name: str
    owners_at_transactions: bool
    """GET /account/transactions returns owners, as MX's OpenAPI document and SDKs expect."""
    numbers_as_strings: bool
    """Account and routing numbers are always JSON strings, never integers."""
    is_disabled: bool
    created_at: datetime
    app_of: str | None = None
    """The client of an app, which claims setup tokens and has no API key. None: any other processor."""


async def find_client(connection: Connection, guid: str) -> Client:
    """Raises NotFound if there is no such client."""
    client = await fetch_one(
        connection, Client, f"SELECT {columns(Client)} FROM client WHERE guid = %(guid)s", {"guid": guid}
    )
    if client is None:
        raise NotFound
    return client


async def find_processor(connection: Connection, guid: str) -> Processor:
    """Raises NotFound if there is no such processor."""
    processor = await fetch_one(
        connection,
        Processor,
        f"SELECT {columns(Processor)} FROM processor WHERE guid = %(guid)s",
        {"guid": guid},
    )
    if processor is None:
        raise NotFound
    return processor


async def enabled_processors(connection: Connection, client_guid: str) -> Sequence[Processor]:
    """The processors that are enabled for a client, also those that are disabled themselves. Without apps."""
    return await fetch_all(
        connection,
        Processor,
        f"""SELECT {columns(Processor)} FROM processor
            WHERE guid IN (SELECT processor_guid FROM client_processor WHERE client_guid = %(client_guid)s)
              AND app_of IS NULL""",
        {"client_guid": client_guid},
    )


async def clients_of_processor(connection: Connection, processor_guid: str) -> Sequence[Client]:
    """The clients whose codes a processor may redeem, by name."""
    return await fetch_all(
        connection,
        Client,
        f"""SELECT {columns(Client)} FROM client
            WHERE guid IN (SELECT client_guid FROM client_processor WHERE processor_guid = %(processor_guid)s)
            ORDER BY name, guid""",
        {"processor_guid": processor_guid},
    )


async def redirect_urls(connection: Connection, guid: str) -> Sequence[str] | None:
    """To which URLs the end users of a client may be sent back. None: to any."""
    cursor = await connection.execute(
        "SELECT redirect_urls FROM client WHERE guid = %(guid)s", {"guid": guid}
    )
    row = await cursor.fetchone()
    found: Sequence[str] | None = row[0] if row else None
    return found


async def allowed_networks(connection: Connection, guid: str) -> Sequence[str] | None:
    """From where the API keys of a client or a processor are accepted. None: from everywhere."""
    cursor = await connection.execute(
        """SELECT allowed_networks::text[] FROM client WHERE guid = %(guid)s
           UNION ALL SELECT allowed_networks::text[] FROM processor WHERE guid = %(guid)s""",
        {"guid": guid},
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def list_clients(connection: Connection) -> Sequence[Client]:
    """All clients, oldest first."""
    return await fetch_all(
        connection, Client, f"SELECT {columns(Client)} FROM client ORDER BY created_at, guid"
    )


async def find_app(connection: Connection, client_guid: str, name: str) -> Processor | None:
    """The client's app of this name."""
    return await fetch_one(
        connection,
        Processor,
        f"SELECT {columns(Processor)} FROM processor WHERE app_of = %(client_guid)s AND name = %(name)s",
        {"client_guid": client_guid, "name": name},
    )


async def list_processors(connection: Connection, *, with_apps: bool = False) -> Sequence[Processor]:
    """The processors, oldest first."""
    return await fetch_all(
        connection,
        Processor,
        f"""SELECT {columns(Processor)} FROM processor
            WHERE app_of IS NULL OR %(with_apps)s ORDER BY created_at, guid""",
        {"with_apps": with_apps},
    )
