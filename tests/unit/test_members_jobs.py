"""Starting jobs: kinds, rate limits, refusals, and the status after each result."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import (
    ConstraintNotMet,
    JobNotSupported,
    JobRunning,
    NotFound,
    TooManyRequests,
    UserDisabled,
)
from coatcheck.worker_services import run_pending
from tests.member_setup import make_end_user

JOBS = "SELECT kind, state FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"
THROTTLED = "lanternfish_bank"


@pytest.mark.parametrize("kind", list(JobKind))
async def test_every_kind_of_job_sets_the_flags_of_what_it_processed(services, kind):
    end_user = await make_end_user(services)
    member = await end_user.connected(skip_aggregation=True)
    started = await end_user.start(member, kind)
    assert (started.is_being_aggregated, started.is_authenticated) == (True, False)
    await run_pending(services)
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert (member.is_authenticated, member.has_processed_accounts) == (True, True)
    assert member.has_processed_account_numbers is (kind is JobKind.VERIFICATION)
    assert member.has_processed_transactions is (kind in {JobKind.AGGREGATION, JobKind.HISTORY})


async def test_each_job_resets_the_flags(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(kinds=(JobKind.VERIFICATION,))
    assert member.has_processed_account_numbers
    started = await end_user.start(member, JobKind.BALANCE)
    assert not started.is_authenticated
    assert not started.has_processed_accounts
    assert not started.has_processed_account_numbers
    assert started.most_recent_job_guid != member.most_recent_job_guid


async def test_a_live_job_of_the_same_kind_is_not_started_twice(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    again = await end_user.start(member, JobKind.AGGREGATION)
    assert again.most_recent_job_guid == member.most_recent_job_guid
    assert await end_user.rows(JOBS) == [("AGGREGATION", "queued")]


async def test_a_job_of_another_kind_is_refused_while_a_job_is_live(services):
    end_user = await make_end_user(services)
    member = await end_user.connect()
    with pytest.raises(JobRunning):
        await end_user.start(member, JobKind.VERIFICATION)
    assert await end_user.rows(JOBS) == [("AGGREGATION", "queued")]


async def test_simultaneous_starts_create_one_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    kinds = [JobKind.VERIFICATION, JobKind.IDENTIFICATION] * 5
    results = await asyncio.gather(*(end_user.start(member, kind) for kind in kinds), return_exceptions=True)
    assert sum(isinstance(result, JobRunning) for result in results) == 5
    assert len(await end_user.rows(JOBS)) == 1


async def test_a_throttled_institution_is_not_aggregated_twice_within_three_hours(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected(institution=THROTTLED)
    unchanged = await end_user.start(member, JobKind.AGGREGATION)
    assert (unchanged.is_being_aggregated, len(await end_user.rows(JOBS))) == (False, 1)
    clock.advance(services.settings.aggregation_interval + timedelta(seconds=1))
    assert (await end_user.start(member, JobKind.AGGREGATION)).is_being_aggregated


async def test_a_test_institution_has_no_aggregation_limit(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(institution="mxbank")
    assert (await end_user.start(member, JobKind.AGGREGATION)).is_being_aggregated


async def test_the_throttle_allows_a_failed_member_more_data_and_another_kind(services):
    end_user = await make_end_user(services)
    denied = await end_user.connected("one", "INVALID", institution=THROTTLED)
    assert (await end_user.start(denied, JobKind.AGGREGATION)).is_being_aggregated
    verified = await end_user.connected("two", institution=THROTTLED, kinds=(JobKind.VERIFICATION,))
    assert (
        await end_user.start(verified, JobKind.AGGREGATION, include_transactions=False)
    ).is_being_aggregated
    await run_pending(services)
    assert (await end_user.start(verified, JobKind.AGGREGATION)).is_being_aggregated


async def test_the_sixth_balance_check_in_two_hours_is_refused(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected(institution=THROTTLED)
    for _ in range(5):
        clock.advance(timedelta(minutes=1))
        await end_user.run_job(member, JobKind.BALANCE)
    with pytest.raises(TooManyRequests) as refused:
        await end_user.start(member, JobKind.BALANCE)
    four_minutes_ago = timedelta(hours=2) - timedelta(minutes=4)
    assert four_minutes_ago - timedelta(minutes=1) < refused.value.retry_after <= four_minutes_ago
    clock.advance(refused.value.retry_after + timedelta(seconds=1))
    assert (await end_user.start(member, JobKind.BALANCE)).is_being_aggregated


async def test_a_test_institution_has_no_balance_limit(services):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    for _ in range(6):
        member = await end_user.run_job(member, JobKind.BALANCE)
    assert member.connection_status == "CONNECTED"


async def test_a_job_that_the_institution_does_not_offer_is_refused(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(institution="saltcellar_savings_bank")
    with pytest.raises(JobNotSupported):
        await end_user.start(member, JobKind.VERIFICATION)


async def test_a_disabled_user_cannot_start_a_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connected()
    await end_user.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    with pytest.raises(UserDisabled):
        await end_user.start(member, JobKind.AGGREGATION)


async def test_a_manual_member_has_no_jobs(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    await end_user.rows(
        "UPDATE member SET is_manual = true, connection_status = NULL WHERE user_guid = %(user)s"
    )
    with pytest.raises(ConstraintNotMet, match="manual"):
        await end_user.start(member, JobKind.AGGREGATION)


@pytest.mark.parametrize("status", ["PREVENTED", "PENDING", "IMPORTED", "DISCONTINUED", "CHALLENGED"])
async def test_no_job_starts_in_a_status_that_allows_none(services, status):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    await end_user.rows("UPDATE member SET connection_status = %(s)s WHERE user_guid = %(user)s", s=status)
    with pytest.raises(ConstraintNotMet):
        await end_user.start(member, JobKind.AGGREGATION)


async def test_a_deleted_member_is_not_found(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    with pytest.raises(NotFound):
        await end_user.start(member, JobKind.AGGREGATION)


@pytest.mark.parametrize(
    ("password", "status"),
    [
        ("anything", "CONNECTED"),
        ("BAD_REQUEST", "FAILED"),
        ("UNAUTHORIZED", "DENIED"),
        ("INVALID", "DENIED"),
        ("LOCKED", "LOCKED"),
        ("DISABLED", "DENIED"),
        ("SERVER_ERROR", "FAILED"),
        ("UNAVAILABLE", "FAILED"),
        ("challenge", "CHALLENGED"),
        ("options", "CHALLENGED"),
        ("image", "CHALLENGED"),
    ],
)
async def test_every_test_password_of_mx_bank_sets_its_status(services, password, status):
    end_user = await make_end_user(services)
    member = await end_user.connected(password=password)
    assert member.connection_status == status
    assert member.is_being_aggregated is (status == "CHALLENGED")
    assert (member.successfully_aggregated_at is not None) is (status == "CONNECTED")


@pytest.mark.parametrize(
    ("control", "status"),
    [
        ("timed_out", "DELAYED"),
        ("impeded", "IMPEDED"),
        ("consent_revoked", "DISCONNECTED"),
        ("login_closed", "CLOSED"),
        ("discontinued", "DISCONTINUED"),
    ],
)
async def test_every_failing_control_sets_its_status(services, control, status):
    end_user = await make_end_user(services)
    assert (await end_user.connected(f"mxuser+{control}")).connection_status == status


async def test_a_job_after_a_failure_sets_reconnected(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="SERVER_ERROR")
    started = await end_user.start(member, JobKind.AGGREGATION)
    assert (started.connection_status, started.is_being_aggregated) == ("RECONNECTED", True)


async def test_three_denials_prevent_jobs_until_the_credentials_change(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="INVALID")
    member = await end_user.run_job(member, JobKind.VERIFICATION)
    assert member.connection_status == "DENIED"
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    assert member.connection_status == "PREVENTED"
    await end_user.change(member, "mxuser", "INVALID")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "DENIED", "the count starts again"


async def test_a_success_resets_the_count_of_denials(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="INVALID")
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    for password in ("correct", "INVALID"):
        await end_user.change(member, "mxuser", password)
        await run_pending(services)
        member = await end_user.reload(member)
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    assert member.connection_status == "DENIED"


async def test_only_actionable_statuses_send_an_event(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="LOCKED", callback_payload="echo")
    await end_user.run_job(member, JobKind.AGGREGATION)
    await end_user.change(member, "mxuser", "correct")
    await run_pending(services)
    events = await end_user.events("CONNECTION_STATUS")
    assert [each["connection_status"] for each in events] == ["LOCKED", "LOCKED"]
    assert events[0]["member_guid"] == member.guid


@pytest.mark.parametrize(
    ("kind", "of_type", "keys"),
    [
        (JobKind.AGGREGATION, "AGGREGATION", {"transactions_created_count", "is_background", "job_guid"}),
        (JobKind.BALANCE, "BALANCE", {"completed_at"}),
        (JobKind.HISTORY, "HISTORY", {"transactions_created_count", "transactions_updated_count"}),
        (JobKind.STATEMENT, "STATEMENT", {"statements_created_count"}),
        (JobKind.VERIFICATION, "VERIFICATION", {"accounts", "job_guid"}),
    ],
)
async def test_each_successful_job_sends_its_event_in_mxs_format(services, kind, of_type, keys):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    await end_user.start(member, kind, callback_payload="echo")
    await run_pending(services)
    (event,) = await end_user.events(of_type)
    assert keys <= event.keys()
    assert (event["type"], event["member_guid"]) == (of_type, member.guid)
    assert await end_user.rows(
        "SELECT DISTINCT callback_payload FROM event WHERE owner_guid = %(client)s AND type = %(type)s",
        client=end_user.client.guid,
        type=of_type,
    ) == [("echo",)]
