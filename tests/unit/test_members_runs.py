"""Runs of jobs: what a connector is given, and what the log, the metrics and the disclosures say of a run."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from time import perf_counter

import pytest
import structlog
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from coatcheck import ids
from coatcheck.app import build
from coatcheck.connectors.contract import BankAccount, BankTransaction, Finished, JobKind
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.errors import BankFailed
from coatcheck.worker_services import run_pending
from tests.member_setup import make_end_user

pytestmark = pytest.mark.own_database


async def claim(end_user):
    (job,) = await end_user.worker_services.scheduler.claim(1)
    return job


async def run_job(end_user):
    await end_user.worker_services.sync.run(await claim(end_user))


@asynccontextmanager
async def at_the_bank(services, monkeypatch, run):
    """A member with a queued job, whose connector is this function."""
    monkeypatch.setattr(services.registry.connector_for("mxbank"), "run", run)
    end_user = await make_end_user(services)
    yield end_user, await end_user.connect("mxuser+no_tx")


async def test_a_connector_is_given_the_task_that_was_requested(services, clock, monkeypatch):
    tasks = []

    async def run(session):
        tasks.append(session.task)
        raise BankFailed

    async with at_the_bank(services, monkeypatch, run) as (end_user, member):
        await claim(end_user)
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        await run_job(end_user)
        await end_user.run_job(member, JobKind.VERIFICATION, include_transactions=False)
        clock.advance(services.settings.background_interval + timedelta(seconds=1))
        await end_user.worker_services.scheduler.refresh()
        await run_pending(services)
    of_all = {
        "institution_code": "mxbank",
        "member_guid": member.guid,
        "user_guid": member.user_guid,
    }
    given = [
        {"kind": "AGGREGATION", "attempt": 2, "is_background": False, "include_transactions": True},
        {"kind": "VERIFICATION", "attempt": 1, "is_background": False, "include_transactions": False},
        {"kind": "AGGREGATION", "attempt": 1, "is_background": True, "include_transactions": True},
    ]
    fields = [{name: getattr(task, name) for name in of_all | given[0]} for task in tasks]
    assert fields == [of_all | each for each in given]
    assert timedelta(0) <= clock.now() - tasks[-1].now < timedelta(minutes=1)


async def test_a_connector_is_given_the_state_that_an_earlier_run_saved(services, monkeypatch):
    states = []

    async def run(session):
        states.append(session.state)
        await session.save_state(b"a state")
        return Finished()

    async with at_the_bank(services, monkeypatch, run) as (end_user, member):
        await run_job(end_user)
        await end_user.run_job(member, JobKind.AGGREGATION)
    assert states == [None, b"a state"]


async def test_a_daily_aggregation_is_given_the_first_day_to_read_of_each_account(
    services, clock, monkeypatch
):
    given = []

    async def run(session):
        given.append(session.task.known_since)
        await session.add_accounts([BankAccount("A-1", "Checking", "CHECKING", Decimal(1))])
        return Finished()

    async with at_the_bank(services, monkeypatch, run) as (end_user, _):
        await run_job(end_user)
        read_on = clock.now().date()
        clock.advance(services.settings.background_interval + timedelta(seconds=1))
        await end_user.worker_services.scheduler.refresh()
        await run_pending(services)
    assert given == [{}, {"A-1": read_on - SandboxBank.overlap}]


async def test_a_connector_that_exceeds_the_timeout_is_cancelled_before_its_job_ends(
    settings, clock, monkeypatch
):
    ended = []

    async def run(_):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("run")

    async with (
        build(replace(settings, job_timeout=timedelta(seconds=0.1)), clock) as services,
        at_the_bank(services, monkeypatch, run) as (end_user, member),
    ):
        await run_job(end_user)
        assert (await end_user.reload(member)).connection_status == "DELAYED"
        assert ended == ["run"]


async def test_in_a_sandbox_with_a_seed_two_attempts_of_a_job_make_different_guids(
    settings, clock, monkeypatch
):
    made = []

    async def run(_):
        made.append(ids.new("TRN"))
        raise BankFailed

    async with (
        build(replace(settings, sandbox=True, seed=7), clock) as services,
        at_the_bank(services, monkeypatch, run) as (end_user, _),
    ):
        job = await claim(end_user)
        await end_user.worker_services.sync.run(replace(job, attempt=2))
        await end_user.worker_services.sync.run(job)
    assert len(set(made)) == 2


@pytest.mark.parametrize("saves", [False, True])
async def test_a_connector_that_replaces_a_secret_or_saves_a_state_holds_the_lease_for_longer(
    services, clock, monkeypatch, saves
):
    lease = "SELECT lease_until FROM member_job WHERE user_guid = %(user)s"
    leases = []

    async def run(session):
        async def exchange():
            leases.extend(await end_user.rows(lease))
            raise BankFailed

        clock.advance(services.settings.job_lease / 2)
        leases.extend(await end_user.rows(lease))
        if saves:
            await session.save_state(b"a state")
            await exchange()
        await session.rotate(exchange)

    async with at_the_bank(services, monkeypatch, run) as (end_user, _):
        await run_job(end_user)
    (before,), (after,) = leases
    assert after >= before + services.settings.job_lease / 2


async def test_the_secrets_that_a_job_reads_are_disclosed_to_the_job_of_the_client(services):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    disclosed = """SELECT DISTINCT reader_guid, client_guid, record_guid FROM disclosure
                   WHERE user_guid = %(user)s AND what = 'CREDENTIALS'"""
    assert await end_user.rows(disclosed) == [
        (member.most_recent_job_guid, end_user.client.guid, member.guid)
    ]


@pytest.mark.parametrize(
    ("password", "result"),
    [
        ("correct", "finished"),
        ("challenge", "waits"),
        ("INVALID", "CredentialsDenied"),
        (None, "USER_DISABLED"),
    ],
)
async def test_each_attempt_is_counted_by_kind_and_result_with_its_seconds(services, password, result):
    def counted(name, **labels):
        return REGISTRY.get_sample_value(name, {"kind": "AGGREGATION", **labels}) or 0

    def all_counted():
        return (
            counted("coatcheck_jobs_total", result=result),
            counted("coatcheck_job_seconds_count"),
            counted("coatcheck_job_seconds_sum"),
        )

    end_user = await make_end_user(services)
    await end_user.connect("mxuser+no_tx", password or "correct")
    if password is None:
        await end_user.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    results, count, seconds = all_counted()
    started = perf_counter()
    await run_job(end_user)
    results_after, count_after, seconds_after = all_counted()
    assert (results_after, count_after) == (results + 1, count + 1)
    assert 0 < seconds_after - seconds <= perf_counter() - started


async def test_every_line_of_the_log_of_a_run_names_its_job_and_its_attempt(services, monkeypatch):
    begun = asyncio.Event()

    async def run(session):
        await session.add_accounts([BankAccount("A-1", "Checking", "CHECKING", Decimal(1))])
        of_none = BankTransaction(
            "A-2", "T-1", Decimal(1), "DEBIT", "POSTED", date(2026, 1, 2), "a shop", "a shop"
        )
        await session.add_transactions([of_none, of_none])
        if session.task.attempt == 1:
            begun.set()
            await asyncio.Event().wait()
        return Finished()

    async with at_the_bank(services, monkeypatch, run) as (end_user, member):
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
            stopped = asyncio.create_task(run_job(end_user))
            await begun.wait()
            stopped.cancel()
            await asyncio.gather(stopped, return_exceptions=True)
            first = await claim(end_user)
            await end_user.worker_services.sync.run(first)
            await end_user.worker_services.sync.run(first)
    of_job = {"job_guid": member.most_recent_job_guid}
    skipped = {"event": "rows.skipped", "record": "BankTransaction", "field": "account_id", "count": 2}
    assert [entry for entry in logs if "job_guid" in entry] == [
        {**of_job, "attempt": 1, "event": "job.released", "kind": "AGGREGATION", "log_level": "info"},
        {**of_job, "attempt": 2, **skipped, "log_level": "warning"},
        {**of_job, "attempt": 2, **skipped, "log_level": "warning"},
        {**of_job, "attempt": 2, "event": "job.lease_lost", "kind": "AGGREGATION", "log_level": "warning"},
    ]
