"""Challenges and their answers."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import ConstraintNotMet, InvalidRequest, TooManyRequests, UserDisabled
from coatcheck.members.job_admission import WRONG_ANSWERS
from coatcheck.worker_services import run_pending
from tests.member_setup import make_end_user

JOB = """SELECT state, attempt, claims, questions IS NULL, waits_until IS NULL FROM member_job
         WHERE user_guid = %(user)s"""


@pytest.mark.parametrize(
    ("password", "challenge_type"),
    [
        ("challenge", "TEXT"),
        ("options", "OPTIONS"),
        ("image", "IMAGE_DATA"),
        ("image_options", "IMAGE_OPTIONS"),
        ("token", "TOKEN"),
    ],
)
async def test_each_type_of_challenge_is_returned_and_its_right_answer_connects(
    services, password, challenge_type
):
    end_user = await make_end_user(services)
    member = await end_user.connected(password=password)
    assert (member.connection_status, member.is_being_aggregated) == ("CHALLENGED", True)
    (challenge,) = await end_user.challenges(member)
    assert challenge.type == challenge_type
    assert challenge.guid.startswith("CRD-")
    assert challenge.label
    assert bool(challenge.options) is (challenge_type == "OPTIONS")
    assert bool(challenge.image_options) is (challenge_type == "IMAGE_OPTIONS")
    assert bool(challenge.image_data) is (challenge_type == "IMAGE_DATA")
    resumed = await end_user.answer(member, "correct")
    assert resumed.connection_status == "RESUMED"
    await run_pending(services)
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert await end_user.challenges(member) == []


@pytest.mark.parametrize("password", ["challenge", "options", "image", "image_options", "token"])
async def test_a_wrong_answer_is_rejected_and_the_next_job_asks_again(services, password):
    end_user = await make_end_user(services)
    member = await end_user.connected(password=password)
    await end_user.answer(member, "wrong")
    await run_pending(services)
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("REJECTED", False)
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    assert member.connection_status == "CHALLENGED"


async def test_after_ten_wrong_answers_in_an_hour_the_next_answer_waits(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    for _ in range(WRONG_ANSWERS):
        await end_user.answer(member, "wrong")
        await run_pending(services)
        member = await end_user.run_job(member, JobKind.AGGREGATION)
        assert member.connection_status == "CHALLENGED"
    with pytest.raises(TooManyRequests) as refused:
        await end_user.answer(member, "correct")
    assert timedelta() < refused.value.retry_after <= timedelta(hours=1)
    other = await (await make_end_user(services)).connected(password="challenge")
    assert other.connection_status == "CHALLENGED"
    clock.advance(refused.value.retry_after)
    await end_user.answer(member, "correct")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


@pytest.mark.parametrize(("answer", "status"), [("LOCKED", "LOCKED"), ("SERVER_ERROR", "FAILED")])
async def test_an_error_value_as_answer_sets_its_status(services, answer, status):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    await end_user.answer(member, answer)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == status


async def test_a_second_question_is_a_challenge_with_another_guid(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    (first,) = await end_user.challenges(member)
    await end_user.answer(member, "challenge")
    await run_pending(services)
    member = await end_user.reload(member)
    (second,) = await end_user.challenges(member)
    assert member.connection_status == "CHALLENGED"
    assert second.guid != first.guid
    await end_user.answer(member, "correct")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    assert [each["connection_status"] for each in await end_user.events("CONNECTION_STATUS")] == [
        "CHALLENGED"
    ] * 2


@pytest.mark.parametrize("password", ["options", "image_options"])
async def test_an_option_is_chosen_by_its_guid_or_by_its_value(services, password):
    end_user = await make_end_user(services)
    for login in ("by-guid", "by-value"):
        member = await end_user.connected(login, password)
        (challenge,) = await end_user.challenges(member)
        options = [*challenge.options, *challenge.image_options]
        right = next(option for option in options if option.value == "correct")
        await end_user.answer(member, right.guid if login == "by-guid" else right.value)
        await run_pending(services)
        assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_an_invalid_answer_is_refused_and_the_challenges_stay_open(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="options")
    (challenge,) = await end_user.challenges(member)
    for answers in (
        [],
        [(challenge.guid, "")],
        [(challenge.guid, "not an option")],
        [("CRD-unknown", "correct")],
        [(challenge.guid, "correct"), (challenge.guid, "correct")],
        [(challenge.guid, "correct"), ("CRD-unknown", "correct")],
    ):
        with pytest.raises(InvalidRequest):
            async with services.db.transaction() as connection:
                await services.members.answer(connection, member, answers)
    assert (await end_user.reload(member)).connection_status == "CHALLENGED"
    assert await end_user.challenges(member) == [challenge]
    await end_user.answer(member, "correct")


async def test_an_answer_with_control_characters_is_refused(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    with pytest.raises(InvalidRequest, match="control characters"):
        await end_user.answer(member, "cor\x00rect")
    assert (await end_user.reload(member)).connection_status == "CHALLENGED"


async def test_a_member_without_challenges_accepts_no_answer(services):
    end_user = await make_end_user(services)
    member = await end_user.connected()
    async with services.db.transaction() as connection:
        with pytest.raises(ConstraintNotMet):
            await services.members.answer(connection, member, [("CRD-any", "correct")])


async def test_only_one_of_simultaneous_answers_is_accepted(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    (challenge,) = await end_user.challenges(member)

    async def answer(value: str) -> None:
        async with services.db.transaction() as connection:
            await services.members.answer(connection, member, [(challenge.guid, value)])

    results = await asyncio.gather(*(answer("correct") for _ in range(8)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, ConstraintNotMet) for result in results) == 7
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_an_answer_starts_another_attempt_with_a_new_number(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    assert await end_user.rows(JOB) == [("waiting", 1, 1, False, False)]
    await end_user.answer(member, "correct")
    assert await end_user.rows(JOB) == [("queued", 1, 0, True, True)]
    await run_pending(services)
    assert await end_user.rows(JOB) == [("ended", 2, 1, True, True)]


async def test_answers_are_sealed_and_deleted_when_the_job_ends(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    await end_user.answer(member, "correct")
    kinds = "SELECT kind FROM sealed_secret WHERE owner_guid = %(user)s AND record_guid <> %(member)s ORDER BY kind"
    assert await end_user.rows(kinds, member=member.guid) == [("ANSWERS",), ("STATE",)]
    assert "correct" not in str(
        await end_user.rows("SELECT j::text FROM member_job j WHERE user_guid = %(user)s")
    )
    await run_pending(services)
    assert await end_user.rows(kinds, member=member.guid) == []


async def test_an_unanswered_challenge_expires_and_sends_an_event(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge", callback_payload="echo")
    clock.advance(services.settings.mfa_ttl - timedelta(minutes=1))
    await end_user.worker_services.sweep()
    assert (await end_user.reload(member)).connection_status == "CHALLENGED"
    clock.advance(timedelta(minutes=2))
    with pytest.raises(ConstraintNotMet):
        await end_user.answer(member, "correct")
    await end_user.worker_services.sweep()
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("EXPIRED", False)
    assert await end_user.challenges(member) == []
    assert [each["connection_status"] for each in await end_user.events("CONNECTION_STATUS")] == [
        "CHALLENGED",
        "EXPIRED",
    ]
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    assert member.connection_status == "CHALLENGED"


async def test_an_answer_is_accepted_for_as_long_as_mfa_ttl(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    clock.advance(services.settings.mfa_ttl - timedelta(minutes=1))
    await end_user.worker_services.sweep()
    await end_user.answer(member, "correct")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_requesting_a_job_that_waits_changes_nothing(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    again = await end_user.start(member, JobKind.AGGREGATION)
    assert again.connection_status == "CHALLENGED"
    assert len(await end_user.challenges(member)) == 1


async def test_a_disabled_users_answer_is_refused(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    await end_user.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    with pytest.raises(UserDisabled):
        await end_user.answer(member, "correct")


async def test_the_jobs_of_a_request_share_the_answer(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(
        password="challenge", kinds=(JobKind.VERIFICATION, JobKind.IDENTIFICATION)
    )
    await end_user.answer(member, "correct")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    rows = await end_user.rows("SELECT kind FROM member_job WHERE user_guid = %(user)s ORDER BY created_at")
    assert [kind for (kind,) in rows] == [JobKind.VERIFICATION, JobKind.IDENTIFICATION]
    kept = await end_user.rows(
        "SELECT count(*) FROM sealed_secret WHERE owner_guid = %(user)s AND kind = 'answers'"
    )
    assert kept == [(0,)], "the last job deletes the answers"
    await end_user.run_job(member, JobKind.AGGREGATION)
    assert (await end_user.reload(member)).connection_status == "CHALLENGED", "another request asks again"


async def test_follow_up_jobs_wait_for_the_answer_of_a_bank_that_asks_in_every_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(
        "ann+mfa_every_job", "challenge", kinds=(JobKind.VERIFICATION, JobKind.IDENTIFICATION)
    )
    await end_user.answer(member, "correct")
    await run_pending(services)
    member = await end_user.reload(member)
    assert member.connection_status == "CHALLENGED", "the second job asks its own question"
    await end_user.answer(member, "correct")
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
