"""The command `coatcheck`: finds the verb, and turns every refusal into one sentence and an exit code.

0 done, 1 refused (with what to do next), 2 wrong usage, 130 interrupted.
"""

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import version as version_of
from types import MappingProxyType
from typing import Annotated, Any

import psycopg
import typer
from typer.core import TyperGroup

from coatcheck.cli import console, logs
from coatcheck.errors import CoatcheckError, Unavailable

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sandbox": ("sandbox", "sandbox"),
        "demo": ("demo", "demo"),
        "serve": ("serve", "serve"),
        "work": ("work", "work"),
        "migrate": ("migrate", "migrate"),
        "client": ("callers", "clients"),
        "processor": ("callers", "processors"),
        "connectors": ("connectors", "connectors"),
        "keys": ("keys", "command_group"),
        "doctor": ("doctor", "doctor"),
        "openapi": ("openapi", "openapi"),
    }
)
"""Module and name of each; loaded when asked for, because what one needs (SQLAlchemy: 24 MB) others do not."""


class _Commands(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names to suggest from; loaded below

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the framework's signature)
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"coatcheck.cli.{module}"), name)
        if not isinstance(command, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command()(command)
            command = alone
        found = typer.main.get_command(command)
        found.name = cmd_name
        return found


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(version_of("coatcheck"))  # noqa: T201 (the answer)
        raise typer.Exit


@app.callback()
def coatcheck(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hands over the coat, passes on the ticket: processor tokens, self-hosted.

    Settings come from COATCHECK_* in the environment and from the file that COATCHECK_CONFIG names.

    Example: coatcheck sandbox --port 8000
    """


def main() -> None:
    """Runs the verb; an error of the operator's becomes a sentence, never a traceback."""
    logs.configure("WARNING", "console")
    try:
        app(prog_name="coatcheck")
    except Unavailable as error:
        console.complain("The database does not answer. Check that it runs, then `coatcheck doctor`.", error)
    except CoatcheckError as error:
        console.complain(error.problem, error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # SQLAlchemy wraps the driver's errors, and only the migrations know SQLAlchemy.
        cause = getattr(error, "orig", error)
        if not isinstance(cause, psycopg.Error):
            raise
        console.complain(f"The database refused: {str(cause).splitlines()[0]}. Ask `coatcheck doctor`.")
    sys.exit(1)
