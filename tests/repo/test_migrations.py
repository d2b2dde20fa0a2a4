"""The schema that the program requires, and the migrations."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from coatcheck import migrations
from coatcheck.app import Services
from coatcheck.migrations.revision import HEAD, is_current
from coatcheck.migrations.upgrade import pending, upgrade


def test_the_required_schema_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(next(iter(migrations.__path__))))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(
    services: Services, url: str
) -> None:
    upgrade(url)
    assert pending(url) == []
    async with services.db.connection() as connection:
        assert await is_current(connection)
