"""`max-reads` is exact: 32 readers over two server processes get as many answers as the grant allows, and not one more.

RACED_GRANTS says how many grants are raced; `make race` races 100.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from coatcheck.app import Services
from coatcheck.testing.load import request, send_all
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.faults.conftest import needs_pgbouncer
from tests.processes import serving

READERS = 32
READS_OF_EACH = 4
ROUTES = ("/account/account_numbers", "/account/account_owners", "/account/transactions", "/payment_account")
GRANTS = int(os.environ.get("RACED_GRANTS", "10"))


@pytest.mark.faults
@pytest.mark.parametrize(
    "reaching",
    ["direct", pytest.param("transaction", marks=[needs_pgbouncer, pytest.mark.slow])],
    indirect=True,
)
async def test_32_readers_over_two_processes_get_exactly_as_many_answers_as_each_grant_allows(
    services: Services, reaching: dict[str, str], tmp_path: Path
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    with serving(reaching, tmp_path / "one") as one, serving(reaching, tmp_path / "two") as two:
        for number in range(GRANTS):
            allowed = 1 + number * 7 % 100
            token = await make_token(services, account, processor, atoms=f"max-reads:{allowed}")
            headers = {"Authorization": f"Bearer {token}"}
            reads = [request("GET", ROUTES[each % len(ROUTES)], headers) for each in range(READERS // 2)]
            runs = await asyncio.gather(
                *(
                    send_all(server.port, reads * READS_OF_EACH, connections=READERS // 2)
                    for server in (one, two)
                )
            )
            statuses = sum((run.statuses for run in runs), Counter[int]())
            assert statuses == {200: allowed, 403: READERS * READS_OF_EACH - allowed}
            async with services.db.connection() as connection:
                cursor = await connection.execute(
                    """SELECT t.reads, count(*) FROM access_token t JOIN disclosure d ON d.token_guid = t.guid
                       WHERE t.token_hash = %s GROUP BY t.reads""",
                    (services.access.parse_token(token).hash,),
                )
                assert await cursor.fetchall() == [(allowed, allowed)]
