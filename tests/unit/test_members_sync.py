"""The fence: who may work on a job, who may save it, and who looks after what is left lying."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import ConstraintNotMet
from coatcheck.members import job_rows
from coatcheck.members.job_rows import JobKey
from coatcheck.members.sync import end_tasks
from coatcheck.vault.vault import SecretKind
from coatcheck.worker import run_pending
from tests.member_setup import make_home, until

JOBS = """SELECT state, attempt, pickups, outcome, reason FROM member_job
          WHERE user_guid = %(user)s ORDER BY created_at, guid"""
WAKE_UPS = "SELECT count(*) FROM pgqueuer WHERE convert_from(payload, 'UTF8') = %(key)s AND status = 'queued'"


async def the_job(home):
    ((guid,),) = await home.rows(
        "SELECT guid FROM member_job WHERE user_guid = %(user)s AND state <> 'ended'"
    )
    return JobKey(home.user.guid, guid)


async def claim(home, job=None):
    settings = home.services.settings
    async with home.services.db.transaction() as connection:
        return await job_rows.claim(
            connection,
            job or await the_job(home),
            now=home.services.clock.now(),
            lease=settings.job_lease,
            max_claims=settings.job_attempts,
            max_at_institution=settings.institution_concurrency,
        )


async def work(home):
    job = await the_job(home)
    await home.worker_services.sync.work(job.user_guid, job.guid)


async def running(home):
    """Until a sitting has begun."""

    async def has_begun():
        return (await home.rows(JOBS))[0][0] == "running"

    await until(has_begun)


async def store_credentials(services, connection, member, values):
    """Replaces what the member signs in with, without a new job."""
    await services.vault.store_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=member.guid,
        kind=SecretKind.CREDENTIALS,
        value=json.dumps(values).encode(),
    )


async def abandon(home, sitting):
    """Leaves nothing behind that would hold a later test up: the bank never answers."""
    sitting.cancel()
    await asyncio.gather(sitting, return_exceptions=True)
    await home.rows("DELETE FROM member WHERE user_guid = %(user)s")


async def test_of_simultaneous_claims_one_gets_the_job(settings, clock):
    async with build(replace(settings, pool_size=20), clock) as services:
        home = await make_home(services)
        await home.connect()
        job = await the_job(home)
        claims = await asyncio.gather(*(claim(home, job) for _ in range(20)))
        (got,) = [claimed for claimed in claims if claimed]
        assert (got.attempt, got.pickups) == (1, 1)
        assert (await home.rows(JOBS))[0][:3] == ("running", 1, 1)


async def test_a_job_is_claimed_again_only_when_its_lease_has_run_out(services, clock):
    home = await make_home(services)
    await home.connect()
    first = await claim(home)
    assert await claim(home) is None
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    second = await claim(home)
    assert (first.attempt, second.attempt) == (1, 2)


async def test_a_renewed_lease_keeps_the_job(services, clock):
    home = await make_home(services)
    await home.connect()
    job = await claim(home)
    clock.advance(services.settings.job_lease - timedelta(seconds=5))
    async with services.db.connection() as connection:
        assert await job_rows.renew(connection, job, clock.now() + services.settings.job_lease)
    clock.advance(timedelta(seconds=10))
    assert await claim(home) is None


async def test_an_institution_has_room_for_so_many_and_no_more_even_in_a_race(settings, clock):
    async with build(replace(settings, institution_concurrency=3, pool_size=20), clock) as services:
        homes = [await make_home(services) for _ in range(8)]
        for home in homes:
            await home.connect(institution="zephyrine_bank")
        claims = await asyncio.gather(*(claim(home) for home in homes))
        assert sum(claimed is not None for claimed in claims) == 3
        elsewhere = await make_home(services)
        await elsewhere.connect(institution="three_herons_bank")
        assert await claim(elsewhere) is not None, "a full bank is nobody else's trouble"
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        again = await asyncio.gather(*(claim(home) for home in homes))
        assert sum(claimed is not None for claimed in again) == 3, "the dead hold no room"


async def test_who_finishes_wakes_who_waits_longest_and_users_go_first(settings, clock):
    async with build(replace(settings, institution_concurrency=1), clock) as services:
        waiting = []
        for is_background in (True, False, False):
            home = await make_home(services)
            member = await home.connect(institution="rooksbridge_bank", skip_aggregation=True)
            await home.start(member, JobKind.AGGREGATION, is_background=is_background)
            waiting.append((home, (await the_job(home)).key))
            clock.advance(timedelta(seconds=1))
        async with services.db.connection() as connection:
            assert (await job_rows.next_of_institution(connection, "rooksbridge_bank")).key == waiting[1][1]
        await work(waiting[1][0])
        counts = [await home.rows(WAKE_UPS, key=key) for home, key in waiting]
        assert counts == [[(1,)], [(1,)], [(2,)]], "the oldest user's job got a second wake-up"
        await run_pending(services)
        for home, _ in waiting:
            assert (await home.rows(JOBS))[-1][0] == "ended"


async def test_a_worker_that_lost_its_job_saves_nothing(services, clock):
    home = await make_home(services)
    member = await home.connect("mxuser+slow=1", kinds=(JobKind.AGGREGATION,))
    slow = asyncio.create_task(work(home))
    await running(home)
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    with capture_logs() as logs:
        await work(home)  # another worker, which finds the lease run out, and is as slow
        await slow
    assert [entry["event"] for entry in logs] == ["job.lease_lost"]
    assert await home.rows(JOBS) == [("ended", 2, 2, "CONNECTED", None)]
    assert len(await home.events("AGGREGATION")) == 1
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_nothing_is_saved_for_a_member_that_was_deleted_meanwhile(services):
    home = await make_home(services)
    member = await home.connect("mxuser+slow=0.3")
    sitting = asyncio.create_task(work(home))
    await running(home)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    await sitting
    assert await home.rows("SELECT FROM account WHERE user_guid = %(user)s") == []
    assert await home.rows("SELECT FROM sealed_secret WHERE owner_guid = %(user)s") == []
    assert await home.events("AGGREGATION") == []


async def test_nothing_is_saved_of_a_sitting_with_credentials_that_were_changed_meanwhile(services):
    home = await make_home(services)
    member = await home.connect("mxuser+slow=0.3", "INVALID")
    sitting = asyncio.create_task(work(home))
    await running(home)
    await home.change(member, "mxuser", "correct")
    await sitting
    assert (await home.again(member)).connection_status == "UPDATED"
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_a_sitting_stops_when_its_lease_is_found_to_be_anothers(settings, clock):
    async with build(replace(settings, job_lease=timedelta(seconds=3)), clock) as services:
        home = await make_home(services)
        await home.connect("mxuser+hang")
        sitting = asyncio.create_task(work(home))
        await running(home)
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
        stolen = await claim(home)
        await asyncio.wait_for(sitting, 3)
        assert (await home.rows(JOBS))[0][:2] == ("running", stolen.attempt)
        await abandon(home, sitting)


async def test_a_bank_that_never_answers_is_left_when_time_is_up(settings, clock):
    async with build(replace(settings, job_timeout=timedelta(seconds=0.3)), clock) as services:
        home = await make_home(services)
        member = await home.connected("mxuser+hang")
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
    await end_tasks(task)
    assert task.cancelled()
    assert len(swallowed) == 2


async def test_a_lease_is_renewed_for_as_long_as_the_sitting_takes(settings, clock):
    async with build(replace(settings, job_lease=timedelta(seconds=1)), clock) as services:
        home = await make_home(services)
        await home.connect("mxuser+hang")
        sitting = asyncio.create_task(work(home))
        await running(home)
        lease = "SELECT lease_until FROM member_job WHERE user_guid = %(user)s"
        first = await home.rows(lease)

        async def is_renewed():
            return await home.rows(lease) != first

        await until(is_renewed)
        assert (await home.rows(JOBS))[0][:2] == ("running", 1)
        await abandon(home, sitting)


async def test_a_cancelled_sitting_is_handed_over_at_once_and_not_counted_against_the_job(services):
    home = await make_home(services)
    await home.connect("mxuser+slow=5")
    sitting = asyncio.create_task(work(home))
    await running(home)
    sitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sitting
    assert (await home.rows(JOBS))[0][:3] == ("queued", 1, 0)
    assert await home.rows(WAKE_UPS, key=(await the_job(home)).key) == [(2,)]
    await home.rows("DELETE FROM member WHERE user_guid = %(user)s")


async def test_a_job_begun_too_often_is_given_up_with_a_reason(services, clock):
    home = await make_home(services)
    member = await home.connect()
    for attempt in range(1, services.settings.job_attempts + 1):
        assert (await claim(home)).attempt == attempt
        clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await home.worker_services.sync.sweep()
    await run_pending(services)
    ((state, attempt, _, outcome, reason),) = await home.rows(JOBS)
    assert (state, attempt, outcome) == ("ended", services.settings.job_attempts, "FAILED")
    assert "too often" in reason
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("FAILED", False)


async def test_the_sweep_wakes_a_job_whose_worker_died(services, clock):
    home = await make_home(services)
    member = await home.connect()
    assert await claim(home)
    await home.rows("DELETE FROM pgqueuer")
    await home.worker_services.sweep()
    await run_pending(services)
    assert (await home.again(member)).is_being_aggregated, "its lease still runs"
    clock.advance(services.settings.job_lease + timedelta(seconds=1))
    await home.worker_services.sweep()
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"
    assert (await home.rows(JOBS))[0][1] == 2


async def test_the_sweep_makes_up_for_a_lost_wake_up_and_leaves_one_alone(services, clock):
    home = await make_home(services)
    member = await home.connect()
    job = await the_job(home)
    await home.rows("DELETE FROM pgqueuer")
    await home.worker_services.sweep()
    assert await home.rows(WAKE_UPS, key=job.key) == [(0,)], "it may still be on its way"
    clock.advance(timedelta(seconds=11))
    for _ in range(3):
        await home.worker_services.sweep()
    assert await home.rows(WAKE_UPS, key=job.key) == [(1,)]
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_a_user_disabled_meanwhile_is_not_read(services):
    home = await make_home(services)
    member = await home.connect()
    await home.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "DISABLED"
    assert await home.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


async def test_an_institution_that_no_connector_offers_any_more_discontinues_its_members(services):
    home = await make_home(services)
    member = await home.connect()
    await home.rows("UPDATE member_job SET institution_code = 'gone' WHERE user_guid = %(user)s")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "DISCONTINUED"


async def test_a_member_without_credentials_is_impaired(services):
    home = await make_home(services)
    member = await home.connect()
    await home.rows("DELETE FROM sealed_secret WHERE owner_guid = %(user)s")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "IMPAIRED"


async def test_a_connectors_own_mistake_ends_its_job_and_says_nothing_of_the_credentials(services):
    home = await make_home(services)
    member = await home.connect()
    broken = {"LOGIN": {"a-secret-login": None}, "PASSWORD": "a-secret-password"}
    async with services.db.transaction() as connection:
        await store_credentials(services, connection, member, broken)
    with capture_logs() as logs:
        await run_pending(services)
    assert (await home.again(member)).connection_status == "FAILED"
    assert "connector.failed" in {entry["event"] for entry in logs}
    assert "a-secret" not in str(logs)
    assert "a-secret" not in str(await home.rows(JOBS))


async def test_what_cannot_be_kept_ends_its_job_at_once_and_keeps_nothing_of_it(services):
    home = await make_home(services)
    member = await home.connect("mxuser+no_tx")
    await home.rows("ALTER TABLE account ADD CONSTRAINT small CHECK (length(user_guid) < 3) NOT VALID")
    try:
        with capture_logs() as logs:
            await work(home)
    finally:
        await home.rows("ALTER TABLE account DROP CONSTRAINT small")
    assert [(entry["event"], entry["error"]) for entry in logs[:1]] == [("result.unusable", "CheckViolation")]
    assert [row[:4] for row in await home.rows(JOBS)] == [("ended", 1, 1, "FAILED")]
    assert (await home.again(member)).connection_status == "FAILED"
    assert await home.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


# --- the daily aggregation ---------------------------------------------------------------------------------


async def alone(home):
    """Nobody else's member is due: tests share one database."""
    await home.rows("UPDATE member SET background_aggregation_is_disabled = true WHERE user_guid <> %(user)s")


async def test_a_connected_member_is_read_daily_and_in_the_background(services, clock):
    home = await make_home(services)
    await alone(home)
    member = await home.connected("mxuser+no_tx")
    clock.advance(services.settings.background_interval - timedelta(minutes=1))
    assert await home.worker_services.sync.refresh() == 0
    clock.advance(timedelta(minutes=2))
    assert await home.worker_services.sync.refresh() == 1
    assert await home.worker_services.sync.refresh() == 0, "it is on its way"
    assert (await home.again(member)).is_being_aggregated
    await run_pending(services)
    assert [each["is_background"] for each in await home.events("AGGREGATION")] == [False, True]
    requested = (
        "SELECT requested_by, is_background FROM member_job WHERE user_guid = %(user)s ORDER BY created_at"
    )
    assert await home.rows(requested) == [(home.client.guid, False), ("coatcheck", True)]


async def test_who_is_not_to_be_read_daily_is_not(services, clock):
    home, disabled = await make_home(services), await make_home(services)
    await alone(home)
    await home.connected("opted-out+no_tx", background_aggregation_is_disabled=True)
    for login, password in (("denied", "INVALID"), ("asked", "challenge"), ("locked", "LOCKED")):
        await home.connected(login, password)
    await disabled.connected("mxuser+no_tx")
    await disabled.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    clock.advance(2 * services.settings.background_interval)
    await home.worker_services.sync.refresh()
    for each in (home, disabled):
        assert await each.rows("SELECT FROM member_job WHERE user_guid = %(user)s AND is_background") == []


async def test_a_member_whose_bank_is_gone_is_due_once_and_never_again(services, clock):
    home = await make_home(services)
    await alone(home)
    member = await home.connected("mxuser+no_tx")
    await home.rows("UPDATE member SET institution_code = 'gone' WHERE user_guid = %(user)s")
    clock.advance(2 * services.settings.background_interval)
    assert await home.worker_services.sync.refresh() == 1
    await run_pending(services)
    member = await home.again(member)
    assert member.connection_status == "DISCONTINUED"
    clock.advance(2 * services.settings.background_interval)
    assert await home.worker_services.sync.refresh() == 0
    with pytest.raises(ConstraintNotMet, match="no longer"):
        await home.start(member, JobKind.AGGREGATION)


async def test_a_balance_check_does_not_put_the_daily_aggregation_off(services, clock):
    home = await make_home(services)
    await alone(home)
    member = await home.connected("mxuser+no_tx")
    clock.advance(services.settings.background_interval)
    await home.done(member, JobKind.BALANCE)
    clock.advance(timedelta(seconds=1))
    assert await home.worker_services.sync.refresh() == 1
    await run_pending(services)


async def test_trouble_at_the_bank_degrades_a_member_in_the_background_and_is_soon_tried_again(
    services, clock
):
    home = await make_home(services)
    await alone(home)
    member = await home.connected("mxuser+no_tx")
    async with services.db.transaction() as connection:
        credentials = {"LOGIN": "mxuser+no_tx+http_503", "PASSWORD": "correct"}
        await store_credentials(services, connection, member, credentials)
    clock.advance(services.settings.background_interval + timedelta(seconds=1))
    await home.worker_services.sync.refresh()
    await run_pending(services)
    member = await home.again(member)
    assert member.connection_status == "DEGRADED"
    assert member.aggregated_at > member.successfully_aggregated_at
    assert await home.worker_services.sync.refresh() == 0
    clock.advance(timedelta(hours=1, seconds=1))
    assert await home.worker_services.sync.refresh() == 1
    await run_pending(services)


async def test_old_jobs_are_dropped_but_for_each_members_most_recent(services, clock):
    home = await make_home(services)
    member = await home.connected("mxuser+no_tx")
    member = await home.done(member, JobKind.BALANCE)
    clock.advance(timedelta(days=91))
    async with services.db.connection() as connection:
        await job_rows.drop_ended(connection, clock.now() - timedelta(days=90))
    assert await home.rows("SELECT guid FROM member_job WHERE user_guid = %(user)s") == [
        (member.most_recent_job_guid,)
    ]
