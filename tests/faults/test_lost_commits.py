"""Connections that are lost during an exchange: no code is consumed without its token, and no code gives two tokens."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx
import pytest

from coatcheck.app import build
from coatcheck.deadline import within
from coatcheck.server import create_app
from tests.factories import make_account, make_client, make_code, make_processor, make_user
from tests.faults.proxy import Proxy, proxied
from tests.processes import serving

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

REDEEM = b"DELETE FROM authorization_code"
COUNT = """
SELECT (SELECT count(*) FROM access_token),
       (SELECT count(*) FROM audit_entry WHERE action = 'code.issued') - (SELECT count(*) FROM authorization_code),
       (SELECT count(DISTINCT code_hash) FROM access_token)"""


@dataclass
class Exchanges:
    http: httpx.AsyncClient
    auth: tuple[str, str]
    code: str

    async def redeem(self, **headers: str) -> httpx.Response:
        query = {"grant_type": "authorization_code", "code": self.code}
        return await self.http.post("/token", params=query, auth=self.auth, headers=headers)

    async def reads(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await self.http.get("/account/account_numbers", headers=headers)).status_code


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with proxied(url) as proxy:
        yield proxy


@pytest.fixture
async def exchanges(proxy, settings, services) -> AsyncIterator[Exchanges]:
    """A server whose database is behind the proxy, and a code. `services` has a connection of its own."""
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    code = await make_code(services, account)
    async with build(replace(settings, database_url=proxy.url)) as behind_proxy:
        transport = httpx.ASGITransport(create_app(behind_proxy))
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
            yield Exchanges(http, processor.auth, code)


async def counts(services):
    """Tokens, codes that are redeemed, and codes that have a token."""
    async with services.db.connection() as connection:
        return await (await connection.execute(COUNT)).fetchone()


async def test_a_commit_whose_answer_was_lost_gives_its_token(exchanges, proxy, services):
    proxy.lose_answer(REDEEM)
    answer = await exchanges.redeem()
    assert answer.status_code == 200
    assert await exchanges.reads(answer.json()["access_token"]) == 200
    assert await counts(services) == (1, 1, 1)


async def test_a_statement_that_did_not_reach_the_server_is_sent_again(exchanges, proxy, services):
    proxy.lose_statement(REDEEM)
    answer = await exchanges.redeem()
    assert answer.status_code == 200
    assert await exchanges.reads(answer.json()["access_token"]) == 200
    assert await counts(services) == (1, 1, 1)


async def test_the_token_of_a_lost_commit_is_given_to_no_second_exchange(exchanges, proxy, services):
    proxy.lose_answer(REDEEM)
    first = await exchanges.redeem()
    assert (await exchanges.redeem()).status_code == 400
    assert await exchanges.reads(first.json()["access_token"]) == 200
    assert await counts(services) == (1, 1, 1)


async def test_after_two_losses_it_is_503_and_a_retry_with_the_same_key_gets_the_token(
    exchanges, proxy, services
):
    proxy.lose_answer(REDEEM)
    proxy.lose_answer(REDEEM)
    key = {"Idempotency-Key": "one"}
    refused = await exchanges.redeem(**key)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    repeated = await exchanges.redeem(**key)
    assert repeated.status_code == 200
    assert await exchanges.reads(repeated.json()["access_token"]) == 200
    assert await counts(services) == (1, 1, 1)


async def test_after_two_losses_before_the_server_the_code_is_not_redeemed(exchanges, proxy, services):
    proxy.lose_statement(REDEEM)
    proxy.lose_statement(REDEEM)
    assert (await exchanges.redeem()).status_code == 503
    assert await counts(services) == (0, 0, 0)
    assert (await exchanges.redeem()).status_code == 200
    assert await counts(services) == (1, 1, 1)


async def test_a_server_that_is_killed_during_exchanges_leaves_no_code_half_redeemed(
    services, environment, tmp_path
):
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    generator = random.Random(5)
    for _ in range(4):
        codes = [await make_code(services, account) for _ in range(30)]
        with serving(environment, tmp_path / "log") as server:
            async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
                tasks = [
                    asyncio.create_task(Exchanges(http, processor.auth, code).redeem()) for code in codes
                ]
                await asyncio.sleep(generator.uniform(0.02, 0.3))
                server.process.kill()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
        acknowledged = [answer for answer in answers if isinstance(answer, httpx.Response)]
        assert {answer.status_code for answer in acknowledged} <= {200}
        tokens, redeemed, pairs = await counts(services)
        assert tokens == redeemed == pairs
        assert tokens >= len(acknowledged)


@pytest.mark.slow
async def test_the_widget_page_says_when_to_come_back(proxy, exchanges):
    proxy.die()
    with within(timedelta(seconds=2)):
        answer = await exchanges.http.get("/md/connect/unknown")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
