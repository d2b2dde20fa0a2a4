"""Starting jobs: what runs, what is already running, and what may not."""

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
from coatcheck.worker import run_pending
from tests.member_setup import make_home

JOBS = "SELECT kind, state FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"
THROTTLED = "lanternfish_bank"


@pytest.mark.parametrize("kind", list(JobKind))
async def test_every_kind_of_job_runs_and_says_what_it_processed(services, kind):
    home = await make_home(services)
    member = await home.connected(skip_aggregation=True)
    started = await home.start(member, kind)
    assert (started.is_being_aggregated, started.is_authenticated) == (True, False)
    await run_pending(services)
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert (member.is_authenticated, member.has_processed_accounts) == (True, True)
    assert member.has_processed_account_numbers is (kind is JobKind.VERIFICATION)
    assert member.has_processed_transactions is (kind in {JobKind.AGGREGATION, JobKind.HISTORY})


async def test_each_job_starts_the_flags_afresh(services):
    home = await make_home(services)
    member = await home.connected(kinds=(JobKind.VERIFICATION,))
    assert member.has_processed_account_numbers
    started = await home.start(member, JobKind.BALANCE)
    assert not started.is_authenticated
    assert not started.has_processed_accounts
    assert not started.has_processed_account_numbers
    assert started.most_recent_job_guid != member.most_recent_job_guid


async def test_a_job_of_the_kind_that_is_on_its_way_is_not_started_twice(services):
    home = await make_home(services)
    member = await home.connect()
    again = await home.start(member, JobKind.AGGREGATION)
    assert again.most_recent_job_guid == member.most_recent_job_guid
    assert await home.rows(JOBS) == [("AGGREGATION", "queued")]


async def test_a_job_of_another_kind_is_refused_while_one_is_on_its_way(services):
    home = await make_home(services)
    member = await home.connect()
    with pytest.raises(JobRunning):
        await home.start(member, JobKind.VERIFICATION)
    assert await home.rows(JOBS) == [("AGGREGATION", "queued")]


async def test_of_simultaneous_starts_there_comes_one_job(services):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    kinds = [JobKind.VERIFICATION, JobKind.IDENTIFICATION] * 5
    results = await asyncio.gather(*(home.start(member, kind) for kind in kinds), return_exceptions=True)
    assert sum(isinstance(result, JobRunning) for result in results) == 5
    assert len(await home.rows(JOBS)) == 1


async def test_a_throttled_institution_is_not_aggregated_twice_within_three_hours(services, clock):
    home = await make_home(services)
    member = await home.connected(institution=THROTTLED)
    unchanged = await home.start(member, JobKind.AGGREGATION)
    assert (unchanged.is_being_aggregated, len(await home.rows(JOBS))) == (False, 1)
    clock.advance(services.settings.aggregation_interval + timedelta(seconds=1))
    assert (await home.start(member, JobKind.AGGREGATION)).is_being_aggregated


async def test_a_test_institution_is_aggregated_as_often_as_one_likes(services):
    home = await make_home(services)
    member = await home.connected(institution="mxbank")
    assert (await home.start(member, JobKind.AGGREGATION)).is_being_aggregated


async def test_the_throttle_holds_back_neither_a_broken_member_nor_more_data_nor_another_kind(services):
    home = await make_home(services)
    denied = await home.connected("one", "INVALID", institution=THROTTLED)
    assert (await home.start(denied, JobKind.AGGREGATION)).is_being_aggregated
    verified = await home.connected("two", institution=THROTTLED, kinds=(JobKind.VERIFICATION,))
    assert (await home.start(verified, JobKind.AGGREGATION, include_transactions=False)).is_being_aggregated
    await run_pending(services)
    assert (await home.start(verified, JobKind.AGGREGATION)).is_being_aggregated


async def test_the_sixth_balance_check_in_two_hours_is_one_too_many(services, clock):
    home = await make_home(services)
    member = await home.connected(institution=THROTTLED)
    for _ in range(5):
        clock.advance(timedelta(minutes=1))
        await home.done(member, JobKind.BALANCE)
    with pytest.raises(TooManyRequests) as refused:
        await home.start(member, JobKind.BALANCE)
    four_minutes_ago = timedelta(hours=2) - timedelta(minutes=4)
    assert four_minutes_ago - timedelta(minutes=1) < refused.value.retry_after <= four_minutes_ago
    clock.advance(refused.value.retry_after + timedelta(seconds=1))
    assert (await home.start(member, JobKind.BALANCE)).is_being_aggregated


async def test_a_test_institution_may_be_asked_for_the_balance_at_will(services):
    home = await make_home(services)
    member = await home.connected("mxuser+no_tx")
    for _ in range(6):
        member = await home.done(member, JobKind.BALANCE)
    assert member.connection_status == "CONNECTED"


async def test_what_the_institution_lacks_is_refused(services):
    home = await make_home(services)
    member = await home.connected(institution="saltcellar_savings_bank")
    with pytest.raises(JobNotSupported):
        await home.start(member, JobKind.VERIFICATION)


async def test_a_disabled_user_starts_nothing(services):
    home = await make_home(services)
    member = await home.connected()
    await home.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    with pytest.raises(UserDisabled):
        await home.start(member, JobKind.AGGREGATION)


async def test_a_manual_member_has_no_jobs(services):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    await home.rows("UPDATE member SET is_manual = true, connection_status = NULL WHERE user_guid = %(user)s")
    with pytest.raises(ConstraintNotMet, match="manual"):
        await home.start(member, JobKind.AGGREGATION)


@pytest.mark.parametrize("status", ["PREVENTED", "PENDING", "IMPORTED", "DISCONTINUED", "CHALLENGED"])
async def test_no_job_starts_in_a_status_that_waits_for_something_else(services, status):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    await home.rows("UPDATE member SET connection_status = %(s)s WHERE user_guid = %(user)s", s=status)
    with pytest.raises(ConstraintNotMet):
        await home.start(member, JobKind.AGGREGATION)


async def test_a_deleted_member_is_not_found(services):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    with pytest.raises(NotFound):
        await home.start(member, JobKind.AGGREGATION)


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
async def test_every_row_of_mx_banks_table_leads_to_its_status(services, password, status):
    home = await make_home(services)
    member = await home.connected(password=password)
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
async def test_what_else_can_go_wrong_at_the_bank_has_its_status(services, control, status):
    home = await make_home(services)
    assert (await home.connected(f"mxuser+{control}")).connection_status == status


async def test_a_member_that_failed_shows_that_it_is_being_connected_again(services):
    home = await make_home(services)
    member = await home.connected(password="SERVER_ERROR")
    started = await home.start(member, JobKind.AGGREGATION)
    assert (started.connection_status, started.is_being_aggregated) == ("RECONNECTED", True)


async def test_three_denials_in_a_row_prevent_and_new_credentials_free(services):
    home = await make_home(services)
    member = await home.connected(password="INVALID")
    member = await home.done(member, JobKind.VERIFICATION)
    assert member.connection_status == "DENIED"
    member = await home.done(member, JobKind.AGGREGATION)
    assert member.connection_status == "PREVENTED"
    await home.change(member, "mxuser", "INVALID")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "DENIED", "the count begins anew"


async def test_a_success_between_two_denials_starts_the_count_again(services):
    home = await make_home(services)
    member = await home.connected(password="INVALID")
    member = await home.done(member, JobKind.AGGREGATION)
    for password in ("correct", "INVALID"):
        await home.change(member, "mxuser", password)
        await run_pending(services)
        member = await home.again(member)
    member = await home.done(member, JobKind.AGGREGATION)
    assert member.connection_status == "DENIED"


async def test_the_client_is_told_of_the_statuses_its_user_can_act_on(services):
    home = await make_home(services)
    member = await home.connected(password="LOCKED", callback_payload="echo")
    await home.done(member, JobKind.AGGREGATION)
    await home.change(member, "mxuser", "correct")
    await run_pending(services)
    told = await home.events("CONNECTION_STATUS")
    assert [each["connection_status"] for each in told] == ["LOCKED", "LOCKED"]
    assert told[0]["member_guid"] == member.guid


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
async def test_the_client_is_told_of_each_success_in_mxs_shape(services, kind, of_type, keys):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    await home.start(member, kind, callback_payload="echo")
    await run_pending(services)
    (told,) = await home.events(of_type)
    assert keys <= told.keys()
    assert (told["type"], told["member_guid"]) == (of_type, member.guid)
    assert await home.rows(
        "SELECT DISTINCT callback_payload FROM event WHERE client_guid = %(client)s AND type = %(type)s",
        client=home.client.guid,
        type=of_type,
    ) == [("echo",)]
