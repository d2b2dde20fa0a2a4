"""`coatcheck institution`: the institutions of the installed connectors, and the operator's switches of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coatcheck import app, clock
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.lookups import named_client
from coatcheck.cli.runtime import change, read
from coatcheck.cli.settings import load_settings
from coatcheck.connectors import catalogue, contract, installed
from coatcheck.db import database
from coatcheck.errors import ConfigurationError, InvalidRequest, NotFound
from coatcheck.events import ssrf
from coatcheck.members import institutions, job_rows
from coatcheck.model import institution_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Institutions, and what each client may do there."
)


@command_group.command("list")
def list_(
    name: Annotated[
        str | None, typer.Argument(help="A part of the name. Without it, all are listed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lists the institutions with their status, the most popular first.

    Example: coatcheck institution list "mx bank"
    """

    async def find(services: app.Services, connection: database.Connection) -> list[dict[str, Any]]:
        statuses = await institution_statuses.statuses(connection)
        restricted = Counter(
            each.institution_code for each in await institution_statuses.restricted_clients(connection)
        )
        return [
            {
                "institution_code": each.code,
                "name": each.name,
                "status": statuses.get(each.code, institution_statuses.AVAILABLE.status).value,
                "restricted_clients": restricted[each.code],
            }
            for each in services.registry.search(name)
        ]

    print_rows(read(find), as_json=as_json, empty="No institution has this name.")


@command_group.command("status")
def status(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code of the institution, such as mxbank.")],
    value: Annotated[
        str | None, typer.Argument(metavar="[STATUS]", help="The new status. Without it, nothing changes.")
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(
            "--client", help="Set what this client may do at the institution, instead of its status."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows the status of an institution and what clients may do there. With a status, sets it.

    Of the institution: OPERATIONAL, DEGRADED, MAINTENANCE or UNAVAILABLE. Under the last two no job starts. Of a
    client at the institution: AVAILABLE, PREVENT_NEW, PREVENT_VERIFICATION, PREVENT_BACKGROUND_AGG, PREVENT_ALL or
    PREVENT_ALL_AND_DISCONNECT.

    Example: coatcheck institution status mxbank PREVENT_NEW --client CLT-...
    """
    note = ""
    if value is not None and client is not None:
        count = _set_client_status(code, client, value)
        note = f"Disconnected {count} members." if count else ""
    elif value is not None:
        _set_status(code, value)
    _print_status(code, client, note, as_json=as_json)


@command_group.command("calls")
def calls(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Only this institution, such as mxbank.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=90, help="How many days back. Jobs are kept for 90 days.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Shows how often each institution was read in the last days, and which processor had it read.

    Without a processor: for the client or the user, or by the daily aggregation. Jobs of deleted members do not count.

    Example: coatcheck institution calls --days 7
    """

    async def find(services: app.Services, connection: database.Connection) -> list[dict[str, Any]]:
        if code is not None:
            _named(services, code)
        since = services.clock.now() - timedelta(days=days)
        found = await job_rows.calls_of_institutions(connection, since)
        return [asdict(each) for each in found if code in {None, each.institution_code}]

    print_rows(read(find), as_json=as_json, empty="No institution was read.")


@command_group.command("fetch")
def fetch(
    connector: Annotated[str, typer.Argument(help="The name of the connector, as `connectors` lists it.")],
    name: Annotated[str | None, typer.Option(help="Only institutions whose name contains this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Asks a connector's upstream for its institutions, and writes them to the file that the connector reads.

    The file is the connector's setting `institutions_file`. Restart `serve` and `work` after it.

    Example: coatcheck institution fetch mx --name "credit union"
    """
    settings = replace(load_settings(), connectors=(connector,))
    (loaded,) = installed.load_connectors(settings, clock.SystemClock(), guard=ssrf.public_only)
    file = loaded.institutions_file
    if file is None:
        raise ConfigurationError(f"The connector {connector} reads no list of institutions.")
    found = asyncio.run(_fetch(loaded, name))
    catalogue.write_institutions(file, found)
    print_done(
        {"file": str(file), "institutions": len(found)},
        f"{len(found)} institutions were written to {file}.",
        as_json=as_json,
    )


async def _fetch(connector: contract.Connector, name: str | None) -> Sequence[contract.Institution]:
    try:
        return await connector.fetch_institutions(name)
    finally:
        await connector.close()


def _set_status(code: str, value: str) -> None:
    if value in list(institution_statuses.ClientStatus):
        raise InvalidRequest(f"{value} is set for a client. Name it: --client CLT-...")
    if value not in list(institution_statuses.InstitutionStatus):
        raise InvalidRequest(f"STATUS must be one of {', '.join(institution_statuses.InstitutionStatus)}.")
    new = institution_statuses.InstitutionStatus(value)

    async def act(services: app.Services, connection: database.Connection) -> None:
        institution = _named(services, code)
        await services.institutions.set_status(connection, institution.code, new, actor=OPERATOR)

    change(act)


def _set_client_status(code: str, client: str, value: str) -> int:
    if value not in list(institution_statuses.ClientStatus):
        raise InvalidRequest(
            f"STATUS of a client must be one of {', '.join(institution_statuses.ClientStatus)}."
        )
    new = institution_statuses.ClientStatus(value)

    async def act(services: app.Services, connection: database.Connection) -> int:
        institution = _named(services, code)
        await named_client(connection, client)
        return await services.institutions.set_client_status(
            institutions.ClientAt(client, institution.code), new, actor=OPERATOR
        )

    return read(act)


def _print_status(code: str, client: str | None, note: str, *, as_json: bool) -> None:
    async def find(services: app.Services, connection: database.Connection) -> dict[str, Any]:
        institution = _named(services, code)
        if client is not None:
            await named_client(connection, client)
        statuses = await institution_statuses.statuses(connection)
        return {
            "institution_code": institution.code,
            "name": institution.name,
            "status": statuses.get(institution.code, institution_statuses.AVAILABLE.status).value,
            "clients": [
                {"client_id": each.client_guid, "client_status": each.client_status}
                for each in await institution_statuses.restricted_clients(connection)
                if each.institution_code == institution.code and client in {None, each.client_guid}
            ],
        }

    facts = read(find)
    if not as_json:
        shown = [f"{each['client_id']} {each['client_status']}" for each in facts["clients"]]
        facts["clients"] = shown or "all AVAILABLE"
    print_facts(facts, as_json=as_json, note=note)


def _named(services: app.Services, code: str) -> contract.Institution:
    try:
        return services.registry.find(code)
    except NotFound:
        raise NotFound(
            f"There is no institution {code}. `coatcheck institution list` shows all institutions."
        ) from None
