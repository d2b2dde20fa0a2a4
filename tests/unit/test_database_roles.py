"""The role of `serve` and `work` does all that they do, and cannot alter the log. Another role owns the tables."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from coatcheck.app import Services, build, prepare_partitions
from coatcheck.audit.installation import may_alter_log
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.db.partitions import drop_partition
from coatcheck.errors import ConfigurationError
from coatcheck.grants.partitions import RETENTION
from coatcheck.migrations.roles import grant_service_role
from coatcheck.migrations.upgrade import upgrade
from coatcheck.worker import build_worker, run_maintenance
from coatcheck.worker_services import run_pending
from tests.databases import EMPTY, execute
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.sealed_log import seal, verified


@dataclass(frozen=True)
class Installed:
    owner: str
    owner_url: str
    service: str
    service_url: str


def url_of(server_url: str, role: str, database: str) -> str:
    return urlsplit(server_url)._replace(netloc=f"{role}@", path=f"/{database}").geturl()


async def grant(url: str, role: str) -> None:
    async with await AsyncConnection.connect(url) as connection:
        await grant_service_role(connection, role)


async def prepare(url: str) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await prepare_partitions(connection, MovableClock().now(), Settings())


@pytest.fixture(scope="module")
def installed(server_url: str) -> Iterator[Installed]:
    """A database as operators.md says: one role owns and migrates it, another one serves."""
    name = uuid4().hex
    owner, service, database = f"owner_{name}", f"service_{name}", f"test_{name}"
    execute(server_url, f"CREATE ROLE {owner} LOGIN", f"CREATE ROLE {service} LOGIN")
    execute(server_url, f"CREATE DATABASE {database} OWNER {owner} TEMPLATE {EMPTY}")
    both = Installed(
        owner, url_of(server_url, owner, database), service, url_of(server_url, service, database)
    )
    upgrade(both.owner_url)
    asyncio.run(prepare(both.owner_url))
    asyncio.run(grant(both.owner_url, service))
    yield both
    execute(
        server_url, f"DROP DATABASE {database} WITH (FORCE)", f"DROP ROLE {owner}", f"DROP ROLE {service}"
    )


@pytest.fixture
async def services(installed: Installed, master_key: str, clock: MovableClock) -> AsyncIterator[Services]:
    settings = Settings(
        database_url=installed.service_url, master_key=master_key, connectors=("sandbox",), pool_size=4
    )
    async with build(settings, clock) as services:
        yield services


async def test_the_service_role_runs_the_whole_flow(services: Services, clock: MovableClock) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    token = await make_token(services, account, processor)
    presented = services.access.parse_token(token)
    await services.access.numbers(presented)
    await services.access.owners(presented)
    await run_pending(services)
    await build_worker(services).sweep()
    await run_maintenance(services)
    assert await seal(services) > 0
    async with services.db.transaction() as connection:
        await services.clients.disable(connection, client.guid, actor="operator")
    await seal(services)
    assert (await verified(services)).problems == []
    assert (await verified(services)).sealed > 0


async def test_the_service_role_creates_and_drops_partitions_of_tokens(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=100))
    await run_maintenance(services)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'link'::regclass"
        )
        (count,) = await cursor.fetchone() or (0,)
    clock.advance(RETENTION + timedelta(days=3))
    await run_maintenance(services)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT min(substring(inhrelid::regclass::text FROM '[0-9]+$')::int) FROM pg_inherits"
            " WHERE inhparent = 'link'::regclass"
        )
        (oldest,) = await cursor.fetchone() or (0,)
    assert count > 14
    assert oldest >= (clock.now() - RETENTION).timestamp() // 86_400


LOG = ("audit_event", "disclosure", "audit_checkpoint")


@pytest.mark.parametrize("table", LOG)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET at = at",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "DROP TABLE {}",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} DISABLE TRIGGER {}_append_only",
        "ALTER TABLE {} ADD COLUMN x text",
        "DROP TRIGGER {}_append_only ON {}",
        "CREATE TRIGGER x BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        "CREATE RULE x AS ON INSERT TO {} DO INSTEAD NOTHING",
    ],
)
async def test_the_service_role_cannot_alter_the_log(services: Services, table: str, statement: str) -> None:
    async with services.db.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.replace("{}", table))


@pytest.mark.parametrize("table", ["audit_event", "disclosure"])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE {} DETACH PARTITION {}_rest",
        "UPDATE {}_rest SET at = at",
        "DELETE FROM {}_rest",
        "TRUNCATE {}_rest",
        "DROP TABLE {}_rest",
        "INSERT INTO {}_rest SELECT * FROM {}_rest",
        "SELECT drop_partition('{}_rest')",
        "SELECT create_partition('{}', '{}_x', 'DEFAULT')",
        "SELECT create_range_partition('{}', 'client', now(), now())",
        "SELECT create_range_partition('pg_class', 'pg_class_1', now(), now())",
    ],
)
async def test_the_service_role_cannot_alter_the_partitions_of_the_log(
    services: Services, table: str, statement: str
) -> None:
    async with services.db.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.replace("{}", table))


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role TO replica",
        "SELECT setval('audit_number', 1)",
        "ALTER SEQUENCE audit_number RESTART",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS ''",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE TABLE audit_event_x ()",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
async def test_the_service_role_cannot_get_round_the_guards(services: Services, statement: str) -> None:
    async with services.db.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement)


async def test_a_partition_of_the_log_is_not_dropped_by_the_owner_by_mistake(installed: Installed) -> None:
    async with await AsyncConnection.connect(installed.owner_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append only"):
            await drop_partition(connection, "disclosure_rest")
        assert await may_alter_log(connection)


async def test_the_doctor_tells_a_role_that_may_alter_the_log(services: Services) -> None:
    async with services.db.connection() as connection:
        assert not await may_alter_log(connection)


async def test_granting_again_takes_away_what_was_granted_by_hand(
    installed: Installed, services: Services
) -> None:
    execute(installed.owner_url, f"GRANT ALL ON audit_event TO {installed.service}")
    async with services.db.connection() as connection:
        assert await may_alter_log(connection)
    await grant(installed.owner_url, installed.service)
    async with services.db.connection() as connection:
        assert not await may_alter_log(connection)


async def test_the_owner_cannot_be_the_service_role_and_an_unknown_role_is_named(
    installed: Installed, url: str
) -> None:
    with pytest.raises(ConfigurationError, match="owns the tables"):
        await grant(installed.owner_url, installed.owner)
    with pytest.raises(ConfigurationError, match="does not exist"):
        await grant(installed.owner_url, "nobody_here")
