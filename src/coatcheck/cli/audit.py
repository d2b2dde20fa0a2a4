"""`coatcheck audit`: verifies and exports the audit log."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TextIO

import typer

from coatcheck import app
from coatcheck.audit import checkpoints, keys, published
from coatcheck.audit import export as exporting
from coatcheck.audit import prune as pruning
from coatcheck.audit import verify as verifying
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import progress
from coatcheck.cli.console import AsJson, err, out, print_done, print_json, print_rows
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.cli.lookups import named_client
from coatcheck.cli.runtime import change, open_services, read, run
from coatcheck.db import database
from coatcheck.errors import ConfigurationError, NotFound
from coatcheck.grants import possible_readers
from coatcheck.model import accounts
from coatcheck.replaced_files import replaced
from coatcheck.vault import grant_reads

SHOWS_AFTER = 2
"""Seconds until the progress is shown."""
PRINTED = 100
"""Problems that are printed. JSON has all."""

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The audit log: who did what, and who read what."
)

PublishedFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        help="A file of published checkpoints; can be repeated. By default the setting audit_checkpoint_file.",
    ),
]


@command_group.command()
def verify(checkpoints: PublishedFiles = None, as_json: AsJson = False) -> None:
    """Verifies every entry and disclosure, every checkpoint, and the published checkpoints. Names what was changed.

    The exit code is 10 if something was changed. Changes nothing.

    Example: coatcheck audit verify --checkpoints /mnt/worm/coatcheck.checkpoints
    """
    found = run(_verify(checkpoints or []))
    facts = {
        "entries": found.sealed,
        "unsealed": found.unsealed,
        "pruned": found.pruned,
        "checkpoints": found.checkpoints,
        "published": found.published,
        "last_checkpoint_at": found.last.at if found.last else None,
        "problems": found.problems,
    }
    if as_json:
        print_json(facts)
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(ExitCode.ALTERED)


def _print(found: verifying.Verified) -> None:
    for problem in found.problems[:PRINTED]:
        out.print(problem, style="bold red", markup=False)
    if len(found.problems) > PRINTED:
        out.print(f"... and {len(found.problems) - PRINTED} more. --json lists all.", markup=False)
    pruned = f", {found.pruned} of them pruned" if found.pruned else ""
    out.print(
        f"{found.sealed} entries in {found.checkpoints} checkpoints{pruned}; {found.unsealed} not sealed yet;"
        f" {found.published} published checkpoints compared. {len(found.problems) or 'No'} problems.",
        markup=False,
    )
    if not found.published and not found.problems:
        out.print(
            "Without published checkpoints, a log that was cut off or rewritten with its keys is not noticed."
            " Set audit_checkpoint_file, or give --checkpoints.",
            markup=False,
        )


async def _verify(files: list[Path]) -> verifying.Verified:
    async with open_services() as services:
        published = _read(files, services.settings.audit_checkpoint_file)
        async with _snapshot(services) as connection:
            log_keys = await keys.log_keys(connection)
            with progress.progress_bar() as bar:
                started = time.monotonic()
                task = bar.add_task("Verifying", total=None, visible=False)

                def show(done: int, total: int) -> None:
                    is_slow = time.monotonic() - started > SHOWS_AFTER
                    bar.update(task, completed=done, total=total, visible=is_slow)

                with _without_garbage_collection():
                    return await verifying.verify(connection, log_keys, published, show)


def _read(files: list[Path], default: str) -> list[published.PublishedCheckpoint]:
    if not files and default and Path(default).exists():
        files = [Path(default)]
    try:
        return [each for file in files for each in published.read_published(file)]
    except checkpoints.Unreadable as error:
        raise ConfigurationError(f"A published checkpoint cannot be read: {error}.") from None


@command_group.command()
def export(
    client: Annotated[
        str | None, typer.Option(help="Only the entries of this client (CLT-...), each with a proof.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --client: the size of an earlier checkpoint, to prove that it is included."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of the output.")
    ] = None,
) -> None:
    """Writes the sealed log as lines of JSON that anyone can verify: docs/reference/audit-log.md.

    Example: coatcheck audit export --output audit.ndjson
    """
    count = run(_export(client, since, output))
    err.print(f"{count} lines were written.", markup=False)


@command_group.command()
def prune(
    month: Annotated[str, typer.Argument(help="disclosure_YYYY_MM or audit_event_YYYY_MM")],
    as_json: AsJson = False,
) -> None:
    """Drops a month of the log that has ended. An entry says which rows are gone, and the rest still verifies.

    Export the month first. Run it as the owner of the tables.

    Example: coatcheck audit prune disclosure_2024_01
    """

    async def action(services: app.Services, connection: database.Connection) -> pruning.Pruned:
        return await pruning.prune(connection, services.clock, services.journal, month, actor=OPERATOR)

    dropped = change(action)
    print_done(asdict(dropped), f"{dropped.count} rows of {month} were dropped.", as_json=as_json)


async def _export(client: str | None, since: int | None, output: Path | None) -> int:
    count = 0
    async with open_services() as services, _snapshot(services) as connection:
        if client:
            await named_client(connection, client)
        log_keys = await keys.log_keys(connection)
        lines = (
            exporting.export_client(connection, log_keys, client, since=since)
            if client
            else exporting.export(connection, log_keys)
        )
        # What cannot be exported must not empty a file.
        line = await anext(lines, None)
        try:
            with replaced(output) if output else _standard_output() as file:
                while line is not None:
                    file.write(f"{line}\n")
                    count += 1
                    line = await anext(lines, None)
        except OSError as error:
            if output is None:
                raise
            raise ConfigurationError(f"{output} cannot be written: {error.strerror}.") from None
    return count


def _standard_output() -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Rows contain no cycles. To look for some among millions of them takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def _snapshot(services: app.Services) -> AsyncIterator[database.Connection]:
    """A transaction in which the log does not grow."""
    async with services.db.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


def _day(text: str) -> datetime:
    """The start of a day in UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a day. Write it as year, month and day: 2026-11-26."
        ) from None


@command_group.command()
def who(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The id of the account, ACT-...")],
    on: Annotated[datetime, typer.Option("--on", parser=_day, metavar="YYYY-MM-DD", help="The day, in UTC.")],
    as_json: AsJson = False,
) -> None:
    """Shows which processors could read an account on a day, and who did.

    The client of the account's user can read it at any time. The reader kind `service` is a job of Coatcheck itself,
    which used a credential at the bank.

    Example: coatcheck audit who ACT-... --on 2026-11-26
    """
    could, did = read(lambda _, connection: _readers(connection, account, on, on + timedelta(days=1)))
    readers = [{"reader_kind": each.reader_kind, **asdict(each)} for each in did]
    if as_json:
        facts = {"account_guid": account, "on": f"{on:%Y-%m-%d}"}
        print_json({**facts, "could_read": list(map(asdict, could)), "did_read": readers})
        return
    out.print("Could read:", markup=False)
    print_rows(list(map(asdict, could)), as_json=False, empty="No processor.")
    out.print("Did read:", markup=False)
    print_rows(readers, as_json=False, empty="Nobody.")


async def _readers(
    connection: database.Connection, account_guid: str, start: datetime, end: datetime
) -> tuple[Sequence[possible_readers.PossibleReader], Sequence[grant_reads.ActualReader]]:
    """Raises NotFound if neither the account nor a grant for it is known."""
    could = await possible_readers.possible_readers(connection, account_guid, start, end)
    parents = await accounts.parents_of_account(connection, account_guid)
    users = {each.user_guid for each in could} | ({parents.user_guid} if parents else set())
    if not users:
        raise NotFound(f"There is no account {account_guid}, and no grant for it.")
    # A client reads by account, by member or by user; the disclosure names what it asked for.
    records = [account_guid, *users, *([parents.member_guid] if parents else [])]
    did = [
        each
        for user in sorted(users)
        for each in await grant_reads.actual_readers(connection, user, records, start, end)
    ]
    return could, did
