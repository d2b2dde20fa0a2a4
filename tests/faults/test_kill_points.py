"""A server that is killed at any point of an exchange leaves it done or not begun, never half done.

The points are the moments before and after the message that commits, on its way to PostgreSQL and of the answer back.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.errors import InvalidGrant
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_user
from tests.faults.proxy import Moment, proxied
from tests.member_setup import until
from tests.processes import serving

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

# What one change consists of, as counts. Each is 0 before and 1 after.
EXCHANGE = """
SELECT (SELECT 1 - count(*) FROM authorization_code),
       (SELECT count(*) FROM access_token),
       (SELECT count(*) FROM audit_entry WHERE body LIKE '{"action":"token.issued"%%')"""
RENEWAL = """
SELECT (SELECT 1 - count(*) FROM authorization_code WHERE renews_hash IS NOT NULL),
       (SELECT count(*) FROM access_token WHERE revoked_at IS NULL AND guid <> %(guid)s),
       (SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL AND guid = %(guid)s),
       (SELECT count(*) FROM audit_entry WHERE body LIKE '{"action":"token.superseded"%%')"""
REPLAY = """
SELECT (SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL),
       (SELECT count(*) FROM audit_entry WHERE body LIKE '{"action":"token.revoked"%%')"""
RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"""
REDEEMS = b"DELETE FROM authorization_code"
COMMITS = b"COMMIT"


async def redeem(services: Services, processor: Keyed, code: str) -> str:
    """The guid of the token."""
    issued = await services.exchange.redeem(
        processor_guid=processor.guid, api_key=processor.api_key, code=code
    )
    return issued.grant_guid


async def new_code(services: Services, account: Account, processor: Keyed) -> tuple[str, str]:
    """A code, and no token."""
    return await make_code(services, account), ""


async def renewal_code(services: Services, account: Account, processor: Keyed) -> tuple[str, str]:
    """A code that renews a grant, and the guid of its token."""
    guid = await redeem(services, processor, await make_code(services, account))
    async with services.db.connection() as connection:
        code = await services.issuer.issue_renewal(
            connection, client_guid=account.client_guid, token_guid=guid
        )
    return code, guid


async def redeemed_code(services: Services, account: Account, processor: Keyed) -> tuple[str, str]:
    """A code that was exchanged a minute ago, and the guid of its token."""
    code = await make_code(services, account)
    guid = await redeem(services, processor, code)
    async with services.db.connection() as connection:
        await connection.execute("UPDATE access_token SET created_at = created_at - interval '1 minute'")
    return code, guid


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name)
@pytest.mark.parametrize(
    ("prepare", "commits", "change"),
    [
        pytest.param(new_code, REDEEMS, EXCHANGE, id="exchange"),
        pytest.param(renewal_code, COMMITS, RENEWAL, id="renewal", marks=pytest.mark.slow),
        pytest.param(redeemed_code, COMMITS, REPLAY, id="replay", marks=pytest.mark.slow),
    ],
)
async def test_a_server_that_is_killed_at_this_point_leaves_nothing_half_done(
    services: Services,
    url: str,
    environment: dict[str, str],
    tmp_path: Path,
    moment: Moment,
    prepare: Callable[[Services, Account, Keyed], Awaitable[tuple[str, str]]],
    commits: bytes,
    change: str,
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    code, guid = await prepare(services, account, processor)
    with (
        proxied(url) as proxy,
        serving({**environment, "COATCHECK_DATABASE_URL": proxy.url}, tmp_path / "log") as server,
    ):
        proxy.cut(commits, moment, lambda: os.kill(server.process.pid, signal.SIGKILL))
        query = {"grant_type": "authorization_code", "code": code}
        async with httpx.AsyncClient(base_url=server.base_url, timeout=20) as http:
            try:
                answer = await http.post("/token", params=query, auth=processor.auth)
            except httpx.TransportError:
                answer = None
        assert server.process.wait(20) == -signal.SIGKILL

    async def counts() -> set[int]:
        async with services.db.connection() as connection:
            cursor = await connection.execute(change, {"guid": guid})
            row = await cursor.fetchone()
            assert row is not None
            return {*row}

    async def nothing_runs() -> bool:
        async with services.db.connection() as connection:
            cursor = await connection.execute(RUNNING)
            return await cursor.fetchone() == (0,)

    await until(nothing_runs)
    done = await counts()
    assert done in ({0}, {1})
    if moment is Moment.BEFORE_THE_SERVER_HAS_IT:
        assert done == {0}
    elif moment is not Moment.WHEN_THE_SERVER_HAS_IT:
        assert done == {1}
    assert answer is None or done == {1}
    # Repeated, it is done once.
    try:
        await redeem(services, processor, code)
    except InvalidGrant:
        assert done == {1} or change is REPLAY
    assert await counts() == {1}
