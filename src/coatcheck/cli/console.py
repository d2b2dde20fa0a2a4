"""What a command prints: tables for people, JSON for scripts.

Results go to standard output, everything else to standard error.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated, Any
from unicodedata import category

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from coatcheck.errors import CoatcheckError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

# Lines are not wrapped and values not highlighted, so that they can be copied.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(message: str, error: CoatcheckError | None = None) -> None:
    """Prints one sentence, with the detail that only an operator may read."""
    detail = f" ({error.detail})" if error is not None and error.detail else ""
    err.print(f"coatcheck: {message}{detail}", style="red", markup=False)


def print_json(value: Any) -> None:
    out.print(json.dumps(value, indent=2, default=_plain, ensure_ascii=False), markup=False)


def _plain(value: Any) -> str:
    """A time as the API writes it; anything else as text."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Prints a table with a line for each row, or the sentence `empty` where there is none."""
    if as_json:
        print_json(rows)
    elif rows:
        table = Table(*map(_heading, rows[0]), box=SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
        for row in rows:
            table.add_row(*map(_text, row.values()))
        _print_table(table)
    else:
        out.print(empty, markup=False)


def print_facts(facts: Mapping[str, Any], *, as_json: bool, note: str = "") -> None:
    """Prints a name and its value on each line, then the note. JSON has no note."""
    if as_json:
        print_json(facts)
        return
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for name, value in facts.items():
        table.add_row(_heading(name), _text(value))
    _print_table(table)
    if note:
        out.print(note, markup=False)


def print_done(facts: Mapping[str, Any], sentence: str, *, as_json: bool) -> None:
    """Prints that a change was made: the sentence, or the facts as JSON."""
    if as_json:
        print_json(facts)
    else:
        out.print(sentence, markup=False)


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> Text:
    """A value for people. `Text` keeps brackets in it from being read as markup."""
    match value:
        case bool():
            return Text("yes" if value else "no")
        case None:
            return Text("-")
        case list() | tuple():
            return Text(_visible(", ".join(map(str, value))) or "-")
    return Text(_visible(_plain(value)))


def _visible(text: str) -> str:
    """The text with each control character escaped: text of a client or of a receipt must not control the terminal."""
    return "".join(
        repr(each)[1:-1] if category(each).startswith("C") and each != "\n" else each for each in text
    )


def _print_table(table: Table) -> None:
    """Prints the table at its full width, so that values can be copied: a console cuts it to its own width."""
    width = Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    text = StringIO()
    Console(file=text, width=width, force_terminal=out.is_terminal, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    print("\n".join(filter(None, lines)), file=out.file)
