"""Clients, who link their users' banks, and processors, whom clients let read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
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
    """GET /account/transactions gives owners, as MX's OpenAPI maps it, so that its SDK method works."""
    numbers_as_strings: bool
    """Account and routing numbers are JSON strings always, never integers."""
    is_disabled: bool
    created_at: datetime


async def find_client(connection: Connection, guid: str) -> Client:
    client = await fetch_one(
        connection, Client, f"SELECT {columns(Client)} FROM client WHERE guid = %(guid)s", {"guid": guid}
    )
    if client is None:
        raise NotFound
    return client


async def find_processor(connection: Connection, guid: str) -> Processor:
    processor = await fetch_one(
        connection,
        Processor,
        f"SELECT {columns(Processor)} FROM processor WHERE guid = %(guid)s",
        {"guid": guid},
    )
    if processor is None:
        raise NotFound
    return processor


async def list_clients(connection: Connection) -> Sequence[Client]:
    return await fetch_all(
        connection, Client, f"SELECT {columns(Client)} FROM client ORDER BY created_at, guid"
    )


async def list_processors(connection: Connection) -> Sequence[Processor]:
    return await fetch_all(
        connection, Processor, f"SELECT {columns(Processor)} FROM processor ORDER BY created_at, guid"
    )


async def add_client(connection: Connection, client: Client) -> None:
    await run(
        connection,
        """INSERT INTO client (guid, name, webhook_url, is_disabled, created_at)
           VALUES (%(guid)s, %(name)s, %(webhook_url)s, %(is_disabled)s, %(created_at)s)""",
        {name: getattr(client, name) for name in Client.__slots__},
    )


async def add_processor(connection: Connection, processor: Processor) -> None:
    await run(
        connection,
        """INSERT INTO processor
                  (guid, name, owners_at_transactions, numbers_as_strings, is_disabled, created_at)
           VALUES (%(guid)s, %(name)s, %(owners_at_transactions)s, %(numbers_as_strings)s,
                   %(is_disabled)s, %(created_at)s)""",
        {name: getattr(processor, name) for name in Processor.__slots__},
    )


async def set_client_disabled(connection: Connection, guid: str, is_disabled: bool) -> None:
    """Disabling ends every token of the client at once: `live_token` looks here."""
    if not await run(
        connection,
        "UPDATE client SET is_disabled = %(is_disabled)s WHERE guid = %(guid)s",
        {"guid": guid, "is_disabled": is_disabled},
    ):
        raise NotFound


async def set_processor_disabled(connection: Connection, guid: str, is_disabled: bool) -> None:
    """Disabling ends every token of the processor at once: `live_token` looks here."""
    if not await run(
        connection,
        "UPDATE processor SET is_disabled = %(is_disabled)s WHERE guid = %(guid)s",
        {"guid": guid, "is_disabled": is_disabled},
    ):
        raise NotFound


async def enable_processor(
    connection: Connection, *, client_guid: str, processor_guid: str, now: datetime
) -> None:
    """From now on the processor may redeem the client's codes; does nothing if it may already."""
    await run(
        connection,
        """INSERT INTO client_processor (client_guid, processor_guid, enabled_at)
           VALUES (%(client_guid)s, %(processor_guid)s, %(now)s) ON CONFLICT DO NOTHING""",
        {"client_guid": client_guid, "processor_guid": processor_guid, "now": now},
    )


async def disable_processor(connection: Connection, *, client_guid: str, processor_guid: str) -> None:
    """Ends the processor's tokens at this client, and its right to redeem the client's codes, at once.

    `live_token` and the exchange look here. Does nothing if it had no right.
    """
    await run(
        connection,
        """DELETE FROM client_processor
           WHERE client_guid = %(client_guid)s AND processor_guid = %(processor_guid)s""",
        {"client_guid": client_guid, "processor_guid": processor_guid},
    )


async def set_client_webhook_url(connection: Connection, guid: str, webhook_url: str | None) -> None:
    """Where the client is told what happened; None tells it nothing."""
    if not await run(
        connection,
        "UPDATE client SET webhook_url = %(webhook_url)s WHERE guid = %(guid)s",
        {"guid": guid, "webhook_url": webhook_url},
    ):
        raise NotFound
