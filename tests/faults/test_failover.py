"""A standby takes over from a primary that hangs: nothing acknowledged is undone, and the old primary is not believed.

Two real servers. The primary answers a change only after the standby has it (`synchronous_standby_names`).
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx
import pytest

from coatcheck.app import build
from coatcheck.cli import embedded
from coatcheck.clock import SystemClock
from coatcheck.config import Settings
from coatcheck.migrations.upgrade import upgrade
from tests.databases import execute
from tests.faults.load import Scene, make_scene, steady_load
from tests.faults.servers import command, frozen
from tests.member_setup import until
from tests.processes import coatcheck, serving

pytestmark = pytest.mark.faults

DEADLINE = 2.0
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
HEALED = 15.0
"""Seconds after the promotion."""


@dataclass(frozen=True)
class Pair:
    primary: embedded.Server
    standby: Path

    @property
    def url(self) -> str:
        """Both servers, in the order of libpq: the first that is writable is used."""
        hosts = ",".join(quote(str(each), safe="") for each in (self.primary.sockets, self.standby))
        return (
            f"postgresql://postgres@/postgres?host={hosts}&port=5432,5432"
            "&target_session_attrs=read-write&connect_timeout=2"
        )

    @property
    def standby_url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.standby), safe='')}"

    def promote(self) -> None:
        command("pg_ctl", "promote", "-w", "-s", "-D", str(self.standby))
        execute(
            self.standby_url,
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )


@pytest.fixture
def pair() -> Iterator[Pair]:
    with TemporaryDirectory(prefix="coatcheck-tests-") as parent:
        Path(parent).chmod(0o711)
        with embedded.server(Path(parent) / "one" / "postgres") as primary:
            upgrade(primary.url)
            standby = Path(parent) / "two"
            copy_to_standby(primary, standby)
            try:
                execute(
                    primary.url,
                    "ALTER SYSTEM SET synchronous_standby_names TO '*'",
                    "SELECT pg_reload_conf()",
                )
                yield Pair(primary, standby)
            finally:
                command("pg_ctl", "stop", "-m", "immediate", "-w", "-s", "-D", str(standby))


def copy_to_standby(primary: embedded.Server, standby: Path) -> None:
    standby.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(standby, embedded.SYSTEM_USER, embedded.SYSTEM_USER)
    command(
        "pg_basebackup", "-D", str(standby), "-R", "-X", "stream", "-c", "fast", "-U", "postgres",
        "-h", str(primary.sockets),
    )  # fmt: skip
    (standby / f"{embedded.SOCKET}.lock").unlink()  # the primary's, whose socket is in its data directory
    options = f"-c listen_addresses='' -c unix_socket_directories='{standby}'"
    command("pg_ctl", "start", "-w", "-s", "-D", str(standby), "-l", str(standby / "log"), "-o", options)


async def redeem(http: httpx.AsyncClient, scene: Scene, code: str) -> httpx.Response:
    query = {"grant_type": "authorization_code", "code": code}
    return await http.post("/token", params=query, auth=scene.processor.auth)


async def read_status(http: httpx.AsyncClient, token: str) -> int:
    answer = await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def test_after_a_failover_no_redemption_or_revocation_is_undone_and_the_old_primary_is_not_believed(
    pair: Pair, master_key: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=pair.url, master_key=master_key, connectors=("sandbox",))
    async with build(settings, SystemClock()) as services:
        scene = await make_scene(services)
        codes = await scene.codes(20)
    environment = {
        "COATCHECK_DATABASE_URL": pair.url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_REQUEST_DEADLINE": str(DEADLINE),
    }
    with serving(environment, tmp_path / "log") as server:
        async with (
            httpx.AsyncClient(base_url=server.base_url, timeout=15) as http,
            steady_load(server.base_url, scene) as load,
        ):
            tokens = [(await redeem(http, scene, code)).json()["access_token"] for code in codes]
            revoked = await revoke_half(http, scene)
            with frozen(pair.primary.url):
                await asyncio.sleep(DEADLINE + 1)
                await asyncio.to_thread(pair.promote)
                promoted = load.now()

                async def has_healed() -> bool:
                    recent = [answer for answer in load.answers if answer.at > load.now() - 1]
                    return len(recent) > 5 and all(answer.status == 200 for answer in recent)

                await until(has_healed, HEALED)
                assert load.last_failure < promoted + HEALED
                created = list(load.created)
                await assert_nothing_undone(http, scene, codes, tokens, revoked)
            # The old primary thaws. It does not know of the other, accepts connections, and is the first of the URL.
            execute(pair.standby_url, TERMINATE)
            for _ in range(10):
                await asyncio.sleep(0.5)
                for guid in created[-5:]:
                    answer = await http.get(f"/users/{guid}", auth=scene.client.auth)
                    assert answer.status_code in {200, 503}
            await until(has_healed, HEALED)
            await assert_nothing_undone(http, scene, codes, tokens, revoked)
            for guid in load.created:
                assert (await http.get(f"/users/{guid}", auth=scene.client.auth)).status_code == 200
    assert load.problems() == []
    assert load.longest < DEADLINE + 1


@pytest.mark.slow
def test_the_doctor_says_that_its_role_may_not_see_whether_a_standby_is_synchronous(
    pair: Pair, master_key: str
) -> None:
    settings = {"COATCHECK_DATABASE_URL": pair.primary.url, "COATCHECK_MASTER_KEY": master_key}
    execute(pair.primary.url, "CREATE ROLE service LOGIN")
    assert coatcheck({**settings, "COATCHECK_SERVICE_ROLE": "service"}, "migrate").returncode == 0
    settings["COATCHECK_DATABASE_URL"] = pair.primary.url.replace("postgres@", "service@")
    assert durability(settings) == ("warn", "GRANT pg_read_all_stats TO service;")
    execute(pair.primary.url, "GRANT pg_read_all_stats TO service")
    assert durability(settings) == ("ok", "")


def durability(settings: Mapping[str, str]) -> tuple[str, str]:
    """What the doctor finds, and what it advises."""
    answer = coatcheck(settings, "doctor", "--json")
    (finding,) = [each for each in json.loads(answer.stdout) if each["check"] == "durability"]
    return finding["status"], finding["fix"]


async def revoke_half(http: httpx.AsyncClient, scene: Scene) -> set[int]:
    """Revokes every other of the tokens; returns their positions in the order of their issue."""
    listed = await http.get("/coatcheck/grants", params={"records_per_page": 100}, auth=scene.client.auth)
    grants = sorted(listed.json()["grants"], key=lambda grant: grant["guid"])[1:]  # without the scene's own
    for grant in grants[::2]:
        answer = await http.post(f"/coatcheck/grants/{grant['guid']}/revoke", json={}, auth=scene.client.auth)
        assert answer.status_code == 200
    return set(range(0, len(grants), 2))


async def assert_nothing_undone(
    http: httpx.AsyncClient, scene: Scene, codes: list[str], tokens: list[str], revoked: set[int]
) -> None:
    for position, token in enumerate(tokens):
        assert await read_status(http, token) == (401 if position in revoked else 200), position
    refused = await redeem(http, scene, codes[0])
    assert refused.status_code == 400
