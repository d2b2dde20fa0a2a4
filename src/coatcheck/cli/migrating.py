"""`coatcheck migrate`: brings the database to this version's schema."""

from coatcheck.cli.printing import AsJson, beside, out, show_json
from coatcheck.cli.running import reached, run
from coatcheck.config import load
from coatcheck.migrations import walk


def migrate(as_json: AsJson = False) -> None:
    """Brings the database to this version's schema; does nothing when it is there. Two at once take turns.

    Example: coatcheck migrate
    """
    url = load().database_url
    run(_reach(url))
    pending = walk.pending(url)
    with beside.status("Migrating the database"):
        walk.upgrade(url)
    if as_json:
        show_json({"applied": pending})
    elif pending:
        out.print(f"Migrated: {', '.join(pending)}.")
    else:
        out.print("The schema is current.")


async def _reach(url: str) -> None:
    async with reached(url):
        pass
