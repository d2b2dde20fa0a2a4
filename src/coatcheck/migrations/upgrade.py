"""Upgrades the schema, and lists the revisions that it lacks."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

LOCK = 7_166_417
"""Advisory lock that makes migrating processes run one after the other."""


def _engine(url: str) -> Engine:
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={"options": "-c lock_timeout=5s -c timezone=UTC"},
    )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def upgrade(url: str) -> None:
    """Migrates the database at `url` to this version's schema; does nothing when it has it."""
    engine = _engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()


def pending(url: str) -> list[str]:
    """The revisions the database lacks, oldest first; empty when it is current."""
    script = ScriptDirectory.from_config(_config())
    with _engine(url).connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    revisions = [
        revision.revision for revision in script.walk_revisions(base=current or "base", head="heads")
    ]
    return [revision for revision in reversed(revisions) if revision != current]
