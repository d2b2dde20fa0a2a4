"""Tables for people."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any
from unicodedata import category

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from coatcheck.cli.console import plain


def print_table_of_rows(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table with a line for each row."""
    table = Table(*map(_heading, rows[0]), box=SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
    for row in rows:
        table.add_row(*map(_text, row.values()))
    _print(out, table)


def print_table_of_facts(out: Console, facts: Mapping[str, Any]) -> None:
    """Prints a name and its value on each line."""
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for name, value in facts.items():
        table.add_row(_heading(name), _text(value))
    _print(out, table)


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
    return Text(_visible(plain(value)))


def _visible(text: str) -> str:
    """The text with each control character escaped: text of a client or of a receipt must not control the terminal."""
    return "".join(
        repr(each)[1:-1] if category(each).startswith("C") and each != "\n" else each for each in text
    )


def _print(out: Console, table: Table) -> None:
    """Prints the table at its full width, so that values can be copied: a console cuts it to its own width."""
    width = Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    text = StringIO()
    Console(file=text, width=width, force_terminal=out.is_terminal, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    print("\n".join(filter(None, lines)), file=out.file)
