"""Upgrades the schema, and lists the revisions that it lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from coatcheck.errors import DatabaseRefused

LOCK = 7_166_417
"""Advisory lock that makes migrating processes run one after the other."""


def _engine(url: str) -> Engine:
    # SQLAlchemy does not understand every URL of libpq, such as one with several hosts.
    return create_engine("postgresql+psycopg://", poolclass=NullPool, creator=partial(_connect, url))


def _connect(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url)
    # Not as `options` of the connection, which PgBouncer refuses.
    connection.execute("SET lock_timeout TO '5s'")
    connection.execute("SET timezone TO 'UTC'")
    connection.commit()
    return connection


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0].rstrip(".")
        raise DatabaseRefused(f"The database refused: {reason}. Run `coatcheck doctor`.") from error


def upgrade(url: str) -> None:
    """Migrates the database at `url` to this version's schema; does nothing when it has it.

    Raises:
        DatabaseRefused: it refused a statement.
    """
    with _explained(), _engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()


def pending(url: str) -> list[str]:
    """The revisions the database lacks, oldest first; empty when it is current.

    Raises:
        DatabaseRefused: it refused a statement.
    """
    script = ScriptDirectory.from_config(_config())
    with _explained(), _engine(url).connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    revisions = [
        revision.revision for revision in script.walk_revisions(base=current or "base", head="heads")
    ]
    return [revision for revision in reversed(revisions) if revision != current]
