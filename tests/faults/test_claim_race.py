"""Concurrent claims of one setup token over two server processes: one claim gets the access."""

import asyncio
from base64 import b64decode
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.directory.apps import NewSetupToken
from tests.factories import make_account, make_client, make_user
from tests.processes import serving

CLAIMS = 32
SETUP_TOKENS = 8
ACCOUNTS = 3


@pytest.mark.faults
async def test_of_32_simultaneous_claims_over_two_processes_one_gets_the_access_to_every_account(
    services: Services, environment: dict[str, str], tmp_path: Path
) -> None:
    client = await make_client(services)
    user = await make_user(services, client)
    accounts = [(await make_account(services, user)).guid for _ in range(ACCOUNTS)]
    new = NewSetupToken(account_guids=accounts, app_name="Actual")
    with serving(environment, tmp_path / "one") as one, serving(environment, tmp_path / "two") as two:
        async with (
            httpx.AsyncClient(base_url=one.base_url, timeout=60) as first,
            httpx.AsyncClient(base_url=two.base_url, timeout=60) as second,
        ):
            for _ in range(SETUP_TOKENS):
                async with services.db.transaction() as connection:
                    created = await services.apps.create_setup_token(connection, user, new, actor=client.guid)
                path = urlsplit(b64decode(created.token).decode()).path
                answers = await asyncio.gather(
                    *((first, second)[number % 2].post(path) for number in range(CLAIMS))
                )
                assert sorted(answer.status_code for answer in answers) == [200, *[403] * (CLAIMS - 1)]
                (url,) = (urlsplit(each.text) for each in answers if each.status_code == 200)
                for server in (first, second):
                    read = await server.get(
                        "/simplefin/accounts", auth=(url.username or "", url.password or "")
                    )
                    assert {each["id"] for each in read.json()["accounts"]} == set(accounts)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*), count(DISTINCT simplefin_access_guid) FROM access_token WHERE user_guid = %s",
            (user.guid,),
        )
        assert await cursor.fetchone() == (SETUP_TOKENS * ACCOUNTS, SETUP_TOKENS)
    for name in ("one", "two"):
        log = (tmp_path / name).read_text()
        assert "ccf_" not in log
        assert "ccu_" not in log
