"""Explains every statement of the program against a database with many rows: none scans a large table sequentially.

make explain

It runs the tests that reach the database and records their statements, fills a database, and asks PostgreSQL for the
generic plan of each statement, which is the one that the program uses.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from bench.filled import fill
from coatcheck.cells.preparation import INDEXES
from tests.databases import copied_database, execute, postgres

ROWS = 100_000
LARGE = 10_000
"""A relation with more rows than this must not be scanned."""
TABLES = re.compile(
    r"\b(access_token|live_token|authorization_code|event|delivery|audit_event|audit_entry|disclosure|transaction"
    r"|end_user|member|member_job|account)\b"
)
PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
console = Console(stderr=True)


@dataclass(frozen=True)
class Scan:
    relation: str
    statement: str


def numbered(statement: str, types: dict[str, str]) -> str:
    """The statement with `$1` for each parameter, with the type that the driver gives it."""
    numbers: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        if match[1] is None:
            return "%"
        number = numbers.setdefault(match[1], len(numbers) + 1)
        kind = types.get(match[1], "")
        return f"${number}::{kind}" if kind else f"${number}"

    return PLACEHOLDER.sub(place, statement)


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for child in plan.get("Plans", ()):
        yield from scanned(child)


def large_relations(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", (LARGE,))
    return {name for (name,) in rows}


def explain(url: str, statements: dict[str, dict[str, str]]) -> tuple[list[Scan], list[str]]:
    """The sequential scans of large relations, and the statements that cannot be explained."""
    scans, failed = [], []
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        large = large_relations(connection)
        for statement, types in statements.items():
            if not TABLES.search(statement) or not re.match(
                r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)", statement
            ):
                continue
            try:
                rows = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(statement, types)}")
                [(answer,)] = rows.fetchall()
            except psycopg.Error as error:
                failed.append(f"{str(error).splitlines()[0]}\n{statement}")
                continue
            scans += [Scan(name, statement) for name in scanned(answer[0]["Plan"]) if name in large]
    return scans, failed


def record(server_url: str, file: Path, selection: list[str]) -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.statements", f"--statements={file}", *selection],
        env={**os.environ, "TEST_SERVER_URL": server_url},
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        console.print("Some tests failed; their statements may be missing.", style="red")
    recorded: dict[str, dict[str, str]] = json.loads(file.read_text())
    return recorded


def main() -> int:
    selection = sys.argv[1:] or ["tests/unit", "tests/http"]
    with postgres() as server_url, tempfile.TemporaryDirectory() as directory:
        statements = record(server_url, Path(directory) / "statements.json", selection)
        with copied_database(server_url) as url:
            with console.status(f"Filling a database with {ROWS} tokens"):
                asyncio.run(fill(url, ROWS))
                execute(url, *INDEXES)
            scans, failed = explain(url, statements)
    for scan in scans:
        print(f"{scan.relation} is scanned sequentially by:\n{scan.statement}\n")
    for each in failed:
        print(f"cannot be explained: {each}\n")
    print(f"{len(statements)} statements, {len(scans)} sequential scans, {len(failed)} not explained.")
    return bool(scans or failed)


if __name__ == "__main__":
    sys.exit(main())
