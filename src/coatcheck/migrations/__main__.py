"""`python -m coatcheck.migrations URL` migrates the database at the URL, unless it is current.

For `coatcheck sandbox`, which does so in a process of its own: SQLAlchemy and Alembic would keep 24 MB.
"""

import asyncio
import sys
from importlib import import_module

import psycopg

from coatcheck.errors import OperatorError
from coatcheck.migrations.revision import is_current


async def _is_current(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await is_current(connection)


def main(url: str) -> None:
    try:
        if not asyncio.run(_is_current(url)):
            import_module("coatcheck.migrations.upgrade").upgrade(url)
    except (psycopg.Error, OperatorError) as error:
        sys.exit(f"The database cannot be migrated: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
