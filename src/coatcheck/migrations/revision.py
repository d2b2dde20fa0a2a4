"""The revision of the schema that this program needs, without loading Alembic and SQLAlchemy (24 MB)."""

from typing import Any

import psycopg

HEAD = "0044"
"""The newest revision in `versions/`; revisions are numbers of four digits, so that they compare as text."""


async def revision_of(connection: psycopg.AsyncConnection[Any]) -> str | None:
    """The revision of the database's schema; None if it has none."""
    cursor = await connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    cursor = await connection.execute("SELECT max(version_num) FROM alembic_version")
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def is_current(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the database has this program's schema or a newer one, as during a deployment."""
    revision = await revision_of(connection)
    return revision is not None and revision >= HEAD
