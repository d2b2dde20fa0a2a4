"""Runs of jobs: leases, failures, abandoned jobs and the daily aggregation."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.connectors.contract import Connector, CredentialField, Institution, JobKind
from coatcheck.db.database import Database
from coatcheck.errors import ConstraintNotMet, NotFound, Unavailable
from coatcheck.jobs.tasks import cancel_tasks
from coatcheck.members import job_rows
from coatcheck.vault.vault import SecretKind
from coatcheck.worker_services import build_worker, run_pending
from tests.connector_setup import register_connector
from tests.member_setup import PATIENCE, make_end_user, until

JOBS = """SELECT state, attempt, claims, outcome, reason FROM member_job
          WHERE user_guid = %(user)s ORDER BY created_at, guid"""


pytestmark = pytest.mark.own_database


async def claim(services, limit=1):
    return await build_worker(services).scheduler.claim(limit)


async def claim_one(end_user):
    (job,) = await claim(end_user.services)
    assert job.user_guid == end_user.user.guid
    return job


async def run_one_job(end_user):
    await end_user.worker_services.sync.run(await claim_one(end_user))


async def wait_until_running(end_user):
    """Waits until a job runs."""

    async def is_running():
        return (await end_user.rows(JOBS))[0][0] == "running"

    await until(is_running)


async def store_credentials(services, connection, member, values):
    """Replaces the credentials of the member without starting a job."""
    await services.vault.store_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=member.guid,
        kind=SecretKind.CREDENTIALS,
        value=json.dumps(values).encode(),
    )


async def cancel(run):
    """Cancels a run whose bank never answers."""
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_nothing_is_saved_for_a_member_that_was_deleted_meanwhile(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+slow=0.3")
    run = asyncio.create_task(run_one_job(end_user))
    await wait_until_running(end_user)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    await run
    assert await end_user.rows("SELECT FROM account WHERE user_guid = %(user)s") == []
    assert await end_user.rows("SELECT FROM sealed_secret WHERE owner_guid = %(user)s") == []
    assert await end_user.events("AGGREGATION") == []


async def test_nothing_is_saved_of_a_run_with_credentials_that_were_changed_meanwhile(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+slow=0.3", "INVALID")
    run = asyncio.create_task(run_one_job(end_user))
    await wait_until_running(end_user)
    await end_user.change(member, "mxuser", "correct")
    await run
    assert (await end_user.reload(member)).connection_status == "UPDATED"
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_a_run_stops_when_another_worker_holds_the_lease(settings, clock):
    async with build(replace(settings, job_lease=timedelta(seconds=3)), clock) as services:
        end_user = await make_end_user(services)
        await end_user.connect("mxuser+hang")
        run = asyncio.create_task(run_one_job(end_user))
        await wait_until_running(end_user)
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        reclaimed = await claim_one(end_user)
        await asyncio.wait_for(run, PATIENCE)
        assert (await end_user.rows(JOBS))[0][:2] == ("running", reclaimed.attempt)
        await cancel(run)


async def test_a_run_ends_when_the_bank_takes_longer_than_the_timeout(settings, clock):
    async with build(replace(settings, job_timeout=timedelta(seconds=0.3)), clock) as services:
        end_user = await make_end_user(services)
        member = await end_user.connected("mxuser+hang")
        assert (member.connection_status, member.is_being_aggregated) == ("DELAYED", False)


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again():
    swallowed = []

    async def stubborn():
        while len(swallowed) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append("one")
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_tasks(task)
    assert task.cancelled()
    assert len(swallowed) == 2


async def test_a_lease_is_renewed_for_as_long_as_the_run_takes(settings, clock):
    async with build(replace(settings, job_lease=timedelta(seconds=1)), clock) as services:
        end_user = await make_end_user(services)
        await end_user.connect("mxuser+hang")
        run = asyncio.create_task(run_one_job(end_user))
        await wait_until_running(end_user)
        lease = "SELECT lease_until FROM member_job WHERE user_guid = %(user)s"
        ((first,),) = await end_user.rows(lease)

        async def is_renewed():
            return await end_user.rows(lease) != [(first,)]

        await until(is_renewed)
        ((renewed,),) = await end_user.rows(lease)
        assert renewed > first
        assert (await end_user.rows(JOBS))[0][:2] == ("running", 1)
        await cancel(run)


async def test_a_cancelled_run_releases_its_job_and_its_claim_is_not_counted(services):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+slow=5")
    run = asyncio.create_task(run_one_job(end_user))
    await wait_until_running(end_user)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (await end_user.rows(JOBS))[0][:3] == ("queued", 1, 0)
    assert (await claim_one(end_user)).attempt == 2


async def test_a_job_that_was_claimed_too_often_is_ended_with_a_reason(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    for attempt in range(1, services.settings.job_attempts + 1):
        assert (await claim_one(end_user)).attempt == attempt
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
    assert await claim(services) == []
    await end_user.worker_services.scheduler.sweep()
    ((state, attempt, _, outcome, reason),) = await end_user.rows(JOBS)
    assert (state, attempt, outcome) == ("ended", services.settings.job_attempts, "FAILED")
    assert "too often" in reason
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("FAILED", False)


async def test_a_job_whose_worker_died_is_run_again_when_its_lease_has_ended(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    assert await claim_one(end_user)
    await end_user.worker_services.sweep()
    await run_pending(services)
    assert (await end_user.reload(member)).is_being_aggregated, "its lease has not ended"
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await end_user.worker_services.sweep()
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    assert (await end_user.rows(JOBS))[0][1] == 2


async def test_a_worker_without_a_database_loses_the_lease_when_it_ends(settings, clock, monkeypatch):
    async with build(replace(settings, job_lease=timedelta(seconds=0.3)), clock) as services:
        end_user = await make_end_user(services)
        await end_user.connect("mxuser+no_tx")
        job = await claim_one(end_user)

        @asynccontextmanager
        async def away(_):
            raise Unavailable
            yield

        with capture_logs() as logs, monkeypatch.context() as patch:
            patch.setattr(Database, "connection", away)
            await end_user.worker_services.sync.run(job)
        assert "job.lease_lost" in {entry["event"] for entry in logs}
        assert (await end_user.rows(JOBS))[0][:2] == ("running", 1)


async def test_no_data_is_read_for_a_user_that_was_disabled_meanwhile(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    await end_user.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "DISABLED"
    assert await end_user.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


async def test_a_job_at_an_institution_without_a_connector_sets_discontinued(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    await end_user.rows("UPDATE member_job SET institution_code = 'unknown' WHERE user_guid = %(user)s")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "DISCONTINUED"


async def test_a_member_without_credentials_is_impaired(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    await end_user.rows("DELETE FROM sealed_secret WHERE owner_guid = %(user)s")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "IMPAIRED"


async def test_an_exception_in_a_connector_ends_its_job_and_discloses_no_credentials(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    broken = {"LOGIN": {"a-secret-login": None}, "PASSWORD": "a-secret-password"}
    async with services.db.transaction() as connection:
        await store_credentials(services, connection, member, broken)
    with capture_logs() as logs:
        await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "FAILED"
    assert "connector.failed" in {entry["event"] for entry in logs}
    assert "a-secret" not in str(logs)
    assert "a-secret" not in str(await end_user.rows(JOBS))


class LeakyConnector(Connector):
    """A connector whose exceptions contain secrets."""

    error: ClassVar[Exception]

    def institutions(self):
        fields = [
            CredentialField(f"CRD-careless-{name}", name, "TEXT", name, order)
            for order, name in enumerate(("LOGIN", "PASSWORD"))
        ]
        return [
            Institution(
                "careless", "INS-careless", "LeakyConnector", "https://x.example", credentials=(*fields,)
            )
        ]

    async def run(self, session):
        raise self.error from ValueError(session.credentials["PASSWORD"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("a-secret answer"), "FAILED"),
        (KeyError("a-secret answer"), "FAILED"),
        (NotFound("a-secret answer"), "FAILED"),
        (AssertionError("a-secret answer"), "FAILED"),
        (RecursionError("a-secret answer"), "FAILED"),
        (asyncio.CancelledError("a-secret answer"), "FAILED"),
        (TimeoutError("a-secret answer"), "DELAYED"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, BaseException) else each,
)
async def test_the_log_of_an_unknown_failure_does_not_contain_the_exceptions_text(
    settings, clock, tmp_path, monkeypatch, error, status
):
    monkeypatch.setattr(LeakyConnector, "error", error, raising=False)
    monkeypatch.syspath_prepend(register_connector(tmp_path, "careless", LeakyConnector))
    async with build(replace(settings, connectors=("careless",)), clock) as services:
        end_user = await make_end_user(services)
        member = await end_user.connect("a-secret-login", "a-secret-password", institution="careless")
        with capture_logs() as logs:
            await run_pending(services)
        assert (await end_user.reload(member)).connection_status == status
        expected = [] if status == "DELAYED" else [type(error).__name__]
        assert [entry["error"] for entry in logs if entry["event"] == "connector.failed"] == expected
        assert "a-secret" not in str(logs)
        assert "a-secret" not in str(await end_user.rows(JOBS))


@pytest.mark.parametrize("kind", JobKind)
async def test_a_job_that_reads_a_merged_account_again_ends_connected(services, kind):
    end_user = await make_end_user(services)
    member = await end_user.connected()
    rows = "SELECT guid, id FROM account WHERE user_guid = %(user)s ORDER BY guid"
    (kept, _), (other, merged_id), *rest = await end_user.rows(rows)
    async with services.db.transaction() as connection:
        await services.accounts.merge(connection, end_user.user, [kept, other], actor=end_user.client.guid)
    member = await end_user.run_job(member, kind)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert (await end_user.rows(JOBS))[-1][3] == "CONNECTED"
    accounts = await end_user.rows(rows)
    assert [guid for guid, _ in accounts] == [kept, *(guid for guid, _ in rest)]
    assert merged_id not in [id for _, id in accounts]


async def test_a_result_that_cannot_be_saved_ends_its_job_and_saves_nothing(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx")
    await end_user.rows("ALTER TABLE account ADD CONSTRAINT small CHECK (length(user_guid) < 3) NOT VALID")
    try:
        with capture_logs() as logs:
            await run_one_job(end_user)
    finally:
        await end_user.rows("ALTER TABLE account DROP CONSTRAINT small")
    line = {
        "event": "result.unusable",
        "kind": "AGGREGATION",
        "error": "CheckViolation",
        "log_level": "error",
    }
    assert logs[:1] == [line]
    assert [row[:4] for row in await end_user.rows(JOBS)] == [("ended", 1, 1, "FAILED")]
    assert (await end_user.reload(member)).connection_status == "FAILED"
    assert await end_user.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


# --- the daily aggregation ---------------------------------------------------------------------------------


async def test_a_connected_member_is_aggregated_daily_in_the_background(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    clock.advance(services.settings.background_interval - timedelta(minutes=1))
    assert await end_user.worker_services.scheduler.refresh() == 0
    clock.advance(timedelta(minutes=2))
    assert await end_user.worker_services.scheduler.refresh() == 1
    assert await end_user.worker_services.scheduler.refresh() == 0, "its job is queued"
    assert (await end_user.reload(member)).is_being_aggregated
    await run_pending(services)
    assert [each["is_background"] for each in await end_user.events("AGGREGATION")] == [False, True]
    requested = (
        "SELECT requested_by, is_background FROM member_job WHERE user_guid = %(user)s ORDER BY created_at"
    )
    assert await end_user.rows(requested) == [(end_user.client.guid, False), ("coatcheck", True)]


async def test_disabled_opted_out_and_failed_members_are_not_aggregated_daily(services, clock):
    end_user, disabled, of_disabled = [await make_end_user(services) for _ in range(3)]
    await end_user.connected("opted-out+no_tx", background_aggregation_is_disabled=True)
    for login, password in (("denied", "INVALID"), ("challenged", "challenge"), ("locked", "LOCKED")):
        await end_user.connected(login, password)
    await disabled.connected("mxuser+no_tx")
    await of_disabled.connected("mxuser+no_tx")
    await disabled.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    await of_disabled.rows(
        "UPDATE client SET is_disabled = true WHERE guid = %(client)s", client=of_disabled.client.guid
    )
    clock.advance(2 * services.settings.background_interval)
    assert await end_user.worker_services.scheduler.refresh() == 0
    for each in (end_user, disabled, of_disabled):
        assert await each.rows("SELECT FROM member_job WHERE user_guid = %(user)s AND is_background") == []


async def test_a_member_without_an_institution_is_discontinued_and_no_longer_due(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    await end_user.rows("UPDATE member SET institution_code = 'unknown' WHERE user_guid = %(user)s")
    clock.advance(2 * services.settings.background_interval)
    assert await end_user.worker_services.scheduler.refresh() == 1
    await run_pending(services)
    member = await end_user.reload(member)
    assert member.connection_status == "DISCONTINUED"
    clock.advance(2 * services.settings.background_interval)
    assert await end_user.worker_services.scheduler.refresh() == 0
    with pytest.raises(ConstraintNotMet, match="no longer"):
        await end_user.start(member, JobKind.AGGREGATION)


async def test_members_that_were_read_in_one_minute_are_due_together_in_the_same_minute_of_the_next_day(
    services, clock
):
    clock.advance(timedelta(seconds=60 - clock.now().second))
    end_users = []
    for _ in range(2):
        end_users.append(await make_end_user(services))
        await end_users[-1].connected("mxuser+no_tx")
        clock.advance(timedelta(seconds=20))
    next_minute = clock.now().replace(second=0) + services.settings.background_interval
    clock.advance(next_minute - timedelta(seconds=1) - clock.now())
    scheduler = end_users[0].worker_services.scheduler
    assert await scheduler.refresh() == 0
    clock.advance(timedelta(seconds=1))
    assert await scheduler.refresh() == 2
    await run_pending(services)


async def test_a_balance_check_does_not_postpone_the_daily_aggregation(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    clock.advance(services.settings.background_interval)
    await end_user.run_job(member, JobKind.BALANCE)
    clock.advance(timedelta(seconds=1))
    assert await end_user.worker_services.scheduler.refresh() == 1
    await run_pending(services)


async def test_a_temporary_failure_in_the_background_sets_degraded_and_is_retried_after_an_hour(
    services, clock
):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    async with services.db.transaction() as connection:
        credentials = {"LOGIN": "mxuser+no_tx+http_503", "PASSWORD": "correct"}
        await store_credentials(services, connection, member, credentials)
    clock.advance(services.settings.background_interval + timedelta(seconds=1))
    await end_user.worker_services.scheduler.refresh()
    await run_pending(services)
    member = await end_user.reload(member)
    assert member.connection_status == "DEGRADED"
    assert member.aggregated_at > member.successfully_aggregated_at
    assert await end_user.worker_services.scheduler.refresh() == 0
    clock.advance(timedelta(hours=1, seconds=1))
    assert await end_user.worker_services.scheduler.refresh() == 1
    await run_pending(services)


async def test_old_jobs_are_deleted_except_the_most_recent_of_each_member(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    member = await end_user.run_job(member, JobKind.BALANCE)
    clock.advance(timedelta(days=91))
    async with services.db.connection() as connection:
        await job_rows.drop_ended(connection, clock.now() - timedelta(days=90))
    assert await end_user.rows("SELECT guid FROM member_job WHERE user_guid = %(user)s") == [
        (member.most_recent_job_guid,)
    ]


async def test_old_jobs_are_deleted_in_batches_without_waiting_for_those_of_a_member_that_is_deleted(
    services, clock, monkeypatch
):
    monkeypatch.setattr(job_rows, "DROPPED", 2)
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    other = await end_user.connected("another+no_tx")
    for _ in range(4):
        member = await end_user.run_job(member, JobKind.BALANCE)
        clock.advance(timedelta(hours=3))
    other = await end_user.run_job(other, JobKind.BALANCE)
    clock.advance(timedelta(days=91))
    async with services.db.transaction() as holding, services.db.connection() as connection:
        await holding.execute("SELECT FROM member_job WHERE member_guid = %s FOR UPDATE", (other.guid,))
        await job_rows.drop_ended(connection, clock.now() - timedelta(days=90))
    kept = await end_user.rows("SELECT member_guid, count(*) FROM member_job GROUP BY 1")
    assert dict(kept) == {member.guid: 1, other.guid: 2}
