"""The command `coatcheck`. An operator's error becomes one sentence and an exit code (`exit_codes.py`)."""

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from coatcheck.cli import data_directory, lazy_imports
from coatcheck.cli.console import print_error
from coatcheck.cli.exit_codes import ExitCode, exit_code
from coatcheck.errors import CoatcheckError, Unavailable


class Command(NamedTuple):
    """A command or a group of commands. Its module is imported when it is used."""

    module: str
    name: str
    """Of the function or of the group in the module."""
    summary: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "sandbox": Command("sandbox", "sandbox", "Runs a complete installation, for development and tests."),
        "stop": Command("stop", "stop", "Stops a sandbox."),
        "clock": Command("clock", "clock", "Shows and moves the clock of a sandbox."),
        "listen": Command("listen", "listen", "Shows the events of a sandbox, and forwards them."),
        "trigger": Command("trigger", "trigger", "Causes an event in a sandbox."),
        "demo": Command("demo", "demo", "Runs the whole flow on a sandbox of its own."),
        "serve": Command("serve", "serve", "Serves the API and the pages."),
        "work": Command("work", "work", "Runs jobs: institutions, webhooks, maintenance."),
        "migrate": Command("migrate", "migrate", "Migrates the database to the schema of this version."),
        "client": Command("client_events", "command_group", "Clients, which let their users link accounts."),
        "institution": Command(
            "institutions", "command_group", "Institutions, and what each client may do there."
        ),
        "processor": Command(
            "processor_security", "command_group", "Processors, which redeem codes and read accounts."
        ),
        "staff": Command("staff", "command_group", "Staff: who signs in to the dashboard."),
        "grant": Command("grants", "command_group", "Grants: access tokens, and what each may read."),
        "import": Command("imports", "import_", "Imports a statement file for a user."),
        "simplefin": Command("simplefin", "command_group", "Access for apps that read SimpleFIN."),
        "cell": Command("cells", "command_group", "Cells: several databases, and the moves of users."),
        "keys": Command("keys", "command_group", "Master keys, and the keys that sign receipts."),
        "verify-receipt": Command("verify_receipt", "verify_receipt", "Checks a signed receipt, offline."),
        "conformance": Command("conformance", "command_group", "Tests of integrations with a sandbox."),
        "bench": Command("bench", "bench", "Measures how many requests a sandbox answers."),
        "audit": Command("audit", "command_group", "The audit log: who did what, and who read what."),
        "connectors": Command("connectors", "connectors", "Lists the installed connectors."),
        "doctor": Command("doctor", "doctor", "Checks the installation, and says how to repair it."),
        "openapi": Command("openapi", "openapi", "Prints the OpenAPI document."),
    }
)
WITHOUT_SETTINGS = frozenset({"verify-receipt"})
PLAIN = None
"""The help is plain text: with markup, a command takes twice as long to start."""


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The framework suggests names from this; `get_command` imports the commands.
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the framework's signature)
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        with lazy_imports.deferred():
            command = getattr(importlib.import_module(f"coatcheck.cli.{module}"), name)
            if not isinstance(command, typer.Typer):
                single = typer.Typer(add_completion=False)
                single.command()(command)
                command = single
            command.rich_markup_mode = PLAIN
            found = typer.main.get_command(command)
        found.name = cmd_name
        if cmd_name not in WITHOUT_SETTINGS:
            _add_data_directory(found)
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the framework's signature)
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _add_data_directory(command: Any) -> None:
    """Adds the option --data-dir to a command, or to those of a group, that have none of their own."""
    if isinstance(command, TyperGroup):
        for each in command.commands.values():
            _add_data_directory(each)
    elif not any("--data-dir" in parameter.opts for parameter in command.params):
        command.params += typer.main.get_command(_with_data_directory).params


def _select(directory: Path | None) -> None:
    if directory is not None:
        data_directory.ignore_libpq_environment()
        directory = data_directory.resolve(directory)
    data_directory.selected.set(directory)


_with_data_directory = typer.Typer(add_completion=False)


@_with_data_directory.command()
def _option(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            callback=_select,
            expose_value=False,
            readable=False,
            help="The directory of a sandbox, to use its database and keys instead of the settings.",
        ),
    ] = None,
) -> None: ...


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=PLAIN,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_set: bool) -> None:
    if is_set:
        print(version_of("coatcheck"))  # noqa: T201 (the result)
        raise typer.Exit


@app.callback()
def coatcheck(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Self-hosted processor tokens: scoped, revocable access to bank accounts, compatible with MX.

    Settings come from COATCHECK_* in the environment and from the file that COATCHECK_CONFIG names.

    Example: coatcheck sandbox --port 8000
    """


def main() -> None:
    """Runs the command."""
    try:
        app(prog_name="coatcheck")
    except Unavailable as error:
        print_error("The database does not answer. Check that it runs, then run `coatcheck doctor`.", error)
        sys.exit(exit_code(error))
    except CoatcheckError as error:
        print_error(error.problem, error)
        sys.exit(exit_code(error))
    except OSError as error:
        # A full disk, a file of another user, a read-only directory.
        print_error(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.")
        sys.exit(ExitCode.CONFIGURATION)
