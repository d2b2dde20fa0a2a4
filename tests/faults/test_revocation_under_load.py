"""Revocation while two real processes serve reads: none after the instant of a receipt, and no other grant suffers."""

import asyncio
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.signatures import verify
from coatcheck.testing.load import request
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user
from tests.processes import Serving, serving

TOKENS, ACCOUNTS, READERS, REVOKERS = 1000, 20, 8, 4
P99_SECONDS = 1.0


@dataclass(frozen=True)
class Read:
    token: int
    sent_at: float
    status: int


@dataclass(frozen=True)
class Revoked:
    token: int
    answered_at: float
    took: float
    receipt: str


@dataclass
class Reading:
    """What the readers have seen."""

    reads: list[Read] = field(default_factory=list)

    async def read(self, server: Serving, requests: Sequence[tuple[int, bytes]]) -> None:
        """Sends every request once over one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for token, content in requests:
            sent_at = time.monotonic()
            writer.write(content)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.reads.append(Read(token, sent_at, int(head[9:12])))
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def under_load(servers: Sequence[Serving], requests: Sequence[bytes]) -> AsyncIterator[Reading]:
    """Reads with every token, in random order and over several connections, until the block ends."""
    reading, stop = Reading(), asyncio.Event()

    async def read(number: int) -> None:
        order = random.Random(number)
        while not stop.is_set():
            chosen = [(each, requests[each]) for each in order.sample(range(len(requests)), 50)]
            await reading.read(servers[number % len(servers)], chosen)

    readers = [asyncio.create_task(read(number)) for number in range(READERS)]
    try:
        yield reading
    finally:
        stop.set()
        await asyncio.gather(*readers)


async def grants_of(services: Services, client: Keyed) -> list[str]:
    """The guids of the client's grants, oldest first."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT guid FROM access_token WHERE client_guid = %s ORDER BY guid", (client.guid,)
        )
        return [guid for (guid,) in await cursor.fetchall()]


async def revoke(
    servers: Sequence[Serving], client: Keyed, grants: Sequence[tuple[int, str]]
) -> Sequence[Revoked]:
    """Revokes the grants, through both servers and over several connections."""
    basic = {"Authorization": f"Basic {b64encode(':'.join(client.auth).encode()).decode()}"}
    revoked: list[Revoked] = []

    async def work(number: int) -> None:
        async with httpx.AsyncClient(
            base_url=servers[number % len(servers)].base_url, headers=basic, timeout=60
        ) as http:
            for token, grant in grants[number::REVOKERS]:
                started = time.monotonic()
                answer = await http.post(f"/coatcheck/grants/{grant}/revoke")
                assert answer.status_code == 200, answer.text
                ended = time.monotonic()
                revoked.append(Revoked(token, ended, ended - started, answer.json()["receipt"]))

    await asyncio.gather(*(work(number) for number in range(REVOKERS)))
    return revoked


async def reads_after(services: Services, instants: Sequence[tuple[str, datetime]]) -> int:
    """How many disclosures of these grants are later than the instant of their receipt."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT count(*) FROM unnest(%s::text[], %s::timestamptz[]) AS revoked (guid, at)
               JOIN disclosure d ON d.token_guid = revoked.guid AND d.at > revoked.at""",
            ([guid for guid, _ in instants], [at for _, at in instants]),
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


@pytest.mark.faults
@pytest.mark.own_database
async def test_no_read_is_answered_after_the_instant_of_a_receipt_and_no_other_grant_suffers(
    services: Services, environment: dict[str, str], tmp_path: Path
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    accounts = [await make_account(services, await make_user(services, client)) for _ in range(ACCOUNTS)]
    tokens = [await make_token(services, accounts[each % ACCOUNTS], processor) for each in range(TOKENS)]
    reads = [
        request("GET", "/account/account_numbers", {"Authorization": f"Bearer {token}"}) for token in tokens
    ]
    chosen = random.Random(0).sample([*enumerate(await grants_of(services, client))], TOKENS // 2)
    with serving(environment, tmp_path / "one") as one:
        with serving(environment, tmp_path / "two") as two:
            async with under_load([one, two], reads) as reading:
                revoked = await revoke([one, two], client, chosen)
            async with httpx.AsyncClient(base_url=two.base_url, timeout=60) as http:
                published = (await http.get("/.well-known/jwks.json")).json()["keys"]
        answered_at = {each.token: each.answered_at for each in revoked}
        late = [read for read in reading.reads if read.sent_at > answered_at.get(read.token, float("inf"))]
        assert len(late) > 100
        assert {read.status for read in late} == {401}
        assert {read.status for read in reading.reads if read.token not in answered_at} == {200}
        claims = [verify(each.receipt, published).claims for each in revoked]
        instants = [(each["grant_guids"][0], datetime.fromisoformat(each["at"])) for each in claims]
        assert len(instants) == TOKENS // 2
        assert await reads_after(services, instants) == 0
        assert sorted(each.took for each in revoked)[int(0.99 * len(revoked))] < P99_SECONDS

    # Afterwards, with processes that know nothing of the revocations.
    with serving(environment, tmp_path / "restarted") as restarted:
        afterwards = Reading()
        await afterwards.read(restarted, [*enumerate(reads)])
    statuses = {each.token: each.status for each in afterwards.reads}
    assert {statuses[token] for token in answered_at} == {401}
    assert {status for token, status in statuses.items() if token not in answered_at} == {200}
