"""The move of a user to another cell: what moves, what is refused meanwhile, and what survives an interruption."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes

import psycopg
import pytest

from coatcheck.cells.cell import Directions, find_user, named_cell
from coatcheck.cells.copying import Digest, digest_rows
from coatcheck.cells.move import Step, cancel, find_source
from coatcheck.cells.tables import DERIVED, DIRECTORY, MOVED, STAYS
from coatcheck.db.database import Connection
from coatcheck.errors import ConstraintNotMet, NotFound, UserMoving
from coatcheck.ids import new
from coatcheck.migrations.revision import HEAD
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.vault.vault import ClientReader
from coatcheck.worker_services import build_worker
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_disclosure,
    make_job,
    make_statement,
    make_token,
    make_transaction,
    make_user,
)
from tests.two_cells import Cells, Died

OTHER_ROWS = """
INSERT INTO member_authorization (user_guid, member_guid, disclosure_guid)
VALUES (%(user)s, %(member)s, %(disclosure)s);
INSERT INTO oauth_state (user_guid, guid, session_guid, member_guid, auth_status, created_at, updated_at)
VALUES (%(user)s, %(guid)s, 'WSN-1', %(member)s, 'PENDING', now(), now());
INSERT INTO merged_account (user_guid, member_guid, id, merged_into) VALUES (%(user)s, %(member)s, 'a', %(account)s);
INSERT INTO blocked_account (user_guid, member_guid, id, blocked_at) VALUES (%(user)s, %(member)s, 'b', now());
INSERT INTO micro_deposit (user_guid, guid, client_guid, status, created_at, updated_at)
VALUES (%(user)s, %(guid)s, %(client)s, 'INITIATED', now(), now());
INSERT INTO statement_import (user_guid, guid, client_guid, member_guid, format, warnings, created_at)
VALUES (%(user)s, %(guid)s, %(client)s, %(member)s, 'OFX', '{}', now());
INSERT INTO statement_import_account (user_guid, import_guid, account_guid, added, already_known)
VALUES (%(user)s, %(guid)s, %(account)s, 1, 0);
INSERT INTO statement_import_row (user_guid, import_guid, account_guid, id)
VALUES (%(user)s, %(guid)s, %(account)s, 'r');
INSERT INTO former_account (user_guid, identity, guid, deleted_at) VALUES (%(user)s, 'x', 'ACT-1', now());
INSERT INTO deleted_account (user_guid, guid) VALUES (%(user)s, 'ACT-2');
INSERT INTO link (expires_day, link_hash, guid, kind, client_guid, user_guid, created_at, expires_at)
VALUES (1, %(hash)s, %(guid)s, 'WIDGET', %(client)s, %(user)s, now(), now());
INSERT INTO widget_session (expires_day, session_hash, guid, client_guid, user_guid, options, locale, created_at,
                            idle_at, expires_at)
VALUES (1, %(hash)s, %(guid)s, %(client)s, %(user)s, '{}', 'en', now(), now(), now());
INSERT INTO portal_session (expires_day, session_hash, guid, client_guid, user_guid, locale, created_at, idle_at,
                            expires_at)
VALUES (1, %(hash)s, %(guid)s, %(client)s, %(user)s, 'en', now(), now(), now());
INSERT INTO disconnection (guid, client_guid, user_guid, member_guid, institution_code, next_attempt_at, created_at)
VALUES (%(guid)s, %(client)s, %(user)s, %(member)s, 'mxbank', now(), now());
INSERT INTO sandbox_bank_record (member_guid, user_guid, record) VALUES (%(member)s, %(user)s, 'r');
INSERT INTO revocation_receipt (guid, client_guid, grant_guid, revoked, at, receipt)
SELECT %(guid)s, %(client)s, guid, 1, now(), 'signed' FROM access_token WHERE user_guid = %(user)s LIMIT 1;
"""
"""A row in each table for which there is no factory."""


@pytest.fixture
async def client(cells: Cells) -> Keyed:
    return await make_client(cells.first)


@pytest.fixture
async def processor(cells: Cells, client: Keyed) -> Keyed:
    return await cells.make_processor(client)


@pytest.fixture
async def account(cells: Cells, client: Keyed, processor: Keyed) -> Account:
    """In cell 0, whose other cell has the directory."""
    return await cells.make_account(client)


async def fill(cells: Cells, account: Account, processor: Keyed) -> None:
    """Adds a row to each table that moves."""
    await make_token(cells.first, account, processor)
    await make_code(cells.first, account)
    await make_transaction(cells.first, account)
    await make_statement(cells.first, account)
    await make_job(cells.first, account)
    user = await make_user(cells.first, Keyed(account.client_guid, ""))
    disclosure = await make_disclosure(cells.first, replace(user, guid=account.user_guid), processor)
    values = {
        "user": account.user_guid,
        "member": account.member_guid,
        "account": account.guid,
        "client": account.client_guid,
        "disclosure": disclosure,
        "guid": new("ANY"),
        "hash": token_bytes(32),
    }
    async with cells.first.db.transaction() as connection:
        for statement in OTHER_ROWS.split(";\n"):
            if statement.strip():
                await connection.execute(statement, values)


async def digests(connection: Connection, user_guid: str) -> dict[str, Digest]:
    return {
        table.name: await digest_rows(connection, table.rows_of(user_guid)) for table in (*MOVED, *DERIVED)
    }


async def digests_of_both(cells: Cells, user_guid: str) -> list[dict[str, Digest]]:
    found = []
    for services in cells.all:
        async with services.db.connection() as connection:
            found.append(await digests(connection, user_guid))
    return found


async def change_user(cells: Cells, services: object, user_guid: str) -> None:
    async with services.db.transaction() as connection:
        await connection.execute("UPDATE end_user SET metadata = 'new' WHERE guid = %s", (user_guid,))


async def begin(cells: Cells, user_guid: str) -> None:
    """A move that died before it copied anything."""
    with pytest.raises(Died):
        await cells.move(user_guid, dies_before=Step.COPY)


async def test_every_row_of_the_user_moves_unchanged(
    cells: Cells, account: Account, processor: Keyed
) -> None:
    await fill(cells, account, processor)
    before, nothing = await digests_of_both(cells, account.user_guid)
    assert {name for name, digest in before.items() if not digest.rows} == set()
    assert not any(digest.rows for digest in nothing.values())
    await cells.move(account.user_guid)
    old, moved = await digests_of_both(cells, account.user_guid)
    assert moved == before
    assert not any(digest.rows for digest in old.values())


async def test_a_user_that_has_not_moved_keeps_every_row(
    cells: Cells, account: Account, client: Keyed, processor: Keyed
) -> None:
    neighbour = await make_account(cells.first, await make_user(cells.first, client))
    await make_token(cells.first, neighbour, processor)
    before = await digests_of_both(cells, neighbour.user_guid)
    await cells.move(account.user_guid)
    assert await digests_of_both(cells, neighbour.user_guid) == before


async def test_sealed_values_are_opened_in_the_new_cell(cells: Cells, account: Account) -> None:
    await cells.move(account.user_guid)
    async with cells.second.db.connection() as connection:
        page = await cells.second.vault.disclose_numbers(
            connection, ClientReader(account.client_guid, account.user_guid), PageRequest()
        )
    assert [numbers.account_number for numbers in page.items] == ["1234567890"]


async def test_both_logs_have_the_move(cells: Cells, account: Account) -> None:
    await cells.move(account.user_guid)
    for services in cells.all:
        async with services.db.connection() as connection:
            cursor = await connection.execute(
                """SELECT client_guid, body::json -> 'detail' ->> 'to_cell' FROM audit_entry
                   WHERE body::json ->> 'action' = 'user.moved' AND body::json ->> 'subject' = %s""",
                (account.user_guid,),
            )
            assert await cursor.fetchall() == [(account.client_guid, "1")]


@pytest.mark.parametrize(
    "step",
    [pytest.param(Step.COPY, marks=pytest.mark.slow), Step.SWITCH, Step.RELEASE, Step.DELETE],
)
async def test_a_move_that_died_is_ended_by_another(
    cells: Cells, account: Account, processor: Keyed, step: Step
) -> None:
    await fill(cells, account, processor)
    before, _ = await digests_of_both(cells, account.user_guid)
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=step)
    has_switched = step in {Step.RELEASE, Step.DELETE}
    assert (await find_user(cells.by_digit, account.user_guid)).digit == str(int(has_switched))
    assert (await find_source(cells.by_digit, account.user_guid)).digit == "0"
    await cells.move(account.user_guid)
    old, moved = await digests_of_both(cells, account.user_guid)
    assert moved == before
    assert not any(digest.rows for digest in old.values())
    await change_user(cells, cells.second, account.user_guid)


@pytest.mark.parametrize("step", [Step.COPY, Step.SWITCH])
async def test_a_move_that_has_not_switched_can_be_given_up(
    cells: Cells, account: Account, processor: Keyed, step: Step
) -> None:
    await fill(cells, account, processor)
    before = await digests_of_both(cells, account.user_guid)
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=step)
    await cancel(cells.by_digit, account.user_guid, cells.by_digit["0"])
    assert await digests_of_both(cells, account.user_guid) == before
    await change_user(cells, cells.first, account.user_guid)


async def test_a_move_that_has_switched_is_not_given_up(cells: Cells, account: Account) -> None:
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=Step.RELEASE)
    with pytest.raises(ConstraintNotMet, match="has moved already"):
        await cancel(cells.by_digit, account.user_guid, cells.by_digit["0"])


async def test_changes_of_a_moving_user_are_refused_and_those_of_others_are_not(
    cells: Cells, account: Account, client: Keyed
) -> None:
    neighbour = await make_user(cells.first, client)
    await begin(cells, account.user_guid)
    with pytest.raises(UserMoving):
        await change_user(cells, cells.first, account.user_guid)
    with pytest.raises(UserMoving):
        await make_transaction(cells.first, account)
    with pytest.raises(UserMoving):
        await make_code(cells.first, account)
    await change_user(cells, cells.first, neighbour.guid)


async def test_the_new_cell_refuses_changes_until_the_old_one_has_switched(
    cells: Cells, account: Account
) -> None:
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=Step.SWITCH)
    with pytest.raises(UserMoving):
        await change_user(cells, cells.second, account.user_guid)


async def test_a_change_that_runs_is_waited_for_and_moves_too(cells: Cells, account: Account) -> None:
    async with asyncio.TaskGroup() as group, cells.first.db.transaction() as connection:
        await connection.execute(
            "UPDATE end_user SET metadata = 'late' WHERE guid = %s", (account.user_guid,)
        )
        moving = group.create_task(cells.move(account.user_guid))
        done, _ = await asyncio.wait([moving], timeout=0.3)
        assert not done
    async with cells.second.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT metadata FROM end_user WHERE guid = %s", (account.user_guid,)
        )
        assert await cursor.fetchone() == ("late",)


async def test_a_job_that_runs_saves_nothing_and_runs_again_in_the_new_cell(
    cells: Cells, account: Account, client: Keyed
) -> None:
    neighbour = await make_account(cells.first, await make_user(cells.first, client))
    moving = await make_job(cells.first, account, client_guid=client.guid, state="queued")
    worker = build_worker(cells.first)
    (job,) = await worker.scheduler.claim(1)
    assert job.guid == moving
    await begin(cells, account.user_guid)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.sync.run(job))
        # The worker goes on with the jobs of others.
        other = await make_job(cells.first, neighbour, client_guid=client.guid, state="queued")
        assert [job.guid for job in await worker.scheduler.claim(9)] == [other]
        await worker.sweep()
        await cells.move(account.user_guid)
    assert await build_worker(cells.second).scheduler.claim(9) == []
    cells.clock.advance(cells.first.settings.job_lease + timedelta(seconds=1))
    assert [job.guid for job in await build_worker(cells.second).scheduler.claim(9)] == [moving]


async def test_a_user_can_move_back(cells: Cells, account: Account, processor: Keyed) -> None:
    await fill(cells, account, processor)
    before, _ = await digests_of_both(cells, account.user_guid)
    await cells.move(account.user_guid)
    await cells.move(account.user_guid, "1", "0")
    assert (await digests_of_both(cells, account.user_guid))[0] == before
    assert (await find_user(cells.by_digit, account.user_guid)).digit == "0"
    await change_user(cells, cells.first, account.user_guid)


async def test_between_the_last_steps_of_a_move_back_a_lookup_waits(cells: Cells, account: Account) -> None:
    await cells.move(account.user_guid)
    with pytest.raises(Died):
        await cells.move(account.user_guid, "1", "0", dies_before=Step.RELEASE)
    lookup = asyncio.create_task(Directions(cells.by_digit).find("0", account.user_guid))
    done, _ = await asyncio.wait([lookup], timeout=0.2)
    assert not done
    await cells.move(account.user_guid, "1", "0")
    assert (await lookup).digit == "0"


async def test_the_counts_of_limited_tokens_and_the_numbers_of_events_go_on(
    cells: Cells, account: Account, processor: Keyed
) -> None:
    await make_token(cells.first, account, processor, atoms="max-reads:5")
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=Step.SWITCH)
    async with cells.first.db.transaction() as connection:
        await connection.execute(
            "UPDATE access_token SET reads = 3 WHERE user_guid = %s", (account.user_guid,)
        )
        await connection.execute(
            """INSERT INTO event_sequence (owner_guid, object, last, changed_at) VALUES (%s, %s, 7, now())
               ON CONFLICT (owner_guid, object) DO UPDATE SET last = 7""",
            (account.client_guid, account.guid),
        )
    await cells.move(account.user_guid)
    async with cells.second.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT reads FROM access_token WHERE user_guid = %s", (account.user_guid,)
        )
        assert await cursor.fetchone() == (3,)
        cursor = await connection.execute(
            "SELECT last FROM event_sequence WHERE object = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (7,)


async def test_a_move_to_the_same_cell_is_refused(cells: Cells, account: Account) -> None:
    with pytest.raises(ConstraintNotMet, match="in cell 0 already"):
        await cells.move(account.user_guid, "0", "0")


async def test_a_move_to_an_unknown_cell_is_refused(cells: Cells) -> None:
    with pytest.raises(NotFound, match="There is no cell 7"):
        named_cell(cells.by_digit, "7")


async def test_the_move_of_an_unknown_user_is_refused(cells: Cells) -> None:
    with pytest.raises(NotFound, match="There is no user"):
        await find_source(cells.by_digit, new("USR"))
    with pytest.raises(NotFound, match="There is no user"):
        await cells.move(new("USR"))


async def test_a_move_to_a_database_that_is_not_prepared_is_refused(cells: Cells, account: Account) -> None:
    async with cells.second.db.connection() as connection:
        await connection.execute("ALTER TABLE end_user DISABLE TRIGGER moving_user")
        try:
            with pytest.raises(ConstraintNotMet, match="Cell 1 is not prepared"):
                await cells.move(account.user_guid)
        finally:
            await connection.execute("ALTER TABLE end_user ENABLE TRIGGER moving_user")


async def test_a_move_between_different_schemas_is_refused(cells: Cells, account: Account) -> None:
    async with cells.second.db.connection() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        try:
            with pytest.raises(ConstraintNotMet, match="The schemas differ"):
                await cells.move(account.user_guid)
        finally:
            await connection.execute("UPDATE alembic_version SET version_num = %s", (HEAD,))


async def test_a_user_whose_id_another_user_has_there_does_not_move(
    cells: Cells, client: Keyed, processor: Keyed
) -> None:
    user = await make_user(cells.first, client, id="u-1")
    await make_user(cells.second, client, id="u-1")
    with pytest.raises(ConstraintNotMet, match="another user with the same id"):
        await cells.move(user.guid)
    await cancel(cells.by_digit, user.guid, cells.by_digit["0"])


async def test_a_user_that_moves_to_one_cell_does_not_move_to_another(cells: Cells, account: Account) -> None:
    async with cells.first.db.connection() as connection:
        await connection.execute(
            "INSERT INTO cell_move (user_guid, to_cell, phase, began_at) VALUES (%s, '2', 'copying', now())",
            (account.user_guid,),
        )
    with pytest.raises(ConstraintNotMet, match="is moving to cell 2"):
        await cells.move(account.user_guid)


def test_every_table_moves_or_is_of_the_directory_or_stays(file_url: str) -> None:
    """A table that is new must be assigned, and one with rows of users has a trigger."""
    of_users = {table.name for table in (*MOVED, *DERIVED)}
    with psycopg.connect(file_url) as connection:
        named = connection.execute(
            """SELECT DISTINCT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'cell_move%'
                 AND c.relnamespace = 'public'::regnamespace AND a.attname = 'user_guid'"""
        ).fetchall()
        guarded = connection.execute(
            """SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger
               WHERE starts_with(tgname, 'moving_user') AND tgparentid = 0"""
        ).fetchall()
    assert {name for (name,) in named} - of_users == STAYS
    without_column = {"revocation_receipt", *(table.name for table in DERIVED)}
    assert {name for (name,) in guarded} == of_users - without_column
    assert {rows.table for rows in DIRECTORY} & of_users == {"data_key", "sealed_secret"}
