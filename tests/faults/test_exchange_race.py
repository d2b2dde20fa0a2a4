"""Concurrent exchanges of one code over two server processes: one exchange gets a token, and the token lives.

RACED_CODES says how many codes are raced; `make race` races 200.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.grants.exchange import RACE_WINDOW
from coatcheck.model.accounts import Account
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_processor,
    make_user,
)
from tests.processes import Serving, serving

EXCHANGES = 32
CODES = int(os.environ.get("RACED_CODES", "12"))


@dataclass(frozen=True)
class Raced:
    """A code that 32 requests presented at once, and its processor."""

    code: str
    processor: Keyed
    answers: Sequence[httpx.Response]

    @property
    def token(self) -> str:
        (won,) = [answer for answer in self.answers if answer.status_code == 200]
        return str(won.json()["access_token"])


@dataclass(frozen=True)
class Callers:
    """One HTTP client for each server."""

    clients: Sequence[httpx.AsyncClient]

    async def exchange(self, processor: Keyed, code: str, *, times: int) -> Sequence[httpx.Response]:
        """The answers to the same exchange, sent to the servers in turn, all at once."""
        form = {"grant_type": "authorization_code", "code": code}
        return await asyncio.gather(
            *(
                self.clients[number % len(self.clients)].post("/token", data=form, auth=processor.auth)
                for number in range(times)
            )
        )

    async def read(self, token: str) -> Sequence[httpx.Response]:
        """The answer of each server to a read."""
        headers = {"Authorization": f"Bearer {token}"}
        return await asyncio.gather(
            *(client.get("/account/account_numbers", headers=headers) for client in self.clients)
        )


@pytest.fixture
def servers(reaching: dict[str, str], tmp_path: Path) -> Iterator[Sequence[Serving]]:
    """Two server processes, which reach the database directly or through PgBouncer."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(reaching, tmp_path / name)) for name in ("one", "two")]


def reasons_in_logs(tmp_path: Path) -> Counter[str]:
    """The reasons of refused exchanges in the logs of both servers."""
    lines = [
        line for name in ("one", "two") for line in (tmp_path / name).read_text().splitlines() if "{" in line
    ]
    events = [json.loads(line) for line in lines]
    return Counter(event["detail"] for event in events if event.get("error") == "InvalidGrant")


async def recorded(services: Services, processor: Keyed) -> Counter[str]:
    """The reasons of a processor's refused exchanges in the audit log."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json->'detail'->>'reason' FROM audit_entry
               WHERE body::json->>'action' = 'code.refused' AND body::json->>'actor' = %s""",
            (processor.guid,),
        )
        return Counter(reason for (reason,) in await cursor.fetchall())


async def race(services: Services, callers: Callers, client: Keyed, account: Account) -> Raced:
    """Lets wrong processors try a code first, then races it."""
    processor, wrong = await make_processor(services, client), await make_processor(services, client)
    not_enabled = await make_processor(services)
    code = await make_code(services, account, atoms=f"processor-guid:{processor.guid}")
    for spoiler in (wrong, not_enabled, Keyed(processor.guid, wrong.api_key)):
        answers = await callers.exchange(spoiler, code, times=2)
        assert {answer.status_code for answer in answers} <= {400, 401}
    raced = Raced(code, processor, await callers.exchange(processor, code, times=EXCHANGES))
    assert Counter(answer.status_code for answer in raced.answers) == {200: 1, 400: EXCHANGES - 1}
    assert (await recorded(services, wrong), await recorded(services, not_enabled)) == (
        {"other_processor": 2},
        {"other_processor": 2},
    )
    return raced


@pytest.mark.faults
async def test_32_simultaneous_exchanges_over_two_processes_give_one_token_that_lives_until_a_later_replay(
    services: Services, servers: Sequence[Serving], tmp_path: Path
) -> None:
    client = await make_client(services)
    account = await make_account(services, await make_user(services, client))
    async with (
        httpx.AsyncClient(base_url=servers[0].base_url, timeout=60) as one,
        httpx.AsyncClient(base_url=servers[1].base_url, timeout=60) as two,
    ):
        callers = Callers([one, two])
        raced = [await race(services, callers, client, account) for _ in range(CODES)]
        for each in raced:
            assert [answer.status_code for answer in await callers.read(each.token)] == [200, 200]
            assert await recorded(services, each.processor) == {"retried": EXCHANGES - 1}
        await let_pass(services, account, RACE_WINDOW)
        for each in raced:
            (replayed,) = await callers.exchange(each.processor, each.code, times=1)
            assert replayed.status_code == 400
            assert [answer.json()["error"]["type"] for answer in await callers.read(each.token)] == [
                "token_revoked"
            ] * 2
            assert (await recorded(services, each.processor))["redeemed"] == 1
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (CODES,)
    assert reasons_in_logs(tmp_path) == {
        "other_processor": 4 * CODES,
        "retried": (EXCHANGES - 1) * CODES,
        "redeemed": CODES,
    }


async def let_pass(services: Services, account: Account, duration: timedelta) -> None:
    """Dates the redemptions of the account back, as the servers' clock cannot be moved."""
    async with services.db.connection() as connection:
        await connection.execute(
            "UPDATE access_token SET created_at = created_at - %s WHERE account_guid = %s",
            (duration, account.guid),
        )
