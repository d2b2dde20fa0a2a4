"""One code, many takers, two server processes: one of them gets a token."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from coatcheck.app import Coatcheck
from tests.makers import Keyed, make_account, make_client, make_code, make_processor, make_user
from tests.processes import serving

RACERS, CODES = 32, 200


async def storm(http: list[httpx.AsyncClient], processor: Keyed, code: str) -> Counter[str]:
    async def attempt(number: int) -> str:
        answer = await http[number % len(http)].post(
            "/token", params={"grant_type": "authorization_code", "code": code}, auth=processor.auth
        )
        return "token" if answer.status_code == 200 else answer.json()["error"]["type"]

    return Counter(await asyncio.gather(*(attempt(number) for number in range(RACERS))))


@pytest.mark.faults
async def test_32_simultaneous_exchanges_over_two_processes_give_one_token_for_each_of_200_codes(
    house: Coatcheck, environment: dict[str, str], tmp_path: Path
) -> None:
    client = await make_client(house)
    processor = await make_processor(house, client)
    account = await make_account(house, await make_user(house, client))
    with serving(environment, tmp_path / "one") as one, serving(environment, tmp_path / "two") as two:
        limits = httpx.Limits(max_connections=RACERS // 2)
        async with (
            httpx.AsyncClient(base_url=one.base_url, limits=limits) as first,
            httpx.AsyncClient(base_url=two.base_url, limits=limits) as second,
        ):
            for _ in range(CODES):
                code = await make_code(house, account)
                outcome = await storm([first, second], processor, code)
                assert outcome == {"token": 1, "invalid_grant": RACERS - 1}
    async with house.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (CODES,)
