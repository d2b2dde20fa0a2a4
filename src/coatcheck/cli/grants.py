"""`coatcheck grant`: what processors may read, what they read, and the end of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.lookups import (
    PAGE_SIZE,
    PageNumber,
    named_account,
    named_client,
    named_processor,
    named_user,
)
from coatcheck.cli.runtime import read
from coatcheck.db import database
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.grants import listing, receipts
from coatcheck.model import paging, tokens
from coatcheck.vault import grant_reads

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Grants: access tokens, and what each may read."
)

GrantGuid = Annotated[str, typer.Argument(metavar="GRANT", help="The id of the grant, TKN-...")]
LISTED = (
    "guid", "status", "processor_guid", "user_guid", "account_guid", "created_at", "expires_at", "last_read_at"
)  # fmt: skip


@command_group.command("list")
def list_(  # noqa: PLR0913 (one option for each filter)
    client: Annotated[
        str | None, typer.Option("--client", help="Grants for the users of this client.")
    ] = None,
    processor: Annotated[str | None, typer.Option("--processor", help="Grants of this processor.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only grants for this user.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only grants for this account.")] = None,
    status: Annotated[
        tokens.GrantStatus | None, typer.Option("--status", help="Only grants with this status.")
    ] = None,
    page: PageNumber = 1,
    as_json: AsJson = False,
) -> None:
    """Lists the grants of a client or of a processor, newest first, 100 at a time.

    Example: coatcheck grant list --client CLT-... --status active
    """
    if not client and not processor:
        raise InvalidRequest("Name a client with --client or a processor with --processor.")
    filters = listing.GrantFilter(
        client_guid=client, processor_guid=processor, user_guid=user, account_guid=account, status=status
    )

    async def find(services: app.Services, connection: database.Connection) -> paging.Page[tokens.Grant]:
        found = await services.grants.list(connection, filters, paging.PageRequest(page, PAGE_SIZE))
        if not found.total:
            await _check_names(connection, filters)
        return found

    found = read(find)
    rows = [{name: getattr(grant, name) for name in LISTED} for grant in found.items]
    print_rows(rows, as_json=as_json, empty="There is no such grant.")


@command_group.command("show")
def show(grant: GrantGuid, as_json: AsJson = False) -> None:
    """Shows what a grant may read, its status, and how often it was read.

    Example: coatcheck grant show TKN-...
    """
    print_facts(
        _facts(read(lambda services, connection: _named(services, connection, grant))), as_json=as_json
    )


@command_group.command("reads")
def reads(grant: GrantGuid, page: PageNumber = 1, as_json: AsJson = False) -> None:
    """Lists the reads of a grant, newest first, 100 at a time.

    Example: coatcheck grant reads TKN-...
    """

    async def find(
        services: app.Services, connection: database.Connection
    ) -> paging.Page[grant_reads.GrantRead]:
        found = await _named(services, connection, grant)
        return await grant_reads.list_reads(
            connection, found.guid, found.created_at, paging.PageRequest(page, PAGE_SIZE)
        )

    rows = [
        {"at": each.at, "what": each.what, "records": each.records, "ip": each.address,
         "request_id": each.request_id}
        for each in read(find).items
    ]  # fmt: skip
    print_rows(rows, as_json=as_json, empty="Nothing was read with this grant.")


@command_group.command("revoke")
def revoke(
    grant: GrantGuid,
    reason: Annotated[str | None, typer.Option("--reason", help="Why. It stands in the receipt.")] = None,
    as_json: AsJson = False,
) -> None:
    """Revokes a grant at once and for good, and prints the signed receipt. Again: the same receipt.

    Example: coatcheck grant revoke TKN-... --reason "a stolen laptop"
    """

    async def act(services: app.Services, connection: database.Connection) -> receipts.RevocationReceipt:
        # A grant that was revoked and deleted since still has its receipt.
        client_guid = await receipts.client_of_receipt(connection, grant)
        if client_guid is None:
            client_guid = (await _named(services, connection, grant)).client_guid
        return await services.revocations.revoke(
            connection, client_guid=client_guid, guid=grant, reason=reason, actor=OPERATOR
        )

    # Not in a transaction: the receipt is signed when the revocation is committed.
    done = read(act)
    facts = {
        "guid": grant,
        "status": tokens.GrantStatus.REVOKED.value,
        "at": done.at,
        "receipt": done.receipt,
    }
    print_done(facts, f"Revoked. The receipt:\n{done.receipt}", as_json=as_json)


async def _check_names(connection: database.Connection, filters: listing.GrantFilter) -> None:
    """Raises NotFound for the first filter that names nothing. Grants outlast the account that they name."""
    lookups = (
        (filters.client_guid, named_client),
        (filters.processor_guid, named_processor),
        (filters.user_guid, named_user),
        (filters.account_guid, named_account),
    )
    for guid, named in lookups:
        if guid:
            await named(connection, guid)


async def _named(services: app.Services, connection: database.Connection, guid: str) -> tokens.Grant:
    """Raises NotFound with the command that lists grants."""
    try:
        client_guid = await listing.client_of_grant(connection, guid)
        return await services.grants.find(connection, listing.GrantFilter(client_guid=client_guid, guid=guid))
    except NotFound:
        raise NotFound(
            f"There is no grant {guid}. `coatcheck grant list --client CLT-...` shows those of a client."
        ) from None


def _facts(grant: tokens.Grant) -> Mapping[str, Any]:
    return {field.name: getattr(grant, field.name) for field in fields(grant)}
