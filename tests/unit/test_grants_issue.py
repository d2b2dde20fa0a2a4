"""What the issue of a code, and its exchange, read."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.grants.exchange_statements import redeem_together
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from coatcheck.worker_services import run_maintenance
from tests.explain import numbered, scanned
from tests.factories import Keyed, make_account, make_code, scope_of
from tests.rows_read import rows_read

pytestmark = pytest.mark.own_database

# Of a code, others with other hashes, which may have expired.
COPY = """
INSERT INTO authorization_code
SELECT copy.* FROM authorization_code c, generate_series(1, %(count)s) n,
       jsonb_populate_record(c, jsonb_build_object('code_hash', sha256(int4send(n + %(number)s)),
                                                'expires_at', c.expires_at - %(earlier)s::interval)) AS copy
WHERE c.account_guid = %(account_guid)s"""


async def copy_code(
    connection: Connection,
    account: Account,
    number: int,
    count: int = 1000,
    *,
    earlier: timedelta = timedelta(),
) -> None:
    values = {"number": number, "count": count, "account_guid": account.guid, "earlier": earlier}
    await connection.execute(COPY, values)


@pytest.mark.parametrize(
    "statistics", ["none", "of few codes", "of codes that can be redeemed", "of all codes"]
)
async def test_the_issue_of_a_code_reads_neither_expired_codes_nor_those_of_other_accounts(
    statistics: str, services: Services, client: Keyed, user: User, account: Account
) -> None:
    other = await make_account(services, user)
    await make_code(services, other)
    async with services.db.connection() as connection:
        if statistics == "of few codes":
            await copy_code(connection, other, 0, 60)
            await connection.execute("ANALYZE authorization_code")
        else:
            await copy_code(connection, other, 0)
        if statistics == "of codes that can be redeemed":
            await connection.execute("ANALYZE authorization_code")
        await make_code(services, account)
        await copy_code(connection, account, 1000, earlier=services.settings.code_ttl)
        if statistics == "of all codes":
            await connection.execute("ANALYZE authorization_code")
        async with rows_read(connection) as read:
            await services.issuer.issue_authenticated(
                connection, client_guid=client.guid, scope=scope_of(account)
            )
    of_codes = {name: rows for name, rows in read.items() if name.startswith("authorization_code") and rows}
    assert sum(of_codes.values()) <= 10, of_codes


async def test_an_exchange_looks_its_code_up_also_by_a_plan_from_when_all_codes_were_redeemed(
    services: Services, account: Account
) -> None:
    await run_maintenance(services)
    async with services.db.connection() as connection:
        await make_code(services, account)
        await copy_code(connection, account, 0)
        cursor = await connection.execute("DELETE FROM authorization_code RETURNING tableoid::regclass::text")
        (day,) = {name for (name,) in await cursor.fetchall()}
        await connection.execute("VACUUM ANALYZE authorization_code")
        plan = await plan_of_exchange(connection)
    assert day not in {*scanned(plan)}


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_an_exchange_looks_its_code_up_among_thousands(
    is_analysed: bool, services: Services, account: Account
) -> None:
    await run_maintenance(services)
    async with services.db.connection() as connection:
        await make_code(services, account)
        await copy_code(connection, account, 0, 5000)
        if is_analysed:
            await connection.execute("VACUUM ANALYZE authorization_code")
        cursor = await connection.execute("SELECT DISTINCT tableoid::regclass::text FROM authorization_code")
        ((day,),) = await cursor.fetchall()
        plan = await plan_of_exchange(connection)
    assert [*conditions(plan, day)] == ["((code_hash = p_2.code_hash) AND (expires_day = p_2.code_day))"]


def conditions(plan: dict[str, Any], table: str) -> Iterator[str | None]:
    """The condition of each index by which the plan reads the table."""
    if plan["Node Type"].endswith("Scan") and plan.get("Relation Name") == table:
        yield plan.get("Index Cond")
    for child in plan.get("Plans", ()):
        yield from conditions(child, table)


async def plan_of_exchange(connection: Connection) -> dict[str, Any]:
    """The plan of coalesced exchanges, for whatever calls."""
    types = {"asked": "text", "first": "integer", "last": "integer"}
    cursor = await connection.execute(
        f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(redeem_together(object).sql, types)}"
    )
    ((plans,),) = await cursor.fetchall()
    return dict(plans[0]["Plan"])
