"""The revision of the schema that this program needs, without loading Alembic and SQLAlchemy (24 MB)."""

from typing import Any

import psycopg

HEAD = "0011"
"""The newest revision in `versions/`; revisions are numbers of four digits, so that they compare as text."""


async def is_current(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the database has this program's schema or a newer one, as during a deployment."""
    cursor = await connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return False
    cursor = await connection.execute("SELECT max(version_num) FROM alembic_version")
    row = await cursor.fetchone()
    return row is not None and row[0] is not None and row[0] >= HEAD
