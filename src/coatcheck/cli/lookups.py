"""Clients and processors by the guid that the operator gave."""

from typing import Annotated

import typer

from coatcheck.db.database import Connection
from coatcheck.errors import NotFound
from coatcheck.model.clients import Client, Processor, find_client, find_processor

ClientGuid = Annotated[str, typer.Argument(metavar="CLIENT", help="The id of the client, CLT-...")]
ProcessorGuid = Annotated[str, typer.Argument(metavar="PROCESSOR", help="The id of the processor, PPR-...")]


async def named_client(connection: Connection, guid: str) -> Client:
    """Raises NotFound with the command that lists the clients."""
    try:
        return await find_client(connection, guid)
    except NotFound:
        raise NotFound(f"There is no client {guid}. `coatcheck client list` shows all clients.") from None


async def named_processor(connection: Connection, guid: str) -> Processor:
    """Raises NotFound with the command that lists the processors."""
    try:
        return await find_processor(connection, guid)
    except NotFound:
        raise NotFound(
            f"There is no processor {guid}. `coatcheck processor list` shows all processors."
        ) from None
