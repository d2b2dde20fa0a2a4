"""What a login and a password at the sandbox bank lead to: every row of its two tables."""

import asyncio
import base64
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from stdnum.us import rtn

from coatcheck.connectors.contract import ChallengeType, JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.connectors.sandbox.logins import CONTROLS
from coatcheck.connectors.sandbox.personas import PERSONAS
from coatcheck.errors import (
    ActionNeeded,
    AnswerRejected,
    BankError,
    BankFailed,
    BankTimedOut,
    BankUnavailable,
    ConnectionDiscontinued,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    LoginClosed,
    LoginLocked,
)
from coatcheck.testing.connectors import Run, connector_context, run_connector

BANK = SandboxBank(connector_context(SandboxSettings(seed=1)))
NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)

ERROR_WORDS = [
    ("BAD_REQUEST", BankFailed, "FAILED"),
    ("UNAUTHORIZED", CredentialsDenied, "DENIED"),
    ("INVALID", CredentialsDenied, "DENIED"),
    ("LOCKED", LoginLocked, "LOCKED"),
    ("DISABLED", CredentialsDenied, "DENIED"),
    ("SERVER_ERROR", BankFailed, "FAILED"),
    ("UNAVAILABLE", BankUnavailable, "FAILED"),
]
QUESTIONS = {
    "challenge": ChallengeType.TEXT,
    "options": ChallengeType.OPTIONS,
    "image": ChallengeType.IMAGE_DATA,
    "image_options": ChallengeType.IMAGE_OPTIONS,
    "token": ChallengeType.TOKEN,
}


async def run(
    login="mxuser",
    password="any",
    kind=JobKind.AGGREGATION,
    *,
    institution="mxbank",
    answer=None,
    asked=None,
    **more,
):
    """One run; `answer` answers the question of the run `asked`."""
    task = Task(kind, institution, "MBR-1", **{"now": NOW, **more})
    answers = None if asked is None else {asked.needs_answers.questions[0].key: answer}
    resume = None if asked is None else asked.needs_answers.resume
    return await run_connector(
        BANK, task, {"LOGIN": login, "PASSWORD": password}, answers=answers, resume=resume
    )


@pytest.mark.parametrize("institution", ["mxbank", "mxcu_credential", "lanternfish_bank", "loonwater_bank"])
async def test_any_other_password_gives_the_accounts(institution):
    told = await run(institution=institution)
    assert told.is_finished
    assert 2 <= len(told.accounts) <= 8


@pytest.mark.parametrize(("word", "error", "status"), ERROR_WORDS)
async def test_an_error_word_as_password_is_that_error(word, error, status):
    with pytest.raises(error) as caught:
        await run(password=word)
    assert caught.value.status == status


@pytest.mark.parametrize("word", ["locked", "Challenge", "correct"])
async def test_passwords_are_case_sensitive(word):
    assert (await run(password=word)).is_finished


@pytest.mark.parametrize(
    "credentials", [{}, {"LOGIN": "", "PASSWORD": "x"}, {"LOGIN": "mxuser", "PASSWORD": ""}]
)
async def test_an_empty_login_or_password_is_missing(credentials):
    with pytest.raises(CredentialsMissing):
        await run_connector(BANK, Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW), credentials)


@pytest.mark.parametrize(("password", "kind"), QUESTIONS.items())
async def test_a_question_word_asks_and_the_right_answer_opens(password, kind):
    asking = await run(password=password)
    (question,) = asking.needs_answers.questions
    assert question.type == kind
    assert bool(question.options) == (kind in {ChallengeType.OPTIONS, ChallengeType.IMAGE_OPTIONS})
    assert bool(question.image_data) == (kind == ChallengeType.IMAGE_DATA)
    assert (await run(password=password, answer="correct", asked=asking)).is_finished


@pytest.mark.parametrize("password", QUESTIONS)
@pytest.mark.parametrize("answer", ["", "wrong", "Correct", "correct "])
async def test_any_other_answer_is_rejected(password, answer):
    with pytest.raises(AnswerRejected):
        await run(password=password, answer=answer, asked=await run(password=password))


@pytest.mark.parametrize("password", QUESTIONS)
@pytest.mark.parametrize(("word", "error", "status"), ERROR_WORDS)
async def test_an_error_word_as_answer_is_that_error(password, word, error, status):
    with pytest.raises(error) as caught:
        await run(password=password, answer=word, asked=await run(password=password))
    assert caught.value.status == status


@pytest.mark.parametrize("password", QUESTIONS)
async def test_challenge_as_answer_asks_a_second_time(password):
    first = await run(password=password)
    second = await run(password=password, answer="challenge", asked=first)
    assert second.needs_answers.questions[0].key != first.needs_answers.questions[0].key
    assert (await run(password=password, answer="correct", asked=second)).is_finished


async def test_the_first_answer_does_not_answer_the_second_question():
    first = await run(password="challenge")
    second = await run(password="challenge", answer="challenge", asked=first)
    with pytest.raises(AnswerRejected):
        await run_connector(
            BANK,
            Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW),
            {"LOGIN": "mxuser", "PASSWORD": "challenge"},
            answers={first.needs_answers.questions[0].key: "correct"},
            resume=second.needs_answers.resume,
        )


async def test_a_new_job_asks_again():
    first, second = await run(password="token"), await run(password="token")
    assert first.needs_answers is not None
    assert first.needs_answers == second.needs_answers


@pytest.mark.parametrize("password", ["options", "image_options"])
async def test_of_the_options_one_is_right_and_the_others_are_not(password):
    asking = await run(password=password)
    values = [option.value for option in asking.needs_answers.questions[0].options]
    assert values.count("correct") == 1
    for value in set(values) - {"correct", "challenge"}:
        with pytest.raises(BankError):
            await run(password=password, answer=value, asked=asking)


async def test_the_pictures_are_png():
    picture = (await run(password="image")).needs_answers.questions[0].image_data
    shapes = [
        option.data_uri for option in (await run(password="image_options")).needs_answers.questions[0].options
    ]
    assert len(set(shapes)) == 3
    for uri in (picture, *shapes):
        media_type, _, data = uri.partition(",")
        png = base64.b64decode(data)
        assert media_type == "data:image/png;base64"
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        size = int.from_bytes(png[33:37])
        width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
        assert len(zlib.decompress(png[41 : 41 + size])) == (width + 1) * height


async def test_test_atrium_is_mxuser():
    assert await run("test_atrium", "password", JobKind.HISTORY) == await run("mxuser", "x", JobKind.HISTORY)


async def test_each_login_and_each_institution_has_accounts_of_its_own():
    told = [
        await run("ann"),
        await run("bob"),
        await run("ann", institution="lanternfish_bank"),
    ]
    ids = [account.id for each in told for account in each.accounts]
    assert len(ids) == len(set(ids))


async def test_another_seed_is_another_world():
    other = SandboxBank(connector_context(SandboxSettings(seed=2)))
    task = Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW)
    told = await run_connector(other, task, {"LOGIN": "mxuser", "PASSWORD": "x"})
    assert {each.id for each in told.accounts}.isdisjoint(each.id for each in (await run()).accounts)


GIVEN = {
    JobKind.AGGREGATION: {"accounts", "transactions"},
    JobKind.HISTORY: {"accounts", "transactions"},
    JobKind.BALANCE: {"accounts"},
    JobKind.VERIFICATION: {"accounts", "numbers"},
    JobKind.IDENTIFICATION: {"accounts", "owners"},
    JobKind.STATEMENT: {"accounts", "statements"},
}


@pytest.mark.parametrize("kind", JobKind)
async def test_a_job_is_given_what_it_asks_for_and_nothing_else(kind):
    told = await run(kind=kind)
    parts = ("accounts", "numbers", "owners", "transactions", "statements")
    assert {part for part in parts if getattr(told, part)} == GIVEN[kind]


@pytest.mark.parametrize("kind", JobKind)
async def test_every_job_tells_the_same_of_the_accounts(kind):
    assert (await run(kind=kind)).accounts == (await run(kind=JobKind.BALANCE)).accounts


async def test_an_aggregation_can_leave_out_transactions():
    assert (await run(include_transactions=False)).transactions == ()


async def test_a_job_the_institution_does_not_offer_fails():
    with pytest.raises(BankError):
        await run(kind=JobKind.STATEMENT, institution="driftmark_federal_credit_union")


async def test_mxuser_has_checking_and_savings_first():
    first, second = (await run()).accounts[:2]
    assert (first.name, first.type) == ("MX Bank Checking", "CHECKING")
    assert (second.name, second.type) == ("MX Bank Savings", "SAVINGS")


async def test_numbers_survive_json_in_every_sdk():
    for persona in PERSONAS:
        told = await run(f"ann+persona={persona}", kind=JobKind.VERIFICATION)
        payable = [each.id for each in told.accounts if each.type in {"CHECKING", "SAVINGS"}]
        assert [each.account_id for each in told.numbers] == payable
        for each in told.numbers:
            assert str(int(each.account_number)) == each.account_number
            assert int(each.account_number) < 2**31
            assert rtn.is_valid(each.routing_number)
            assert each.passed_validation
            mask = next(
                account for account in told.accounts if account.id == each.account_id
            ).account_number_mask
            assert each.account_number.endswith(mask)


async def test_mx_bank_gives_an_owners_full_name_and_others_its_parts():
    (at_mx, *_), (at_mxcu, *_) = [
        (await run(kind=JobKind.IDENTIFICATION, institution=code)).owners
        for code in ("mxbank", "mxcu_credential")
    ]
    assert (at_mx.first_name, at_mx.last_name) == (None, None)
    assert at_mx.owner_name == at_mxcu.owner_name == f"{at_mxcu.first_name} {at_mxcu.last_name}"
    assert at_mx.phone.startswith("+1")
    assert at_mx.phone[5:10] == "55501"


async def test_a_canadian_institution_is_canadian():
    told = await run(kind=JobKind.VERIFICATION, institution="loonwater_bank")
    assert_canadian(told)
    owners = (await run(kind=JobKind.IDENTIFICATION, institution="loonwater_bank")).owners
    assert {each.country for each in owners} == {"CA"}


def test_no_number_owner_or_login_shows_in_a_repr():
    told = asyncio.run(run(kind=JobKind.VERIFICATION))
    assert told.numbers[0].account_number not in repr(told)
    owners = asyncio.run(run(kind=JobKind.IDENTIFICATION))
    assert owners.owners[0].owner_name not in repr(owners)


# -- controls ----------------------------------------------------------------------------------------------

FAILURES = {
    "http_500": BankFailed,
    "http_503": BankUnavailable,
    "timed_out": BankTimedOut,
    "locked": LoginLocked,
    "impeded": ActionNeeded,
    "consent_revoked": ConsentRevoked,
    "login_closed": LoginClosed,
    "discontinued": ConnectionDiscontinued,
}


async def everything(login: str) -> Run:
    """What all kinds of job together tell of a login, statements aside."""
    told = await run(login)
    numbers = (await run(login, kind=JobKind.VERIFICATION)).numbers
    return replace(told, numbers=numbers, owners=(await run(login, kind=JobKind.IDENTIFICATION)).owners)


def assert_canadian(told: Run) -> None:
    assert {each.currency_code for each in (*told.accounts, *told.transactions)} == {"CAD"}
    for each in told.numbers:
        assert each.routing_number is None
        assert (len(each.institution_number), len(each.transit_number)) == (3, 5)
        assert each.account_number.isdecimal()


def closed(plain: Run, told: Run) -> None:
    first, *rest = told.accounts
    assert (first.is_closed, first.balance) == (True, Decimal("0.00"))
    assert not any(each.is_closed for each in rest)
    assert first.id not in {each.account_id for each in told.transactions}


def nsf(plain: Run, told: Run) -> None:
    for before, each in zip(plain.accounts, told.accounts, strict=True):
        is_deposit = each.type in {"CHECKING", "SAVINGS"}
        assert (each.balance == Decimal("7.31")) == is_deposit
        assert each.id == before.id
    assert told.transactions


def no_tx(plain: Run, told: Run) -> None:
    assert told == replace(plain, transactions=())


def pending_only(plain: Run, told: Run) -> None:
    assert told.transactions
    assert {each.status for each in told.transactions} == {"PENDING"}
    assert {each.posted_at for each in told.transactions} == {None}


def joint(plain: Run, told: Run) -> None:
    assert len(told.owners) == 2 * len(told.accounts)
    assert {each.account_ownership for each in told.accounts} == {"JOINT"}
    assert len({each.owner_name for each in told.owners}) == 2
    assert {each.owner_name for each in plain.owners} < {each.owner_name for each in told.owners}


def no_owner(plain: Run, told: Run) -> None:
    assert plain.owners
    assert not told.owners


def name_mismatch(plain: Run, told: Run) -> None:
    assert {each.owner_name for each in told.owners}.isdisjoint(each.owner_name for each in plain.owners)


def business(plain: Run, told: Run) -> None:
    assert all(each.is_business for each in told.accounts)
    assert not any(each.is_business for each in plain.accounts)
    assert all(each.owner_name.endswith("LLC") for each in told.owners)


def leading_zeros(plain: Run, told: Run) -> None:
    for each in told.numbers:
        assert each.account_number.startswith("00")
        assert each.routing_number.startswith("0")
        assert rtn.is_valid(each.routing_number)


def seventeen_digits(plain: Run, told: Run) -> None:
    assert {len(each.account_number) for each in told.numbers} == {17}
    assert not any(each.account_number.startswith("0") for each in told.numbers)


def canadian(plain: Run, told: Run) -> None:
    assert_canadian(told)


def tokenized(plain: Run, told: Run) -> None:
    masks = {each.id: each.account_number_mask for each in told.accounts}
    assert not any(each.account_number.endswith(masks[each.account_id]) for each in told.numbers)


def wrong_number(plain: Run, told: Run) -> None:
    for each in told.numbers:
        assert not each.passed_validation
        assert not rtn.is_valid(each.routing_number)


def unusable_rows(plain: Run, told: Run) -> None:
    kept = {each.id: each for each in told.transactions}
    assert list(kept) == [each.id for each in plain.transactions]
    assert len(told.transactions) == len(kept) + 1
    assert sum(each.amount for each in kept.values()) == sum(each.amount for each in plain.transactions)
    assert max(len(each.memo or "") for each in kept.values()) == 1_000
    assert not any("\0" in each.description for each in kept.values())
    assert set(told.skipped) == {("BankTransaction", field) for field in ("id", "amount", "account_id")}


def empty(plain: Run, told: Run) -> None:
    parts = ("accounts", "numbers", "owners", "transactions", "statements")
    assert not any(getattr(told, part) for part in parts)


def persona(plain: Run, told: Run) -> None:
    assert [each.type for each in told.accounts] == ["CHECKING", "PREPAID"]


SHOWN: dict[str, tuple[str, Callable[[Run, Run], None]]] = {
    check.__name__: (check.__name__, check)
    for check in (
        nsf, no_tx, pending_only, joint, no_owner, name_mismatch, business, leading_zeros, seventeen_digits,
        canadian, tokenized, wrong_number, unusable_rows, empty,
    )
} | {"closed_account": ("closed_account", closed), "persona": ("persona=thin-file", persona)}  # fmt: skip
ELSEWHERE = {"many_tx", "mfa_twice", "slow", "hang", "flaky"}


def test_every_control_has_its_test():
    assert {*FAILURES, *SHOWN, *ELSEWHERE} == set(CONTROLS)


@pytest.mark.parametrize(("control", "error"), FAILURES.items())
async def test_a_control_can_make_the_bank_fail(control, error):
    with pytest.raises(error):
        await run(f"mxuser+{control}")


@pytest.mark.parametrize(("word", "check"), SHOWN.values(), ids=SHOWN)
async def test_a_control_changes_what_the_bank_tells(word, check):
    check(await everything("mxuser"), await everything(f"mxuser+{word}"))


async def test_many_tx_adds_to_the_transactions_and_not_to_the_balance():
    plain, told = [await run(login) for login in ("mxuser", "mxuser+many_tx=4000")]
    assert len(told.transactions) - len(plain.transactions) in range(480, 510)
    assert told.accounts == plain.accounts
    assert {each.id for each in plain.transactions} < {each.id for each in told.transactions}


async def test_controls_add_up():
    told = await everything("mxuser+joint+no_tx+seventeen_digits")
    assert (len(told.owners), told.transactions) == (2 * len(told.accounts), ())
    assert len(told.numbers[0].account_number) == 17


async def test_a_control_leaves_the_accounts_the_same():
    assert [each.id for each in (await run("ann+joint")).accounts] == [
        each.id for each in (await run("ann")).accounts
    ]


async def test_a_token_number_is_for_one_connection():
    task = Task(JobKind.VERIFICATION, "mxbank", "MBR-2", NOW)
    other = await run_connector(BANK, task, {"LOGIN": "mxuser+tokenized", "PASSWORD": "x"})
    own = await run("mxuser+tokenized", kind=JobKind.VERIFICATION)
    assert own.numbers[0].account_number != other.numbers[0].account_number
    assert own == await run("mxuser+tokenized", kind=JobKind.VERIFICATION)


async def test_mfa_twice_wants_two_right_answers():
    login = "mxuser+mfa_twice"
    first = await run(login)
    second = await run(login, answer="correct", asked=first)
    assert not second.is_finished
    assert (await run(login, answer="correct", asked=second)).is_finished
    with pytest.raises(AnswerRejected):
        await run(login, answer="x", asked=second)


async def test_slow_takes_its_time():
    loop = asyncio.get_running_loop()
    before = loop.time()
    await run("mxuser+slow=0.05", kind=JobKind.BALANCE)
    assert loop.time() - before >= 0.05


async def test_hang_never_answers():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run("mxuser+hang"), 0.05)


async def test_flaky_fails_for_its_share_of_attempts_and_the_same_way_each_time():
    async def failed(login: str, second: int) -> bool:
        try:
            await run(login, kind=JobKind.BALANCE, now=NOW + timedelta(seconds=second))
        except BankUnavailable:
            return True
        return False

    half = [await failed("u+empty+flaky", n) for n in range(200)]
    assert 60 < sum(half) < 140
    assert half == [await failed("u+empty+flaky", n) for n in range(200)]
    assert not any([await failed("u+empty+flaky=0", n) for n in range(50)])
    assert all([await failed("u+empty+flaky=1", n) for n in range(50)])


async def test_another_attempt_at_a_flaky_bank_may_succeed():
    outcomes = set()
    for attempt in range(1, 21):
        try:
            outcomes.add((await run("u+empty+flaky", attempt=attempt)).is_finished)
        except BankUnavailable as error:
            outcomes.add(type(error))
    assert outcomes == {True, BankUnavailable}


@pytest.mark.parametrize(
    "login", ["mxuser+typo", "mxuser+", "+", "a+persona=king", "a+slow=x", "a+slow=-1", "a+slow=nan"]
)
async def test_a_control_that_is_not_there_is_denied_without_repeating_the_login(login):
    with pytest.raises(CredentialsDenied) as caught:
        await run(login)
    assert login not in str(caught.value)


async def test_an_e_mail_address_is_a_login_without_controls():
    assert (await run("ann+locked@mail.example")).is_finished
