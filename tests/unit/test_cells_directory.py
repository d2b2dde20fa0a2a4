"""The directory, which every cell has a copy of."""

import asyncio
from dataclasses import replace

import psycopg
import pytest

from coatcheck.app import Services, build
from coatcheck.cells.directory import COPYING
from coatcheck.cells.overview import examine
from coatcheck.cells.preparation import prepare
from coatcheck.config import Settings
from coatcheck.directory.apps import NewSetupToken
from coatcheck.errors import ConfigurationError, ConstraintNotMet
from coatcheck.vault.master_keys import MasterKeys
from tests.databases import copied_database
from tests.factories import make_account, make_client, make_processor, make_user
from tests.two_cells import Cells


async def count(services: Services, table: str, owner: str, guid: str) -> int:
    async with services.db.connection() as connection:
        cursor = await connection.execute(f"SELECT count(*) FROM {table} WHERE {owner} = %s", (guid,))
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def test_a_copy_adds_changes_and_removes(cells: Cells) -> None:
    client = await make_client(cells.first)
    processor = await make_processor(cells.first, client)
    await cells.copy_directory()
    async with cells.second.db.connection() as connection:
        await cells.second.api_keys.client(connection, *client.auth)
        await cells.second.api_keys.processor(connection, *processor.auth)
    assert await count(cells.second, "client_processor", "client_guid", client.guid) == 1
    async with cells.first.db.transaction() as connection:
        await cells.first.processors.disable_for(connection, processor.guid, client.guid, actor="operator")
        await connection.execute("UPDATE client SET name = 'New name' WHERE guid = %s", (client.guid,))
    await cells.copy_directory()
    assert await count(cells.second, "client_processor", "client_guid", client.guid) == 0
    assert await count(cells.second, "client", "name", "New name") == 1


async def test_an_app_that_a_user_of_any_cell_adds_is_in_all_of_them(cells: Cells) -> None:
    client = await make_client(cells.first)
    await cells.copy_directory()
    apps = []
    for services in cells.all:
        user = await make_user(services, client)
        account = await make_account(services, user)
        wanted = NewSetupToken(app_name="Budget", account_guids=[account.guid])
        async with services.db.transaction() as connection:
            await services.apps.create_setup_token(connection, user, wanted, actor=client.guid)
        await cells.copy_directory()
        apps.append(await count(cells.first, "processor", "app_of", client.guid))
    assert apps == [1, 1]
    assert await count(cells.second, "processor", "app_of", client.guid) == 1


async def test_an_app_that_is_added_during_a_copy_stays(cells: Cells, second_url: str) -> None:
    client = await make_client(cells.first)
    await cells.copy_directory()
    user = await make_user(cells.second, client)
    account = await make_account(cells.second, user)
    async with await psycopg.AsyncConnection.connect(second_url, autocommit=True) as holder:
        await holder.execute("SELECT pg_advisory_lock(%s)", (COPYING,))
        copying = asyncio.create_task(cells.copy_directory())
        # It collects the apps first, and then waits for the lock.
        await asyncio.wait([copying], timeout=0.5)
        wanted = NewSetupToken(app_name="Budget", account_guids=[account.guid])
        async with cells.second.db.transaction() as connection:
            await cells.second.apps.create_setup_token(connection, user, wanted, actor=client.guid)
    await copying
    assert await count(cells.second, "client_processor", "client_guid", client.guid) == 1
    await cells.copy_directory()
    assert await count(cells.first, "client_processor", "client_guid", client.guid) == 1


async def test_an_app_of_another_cell_that_the_operator_disabled_stays_disabled(cells: Cells) -> None:
    client = await make_client(cells.first)
    await cells.copy_directory()
    user = await make_user(cells.second, client)
    account = await make_account(cells.second, user)
    async with cells.second.db.transaction() as connection:
        wanted = NewSetupToken(app_name="Budget", account_guids=[account.guid])
        await cells.second.apps.create_setup_token(connection, user, wanted, actor=client.guid)
    await cells.copy_directory()
    async with cells.first.db.connection() as connection:
        await connection.execute("DELETE FROM client_processor WHERE client_guid = %s", (client.guid,))
    await cells.copy_directory()
    for services in cells.all:
        assert await count(services, "client_processor", "client_guid", client.guid) == 0


async def test_a_cell_can_be_prepared_again(cells: Cells) -> None:
    keys = MasterKeys.load(cells.first.settings)
    await prepare(cells.by_digit["0"], cells.by_digit["1"], keys)
    states = await examine(cells.by_digit)
    assert [(state.digit, state.answers, state.is_prepared) for state in states] == [
        ("0", True, True),
        ("1", True, True),
    ]


async def test_the_database_of_another_installation_is_not_prepared(cells: Cells, server_url: str) -> None:
    with copied_database(server_url) as url:
        async with build(replace(cells.first.settings, database_url=url, cells={}), cells.clock) as other:
            await make_client(other)
            home = replace(cells.by_digit["1"], digit="2", db=other.db)
            with pytest.raises(ConstraintNotMet, match="belongs to another installation"):
                await prepare(cells.by_digit["0"], home, MasterKeys.load(cells.first.settings))


async def test_a_process_of_a_cell_that_is_not_prepared_does_not_start(cells: Cells, server_url: str) -> None:
    with (
        copied_database(server_url) as url,
        pytest.raises(ConfigurationError, match="Run `coatcheck cell prepare`"),
    ):
        async with build(replace(cells.first.settings, database_url=url, cell="2", cells={}), cells.clock):
            pass


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"cells": {"0": "postgresql://db/x"}}, "is this cell"),
        ({"cells": {"12": "postgresql://db/x"}}, "by one character"),
        ({"cells": {"1": "mysql://db/x"}}, "the URL of PostgreSQL for the cell 1"),
        ({"cells": {"1": "postgresql://db/x"}, "sandbox": True}, "A sandbox has one cell"),
    ],
)
def test_wrong_settings_of_cells_are_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Settings(**given)
