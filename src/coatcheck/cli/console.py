"""What a command prints: tables for people, JSON for scripts.

Results go to standard output, everything else to standard error. `rich`, which draws tables and colours, is imported
when a table or a colour is printed: a server prints none, and `rich` takes 2 MB.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, TextIO

import typer

from coatcheck.errors import CoatcheckError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class _NoStatus:
    """The status of an action that nobody watches."""

    def update(self, text: str) -> None:
        pass

    def stop(self) -> None:
        pass


class Output:
    """Standard output or standard error."""

    def __init__(self, *, is_error: bool) -> None:
        self._is_error = is_error

    @cached_property
    def console(self) -> Any:
        from rich.console import Console  # noqa: PLC0415 (see the module)

        # Lines are not wrapped and values not highlighted, so that they can be copied.
        return Console(stderr=self._is_error, highlight=False, soft_wrap=True)

    def print(self, *texts: Any, style: str | None = None, markup: bool = True) -> None:
        if style is None and not markup:
            print(*texts, file=self._stream, flush=True)
        else:
            self.console.print(*texts, style=style, markup=markup)

    def status(self, text: str) -> AbstractContextManager[Any]:
        """Shows on a terminal what is being done, while the block runs."""
        return self.console.status(text) if self._stream.isatty() else nullcontext(_NoStatus())

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self._is_error else sys.stdout


out, err = Output(is_error=False), Output(is_error=True)


def print_error(message: str, error: CoatcheckError | None = None) -> None:
    """Prints one sentence, with the detail that only an operator may read."""
    detail = f" ({error.detail})" if error is not None and error.detail else ""
    err.print(f"coatcheck: {message}{detail}", style="red", markup=False)


def print_json(value: Any) -> None:
    out.print(json.dumps(value, indent=2, default=plain, ensure_ascii=False), markup=False)


def plain(value: Any) -> str:
    """A time as the API writes it; anything else as text."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Prints a table with a line for each row, or the sentence `empty` where there is none."""
    if as_json:
        print_json(rows)
    elif rows:
        from coatcheck.cli.tables import print_table_of_rows  # noqa: PLC0415 (see the module)

        print_table_of_rows(out.console, rows)
    else:
        out.print(empty, markup=False)


def print_facts(facts: Mapping[str, Any], *, as_json: bool, note: str = "") -> None:
    """Prints a name and its value on each line, then the note. JSON has no note."""
    if as_json:
        print_json(facts)
        return
    from coatcheck.cli.tables import print_table_of_facts  # noqa: PLC0415 (see the module)

    print_table_of_facts(out.console, facts)
    if note:
        out.print(note, markup=False)


def print_done(facts: Mapping[str, Any], sentence: str, *, as_json: bool) -> None:
    """Prints that a change was made: the sentence, or the facts as JSON."""
    if as_json:
        print_json(facts)
    else:
        out.print(sentence, markup=False)
