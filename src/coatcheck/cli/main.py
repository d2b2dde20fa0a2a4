"""The command `coatcheck`. An operator's error becomes one sentence and an exit code (`exit_codes.py`)."""

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import version as version_of
from types import MappingProxyType
from typing import Annotated, Any

import psycopg
import typer
from typer.core import TyperGroup

from coatcheck.cli import logs
from coatcheck.cli.console import print_error
from coatcheck.cli.exit_codes import ExitCode, exit_code
from coatcheck.errors import CoatcheckError, Unavailable

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sandbox": ("sandbox", "sandbox"),
        "demo": ("demo", "demo"),
        "serve": ("serve", "serve"),
        "work": ("work", "work"),
        "migrate": ("migrate", "migrate"),
        "client": ("clients", "command_group"),
        "processor": ("processor_security", "command_group"),
        "grant": ("grants", "command_group"),
        "keys": ("keys", "command_group"),
        "verify-receipt": ("verify_receipt", "verify_receipt"),
        "audit": ("audit", "command_group"),
        "connectors": ("connectors", "connectors"),
        "doctor": ("doctor", "doctor"),
        "openapi": ("openapi", "openapi"),
    }
)
"""The module and the function of each command. A module is imported when its command runs: SQLAlchemy alone, which
only two commands need, takes 24 MB."""


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The framework suggests names from this; `get_command` imports the commands.
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the framework's signature)
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"coatcheck.cli.{module}"), name)
        if not isinstance(command, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command()(command)
            command = single
        found = typer.main.get_command(command)
        found.name = cmd_name
        return found


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
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
    logs.configure("WARNING", "console")
    try:
        app(prog_name="coatcheck")
    except Unavailable as error:
        print_error("The database does not answer. Check that it runs, then run `coatcheck doctor`.", error)
        sys.exit(exit_code(error))
    except CoatcheckError as error:
        print_error(error.problem, error)
        sys.exit(exit_code(error))
    except Exception as error:
        # SQLAlchemy wraps the driver's errors. Only migrations import SQLAlchemy.
        cause = getattr(error, "orig", error)
        if not isinstance(cause, psycopg.Error):
            raise
        print_error(f"The database refused: {str(cause).splitlines()[0]}. Run `coatcheck doctor`.")
        sys.exit(ExitCode.DATABASE)
