"""Two web processes and two workers on one PostgreSQL, through PgBouncer in transaction mode."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest

from coatcheck.app import build
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.config import load
from coatcheck.db.connections import missing_settings
from tests import pgbouncer
from tests.databases import copied_database, execute
from tests.factories import Keyed, make_client, make_processor
from tests.faults.conftest import needs_pgbouncer, needs_preparing_pgbouncer
from tests.member_setup import until
from tests.processes import coatcheck, process, serving

pytestmark = [pytest.mark.faults, needs_pgbouncer]

MEMBERS = 3
PAUSE = 0.2
"""Seconds between two questions whether a job has ended."""
SESSIONS = 20
"""As many as PgBouncer opens."""


@pytest.fixture
def role(server_url: str) -> Iterator[str]:
    """A role that no other test uses."""
    name = f"role_{uuid4().hex}"
    execute(server_url, f"CREATE ROLE {name} LOGIN SUPERUSER")
    yield name
    execute(server_url, f"DROP ROLE {name}")


@pytest.fixture(
    params=[
        pytest.param("transaction", marks=pytest.mark.slow),
        pytest.param("transaction_prepared", marks=[needs_preparing_pgbouncer, pytest.mark.slow]),
    ]
)
def pooled(
    request: pytest.FixtureRequest, server_url: str, role: str, master_key: str
) -> Iterator[dict[str, str]]:
    """The settings of processes that reach a database through PgBouncer, as a role without settings."""
    with (
        copied_database(server_url) as url,
        pgbouncer.pgbouncer(as_role(url, role), request.param) as settings,
    ):
        yield {
            "COATCHECK_MASTER_KEY": master_key,
            "COATCHECK_CONNECTORS": "sandbox",
            **settings,
        }


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.hostname or ''}").geturl()


def pooler_finding(environment: dict[str, str]) -> dict[str, str]:
    findings = json.loads(coatcheck(environment, "doctor", "--json").stdout)
    (finding,) = [each for each in findings if each["check"] == "pooler"]
    return dict(finding)


def test_a_process_refuses_to_start_until_the_role_has_the_settings_of_the_guide(
    pooled: dict[str, str], role: str
) -> None:
    assert coatcheck(pooled, "migrate").returncode == 0
    refused = coatcheck(pooled, "serve", "--port", "0")
    assert refused.returncode == ExitCode.CONFIGURATION
    assert "do not have the settings" in refused.stderr
    assert "coatcheck doctor" in refused.stderr
    finding = pooler_finding(pooled)
    assert finding["status"] == "fail"
    statements, _, _ = finding["fix"].partition(" Then let the pooler")
    assert sorted(f"{each};" for each in statements.rstrip(";").split("; ")) == sorted(
        pgbouncer.role_settings(role).splitlines()
    )
    execute(pooled["COATCHECK_DATABASE_DIRECT_URL"], statements)
    reconnect(pooled["COATCHECK_DATABASE_URL"])
    assert pooler_finding(pooled)["status"] == "ok"


def reconnect(url: str) -> None:
    """Lets PgBouncer replace its sessions, as the guide says."""
    with psycopg.connect(urlsplit(url)._replace(path="/pgbouncer").geturl(), autocommit=True) as console:
        console.execute("RECONNECT")


async def test_users_are_linked_and_read_by_two_web_processes_and_two_workers(
    pooled: dict[str, str], role: str, tmp_path: Path
) -> None:
    execute(pooled["COATCHECK_DATABASE_DIRECT_URL"], *pgbouncer.role_settings(role).splitlines())
    async with build(load(pooled)) as services:
        client = await make_client(services)
        processor = await make_processor(services, client)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(pooled, tmp_path / name)) for name in ("one", "two")]
        for name in ("three", "four"):
            stack.enter_context(process("work", environment=pooled, log=tmp_path / name))
        async with (
            httpx.AsyncClient(base_url=servers[0].base_url, timeout=60) as one,
            httpx.AsyncClient(base_url=servers[1].base_url, timeout=60) as two,
        ):
            await asyncio.gather(*(link_and_read(one, two, client, processor) for _ in range(MEMBERS)))
        is_prepared = pooled["COATCHECK_DATABASE_POOLING"] == "transaction_prepared"
        await assert_sessions_are_clean(pooled["COATCHECK_DATABASE_URL"], is_prepared=is_prepared)
    for name in ("three", "four"):  # each listens, past PgBouncer
        assert "worker.ready" in (tmp_path / name).read_text()


async def link_and_read(
    one: httpx.AsyncClient, two: httpx.AsyncClient, client: Keyed, processor: Keyed
) -> None:
    """Links a member at one server; a worker verifies it; the other server issues a code; both serve the token."""
    user = (await one.post("/users", json={"user": {"metadata": "story"}}, auth=client.auth)).json()["user"][
        "guid"
    ]
    fields = (await one.get("/institutions/mxbank/credentials", auth=client.auth)).json()["credentials"]
    member = {
        "institution_code": "mxbank",
        "credentials": [{"guid": field["guid"], "value": "correct"} for field in fields],
    }
    linked = await one.post(f"/users/{user}/members", json={"member": member}, auth=client.auth)
    members = f"/users/{user}/members/{linked.json()['member']['guid']}"

    async def is_connected() -> bool:
        await asyncio.sleep(PAUSE)
        status = (await two.get(f"{members}/status", auth=client.auth)).json()["member"]
        return bool(status["connection_status"] == "CONNECTED" and not status["is_being_aggregated"])

    await until(is_connected, 60)
    await one.post(f"{members}/verify", auth=client.auth)

    async def has_numbers() -> bool:
        await asyncio.sleep(PAUSE)
        answer = await two.get(f"{members}/account_numbers", auth=client.auth)
        return answer.status_code == 200 and bool(answer.json()["account_numbers"])

    await until(has_numbers, 60)
    account = (await two.get(f"{members}/account_numbers", auth=client.auth)).json()["account_numbers"][0]
    scope = " ".join(
        [
            f"user-guid:{user}",
            f"member-guid:{account['member_guid']}",
            f"account-guid:{account['account_guid']}",
            "read-protected",
        ]
    )
    issued = await two.post(
        "/authorization_code", json={"authorization_code": {"scope": scope}}, auth=client.auth
    )
    code = issued.json()["authorization_code"]["code"]
    form = {"grant_type": "authorization_code", "code": code}
    token = (await one.post("/token", data=form, auth=processor.auth)).json()["access_token"]
    for server in (one, two):
        answer = await server.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


async def assert_sessions_are_clean(url: str, *, is_prepared: bool) -> None:
    """Every session behind PgBouncer has the settings of the role, and no statement that PgBouncer does not know."""
    connections = [
        await psycopg.AsyncConnection.connect(url, prepare_threshold=None) for _ in range(SESSIONS // 2)
    ]
    for connection in connections:  # each in a transaction, so that each has a session of its own
        assert await missing_settings(connection) == {}
        cursor = await connection.execute("SELECT name FROM pg_prepared_statements")
        names = [name for (name,) in await cursor.fetchall()]
        assert all(is_prepared and name.startswith("PGBOUNCER_") for name in names)
    for connection in connections:
        await connection.close()
