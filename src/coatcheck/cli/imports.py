"""`coatcheck import`: imports a statement file for a user."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import progress
from coatcheck.cli.console import AsJson, err, print_json, print_rows
from coatcheck.cli.lookups import named_user
from coatcheck.cli.runtime import open_services, run
from coatcheck.connectors.statement_files import csv_mapping
from coatcheck.errors import InvalidRequest, TooLarge, UnreadableFile
from coatcheck.http import csv_mapping as http_csv_mapping
from coatcheck.http import decoding
from coatcheck.imports import imports, records

SHOWS_AFTER = 2.0
"""Seconds. A file that is imported sooner shows no progress."""


def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="OFX, CAMT, MT940, BAI2 or CSV.")],
    user: Annotated[str, typer.Option("--user", help="The id of the user, USR-...")],
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be imported, and import nothing.")
    ] = False,
    mapping: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="JSON that says how to read a CSV file, as `mapping` of the API. Default: the last one, or guessed.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Imports a statement file for a user. What is known already is not imported again.

    Example: coatcheck import statement.ofx --user USR-... --dry-run

    Example: coatcheck import statement.csv --user USR-... --mapping mapping.json
    """
    if file.stat().st_size > imports.MAX_FILE_BYTES:
        raise TooLarge(f"The file is larger than {imports.MAX_FILE_BYTES // 1024 // 1024} MB. Split it.")

    given = _mapping(mapping) if mapping else None

    async def main() -> records.Import:
        async with open_services() as services:
            with _progress():
                return await _import(services, user, _Upload(file.read_bytes(), given, is_dry_run))

    try:
        imported = run(main())
    except UnreadableFile as error:
        raise UnreadableFile(f"{file.name}, {_place(error)}: {error.problem}") from None
    _print(imported, as_json=as_json)


def _mapping(file: Path) -> csv_mapping.CsvMapping:
    try:
        return decoding.parse(file.read_bytes(), http_csv_mapping.CsvMappingRequest).mapping
    except InvalidRequest as error:
        raise InvalidRequest(f"{file.name}: {error.problem}") from None


@dataclass(frozen=True, slots=True)
class _Upload:
    data: bytes
    mapping: csv_mapping.CsvMapping | None
    is_dry_run: bool


async def _import(services: app.Services, guid: str, upload: _Upload) -> records.Import:
    async with services.db.connection() as connection:
        user = await named_user(connection, guid)
    read = await services.imports.read(user, upload.data, upload.mapping)
    async with services.db.transaction() as connection:
        with services.seeding.caller(OPERATOR):
            if upload.is_dry_run:
                return await services.imports.preview(connection, user, read)
            return await services.imports.add(connection, user, read, actor=OPERATOR)


@contextmanager
def _progress() -> Iterator[None]:
    """Shows after two seconds how long the import takes already."""
    with progress.progress_bar() as bar:
        task = bar.add_task("Importing", total=None, visible=False)
        timer = asyncio.get_running_loop().call_later(SHOWS_AFTER, lambda: bar.update(task, visible=True))
        try:
            yield
        finally:
            timer.cancel()


def _place(error: UnreadableFile) -> str:
    line = f"line {error.line}" if error.line else ""
    return ", ".join(filter(None, (line, error.element)))


def _print(imported: records.Import, *, as_json: bool) -> None:
    rows = [
        {
            "account_guid": each.account_guid,
            "name": each.name,
            "added": each.added,
            "already_known": each.already_known,
            "balance": each.balance,
        }
        for each in imported.accounts
    ]
    if as_json:
        print_json(
            {
                "guid": imported.guid,
                "format": imported.format,
                "member_guid": imported.member_guid,
                "accounts": rows,
                "warnings": list(imported.warnings),
            }
        )
        return
    print_rows(rows, as_json=False, empty="Nothing was imported.")
    for warning in imported.warnings:
        err.print(warning, markup=False)
