"""`coatcheck migrate`: brings the database to the schema of this version."""

from coatcheck.app import prepare_partitions
from coatcheck.cli.console import AsJson, err, print_done
from coatcheck.cli.runtime import connect, run
from coatcheck.clock import SystemClock
from coatcheck.config import Settings, load
from coatcheck.migrations import upgrade


def migrate(as_json: AsJson = False) -> None:
    """Brings the database to the schema of this version. Does nothing if it has it. Concurrent runs take turns.

    Example: coatcheck migrate
    """
    settings = load()
    url = settings.database_url
    run(_check(url))
    pending = upgrade.pending(url)
    with err.status("Migrating the database"):
        upgrade.upgrade(url)
        run(_prepare_partitions(settings))
    sentence = f"Migrated: {', '.join(pending)}." if pending else "The schema is current."
    print_done({"applied": pending}, sentence, as_json=as_json)


async def _prepare_partitions(settings: Settings) -> None:
    # Before the first row is written, which would otherwise be in a default partition.
    async with connect(settings.database_url) as connection:
        await prepare_partitions(connection, SystemClock().now(), settings)


async def _check(url: str) -> None:
    """Connects, so that a wrong URL is explained; Alembic would raise an error of its own."""
    async with connect(url):
        pass
