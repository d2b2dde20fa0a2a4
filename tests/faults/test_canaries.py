"""Secrets of a full run are in plain text neither in the data directory, nor in a dump, nor in the logs.

Nor in the metrics, nor in the memory of the database's processes, which a core dump of them would contain.
"""

import asyncio
import base64
import contextlib
import json
import resource
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from coatcheck.app import Services, build
from coatcheck.cli.embedded import database, program
from coatcheck.config import Settings
from coatcheck.migrations.upgrade import upgrade
from coatcheck.vault.vault import SecretKind
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_token, make_user
from tests.faults.servers import processes
from tests.processes import free_port, process, serving

PLANTED = 1000


def forms(secret: str) -> Iterator[bytes]:
    """The secret in clear text, backwards, in hex and in base64."""
    raw = secret.encode()
    yield raw
    yield raw[::-1]
    yield raw.hex().encode()
    for offset in range(3):  # the part of the base64 of a longer text that depends on the secret alone
        yield base64.b64encode(b"\0" * offset + raw)[offset + 1 : -4]


def found(canaries: list[str], paths: list[Path], tmp_path: Path) -> set[str]:
    """The canaries that are in a file below the paths, in any form. grep searches for all of them at once."""
    canary_by_form = {form: canary for canary in canaries for form in forms(canary)}
    patterns = tmp_path / "patterns"
    patterns.write_bytes(b"\n".join(canary_by_form) + b"\n")
    answer = subprocess.run(
        ["grep", "-r", "-h", "-a", "-o", "-F", "-f", patterns, *paths],
        env={"LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert answer.returncode in {0, 1}, answer.stderr
    return {canary_by_form[line] for line in answer.stdout.splitlines()}


async def plant(services: Services) -> tuple[list[str], Keyed, Keyed]:
    """A thousand of each: account numbers, passwords, codes and tokens; and the API keys."""
    client = await make_client(services)
    processor = await make_processor(services, client)
    planted = [client.api_key, processor.api_key]
    for _ in range(PLANTED):
        number, password = str(10**16 + secrets.randbelow(9 * 10**16)), f"pw-{secrets.token_urlsafe(12)}"
        user = await make_user(services, client)
        account = await make_account(services, user, account_number=number)
        async with services.db.transaction() as connection:
            await services.vault.store_secret(
                connection,
                owner_guid=user.guid,
                record_guid=account.member_guid,
                kind=SecretKind.CREDENTIALS,
                value=json.dumps({"LOGIN": "mxuser", "PASSWORD": password}).encode(),
            )
        planted += [
            number,
            password,
            await make_code(services, account),
            await make_token(services, account, processor),
        ]
    return planted, client, processor


async def full_run(base_url: str, client: Keyed, processor: Keyed) -> list[str]:
    """Runs the whole flow over HTTP, with refused requests; returns the secrets that occurred."""
    seen: list[str] = []
    async with httpx.AsyncClient(base_url=base_url, auth=client.auth, timeout=60) as http:

        async def wait_until_settled(path: str) -> dict[str, Any]:
            for _ in range(300):
                status = (await http.get(f"{path}/status")).json()["member"]
                if not status["is_being_aggregated"] or status["connection_status"] == "CHALLENGED":
                    return dict(status)
                await asyncio.sleep(0.1)
            raise AssertionError(status)

        user = (await http.post("/users", json={"user": {"metadata": "{}"}})).json()["user"]["guid"]
        fields = (await http.get("/institutions/mxbank/credentials")).json()["credentials"]
        login = f"canary{secrets.token_hex(8)}+leading_zeros"
        for name, password in (
            ("ann", "SERVER_ERROR"),
            ("bob", f"pw-{secrets.token_urlsafe(12)}"),
            ("cid", "challenge"),
        ):
            values = dict(zip((field["guid"] for field in fields), (name + login, password), strict=True))
            created = await http.post(
                f"/users/{user}/members",
                json={
                    "member": {
                        "institution_code": "mxbank",
                        "credentials": [{"guid": guid, "value": value} for guid, value in values.items()],
                    }
                },
            )
            member = f"/users/{user}/members/{created.json()['member']['guid']}"
            status = await wait_until_settled(member)
            seen += [password] if password.startswith("pw-") else []
            if status["connection_status"] == "CHALLENGED":
                answer = f"answer-{secrets.token_hex(8)}"
                await http.put(
                    f"{member}/resume",
                    json={
                        "member": {"challenges": [{"guid": status["challenges"][0]["guid"], "value": answer}]}
                    },
                )
                seen.append(answer)
                await wait_until_settled(member)
            elif status["connection_status"] == "CONNECTED":
                for job in ("verify", "identify", "fetch_statements"):
                    await http.post(f"{member}/{job}")
                    await wait_until_settled(member)
                connected = member
        numbers = (await http.get(f"{connected}/account_numbers")).json()["account_numbers"]
        owners = (await http.get(f"{connected}/account_owners")).json()["account_owners"]
        seen += [number["account_number"] for number in numbers]
        seen += [owner["email"] for owner in owners] + [owner["owner_name"] for owner in owners]
        scope = " ".join(
            f"{kind}-guid:{numbers[0][f'{kind}_guid']}" for kind in ("user", "member", "account")
        )
        body = {"authorization_code": {"scope": f"{scope} read-protected"}}
        code = (await http.post("/authorization_code", json=body)).json()["authorization_code"]["code"]
        query = {"grant_type": "authorization_code", "code": code}
        token = (await http.post("/token", params=query, auth=processor.auth)).json()["access_token"]
        seen += [code, token]
        for path in ("account_numbers", "account_owners", "transactions"):
            await http.get(f"/account/{path}", headers={"Authorization": f"Bearer {token}"}, auth=None)  # type: ignore[arg-type]
        await http.get("/payment_account", params={"access_token": token})
        await http.post("/token", params=query, auth=processor.auth)
        await http.post("/token", params=query, auth=(processor.guid, processor.api_key[:-1] + "x"))
        link = await http.post(
            f"/users/{user}/widget_urls", json={"widget_url": {"widget_type": "connect_widget"}}
        )
        seen.append(link.json()["widget_url"]["url"].rpartition("/")[2])
        wrong = {
            "member": {"institution_code": "mxbank", "credentials": [{"guid": "CRD-x", "value": seen[0]}]}
        }
        await http.post(f"/users/{user}/members", json=wrong)
    return seen


@pytest.mark.faults
@pytest.mark.slow
async def test_the_data_directory_a_dump_and_the_logs_contain_no_planted_secret(
    tmp_path: Path, master_key: str
) -> None:
    metrics_port = free_port()
    memory, metrics = tmp_path / "memory", tmp_path / "metrics"
    with database(tmp_path / "postgres", durable=False) as url:
        upgrade(url)
        environment = {
            "COATCHECK_DATABASE_URL": url,
            "COATCHECK_MASTER_KEY": master_key,
            "COATCHECK_CONNECTORS": "sandbox",
            "COATCHECK_LOG_LEVEL": "DEBUG",
            "COATCHECK_METRICS_PORT": str(metrics_port),
        }
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",))
        async with build(settings) as services:
            planted, client, processor = await plant(services)
        logs = tmp_path / "serve.log", tmp_path / "work.log"
        with (
            serving(environment, logs[0]) as server,
            process("work", environment=environment | {"COATCHECK_METRICS_PORT": "0"}, log=logs[1]),
        ):
            seen = await full_run(server.base_url, client, processor)
            async with httpx.AsyncClient(timeout=60) as http:
                metrics.write_bytes((await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).content)
            has_memory = dump_memory(url, memory)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        dump = tmp_path / "dump.sql"
        await asyncio.to_thread(subprocess.run, [program("pg_dump"), "-f", dump, url], check=True)
    paths = [tmp_path / "postgres", dump, memory, metrics, *logs]
    canaries = [*planted, *seen, master_key.partition(":")[2]]
    assert len(canaries) > 4 * PLANTED
    assert found(canaries, paths, tmp_path) == set()
    # The search finds what is there: the guid of the client, in clear text and in hex.
    (tmp_path / "hexed").write_bytes(b"x" + client.guid.encode().hex().encode() + b"x")
    assert found([client.guid], [dump], tmp_path) == {client.guid}
    assert found([client.guid], [tmp_path / "hexed"], tmp_path) == {client.guid}
    assert all(log.stat().st_size for log in (*logs, metrics))
    assert found([client.guid], [memory], tmp_path) == ({client.guid} if has_memory else set())


def dump_memory(url: str, file: Path) -> bool:
    """Writes what a core dump of each process of the database contains. Only root may read it on some systems."""
    with file.open("wb") as out:
        for position, pid in enumerate(processes(url)):
            try:
                memory = Path(f"/proc/{pid}/mem").open("rb", buffering=0)  # noqa: SIM115 (closed below)
            except PermissionError:
                return False
            except FileNotFoundError:
                continue  # it served a connection that was closed meanwhile
            with memory:
                for line in _mappings(pid):
                    bounds, access, _, _, inode, *_ = line.split(maxsplit=5)
                    is_shared = "s" in access
                    if (
                        not access.startswith("r")
                        or (is_shared and position)
                        or (inode != "0" and not is_shared)
                    ):
                        continue  # the shared memory is written once, files are not written
                    start, end = (int(bound, 16) for bound in bounds.split("-"))
                    with contextlib.suppress(OSError, ValueError):  # a mapping of the kernel
                        memory.seek(start)
                        out.write(memory.read(end - start))
    return True


def _mappings(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/maps").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.faults
def test_a_crash_of_the_server_writes_no_core_dump(environment: dict[str, str], tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        with serving(environment, tmp_path / "log") as server:
            given = Path(f"/proc/{server.process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    (line,) = (line for line in given.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]
