"""Clients, processors, users and accounts by the guid that the operator gave, and the pages of lists."""

from __future__ import annotations

from typing import Annotated

import typer

from coatcheck.db import database
from coatcheck.errors import NotFound
from coatcheck.model import accounts, clients, users

ClientGuid = Annotated[str, typer.Argument(metavar="CLIENT", help="The id of the client, CLT-...")]
ProcessorGuid = Annotated[str, typer.Argument(metavar="PROCESSOR", help="The id of the processor, PPR-...")]

PageNumber = Annotated[int, typer.Option("--page", min=1, max=1_000_000, help="Which 100 of them.")]
PAGE_SIZE = 100


async def named_client(connection: database.Connection, guid: str) -> clients.Client:
    """Raises NotFound with the command that lists the clients."""
    try:
        return await clients.find_client(connection, guid)
    except NotFound:
        raise NotFound(f"There is no client {guid}. `coatcheck client list` shows all clients.") from None


async def named_processor(connection: database.Connection, guid: str) -> clients.Processor:
    """Raises NotFound with the command that lists the processors."""
    try:
        return await clients.find_processor(connection, guid)
    except NotFound:
        raise NotFound(
            f"There is no processor {guid}. `coatcheck processor list` shows all processors."
        ) from None


async def named_user(connection: database.Connection, guid: str) -> users.User:
    """Raises NotFound, naming the user."""
    try:
        return await users.find_user_of_any_client(connection, guid)
    except NotFound:
        raise NotFound(f"There is no user {guid}. Users are listed by GET /users.") from None


async def named_account(connection: database.Connection, guid: str) -> accounts.AccountParents:
    """Raises NotFound, naming the account."""
    parents = await accounts.parents_of_account(connection, guid)
    if parents is None:
        raise NotFound(
            f"There is no account {guid}. Accounts are listed by GET /users/{{user_guid}}/accounts."
        )
    return parents
