"""`coatcheck grant`: what processors may read, what they read, and the end of it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from coatcheck.app import Services
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.runtime import OPERATOR, read
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.grants.listing import GrantFilter, client_of_grant
from coatcheck.grants.receipts import RevocationReceipt
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import Grant, GrantStatus
from coatcheck.vault.grant_reads import GrantRead, list_reads

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Grants: access tokens, and what each may read."
)

GrantGuid = Annotated[str, typer.Argument(metavar="GRANT", help="The id of the grant, TKN-...")]
PageNumber = Annotated[int, typer.Option("--page", min=1, max=1_000_000, help="Which 100 of them.")]
PAGE_SIZE = 100
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
        GrantStatus | None, typer.Option("--status", help="Only grants with this status.")
    ] = None,
    page: PageNumber = 1,
    as_json: AsJson = False,
) -> None:
    """Lists the grants of a client or of a processor, newest first, 100 at a time.

    Example: coatcheck grant list --client CLT-... --status active
    """
    if not client and not processor:
        raise InvalidRequest("Name a client with --client or a processor with --processor.")
    filters = GrantFilter(
        client_guid=client, processor_guid=processor, user_guid=user, account_guid=account, status=status
    )

    async def find(services: Services, connection: Connection) -> Page[Grant]:
        return await services.grants.list(connection, filters, PageRequest(page, PAGE_SIZE))

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

    async def find(services: Services, connection: Connection) -> Page[GrantRead]:
        found = await _named(services, connection, grant)
        return await list_reads(connection, found.guid, found.created_at, PageRequest(page, PAGE_SIZE))

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

    async def act(services: Services, connection: Connection) -> RevocationReceipt:
        found = await _named(services, connection, grant)
        return await services.revocations.revoke(
            connection, client_guid=found.client_guid, guid=grant, reason=reason, actor=OPERATOR
        )

    # Not in a transaction: the receipt is signed when the revocation is committed.
    done = read(act)
    facts = {"guid": grant, "status": GrantStatus.REVOKED.value, "at": done.at, "receipt": done.receipt}
    print_done(facts, f"Revoked. The receipt:\n{done.receipt}", as_json=as_json)


async def _named(services: Services, connection: Connection, guid: str) -> Grant:
    """Raises NotFound with the command that lists grants."""
    try:
        client_guid = await client_of_grant(connection, guid)
        return await services.grants.find(connection, GrantFilter(client_guid=client_guid, guid=guid))
    except NotFound:
        raise NotFound(
            f"There is no grant {guid}. `coatcheck grant list --client CLT-...` shows those of a client."
        ) from None


def _facts(grant: Grant) -> Mapping[str, Any]:
    return {field.name: getattr(grant, field.name) for field in fields(grant)}
