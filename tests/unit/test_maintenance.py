"""The deletion of what is old: in batches, each of which is short enough for the timeout of a statement."""

from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.db.batches import BATCH
from coatcheck.staff.sign_ins import TTL, Purpose
from coatcheck.worker_services import run_maintenance
from tests.factories import make_client, make_user

pytestmark = pytest.mark.own_database

OLD = timedelta(days=5 * 365)
FILLED = {
    "revocation_receipt": """(guid, client_guid, revoked, at, receipt)
        SELECT 'REV-' || n, 'CLT-1', 1, %(old)s, '' FROM generate_series(1, %(number)s) n""",
    "deletion_attestation": """(guid, client_guid, user_guid, at, statement)
        SELECT 'ATT-' || n, 'CLT-1', 'USR-' || n, %(old)s, '' FROM generate_series(1, %(number)s) n""",
    "authorization_disclosure": """(guid, client_guid, user_guid, processor_guids, text, signed_at, last_granted_at,
                                    statement)
        SELECT 'AUD-' || n, 'CLT-1', 'USR-1', '{}', '', %(old)s, %(old)s, '' FROM generate_series(1, %(number)s) n""",
    "former_account": """(user_guid, identity, guid, deleted_at)
        SELECT %(user)s, int4send(n), 'ACT-' || n, %(old)s FROM generate_series(1, %(number)s) n""",
    "event_sequence": """(owner_guid, object, last, changed_at)
        SELECT 'CLT-1', 'ACT-' || n, 1, %(old)s FROM generate_series(1, %(number)s) n""",
    "rate_limit": """(key, hits, expires_at)
        SELECT 'failure/' || n, 1, %(old)s FROM generate_series(1, %(number)s) n""",
}
LIMITED = """
CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM gone) > TG_ARGV[0]::integer THEN RAISE 'too many rows of %', TG_TABLE_NAME; END IF;
    RETURN NULL;
END $$"""


async def limit(services: Services, table: str, number: int) -> None:
    """Makes statements fail that delete more rows of the table."""
    async with services.db.connection() as connection:
        await connection.execute(
            f"""CREATE TRIGGER refuse_many AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_many({number})"""
        )


async def count(services: Services, table: str) -> int:
    async with services.db.connection() as connection:
        cursor = await connection.execute(f"SELECT count(*) FROM {table}")
        ((number,),) = await cursor.fetchall()
    return int(number)


async def test_what_is_old_is_deleted_in_batches_however_much_it_is(
    services: Services, clock: MovableClock
) -> None:
    user = await make_user(services, await make_client(services))
    values = {"old": clock.now() - OLD, "number": 2 * BATCH + 1, "user": user.guid}
    async with services.db.connection() as connection:
        await connection.execute(LIMITED)
        for table, rows in FILLED.items():
            await connection.execute(f"INSERT INTO {table} {rows}", values)
    for table in FILLED:
        await limit(services, table, BATCH)
    await run_maintenance(services)
    assert {table: await count(services, table) for table in FILLED} == dict.fromkeys(FILLED, 0)


async def test_sign_ins_that_strangers_began_are_deleted_a_few_at_a_time(
    services: Services, clock: MovableClock
) -> None:
    async with services.db.connection() as connection:
        await connection.execute(LIMITED)
        await connection.execute(
            """INSERT INTO staff_sign_in (sign_in_hash, purpose, next_path, begun_at, expires_at)
               SELECT int4send(n), 'sign_in', '', %(now)s, %(now)s FROM generate_series(1, 250) n""",
            {"now": clock.now()},
        )
    await limit(services, "staff_sign_in", 100)
    clock.advance(TTL)
    async with services.db.connection() as connection:
        for _ in range(3):
            await services.staff.sign_ins.begin(connection, Purpose.SIGN_IN, next_path="/dashboard")
    assert await count(services, "staff_sign_in") == 3
