"""The project's documents: their links, headings and tables, and guides whose blocks are run.

In a guide every ```bash and ```python block is run, in order, each language as one session. A ```json or ```text
block right after one shows what it prints: `...` stands for anything, and JSON may leave fields out. No other block
is run.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FENCED = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SEPARATOR = "\x1e"


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int
    shows: "Block | None" = None
    """The block with the expected output."""


def tracked(*patterns: str) -> list[Path]:
    """The project's files: those that git tracks, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    found: list[Block] = []
    end = 0
    for match in FENCED.finditer(text):
        block = Block(match["kind"], match["text"], text[: match.start()].count("\n") + 1)
        follows = found and not text[end : match.start()].strip()
        if follows and found[-1].kind in {"bash", "python"} and block.kind in {"json", "text"}:
            found[-1] = Block(found[-1].kind, found[-1].text, found[-1].line, block)
        else:
            found.append(block)
        end = match.end()
    return found


def prose(document: Path) -> str:
    """The document without its blocks."""
    return FENCED.sub("", document.read_text())


def headings(document: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub generates it."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def table(document: Path, heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table below a heading, without its own heading row."""
    section = re.split(rf"^#+ {re.escape(heading)}$", document.read_text(), flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows[2:]]


def run(
    document: Path, kind: str, command: Sequence[str], environment: Mapping[str, str], directory: Path
) -> None:
    """Runs every block of a kind as one program, and compares the output of each with the block after it."""
    chosen = [block for block in blocks(document) if block.kind == kind]
    done = subprocess.run(
        command,
        input="".join(_marked(chosen, kind)),
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    _, *printed = done.stdout.split(SEPARATOR)
    where = f"{document.name}, line {chosen[max(len(printed), 1) - 1].line}"
    assert done.returncode == 0, f"{where} fails:\n{done.stderr}\n{printed[-1:]}"
    assert len(printed) == len(chosen), where
    for block, text in zip(chosen, printed, strict=True):
        if block.shows:
            where = f"{document.name}, line {block.shows.line}"
            assert is_like(block.shows, text), f"{where} shows other output than was printed:\n{text}"


def _marked(chosen: Sequence[Block], kind: str) -> Iterator[str]:
    if kind == "bash":
        yield "set -euo pipefail\n"
    mark = rf"printf '\036'{chr(10)}" if kind == "bash" else f"print({SEPARATOR!r}, end='', flush=True)\n"
    for block in chosen:
        yield f"{mark}{block.text}\n"


def is_like(shown: Block, printed: str) -> bool:
    if shown.kind == "json":
        return _is_part(json.loads(shown.text), json.loads(printed))
    return _is_pattern(shown.text.strip(), printed.strip())


def _is_pattern(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("..."))), text, re.DOTALL) is not None


def _is_part(shown: Any, printed: Any) -> bool:
    match shown:
        case dict():
            return all(name in printed and _is_part(value, printed[name]) for name, value in shown.items())
        case list():
            return len(shown) == len(printed) and all(map(_is_part, shown, printed))
        case str() if "..." in shown:
            return isinstance(printed, str) and _is_pattern(shown, printed)
        case _:
            return bool(shown == printed and type(shown) is type(printed))
