"""Jobs that run together end as each would alone, and are saved in one transaction."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.connectors.contract import BankAccount, BankTransaction, Finished, JobKind
from coatcheck.members.outcome import JobFinisher
from coatcheck.worker_services import build_worker
from tests.member_setup import make_end_user

pytestmark = pytest.mark.own_database

LOGINS = (
    "mxuser", "mxuser+no_tx", "other", "mxuser+pending_only", "mxuser+closed_account", "mxuser+empty",
    "mxuser+duplicate_tx", "mxuser+unusable_rows", "mxuser+scope_reduced", "mxuser+no_owner",
)  # fmt: skip
"""Of members that connect."""
PASSWORDS = ("challenge", "INVALID", "LOCKED", "DISABLED", "SERVER_ERROR", "UNAVAILABLE")
"""Of members whose runs end otherwise."""
STORED = """
    SELECT m.connection_status, m.credential_failures, j.kind, j.state, j.outcome, j.reason, j.questions IS NOT NULL,
           j.has_processed_accounts, j.has_processed_transactions,
           (SELECT json_agg(json_build_array(a.id, a.name, a.type, a.balance, a.available_balance, a.is_closed)
                            ORDER BY a.id) FROM account a
            WHERE a.user_guid = m.user_guid AND a.member_guid = m.guid)::text,
           (SELECT json_agg(json_build_array(t.id, t.amount, t.status, t.date, t.description, t.category)
                            ORDER BY t.account_guid, t.id COLLATE "C") FROM transaction t
            WHERE t.user_guid = m.user_guid AND t.member_guid = m.guid)::text,
           (SELECT json_agg(json_build_array(d.what) ORDER BY d.number) FROM disclosure d
            WHERE d.reader_guid = j.guid)::text,
           (SELECT json_agg(json_build_array(e.action, e.detail) ORDER BY e.number) FROM audit_event e
            WHERE e.actor = j.guid)::text
    FROM member m JOIN member_job j ON j.user_guid = m.user_guid AND j.guid = m.most_recent_job_guid
    WHERE m.user_guid = %(user)s AND m.guid = %(member)s"""
"""What a job left of a member, without guids and times."""
ENDED = "SELECT guid FROM member_job WHERE user_guid = %(user)s AND state = 'ended'"


async def members_of_all_kinds(end_user):
    connected = [await end_user.connect(login, institution=code) for login in LOGINS for code in ("mxbank",)]
    return connected + [await end_user.connect(f"login{n}", each) for n, each in enumerate(PASSWORDS)]


async def claim_all(services):
    return await build_worker(services).scheduler.claim(64, max_at_institution=64)


async def stored(end_user, members):
    return [(await end_user.rows(STORED, member=each.guid))[0] for each in members]


async def test_jobs_that_run_together_leave_what_each_leaves_alone(services, clock):
    together, alone = await make_end_user(services), await make_end_user(services)
    first, second = await members_of_all_kinds(together), await members_of_all_kinds(alone)
    for _ in range(2):
        jobs = await claim_all(services)
        sync = build_worker(services).sync
        await sync.run_all([each for each in jobs if each.user_guid == together.user.guid])
        for each in jobs:
            if each.user_guid == alone.user.guid:
                await sync.run(each)
        assert await stored(together, first) == await stored(alone, second)
        clock.advance(services.settings.background_interval + timedelta(minutes=1))
        await build_worker(services).scheduler.refresh()
    assert {row[0] for row in await stored(together, first)} >= {"CONNECTED", "CHALLENGED", "DENIED"}


async def test_the_results_of_jobs_that_run_together_are_one_transaction(services):
    end_user = await make_end_user(services)
    await members_of_all_kinds(end_user)
    await build_worker(services).sync.run_all(await claim_all(services))
    changed = await end_user.rows(
        "SELECT count(DISTINCT xmin::text), count(*) FROM member_job WHERE user_guid = %(user)s AND state <> 'running'"
    )
    assert changed == [(1, len(LOGINS) + len(PASSWORDS))]


async def test_events_of_jobs_that_run_together_are_in_the_order_of_the_jobs(services):
    end_user = await make_end_user(services)
    for number in range(6):
        await end_user.connect(f"login{number}+no_tx")
    jobs = await claim_all(services)
    await build_worker(services).sync.run_all(jobs)
    finished = [each["member_guid"] for each in await end_user.events("AGGREGATION")]
    assert finished == [job.member_guid for job in jobs]


async def test_a_result_that_cannot_be_saved_ends_its_own_job_alone(services, monkeypatch):
    end_user = await make_end_user(services)
    members = [await end_user.connect(f"login{number}+no_tx") for number in range(3)]
    jobs = await claim_all(services)
    unlucky = members[1].guid
    finish = JobFinisher.finish_job
    attempts = []

    async def fail_for_one(finisher, connection, job, result, condition):
        await finish(finisher, connection, job, result, condition)
        if job.member_guid == unlucky and len(attempts) < 2:
            attempts.append(job.guid)
            raise ValueError("a-secret")

    monkeypatch.setattr(JobFinisher, "finish_job", fail_for_one)
    with capture_logs() as logs:
        await build_worker(services).sync.run_all(jobs)
    assert [(await end_user.reload(each)).connection_status for each in members] == [
        "CONNECTED", "FAILED", "CONNECTED",
    ]  # fmt: skip
    assert [entry["event"] for entry in logs if entry["log_level"] != "info"] == [
        "results.not_saved_together", "result.unusable",
    ]  # fmt: skip
    assert "a-secret" not in str(logs)


async def test_a_job_that_cannot_be_ended_either_keeps_no_other_from_being_saved(services, monkeypatch):
    end_user = await make_end_user(services)
    members = [await end_user.connect(f"login{number}+no_tx") for number in range(3)]
    finish = JobFinisher.finish_job

    async def fail_for_the_first(finisher, connection, job, *more):
        if job.member_guid == members[0].guid:
            raise ValueError
        await finish(finisher, connection, job, *more)

    monkeypatch.setattr(JobFinisher, "finish_job", fail_for_the_first)
    with pytest.raises(ValueError):  # noqa: PT011 (it has no message)
        await build_worker(services).sync.run_all(await claim_all(services))
    saved = await end_user.rows(
        "SELECT count(*) FROM member_job WHERE user_guid = %(user)s AND state = 'ended'"
    )
    assert saved == [(2,)]


async def test_of_a_job_that_was_lost_meanwhile_nothing_is_saved_and_the_others_are(services, monkeypatch):
    end_user = await make_end_user(services)
    members = [await end_user.connect(f"login{number}+no_tx") for number in range(3)]
    jobs = await claim_all(services)
    lost, deleted = members[0], members[2]
    ran = services.registry.connector_for("mxbank").run

    async def run(session):
        if session.task.member_guid == lost.guid:
            await end_user.rows(
                "UPDATE member_job SET attempt = attempt + 1 WHERE user_guid = %(user)s AND member_guid = %(member)s",
                member=lost.guid,
            )
        if session.task.member_guid == deleted.guid:
            async with services.db.transaction() as connection:
                await services.members.disconnect(connection, deleted)
        return await ran(session)

    monkeypatch.setattr(services.registry.connector_for("mxbank"), "run", run)
    with capture_logs() as logs:
        await build_worker(services).sync.run_all(jobs)
    read = await end_user.rows("SELECT DISTINCT member_guid FROM account WHERE user_guid = %(user)s")
    assert read == [(members[1].guid,)]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["job.lease_lost"] * 2


async def test_a_bank_that_takes_longer_than_the_timeout_ends_its_own_job_alone(settings, clock, monkeypatch):
    async with build(replace(settings, job_timeout=timedelta(seconds=1)), clock) as services:
        end_user = await make_end_user(services)
        members = [await end_user.connect(f"login{number}+no_tx") for number in range(3)]
        connector = services.registry.connector_for("mxbank")
        ran = connector.run

        async def run(session):
            if session.task.member_guid == members[0].guid:
                await asyncio.Event().wait()
            return await ran(session)

        monkeypatch.setattr(connector, "run", run)
        await build_worker(services).sync.run_all(await claim_all(services))
        statuses = [(await end_user.reload(each)).connection_status for each in members]
    assert statuses == ["DELAYED", "CONNECTED", "CONNECTED"]


async def test_a_cancellation_releases_every_job(services, monkeypatch):
    end_user = await make_end_user(services)
    for number in range(3):
        await end_user.connect(f"login{number}+no_tx")
    started = asyncio.Event()

    async def run(_):
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(services.registry.connector_for("mxbank"), "run", run)
    running = asyncio.create_task(build_worker(services).sync.run_all(await claim_all(services)))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    released = await end_user.rows("SELECT DISTINCT state, claims FROM member_job WHERE user_guid = %(user)s")
    assert released == [("queued", 0)]


async def test_accounts_and_transactions_with_equal_ids_stay_those_of_their_members(services, monkeypatch):
    end_user = await make_end_user(services)
    members = [await end_user.connect(f"login{number}") for number in range(3)]

    async def run(session):
        name = session.credentials["LOGIN"]
        await session.add_accounts([BankAccount("A-1", name, "CHECKING", Decimal(1))])
        await session.add_transactions(
            [
                BankTransaction(
                    account_id="A-1", id="T-1", amount=Decimal(1), type="DEBIT", status="POSTED",
                    date=session.task.now.date(), description=name,
                    original_description=name,
                )
            ]
        )  # fmt: skip
        return Finished()

    monkeypatch.setattr(services.registry.connector_for("mxbank"), "run", run)
    await build_worker(services).sync.run_all(await claim_all(services))
    found = await end_user.rows(
        """SELECT a.member_guid, a.name, t.description, t.member_guid FROM account a
           JOIN transaction t ON t.user_guid = a.user_guid AND t.account_guid = a.guid
           WHERE a.user_guid = %(user)s ORDER BY a.name"""
    )
    assert found == [(each.guid, f"login{n}", f"login{n}", each.guid) for n, each in enumerate(members)]


async def test_a_verification_beside_aggregations_stores_its_numbers(services):
    end_user = await make_end_user(services)
    members = [await end_user.connected(f"login{number}+no_tx") for number in range(3)]
    kinds = [JobKind.VERIFICATION, JobKind.AGGREGATION, JobKind.IDENTIFICATION]
    for member, kind in zip(members, kinds, strict=True):
        await end_user.start(member, kind)
    await build_worker(services).sync.run_all(await claim_all(services))
    counts = await end_user.rows(
        """SELECT (SELECT count(DISTINCT member_guid) FROM account_number WHERE user_guid = %(user)s),
                  (SELECT count(DISTINCT member_guid) FROM account_owner WHERE user_guid = %(user)s)"""
    )
    assert counts == [(1, 1)]
    assert {
        status
        for (status,) in await end_user.rows(
            "SELECT connection_status FROM member WHERE user_guid = %(user)s"
        )
    } == {"CONNECTED"}
