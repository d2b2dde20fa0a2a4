"""`coatcheck migrate`: brings the database to this version's schema."""

from coatcheck.app import prepare_partitions
from coatcheck.cli.console import AsJson, beside, out, show_json
from coatcheck.cli.runtime import reached, run
from coatcheck.clock import SystemClock
from coatcheck.config import Settings, load
from coatcheck.migrations import upgrade


def migrate(as_json: AsJson = False) -> None:
    """Brings the database to this version's schema; does nothing when it is there. Two at once take turns.

    Example: coatcheck migrate
    """
    settings = load()
    url = settings.database_url
    run(_reach(url))
    pending = upgrade.pending(url)
    with beside.status("Migrating the database"):
        upgrade.upgrade(url)
        run(_make_room(settings))
    if as_json:
        show_json({"applied": pending})
    elif pending:
        out.print(f"Migrated: {', '.join(pending)}.")
    else:
        out.print("The schema is current.")


async def _make_room(settings: Settings) -> None:
    # Before anything is written that would have to lie in a default partition.
    async with reached(settings.database_url) as connection:
        await prepare_partitions(connection, SystemClock().now(), settings)


async def _reach(url: str) -> None:
    async with reached(url):
        pass
