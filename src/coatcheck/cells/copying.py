"""Copies rows of a table from one database to another, and compares them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from coatcheck.db.database import Connection, fetch_one

__all__ = ["Rows", "copy_rows", "digest_rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table."""

    table: str
    condition: str
    """Over the columns of the table. A constant of this program: values are parameters."""
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Digest:
    rows: int
    hash: str


async def columns_of(connection: Connection, table: str) -> Sequence[str]:
    """The columns that can be written, in the order of the table."""
    cursor = await connection.execute(
        """SELECT attname FROM pg_attribute
           WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
           ORDER BY attnum""",
        {"table": table},
    )
    return [name for (name,) in await cursor.fetchall()]


async def copy_rows(source: Connection, target: Connection, rows: Rows, *, into: str | None = None) -> None:
    """Copies the rows into the table of the same name, or into another with the same columns."""
    columns = sql.SQL(", ").join(map(sql.Identifier, await columns_of(source, rows.table)))
    reading = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT binary)").format(
        columns, sql.Identifier(rows.table), _condition(rows)
    )
    writing = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(into or rows.table), columns
    )
    async with (
        source.cursor() as reader,
        target.cursor() as writer,
        reader.copy(reading, rows.parameters) as outgoing,
        writer.copy(writing) as incoming,
    ):
        async for block in outgoing:
            await incoming.write(block)


async def digest_rows(connection: Connection, rows: Rows) -> Digest:
    """How many rows there are, and a hash of their columns in any order."""
    columns = sql.SQL(", ").join(map(sql.Identifier, await columns_of(connection, rows.table)))
    found = await fetch_one(
        connection,
        Digest,
        sql.SQL(
            """SELECT count(*) AS rows, coalesce(md5(string_agg(md5, '' ORDER BY md5)), '') AS hash
               FROM (SELECT md5(row({})::text) AS md5 FROM {} WHERE {}) AS hashed"""
        )
        .format(columns, sql.Identifier(rows.table), _condition(rows))
        .as_string(connection),
        rows.parameters,
    )
    assert found is not None, "an aggregate has one row"
    return found


def _condition(rows: Rows) -> sql.SQL:
    return sql.SQL(rows.condition)  # composed of constants of this program
