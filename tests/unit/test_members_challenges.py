"""Challenges, and answers to them minutes or days later."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import ConstraintNotMet, InvalidRequest, UserDisabled
from coatcheck.worker import run_pending
from tests.member_setup import make_home

JOB = """SELECT state, attempt, claims, questions IS NULL, waits_until IS NULL FROM member_job
         WHERE user_guid = %(user)s"""


@pytest.mark.parametrize(
    ("password", "of_type"),
    [
        ("challenge", "TEXT"),
        ("options", "OPTIONS"),
        ("image", "IMAGE_DATA"),
        ("image_options", "IMAGE_OPTIONS"),
        ("token", "TOKEN"),
    ],
)
async def test_each_type_of_question_is_shown_and_its_right_answer_connects(services, password, of_type):
    home = await make_home(services)
    member = await home.connected(password=password)
    assert (member.connection_status, member.is_being_aggregated) == ("CHALLENGED", True)
    (challenge,) = await home.challenges(member)
    assert challenge.type == of_type
    assert challenge.guid.startswith("CRD-")
    assert challenge.label
    assert bool(challenge.options) is (of_type == "OPTIONS")
    assert bool(challenge.image_options) is (of_type == "IMAGE_OPTIONS")
    assert bool(challenge.image_data) is (of_type == "IMAGE_DATA")
    resumed = await home.answer(member, "correct")
    assert resumed.connection_status == "RESUMED"
    await run_pending(services)
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert await home.challenges(member) == []


@pytest.mark.parametrize("password", ["challenge", "options", "image", "image_options", "token"])
async def test_a_wrong_answer_is_rejected_and_the_next_job_asks_again(services, password):
    home = await make_home(services)
    member = await home.connected(password=password)
    await home.answer(member, "wrong")
    await run_pending(services)
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("REJECTED", False)
    member = await home.done(member, JobKind.AGGREGATION)
    assert member.connection_status == "CHALLENGED"


@pytest.mark.parametrize(("answer", "status"), [("LOCKED", "LOCKED"), ("SERVER_ERROR", "FAILED")])
async def test_an_error_word_as_answer_is_that_error(services, answer, status):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    await home.answer(member, answer)
    await run_pending(services)
    assert (await home.again(member)).connection_status == status


async def test_a_second_round_is_a_second_question_with_another_guid(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    (first,) = await home.challenges(member)
    await home.answer(member, "challenge")
    await run_pending(services)
    member = await home.again(member)
    (second,) = await home.challenges(member)
    assert member.connection_status == "CHALLENGED"
    assert second.guid != first.guid
    await home.answer(member, "correct")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"
    assert [each["connection_status"] for each in await home.events("CONNECTION_STATUS")] == [
        "CHALLENGED"
    ] * 2


@pytest.mark.parametrize("password", ["options", "image_options"])
async def test_an_option_is_chosen_by_its_guid_or_by_its_value(services, password):
    home = await make_home(services)
    for login in ("by-guid", "by-value"):
        member = await home.connected(login, password)
        (challenge,) = await home.challenges(member)
        options = [*challenge.options, *challenge.image_options]
        right = next(option for option in options if option.value == "correct")
        await home.answer(member, right.guid if login == "by-guid" else right.value)
        await run_pending(services)
        assert (await home.again(member)).connection_status == "CONNECTED"


async def test_an_invalid_answer_is_refused_and_the_challenges_stay_open(services):
    home = await make_home(services)
    member = await home.connected(password="options")
    (challenge,) = await home.challenges(member)
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
    assert (await home.again(member)).connection_status == "CHALLENGED"
    assert await home.challenges(member) == [challenge]
    await home.answer(member, "correct")


async def test_control_characters_are_no_part_of_an_answer(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    with pytest.raises(InvalidRequest, match="control characters"):
        await home.answer(member, "cor\x00rect")
    assert (await home.again(member)).connection_status == "CHALLENGED"


async def test_a_member_without_challenges_accepts_no_answer(services):
    home = await make_home(services)
    member = await home.connected()
    async with services.db.transaction() as connection:
        with pytest.raises(ConstraintNotMet):
            await services.members.answer(connection, member, [("CRD-any", "correct")])


async def test_of_two_simultaneous_answers_one_counts(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    (challenge,) = await home.challenges(member)

    async def answer(value: str) -> None:
        async with services.db.transaction() as connection:
            await services.members.answer(connection, member, [(challenge.guid, value)])

    results = await asyncio.gather(*(answer("correct") for _ in range(8)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, ConstraintNotMet) for result in results) == 7
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_an_answer_starts_a_new_attempt_with_a_new_number(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    assert await home.rows(JOB) == [("waiting", 1, 1, False, False)]
    await home.answer(member, "correct")
    assert await home.rows(JOB) == [("queued", 1, 0, True, True)]
    await run_pending(services)
    assert await home.rows(JOB) == [("ended", 2, 1, True, True)]


async def test_answers_are_sealed_and_deleted_when_the_job_ends(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    await home.answer(member, "correct")
    kinds = "SELECT kind FROM sealed_secret WHERE owner_guid = %(user)s AND record_guid <> %(member)s ORDER BY kind"
    assert await home.rows(kinds, member=member.guid) == [("ANSWERS",), ("STATE",)]
    assert "correct" not in str(
        await home.rows("SELECT j::text FROM member_job j WHERE user_guid = %(user)s")
    )
    await run_pending(services)
    assert await home.rows(kinds, member=member.guid) == []


async def test_an_unanswered_challenge_expires_and_sends_an_event(services, clock):
    home = await make_home(services)
    member = await home.connected(password="challenge", callback_payload="echo")
    clock.advance(services.settings.mfa_ttl - timedelta(minutes=1))
    await home.worker_services.sweep()
    assert (await home.again(member)).connection_status == "CHALLENGED"
    clock.advance(timedelta(minutes=2))
    with pytest.raises(ConstraintNotMet):
        await home.answer(member, "correct")
    await home.worker_services.sweep()
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("EXPIRED", False)
    assert await home.challenges(member) == []
    assert [each["connection_status"] for each in await home.events("CONNECTION_STATUS")] == [
        "CHALLENGED",
        "EXPIRED",
    ]
    member = await home.done(member, JobKind.AGGREGATION)
    assert member.connection_status == "CHALLENGED"


async def test_an_answer_is_accepted_for_as_long_as_mfa_ttl(services, clock):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    clock.advance(services.settings.mfa_ttl - timedelta(minutes=1))
    await home.worker_services.sweep()
    await home.answer(member, "correct")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_asking_for_the_same_job_while_it_waits_changes_nothing(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    again = await home.start(member, JobKind.AGGREGATION)
    assert again.connection_status == "CHALLENGED"
    assert len(await home.challenges(member)) == 1


async def test_a_disabled_users_answer_is_refused(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    await home.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    with pytest.raises(UserDisabled):
        await home.answer(member, "correct")


async def test_jobs_that_follow_wait_for_the_answer_too(services):
    home = await make_home(services)
    member = await home.connected(password="challenge", kinds=(JobKind.VERIFICATION, JobKind.IDENTIFICATION))
    await home.answer(member, "correct")
    await run_pending(services)
    member = await home.again(member)
    assert member.connection_status == "CHALLENGED", "the second job makes an attempt of its own"
    await home.answer(member, "correct")
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"
