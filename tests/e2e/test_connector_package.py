"""A connector in a package of its own: built, installed, found by its entry point, and linked through the widget.

Its institution replaces the secret at every call, and ends the connection when a replaced secret is used again.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.http.listening import listen
from coatcheck.server import create_app, serve
from coatcheck.worker_services import build_worker
from tests.api_client import Api
from tests.factories import make_client
from tests.member_setup import PATIENCE, until
from tests.processes import process
from tests.widget_client import answer, open_page

PACKAGE = Path(__file__).parents[1] / "connector_package"
TOKEN_FIELD = "CRD-7a0c6b1e-2f8d-4b7e-9b58-1f0a4a3d0001"
CALLS = ["/questions", "/claim", "/accounts", "/numbers"]
"""What the first job of a member sends: a verification."""
SLOW = timedelta(seconds=3)
"""How long a call takes that a job does not wait for. A run that is cancelled waits for four seconds."""
CONNECTED, FAILED, DELAYED = 6, 14, 13
"""Connection statuses, as the widget's API writes them."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory that the package is installed in; it is on the path."""
    directory = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index",
            "--no-deps", "--no-build-isolation", "--target", str(directory), str(PACKAGE),
        ],
        check=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(directory)
        yield directory


def environment(installed: Path, **settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return inherited | {"PYTHONPATH": str(installed)} | settings


@pytest.fixture
async def institution(installed: Path) -> Any:
    from rotating_bank.institution import RotatingInstitution  # noqa: PLC0415 (installed by a fixture)

    return RotatingInstitution()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The application on a port of this machine."""
    bound, stop = listen("127.0.0.1", 0), asyncio.Event()
    port = bound.getsockname()[1]
    serving = asyncio.create_task(serve(app, bound, stop, grace=timedelta(seconds=1)))
    yield f"http://127.0.0.1:{port}"
    stop.set()
    await serving


class Fault:
    """Wraps the institution: one call of a path fails."""

    def __init__(self, institution: Any) -> None:
        self.institution = institution
        self.path: str | None = None
        self.kind = ""
        self.kill: Callable[[], None] = lambda: None
        self.reached = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != self.path:
            await self.institution(scope, receive, send)
            return
        self.path = None
        self.reached.set()
        match self.kind:
            case "500":
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            case "unreadable":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"\0{"})
            case "killed":
                self.kill()
            case "slow":
                await asyncio.sleep(SLOW.total_seconds())
                await self.institution(scope, receive, send)


@pytest.fixture
async def fault(institution: Any) -> Fault:
    return Fault(institution)


@pytest.fixture
def job_timeout() -> timedelta:
    return timedelta(minutes=3)


@pytest.fixture
async def api(settings, clock, fault, job_timeout) -> AsyncIterator[Api]:
    from rotating_bank.institution import API_KEY  # noqa: PLC0415 (installed by a fixture)

    async with served(fault) as url:
        connector = {"rotating": {"api_key": API_KEY, "api_url": url}}
        changed = replace(
            settings, connectors=("sandbox", "rotating"), connector=connector, job_timeout=job_timeout
        )
        async with build(changed, clock) as services:
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
                yield Api(http, services, await make_client(services))


async def link(api: Api, token: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The widget's page and the member, as they are before the first job has run."""
    page = await open_page(api, await api.create_user(), mode="verification", **options)
    found = await page.get("/institutions?search_name=rotating")
    (institution,) = [each for each in found["institutions"] if each["code"] == "rotating_bank"]
    body = {
        "institution_guid": institution["guid"],
        "credentials": [{"guid": TOKEN_FIELD, "value": token}],
    }
    return page, (await page.send("POST", "/members", body))["member"]


def test_the_package_is_found_by_its_entry_point_with_its_settings(installed):
    listed = subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", "connectors", "--json"],
        env=environment(
            installed,
            COATCHECK_CONNECTORS="rotating",
            COATCHECK_CONNECTOR_ROTATING_API_KEY="a-secret-key",
            COATCHECK_CONNECTOR_ROTATING_API_URL="https://other.example",
        ),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = {each["name"]: each for each in json.loads(listed)}
    rotating, sandbox = found["rotating"], found["sandbox"]
    assert rotating == {
        "name": "rotating",
        "distribution": "coatcheck-rotating-bank",
        "version": "1.2.0",
        "is_enabled": True,
        "institutions": 1,
        "settings": {"api_key": "(hidden)", "api_url": "https://other.example"},
        "problem": None,
    }
    assert (sandbox["name"], sandbox["is_enabled"], sandbox["institutions"]) == ("sandbox", False, None)


def test_the_package_passes_the_conformance_checks(installed, tmp_path):
    arguments = ["-q", "-p", "no:cacheprovider", "-c", str(PACKAGE / "pyproject.toml")]
    arguments += ["--basetemp", str(tmp_path / "pytest")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(PACKAGE / "conformance.py")],
        env=environment(installed),
        cwd=installed,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout


async def test_a_member_is_linked_through_the_widget(api, institution):
    page, member = await link(api, "token-of-ann")
    member = await page.after_work(member)
    assert (member["step"], member["connection_status"]) == ("accountSelect", CONNECTED)
    assert institution.calls == CALLS
    assert await numbers_of(api, member) == ["1234500001", "1234500002"]


async def test_a_question_of_the_institution_is_answered_in_the_widget(api, institution):
    page, member = await link(api, "mfa-token-of-ann")
    member = await page.after_work(member)
    assert member["step"] == "mfa"
    member = await answer(page, member, "4711")
    assert (member["step"], member["connection_status"]) == ("accountSelect", CONNECTED)


@pytest.mark.parametrize("kind", ["500", "unreadable"])
@pytest.mark.parametrize("path", CALLS)
async def test_a_member_stays_connectable_when_a_call_fails(api, fault, path, kind):
    page, member = await link(api, "token-of-ann")
    fault.path, fault.kind = path, kind
    failed = await page.after_work(member)
    assert failed["connection_status"] == FAILED
    await try_again(page, api, member)


@pytest.mark.parametrize("path", CALLS[2:])
async def test_a_member_stays_connectable_when_a_later_job_fails_at_a_call(api, fault, path):
    page, member = await link(api, "token-of-ann")
    await page.after_work(member)
    fault.path, fault.kind = path, "500"
    started = (await page.send("POST", f"/members/{member['guid']}/jobs"))["member"]
    assert (await page.after_work(started))["connection_status"] == FAILED
    await try_again(page, api, member)


@pytest.mark.parametrize("path", CALLS)
async def test_the_secret_is_kept_when_the_worker_is_stopped_during_a_call(api, fault, path):
    page, member = await link(api, "token-of-ann")
    fault.path, fault.kind = path, "slow"
    (job,) = await build_worker(api.services).scheduler.claim(1)
    run = asyncio.create_task(build_worker(api.services).sync.run(job))
    await asyncio.wait_for(fault.reached.wait(), PATIENCE)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    member = await page.after_work(member)
    assert (member["step"], member["connection_status"]) == ("accountSelect", CONNECTED)


@pytest.mark.parametrize("job_timeout", [SLOW - timedelta(seconds=1)])
@pytest.mark.parametrize("path", CALLS)
async def test_the_secret_is_kept_when_the_job_s_time_is_up_during_a_call(api, fault, path):
    page, member = await link(api, "token-of-ann")
    fault.path, fault.kind = path, "slow"
    member = await page.after_work(member)
    assert member["connection_status"] == DELAYED
    await try_again(page, api, member)


@pytest.mark.parametrize("path", CALLS)
async def test_a_worker_that_lost_its_job_during_a_call_saves_no_secret(api, clock, fault, path):
    """The other worker's result is kept. The institution accepts the previous secret once more."""
    fault.institution.accepts_previous = True
    page, member = await link(api, "token-of-ann")
    fault.path, fault.kind = path, "slow"
    (job,) = await build_worker(api.services).scheduler.claim(1)
    run = asyncio.create_task(build_worker(api.services).sync.run(job))
    await asyncio.wait_for(fault.reached.wait(), PATIENCE)
    clock.advance(api.services.settings.job_lease + timedelta(seconds=1))
    with capture_logs() as logs:
        await page.after_work(member)
        state = await state_of(api, member)
        await run
    assert "job.lease_lost" in {entry["event"] for entry in logs}
    assert await state_of(api, member) == state


async def test_the_secret_is_kept_when_the_result_cannot_be_saved(api):
    page, member = await link(api, "token-of-ann")
    async with api.services.db.connection() as connection:
        await connection.execute(
            "ALTER TABLE account ADD CONSTRAINT small CHECK (length(user_guid) < 3) NOT VALID"
        )
    failed = await page.after_work(member)
    async with api.services.db.connection() as connection:
        await connection.execute("ALTER TABLE account DROP CONSTRAINT small")
    assert failed["connection_status"] == FAILED
    await try_again(page, api, member)


async def test_unusable_rows_are_left_out_and_counted_in_the_log(api):
    page, member = await link(api, "odd-token-of-ann")
    await page.after_work(member)
    path = f"/users/{member['user_guid']}/members/{member['guid']}"
    await api.post(f"{path}/aggregate")
    with capture_logs() as logs:
        await api.work()
    skipped = {
        (entry["record"], entry["field"], entry["count"])
        for entry in logs
        if entry["event"] == "rows.skipped"
    }
    assert skipped == {("BankTransaction", "id", 1), ("BankTransaction", "amount", 1)}
    rows = (await api.get(f"{path}/transactions")).json()["transactions"]
    assert sorted(row["id"] for row in rows) == [f"t{number}" for number in range(1, 8)]
    (cleaned,) = [row["original_description"] for row in rows if row["id"] == "t6"]
    assert cleaned == "A NUL  inside"


async def test_new_credentials_delete_the_state_that_the_old_ones_led_to(api, institution):
    page, member = await link(api, "token-of-ann")
    await page.after_work(member)
    body = {"member": {"credentials": [{"guid": TOKEN_FIELD, "value": "token-of-bob"}]}}
    path = f"/users/{member['user_guid']}/members/{member['guid']}"
    assert (await api.put(path, json=body)).status_code == 200
    await api.post(f"{path}/aggregate")
    await api.work()
    assert institution.calls.count("/claim") == 2


@pytest.mark.faults
@pytest.mark.parametrize(
    "path", [CALLS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in CALLS[1:])]
)
async def test_a_member_stays_connectable_when_the_worker_is_killed_at_a_call(
    api, environment, fault, installed, tmp_path, path
):
    page, member = await link(api, "token-of-ann")
    connector = api.services.settings.connector["rotating"]
    given = environment | {
        "PYTHONPATH": str(installed),
        "COATCHECK_CONNECTORS": "sandbox,rotating",
        "COATCHECK_CONNECTOR_ROTATING_API_KEY": connector["api_key"],
        "COATCHECK_CONNECTOR_ROTATING_API_URL": connector["api_url"],
        "COATCHECK_JOB_LEASE": "1",
    }
    with process("work", environment=given, log=tmp_path / "first.log") as first:
        fault.path, fault.kind, fault.kill = path, "killed", first.kill
        await asyncio.wait_for(fault.reached.wait(), 30)
        assert await asyncio.to_thread(first.wait) == -signal.SIGKILL
    with process("work", environment=given, log=tmp_path / "second.log"):

        async def is_connected() -> bool:
            return (await page.get(f"/members/{member['guid']}"))["connection_status"] == CONNECTED

        await until(is_connected, 30)


async def numbers_of(api: Api, member: dict[str, Any]) -> list[str]:
    path = f"/users/{member['user_guid']}/members/{member['guid']}/account_numbers"
    return [each["account_number"] for each in (await api.get(path)).json()["account_numbers"]]


async def state_of(api: Api, member: dict[str, Any]) -> bytes | None:
    """The member's sealed state."""
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT sealed FROM sealed_secret WHERE record_guid = %s AND kind = 'STATE'", (member["guid"],)
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def try_again(page: Any, api: Api, member: dict[str, Any]) -> None:
    """Another job of the member, which ends CONNECTED with its numbers."""
    started = (await page.send("POST", f"/members/{member['guid']}/jobs"))["member"]
    member = await page.after_work(started)
    assert (member["step"], member["connection_status"]) == ("accountSelect", CONNECTED)
    assert await numbers_of(api, member) == ["1234500001", "1234500002"]
