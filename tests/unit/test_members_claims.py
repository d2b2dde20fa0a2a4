"""Claims of jobs: their order, their limits, and workers that have lost the lease."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import AsyncClientCursor
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import BankFailed
from coatcheck.members import job_leases, job_rows
from coatcheck.model.jobs import JobState
from coatcheck.worker_services import build_worker, run_pending
from tests.factories import make_client
from tests.member_setup import make_end_user

JOBS = "SELECT state, attempt, claims, outcome FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"
BANK = "rooksbridge_bank"


pytestmark = pytest.mark.own_database


async def claim(services, limit=1):
    return await build_worker(services).scheduler.claim(limit)


async def claim_one(services):
    (job,) = await claim(services)
    return job


async def renew(services, job):
    async with services.db.connection() as connection:
        return await job_leases.renew(connection, job, services.clock.now() + services.settings.job_lease)


async def release(services, job):
    async with services.db.connection() as connection:
        return await job_leases.release(connection, job)


async def connect(services, end_user, number=1, institution=BANK):
    for each in range(number):
        await end_user.connect(f"user-{each}", institution=institution)


async def test_only_one_of_simultaneous_claims_gets_the_job(settings, clock):
    async with build(replace(settings, pool_size=20), clock) as services:
        end_user = await make_end_user(services)
        await end_user.connect()
        claims = await asyncio.gather(*(claim(services) for _ in range(20)))
        ((got,),) = [claimed for claimed in claims if claimed]
        assert (got.attempt, got.claims) == (1, 1)
        assert await end_user.rows(JOBS) == [("running", 1, 1, None)]


async def test_a_job_is_claimed_again_only_when_its_lease_has_ended(services, clock):
    end_user = await make_end_user(services)
    await end_user.connect()
    first = await claim_one(services)
    assert await claim(services) == []
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    second = await claim_one(services)
    assert (first.attempt, second.attempt) == (1, 2)


async def test_a_renewed_lease_keeps_the_job(services, clock):
    end_user = await make_end_user(services)
    await end_user.connect()
    job = await claim_one(services)
    clock.advance(services.settings.job_lease - timedelta(seconds=5))
    assert await renew(services, job)
    clock.advance(timedelta(seconds=10))
    assert await claim(services) == []


async def test_simultaneous_claims_do_not_exceed_the_slots_of_an_institution(settings, clock):
    async with build(replace(settings, institution_concurrency=3, pool_size=20), clock) as services:
        end_users = [await make_end_user(services) for _ in range(8)]
        for end_user in end_users:
            await end_user.connect(institution="zephyrine_bank")
        claims = await asyncio.gather(*(claim(services, 2) for _ in end_users))
        assert sum(map(len, claims)) == 3
        elsewhere = await make_end_user(services)
        await elsewhere.connect(institution="three_herons_bank")
        assert [job.user_guid for job in await claim(services, 8)] == [elsewhere.user.guid]
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        again = await asyncio.gather(*(claim(services, 2) for _ in end_users))
        assert sum(map(len, again)) == 4, "a lease that has ended frees its slot"


async def test_foreground_jobs_are_claimed_before_background_jobs_and_oldest_first(settings, clock):
    async with build(replace(settings, institution_concurrency=1), clock) as services:
        end_user = await make_end_user(services)
        for number, is_background in enumerate((True, False, False)):
            member = await end_user.connect(f"user-{number}", institution=BANK, skip_aggregation=True)
            await end_user.start(member, JobKind.AGGREGATION, is_background=is_background)
            clock.advance(timedelta(seconds=1))
        background, first, second = await guids(end_user)
        order = []
        for _ in range(3):
            job = await claim_one(services)
            assert await claim(services) == [], "the institution's only slot is taken"
            order.append(job.guid)
            await build_worker(services).sync.run(job)
        assert order == [first, second, background]


async def guids(end_user):
    return [
        guid
        for (guid,) in await end_user.rows(
            "SELECT guid FROM member_job WHERE user_guid = %(user)s ORDER BY guid"
        )
    ]


async def end(services, job):
    """Ends a claimed job, which frees its slot."""
    async with services.db.connection() as connection:
        await connection.execute("UPDATE member_job SET state = 'ended' WHERE guid = %s", [job.guid])


async def test_clients_take_turns_at_an_institution(settings, clock):
    async with build(replace(settings, institution_concurrency=2), clock) as services:
        large, small = await make_end_user(services), await make_end_user(services)
        await connect(services, large, 6)
        assert [job.user_guid for job in await claim(services, 8)] == [large.user.guid] * 2
        await connect(services, small, 2)
        order = []
        while jobs := await claim_after_an_end(services):
            order += [large if job.user_guid == large.user.guid else small for job in jobs]
        assert order == [small, large, small, large, large, large]


async def test_a_foreground_job_is_claimed_before_another_clients_background_job(settings, clock):
    async with build(replace(settings, institution_concurrency=1), clock) as services:
        background, foreground = await make_end_user(services), await make_end_user(services)
        await connect(services, foreground, 2)
        await end(services, await claim_one(services))
        member = await background.connect(institution=BANK, skip_aggregation=True)
        await background.start(member, JobKind.AGGREGATION, is_background=True)
        assert (await claim_one(services)).user_guid == foreground.user.guid, (
            "although the turn is the other client's"
        )


async def test_a_job_that_was_claimed_too_often_occupies_no_slot(settings, clock):
    async with build(replace(settings, institution_concurrency=1, job_attempts=1), clock) as services:
        abandoned, other = await make_end_user(services), await make_end_user(services)
        await abandoned.connect(institution=BANK)
        await claim_one(services)
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        await other.connect(institution=BANK)
        assert (await claim_one(services)).user_guid == other.user.guid


async def test_a_job_that_waits_for_an_answer_occupies_no_slot_and_no_lease_for_as_long_as_it_waits(
    settings, clock
):
    async with build(replace(settings, institution_concurrency=1), clock) as services:
        waiting, other = await make_end_user(services), await make_end_user(services)
        await waiting.connect(password="challenge", institution="mxbank")
        await run_pending(services)
        clock.advance(services.settings.mfa_ttl - timedelta(minutes=1))
        await other.connect(institution="mxbank")
        assert (await claim_one(services)).user_guid == other.user.guid
        ((state, lease),) = await waiting.rows(
            "SELECT state, lease_until FROM member_job WHERE user_guid = %(user)s"
        )
        assert (state, lease) == ("waiting", None)


async def claim_after_an_end(services):
    async with services.db.connection() as connection:
        await connection.execute(
            """UPDATE member_job SET state = 'ended'
               WHERE guid = (SELECT guid FROM member_job WHERE state = 'running' ORDER BY started_at, guid LIMIT 1)"""
        )
    return await claim(services, 8)


async def test_the_turn_is_kept_while_a_client_has_no_queued_jobs(settings, clock):
    """A client that sends its jobs one by one gets no more than its share."""
    async with build(replace(settings, institution_concurrency=1), clock) as services:
        large, small = await make_end_user(services), await make_end_user(services)
        await connect(services, large, 3)
        await connect(services, small, 1)
        order = []
        for number in range(4):
            job = await claim_one(services)
            order.append(job.user_guid == small.user.guid)
            await end(services, job)
            if order[-1]:
                await small.connect(f"next-{number}", institution=BANK)
        assert order == [False, True, False, True]


async def test_a_worker_takes_clients_in_turn_over_all_institutions(services):
    large, small = await make_end_user(services), await make_end_user(services)
    for institution in ("mxbank", "zephyrine_bank", "three_herons_bank"):
        await connect(services, large, 2, institution)
    await connect(services, small, 1)
    order = [(await claim_one(services)).user_guid for _ in range(7)]
    assert small.user.guid in order[:2]
    assert order.count(large.user.guid) == 6


async def test_a_claim_of_several_jobs_is_shared_between_clients(services):
    large, small = await make_end_user(services), await make_end_user(services)
    await connect(services, large, 6)
    await connect(services, small, 2)
    claimed = [job.user_guid for job in await claim(services, 4)]
    assert sorted(claimed) == sorted([large.user.guid, small.user.guid] * 2)


async def test_a_worker_that_lost_the_lease_saves_nothing_after_the_new_worker(services, clock, monkeypatch):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx", kinds=(JobKind.AGGREGATION,))
    superseded = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    holder = await claim_one(services)
    await build_worker(services).sync.run(holder)
    saved = await end_user.rows(
        "SELECT guid, updated_at FROM account WHERE user_guid = %(user)s ORDER BY guid"
    )
    clock.advance(timedelta(seconds=5))
    with capture_logs() as logs:
        await build_worker(services).sync.run(superseded)
    assert "job.lease_lost" in {entry["event"] for entry in logs}
    assert saved == await end_user.rows(
        "SELECT guid, updated_at FROM account WHERE user_guid = %(user)s ORDER BY guid"
    )
    assert await end_user.rows(JOBS) == [("ended", 2, 2, "CONNECTED")]
    assert len(await end_user.events("AGGREGATION")) == 1
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_a_worker_that_lost_the_lease_saves_nothing_before_the_new_worker(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx", kinds=(JobKind.AGGREGATION,))
    superseded = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    holder = await claim_one(services)
    await build_worker(services).sync.run(superseded)
    assert await end_user.rows("SELECT FROM account WHERE user_guid = %(user)s") == []
    assert await end_user.rows(JOBS) == [("running", 2, 2, None)]
    assert await end_user.events("AGGREGATION") == []
    await build_worker(services).sync.run(holder)
    assert await end_user.rows(JOBS) == [("ended", 2, 2, "CONNECTED")]
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


@pytest.mark.parametrize(
    "fails", [BankFailed(), ValueError("x")], ids=["the bank fails", "the connector fails"]
)
async def test_a_failed_attempt_without_the_lease_changes_nothing(services, clock, monkeypatch, fails):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx")
    superseded = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await claim_one(services)

    async def fail(*_):
        raise fails

    monkeypatch.setattr(services.registry.connector_for(member.institution_code), "run", fail)
    await build_worker(services).sync.run(superseded)
    assert await end_user.rows(JOBS) == [("running", 2, 2, None)]
    assert (await end_user.reload(member)).connection_status == "CREATED"


async def test_a_worker_that_lost_the_lease_spends_no_secret_at_the_bank(services, clock, monkeypatch):
    exchanged = []

    async def exchange():
        exchanged.append(True)
        return b"the new secret"

    async def run(bank_session):
        await bank_session.rotate(exchange)
        raise BankFailed

    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx")
    monkeypatch.setattr(services.registry.connector_for(member.institution_code), "run", run)
    superseded = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    holder = await claim_one(services)
    await build_worker(services).sync.run(superseded)
    assert (exchanged, await end_user.rows(JOBS)) == ([], [("running", 2, 2, None)])
    await build_worker(services).sync.run(holder)
    assert (exchanged, await end_user.rows(JOBS)) == ([True], [("ended", 2, 2, "FAILED")])


async def test_an_ended_lease_is_kept_until_another_worker_claims_the_job(services, clock):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+no_tx")
    job = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await build_worker(services).sync.run(job)
    assert await end_user.rows(JOBS) == [("ended", 1, 1, "CONNECTED")]


async def test_a_worker_that_lost_the_lease_cannot_release_or_renew_it(services, clock):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+no_tx")
    superseded = await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    holder = await claim_one(services)
    assert not await release(services, superseded)
    assert not await renew(services, superseded)
    assert await end_user.rows(JOBS) == [("running", 2, 2, None)]
    assert await claim(services) == []
    await build_worker(services).sync.run(holder)
    for job in (superseded, holder):
        assert not await release(services, job)
        assert not await renew(services, job)
    assert await end_user.rows(JOBS) == [("ended", 2, 2, "CONNECTED")]
    assert await run_pending(services) == 0


async def test_a_cancelled_worker_that_lost_the_lease_requeues_nothing(services, clock):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+hang")
    superseded = await claim_one(services)
    run = asyncio.create_task(build_worker(services).sync.run(superseded))
    await asyncio.sleep(0)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await claim_one(services)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await end_user.rows(JOBS) == [("running", 2, 2, None)]


async def test_a_locked_row_delays_no_claim(services, clock):
    """A worker that freezes while it saves must not stop the other workers."""
    held, free = await make_end_user(services), await make_end_user(services)
    await held.connect()
    await claim_one(services)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await free.connect()
    async with services.db.transaction() as connection:
        await connection.execute("SELECT FROM member_job WHERE user_guid = %s FOR UPDATE", [held.user.guid])
        assert [job.user_guid for job in await claim(services, 8)] == [free.user.guid]


async def test_oldest_due_is_the_longest_wait_for_a_worker(services, clock):
    async def minutes():
        async with services.db.connection() as connection:
            oldest = await job_rows.oldest_due(connection, clock.now())
        return None if oldest is None else (clock.now() - oldest) // timedelta(minutes=1)

    assert await minutes() is None
    end_user = await make_end_user(services)
    await end_user.connect("first")
    clock.advance(timedelta(minutes=5))
    member = await end_user.connect("second", "challenge")
    assert await minutes() == 5
    await claim_one(services)
    assert await minutes() == 0, "the second job has just become due"
    await run_pending(services)
    assert await minutes() is None, "one job runs, and one waits for an answer"
    clock.advance(services.settings.job_lease + timedelta(minutes=5))
    assert await minutes() == 5, "its worker died when the lease ended"
    await run_pending(services)
    await end_user.answer(member, "correct")
    assert await minutes() == 0, "an answered job is due since its answer"


async def test_the_check_constraint_allows_the_states_of_the_enum(services):
    end_user = await make_end_user(services)
    ((check,),) = await end_user.rows(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'member_job_state_check'"
    )
    assert {word for word in check.split("'") if word.isalpha()} - {"text"} == set(JobState)


async def test_a_claim_costs_the_same_at_1000_and_at_100000_queued_jobs(services):
    buffers = []
    clients = [(await make_client(services)).guid for _ in range(20)]
    for count in (1_000, 100_000):
        async with services.db.connection() as connection:
            await fill_queue(connection, clients, count)
            plan = await plan_of_a_claim(services, connection)
        scans = [node for node in nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"]
        assert scans == [], f"{count} queued"
        buffers.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
    few, many = buffers
    assert many < 1.5 * few, "a larger index has another level"


async def fill_queue(connection, clients, count):
    """Replaces all jobs with `count` queued jobs of these clients at 50 institutions. They have no members."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("DELETE FROM member_job")
        await connection.execute(
            """INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state,
                                       requested_by, created_at, queued_at)
               SELECT 'USR-' || n, 'JOB-' || n, (%(clients)s::text[])[1 + n %% cardinality(%(clients)s)],
                      'MBR-' || n, 'bank-' || n %% 50, 'AGGREGATION', 'queued', 'test', now(), now()
               FROM generate_series(1, %(count)s) AS n""",
            {"clients": clients, "count": count},
        )
    await connection.execute("ANALYZE member_job")


async def plan_of_a_claim(services, connection):
    """The prepared plan of the claim, with the buffers that it reads."""
    settings, limit, slots = services.settings, 8, services.settings.institution_concurrency
    now, until = services.clock.now(), services.clock.now() + settings.job_lease
    for _ in range(7):  # psycopg prepares what it has executed five times
        async with connection.transaction():
            await job_leases.claim(
                connection,
                now=now,
                lease=settings.job_lease,
                limit=limit,
                max_claims=settings.job_attempts,
                max_at_institution=slots,
            )
    await connection.execute("UPDATE member_job SET state = 'queued', claims = 0 WHERE state = 'running'")
    cursor = await connection.execute(
        "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%WITH RECURSIVE queue%'"
    )
    (name,) = await cursor.fetchone()
    async with connection.transaction(force_rollback=True):
        explain = AsyncClientCursor(connection)
        await explain.execute(
            f'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE "{name}" (%s, %s, %s, %s)',
            [now, slots, limit, until],
        )
        ((plan,),) = (await explain.fetchone(),)
        return plan[0]


def nodes(node):
    yield node
    for each in node.get("Plans", ()):
        yield from nodes(each)
