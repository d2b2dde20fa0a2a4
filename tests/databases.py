"""One PostgreSQL for a run of the tests, and databases in it that are copies of one that was migrated once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from coatcheck.cli.embedded import database
from coatcheck.migrations.upgrade import upgrade

EMPTY, MIGRATED = "template0", "migrated"
"""The names of the databases that can be copied."""
MAX_CONNECTIONS = 500
"""Enough for one xdist worker on each core of a large machine; PostgreSQL's default is 100."""


def database_url(server_url: str, name: str) -> str:
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """A PostgreSQL server with a database `migrated`; yields the URL of its database `postgres`.

    Args:
        durable: False does not wait for the disk: the machine that runs the tests is not switched off.
    """
    with TemporaryDirectory(prefix="coatcheck-tests-") as parent:
        directory = Path(parent) / "postgres"
        with database(directory, durable=durable) as url:
            execute(
                url,
                f"CREATE DATABASE {MIGRATED} TEMPLATE {EMPTY}",
                f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}",
            )
            upgrade(database_url(url, MIGRATED))
        with database(directory, durable=durable) as url:  # only a start applies max_connections
            yield url


@contextmanager
def copied_database(server_url: str, template: str = MIGRATED) -> Iterator[str]:
    """The URL of a new database, which is dropped at the end, even with open connections."""
    name = f"test_{uuid4().hex}"
    # Its files are copied, which takes a third of the time of writing each of its pages to the log.
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield database_url(server_url, name)
    finally:
        execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
