"""What a command prints: for people by default, JSON for scripts; answers on standard output, the rest beside it."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coatcheck.errors import CoatcheckError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

# Unwrapped and unadorned, so that what is copied out of it is what was meant.
out = Console(highlight=False, soft_wrap=True)
beside = Console(stderr=True, highlight=False, soft_wrap=True)


def complain(sentence: str, error: CoatcheckError | None = None) -> None:
    """One sentence, with the detail that an operator, and only an operator, may read."""
    detail = f" ({error.detail})" if error is not None and error.detail else ""
    beside.print(f"coatcheck: {sentence}{detail}", style="red", markup=False)


def show_json(value: Any) -> None:
    out.print(json.dumps(value, indent=2, default=str, ensure_ascii=False), markup=False)


def show_table(rows: Sequence[Mapping[str, Any]], *, nothing: str) -> None:
    """One line for each row; `nothing` is said where there is none."""
    if not rows:
        out.print(nothing, markup=False)
        return
    lines = [
        [name.replace("_", " ") for name in rows[0]],
        *([_word(value) for value in row.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        # Never cut or wrapped to the terminal's width: what stands here is copied.
        words = "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        out.print(words, style="bold" if number == 0 else None, markup=False)


def show_facts(facts: Mapping[str, Any]) -> None:
    """A name and its value on each line."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        out.print(f"{name.replace('_', ' '):<{width}}{_word(value)}", markup=False)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def progress() -> Progress:
    """A bar beside the answer, gone when done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=beside,
        transient=True,
    )
