"""A month of the log that was dropped is explained by an entry, and the rest still verifies."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.audit.prune import Pruned, prune
from coatcheck.clock import MovableClock
from coatcheck.errors import ConstraintNotMet, NotFound
from coatcheck.worker_services import run_maintenance
from tests.sealed_log import entries, seal, verified
from tests.waiting_statements import until_waiting

pytestmark = pytest.mark.own_database

MONTH = timedelta(days=31)


async def write(services: Services, count: int) -> None:
    """An entry and a disclosure, each `count` times."""
    async with services.db.transaction() as connection:
        for number in range(count):
            await services.journal.record(
                connection,
                Entry(client_guid="CLT-1", actor="CLT-1", action="token.revoked", subject=f"TKN-{number}"),
            )
            await connection.execute(
                """INSERT INTO disclosure (at, reader_guid, user_guid, record_guid, what, shown)
                   VALUES (%s, 'PPR-1', 'USR-1', 'ACT-1', 'BALANCES', 1)""",
                [services.clock.now()],
            )


async def drop(services: Services, partition: str) -> Pruned:
    async with services.db.transaction() as connection:
        return await prune(connection, services.clock, services.journal, partition, actor="operator")


async def test_the_rest_of_the_log_verifies_after_months_were_dropped(
    services: Services, clock: MovableClock
) -> None:
    await run_maintenance(services)
    first = f"{clock.now():%Y_%m}"
    await write(services, 5)
    await seal(services)
    clock.advance(MONTH)
    await write(services, 3)
    await seal(services)
    assert (await drop(services, f"disclosure_{first}")).count == 5
    await seal(services)
    result = await verified(services)
    assert (result.problems, result.pruned) == ([], 5)
    # The month of the entry that explains this is dropped too.
    second = f"{clock.now():%Y_%m}"
    clock.advance(MONTH)
    await run_maintenance(services)
    for partition in (f"audit_event_{first}", f"audit_event_{second}", f"disclosure_{second}"):
        await drop(services, partition)
    await seal(services)
    result = await verified(services)
    assert (result.problems, result.sealed - result.pruned) == ([], len(await entries(services)))
    async with services.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        cursor = await connection.execute("SELECT min(number) FROM audit_event")
        (number,) = await cursor.fetchone() or (0,)
        await connection.execute("DELETE FROM audit_event WHERE number = %s", [number])
    assert (await verified(services)).problems != []


async def test_what_is_written_while_a_month_is_dropped_is_not_lost(
    services: Services, clock: MovableClock
) -> None:
    await run_maintenance(services)
    month, late = f"disclosure_{clock.now():%Y_%m}", clock.now()
    await write(services, 2)
    await seal(services)
    clock.advance(MONTH)
    async with services.db.transaction() as writing:
        await writing.execute(
            """INSERT INTO disclosure (at, reader_guid, user_guid, record_guid, what, shown)
               VALUES (%s, 'PPR-1', 'USR-1', 'ACT-1', 'BALANCES', 1)""",
            [late],
        )
        dropping = asyncio.create_task(drop(services, month))
        await until_waiting(services, 1)
    with pytest.raises(ConstraintNotMet, match="not sealed"):
        await dropping


async def test_a_month_that_runs_or_is_not_sealed_or_does_not_exist_is_not_dropped(
    services: Services, clock: MovableClock
) -> None:
    await run_maintenance(services)
    month = f"disclosure_{clock.now():%Y_%m}"
    await write(services, 2)
    with pytest.raises(ConstraintNotMet, match="has not ended"):
        await drop(services, month)
    clock.advance(MONTH)
    with pytest.raises(ConstraintNotMet, match="not sealed"):
        await drop(services, month)
    for wrong in ("disclosure_1999_01", "disclosure_rest", "client", "link_20000"):
        with pytest.raises(NotFound):
            await drop(services, wrong)
    assert len(await entries(services, "CLT-1")) == 2
