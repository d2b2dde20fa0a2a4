"""`coatcheck migrate`: migrates the database to the schema of this version."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from coatcheck import app, clock, config
from coatcheck.cli.console import AsJson, err, print_done
from coatcheck.cli.runtime import connect, run
from coatcheck.cli.settings import load_settings
from coatcheck.db import database
from coatcheck.errors import ConstraintNotMet
from coatcheck.migrations import revision, roles, upgrade


def migrate(as_json: AsJson = False) -> None:
    """Migrates the database to the schema of this version, or does nothing if it is current. Concurrent runs wait.

    It runs as the owner of the tables, and grants the role of serve and work (setting service_role) what it needs.

    Example: coatcheck migrate
    """
    settings = load_settings()
    url = settings.direct_url
    run(_check(settings))
    pending = upgrade.pending(url)
    with err.status("Migrating the database"):
        upgrade.upgrade(url)
        run(_prepare_partitions(settings))
    sentence = f"Migrated: {', '.join(pending)}." if pending else "The schema is current."
    print_done({"applied": pending}, sentence, as_json=as_json)


async def _prepare_partitions(settings: config.Settings) -> None:
    # Before the first row is written, which would otherwise be in a default partition.
    async with _connect(settings) as connection:
        await app.prepare_partitions(connection, clock.SystemClock().now(), settings)
        if settings.service_role:
            async with connection.transaction():
                await roles.grant_service_role(connection, settings.service_role)


def _connect(settings: config.Settings) -> AbstractAsyncContextManager[database.Connection]:
    setting = "database_direct_url" if settings.database_direct_url else "database_url"
    return connect(settings.direct_url, setting)


async def _check(settings: config.Settings) -> None:
    """Connects first, so that a wrong URL raises an error that explains it, and not one of Alembic's.

    Raises:
        ConstraintNotMet: the schema is that of a later version, which this one does not know.
    """
    async with _connect(settings) as connection:
        found = await revision.revision_of(connection)
    if found is not None and found > revision.HEAD:
        raise ConstraintNotMet(
            f"The database has revision {found} of the schema, which a later version of Coatcheck made; this one knows"
            f" {revision.HEAD}. Migrate with the later version, or restore the backup that was made before its upgrade."
        )
