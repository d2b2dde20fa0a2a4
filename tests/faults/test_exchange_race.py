"""Concurrent exchanges of one code over two server processes: one exchange gets a token."""

import asyncio
from base64 import b64encode
from collections import Counter
from pathlib import Path

import pytest

from bench.load import request, send_all
from coatcheck.app import Services
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_user
from tests.processes import Serving, serving

EXCHANGES, CODES = 32, 200


async def concurrent_exchanges(servers: list[Serving], processor: Keyed, code: str) -> Counter[int]:
    """Sends the same exchange over 32 connections at once, half of them to each server, and counts the statuses."""
    basic = b64encode(":".join(processor.auth).encode()).decode()
    path = f"/token?grant_type=authorization_code&code={code}"
    each = EXCHANGES // len(servers)
    attempts = [request("POST", path, {"Authorization": f"Basic {basic}"})] * each
    runs = await asyncio.gather(*(send_all(server.port, attempts, connections=each) for server in servers))
    return sum((run.statuses for run in runs), Counter[int]())


@pytest.mark.faults
async def test_32_simultaneous_exchanges_over_two_processes_give_one_token_for_each_of_200_codes(
    services: Services, environment: dict[str, str], tmp_path: Path
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    with serving(environment, tmp_path / "one") as one, serving(environment, tmp_path / "two") as two:
        for _ in range(CODES):
            statuses = await concurrent_exchanges([one, two], processor, await make_code(services, account))
            assert statuses == {200: 1, 400: EXCHANGES - 1}
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (CODES,)
