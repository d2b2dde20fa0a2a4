"""What a login and a password at the sandbox bank lead to: every row of its two tables."""

import asyncio
import base64
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from coatcheck.clock import SystemClock
from coatcheck.connectors.contract import ChallengeType, Finished, JobKind, NeedsAnswers, Task
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.connectors.sandbox.logins import CONTROLS
from coatcheck.connectors.sandbox.numbers import is_routing_number
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

BANK = SandboxBank(seed=1, base_url="http://coatcheck.test", clock=SystemClock())
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


async def run_connector(
    login="mxuser",
    password="any",
    kind=JobKind.AGGREGATION,
    *,
    institution="mxbank",
    answer=None,
    asked=None,
    **more,
):
    """One sitting; `answer` answers the question of the sitting `asked`."""
    task = Task(kind, institution, "MBR-1", **{"now": NOW, **more})
    answers = None if asked is None else {asked.questions[0].key: answer}
    state = None if asked is None else asked.state
    return await BANK.run(task, {"LOGIN": login, "PASSWORD": password}, answers, state)


@pytest.mark.parametrize("institution", ["mxbank", "mxcu_credential", "lanternfish_bank", "loonwater_bank"])
async def test_any_other_password_gives_the_accounts(institution):
    told = await run_connector(institution=institution)
    assert isinstance(told, Finished)
    assert 2 <= len(told.accounts) <= 8


@pytest.mark.parametrize(("word", "error", "status"), ERROR_WORDS)
async def test_an_error_word_as_password_is_that_error(word, error, status):
    with pytest.raises(error) as caught:
        await run_connector(password=word)
    assert caught.value.status == status


@pytest.mark.parametrize("word", ["locked", "Challenge", "correct"])
async def test_passwords_are_case_sensitive(word):
    assert isinstance(await run_connector(password=word), Finished)


@pytest.mark.parametrize(
    "credentials", [{}, {"LOGIN": "", "PASSWORD": "x"}, {"LOGIN": "mxuser", "PASSWORD": ""}]
)
async def test_an_empty_login_or_password_is_missing(credentials):
    with pytest.raises(CredentialsMissing):
        await BANK.run(Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW), credentials, None, None)


@pytest.mark.parametrize(("password", "kind"), QUESTIONS.items())
async def test_a_question_word_asks_and_the_right_answer_opens(password, kind):
    asking = await run_connector(password=password)
    assert isinstance(asking, NeedsAnswers)
    (question,) = asking.questions
    assert question.type == kind
    assert bool(question.options) == (kind in {ChallengeType.OPTIONS, ChallengeType.IMAGE_OPTIONS})
    assert bool(question.image_data) == (kind == ChallengeType.IMAGE_DATA)
    assert isinstance(await run_connector(password=password, answer="correct", asked=asking), Finished)


@pytest.mark.parametrize("password", QUESTIONS)
@pytest.mark.parametrize("answer", ["", "wrong", "Correct", "correct "])
async def test_any_other_answer_is_rejected(password, answer):
    with pytest.raises(AnswerRejected):
        await run_connector(password=password, answer=answer, asked=await run_connector(password=password))


@pytest.mark.parametrize("password", QUESTIONS)
@pytest.mark.parametrize(("word", "error", "status"), ERROR_WORDS)
async def test_an_error_word_as_answer_is_that_error(password, word, error, status):
    with pytest.raises(error) as caught:
        await run_connector(password=password, answer=word, asked=await run_connector(password=password))
    assert caught.value.status == status


@pytest.mark.parametrize("password", QUESTIONS)
async def test_challenge_as_answer_asks_a_second_time(password):
    first = await run_connector(password=password)
    second = await run_connector(password=password, answer="challenge", asked=first)
    assert isinstance(second, NeedsAnswers)
    assert second.questions[0].key != first.questions[0].key
    assert isinstance(await run_connector(password=password, answer="correct", asked=second), Finished)


async def test_the_first_answer_does_not_answer_the_second_question():
    first = await run_connector(password="challenge")
    second = await run_connector(password="challenge", answer="challenge", asked=first)
    with pytest.raises(AnswerRejected):
        await BANK.run(
            Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW),
            {"LOGIN": "mxuser", "PASSWORD": "challenge"},
            {first.questions[0].key: "correct"},
            second.state,
        )


async def test_a_new_sitting_asks_again():
    assert await run_connector(password="token") == await run_connector(password="token")


@pytest.mark.parametrize("password", ["options", "image_options"])
async def test_of_the_options_one_is_right_and_the_others_are_not(password):
    asking = await run_connector(password=password)
    values = [option.value for option in asking.questions[0].options]
    assert values.count("correct") == 1
    for value in set(values) - {"correct", "challenge"}:
        with pytest.raises(BankError):
            await run_connector(password=password, answer=value, asked=asking)


async def test_the_pictures_are_png():
    picture = (await run_connector(password="image")).questions[0].image_data
    shapes = [
        option.data_uri for option in (await run_connector(password="image_options")).questions[0].options
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
    assert await run_connector("test_atrium", "password", JobKind.HISTORY) == await run_connector(
        "mxuser", "x", JobKind.HISTORY
    )


async def test_each_login_and_each_institution_has_accounts_of_its_own():
    told = [
        await run_connector("ann"),
        await run_connector("bob"),
        await run_connector("ann", institution="lanternfish_bank"),
    ]
    ids = [account.id for each in told for account in each.accounts]
    assert len(ids) == len(set(ids))


async def test_another_seed_is_another_world():
    other = SandboxBank(seed=2, base_url="http://coatcheck.test", clock=SystemClock())
    task = Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW)
    told = await other.run(task, {"LOGIN": "mxuser", "PASSWORD": "x"}, None, None)
    assert {each.id for each in told.accounts}.isdisjoint(
        each.id for each in (await run_connector()).accounts
    )


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
    told = await run_connector(kind=kind)
    parts = ("accounts", "numbers", "owners", "transactions", "statements")
    assert {part for part in parts if getattr(told, part)} == GIVEN[kind]


@pytest.mark.parametrize("kind", JobKind)
async def test_every_job_tells_the_same_of_the_accounts(kind):
    assert (await run_connector(kind=kind)).accounts == (await run_connector(kind=JobKind.BALANCE)).accounts


async def test_an_aggregation_can_leave_out_transactions():
    assert (await run_connector(include_transactions=False)).transactions == ()


async def test_a_job_the_institution_does_not_offer_fails():
    with pytest.raises(BankError):
        await run_connector(kind=JobKind.STATEMENT, institution="driftmark_federal_credit_union")


async def test_mxuser_has_checking_and_savings_first():
    first, second = (await run_connector()).accounts[:2]
    assert (first.name, first.type) == ("MX Bank Checking", "CHECKING")
    assert (second.name, second.type) == ("MX Bank Savings", "SAVINGS")


async def test_numbers_survive_json_in_every_sdk():
    for persona in PERSONAS:
        told = await run_connector(f"ann+persona={persona}", kind=JobKind.VERIFICATION)
        payable = [each.id for each in told.accounts if each.type in {"CHECKING", "SAVINGS"}]
        assert [each.account_id for each in told.numbers] == payable
        for each in told.numbers:
            assert str(int(each.account_number)) == each.account_number
            assert int(each.account_number) < 2**31
            assert is_routing_number(each.routing_number)
            assert each.passed_validation
            assert not each.is_tokenized
            mask = next(
                account for account in told.accounts if account.id == each.account_id
            ).account_number_mask
            assert each.account_number.endswith(mask)


async def test_mx_bank_gives_an_owners_full_name_and_others_its_parts():
    (at_mx, *_), (at_mxcu, *_) = [
        (await run_connector(kind=JobKind.IDENTIFICATION, institution=code)).owners
        for code in ("mxbank", "mxcu_credential")
    ]
    assert (at_mx.first_name, at_mx.last_name) == (None, None)
    assert at_mx.owner_name == at_mxcu.owner_name == f"{at_mxcu.first_name} {at_mxcu.last_name}"
    assert at_mx.phone.startswith("+1")
    assert at_mx.phone[5:10] == "55501"


async def test_a_canadian_institution_is_canadian():
    told = await run_connector(kind=JobKind.VERIFICATION, institution="loonwater_bank")
    assert_canadian(told)
    owners = (await run_connector(kind=JobKind.IDENTIFICATION, institution="loonwater_bank")).owners
    assert {each.country for each in owners} == {"CA"}


def test_no_number_owner_or_login_shows_in_a_repr():
    told = asyncio.run(run_connector(kind=JobKind.VERIFICATION))
    assert told.numbers[0].account_number not in repr(told)
    owners = asyncio.run(run_connector(kind=JobKind.IDENTIFICATION))
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


async def everything(login: str) -> Finished:
    """What all kinds of job together tell of a login, statements aside."""
    told = await run_connector(login)
    numbers = (await run_connector(login, kind=JobKind.VERIFICATION)).numbers
    return replace(
        told, numbers=numbers, owners=(await run_connector(login, kind=JobKind.IDENTIFICATION)).owners
    )


def assert_canadian(told: Finished) -> None:
    assert {each.currency_code for each in (*told.accounts, *told.transactions)} == {"CAD"}
    for each in told.numbers:
        assert each.routing_number is None
        assert (len(each.institution_number), len(each.transit_number)) == (3, 5)
        assert each.account_number.isdecimal()


def closed(plain: Finished, told: Finished) -> None:
    first, *rest = told.accounts
    assert (first.is_closed, first.balance) == (True, Decimal("0.00"))
    assert not any(each.is_closed for each in rest)
    assert first.id not in {each.account_id for each in told.transactions}


def nsf(plain: Finished, told: Finished) -> None:
    for before, each in zip(plain.accounts, told.accounts, strict=True):
        is_deposit = each.type in {"CHECKING", "SAVINGS"}
        assert (each.balance == Decimal("7.31")) == is_deposit
        assert each.id == before.id
    assert told.transactions


def no_tx(plain: Finished, told: Finished) -> None:
    assert told == replace(plain, transactions=())


def pending_only(plain: Finished, told: Finished) -> None:
    assert told.transactions
    assert {each.status for each in told.transactions} == {"PENDING"}
    assert {each.posted_at for each in told.transactions} == {None}


def joint(plain: Finished, told: Finished) -> None:
    assert len(told.owners) == 2 * len(told.accounts)
    assert {each.account_ownership for each in told.accounts} == {"JOINT"}
    assert len({each.owner_name for each in told.owners}) == 2
    assert {each.owner_name for each in plain.owners} < {each.owner_name for each in told.owners}


def no_owner(plain: Finished, told: Finished) -> None:
    assert plain.owners
    assert not told.owners


def name_mismatch(plain: Finished, told: Finished) -> None:
    assert {each.owner_name for each in told.owners}.isdisjoint(each.owner_name for each in plain.owners)


def business(plain: Finished, told: Finished) -> None:
    assert all(each.is_business for each in told.accounts)
    assert not any(each.is_business for each in plain.accounts)
    assert all(each.owner_name.endswith("LLC") for each in told.owners)


def leading_zeros(plain: Finished, told: Finished) -> None:
    for each in told.numbers:
        assert each.account_number.startswith("00")
        assert each.routing_number.startswith("0")
        assert is_routing_number(each.routing_number)


def seventeen_digits(plain: Finished, told: Finished) -> None:
    assert {len(each.account_number) for each in told.numbers} == {17}
    assert not any(each.account_number.startswith("0") for each in told.numbers)


def canadian(plain: Finished, told: Finished) -> None:
    assert_canadian(told)


def tokenized(plain: Finished, told: Finished) -> None:
    assert all(each.is_tokenized for each in told.numbers)
    masks = {each.id: each.account_number_mask for each in told.accounts}
    assert not any(each.account_number.endswith(masks[each.account_id]) for each in told.numbers)


def wrong_number(plain: Finished, told: Finished) -> None:
    for each in told.numbers:
        assert not each.passed_validation
        assert not is_routing_number(each.routing_number)


def empty(plain: Finished, told: Finished) -> None:
    assert told == Finished(())


def persona(plain: Finished, told: Finished) -> None:
    assert [each.type for each in told.accounts] == ["CHECKING", "PREPAID"]


SHOWN: dict[str, tuple[str, Callable[[Finished, Finished], None]]] = {
    check.__name__: (check.__name__, check)
    for check in (
        nsf, no_tx, pending_only, joint, no_owner, name_mismatch, business, leading_zeros, seventeen_digits,
        canadian, tokenized, wrong_number, empty,
    )
} | {"closed_account": ("closed_account", closed), "persona": ("persona=thin-file", persona)}  # fmt: skip
ELSEWHERE = {"many_tx", "mfa_twice", "slow", "hang", "flaky"}


def test_every_control_has_its_test():
    assert {*FAILURES, *SHOWN, *ELSEWHERE} == set(CONTROLS)


@pytest.mark.parametrize(("control", "error"), FAILURES.items())
async def test_a_control_can_make_the_bank_fail(control, error):
    with pytest.raises(error):
        await run_connector(f"mxuser+{control}")


@pytest.mark.parametrize(("word", "check"), SHOWN.values(), ids=SHOWN)
async def test_a_control_changes_what_the_bank_tells(word, check):
    check(await everything("mxuser"), await everything(f"mxuser+{word}"))


async def test_many_tx_adds_to_the_transactions_and_not_to_the_balance():
    plain, told = [await run_connector(login) for login in ("mxuser", "mxuser+many_tx=4000")]
    assert len(told.transactions) - len(plain.transactions) in range(480, 510)
    assert told.accounts == plain.accounts
    assert {each.id for each in plain.transactions} < {each.id for each in told.transactions}


async def test_controls_add_up():
    told = await everything("mxuser+joint+no_tx+seventeen_digits")
    assert (len(told.owners), told.transactions) == (2 * len(told.accounts), ())
    assert len(told.numbers[0].account_number) == 17


async def test_a_control_leaves_the_accounts_the_same():
    assert [each.id for each in (await run_connector("ann+joint")).accounts] == [
        each.id for each in (await run_connector("ann")).accounts
    ]


async def test_a_token_number_is_for_one_connection():
    task = Task(JobKind.VERIFICATION, "mxbank", "MBR-2", NOW)
    other = await BANK.run(task, {"LOGIN": "mxuser+tokenized", "PASSWORD": "x"}, None, None)
    own = await run_connector("mxuser+tokenized", kind=JobKind.VERIFICATION)
    assert own.numbers[0].account_number != other.numbers[0].account_number
    assert own == await run_connector("mxuser+tokenized", kind=JobKind.VERIFICATION)


async def test_mfa_twice_wants_two_right_answers():
    login = "mxuser+mfa_twice"
    first = await run_connector(login)
    second = await run_connector(login, answer="correct", asked=first)
    assert isinstance(second, NeedsAnswers)
    assert isinstance(await run_connector(login, answer="correct", asked=second), Finished)
    with pytest.raises(AnswerRejected):
        await run_connector(login, answer="x", asked=second)


async def test_slow_takes_its_time():
    loop = asyncio.get_running_loop()
    before = loop.time()
    await run_connector("mxuser+slow=0.05", kind=JobKind.BALANCE)
    assert loop.time() - before >= 0.05


async def test_hang_never_answers():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_connector("mxuser+hang"), 0.05)


async def test_flaky_fails_for_its_share_of_attempts_and_the_same_way_each_time():
    async def failed(login: str, second: int) -> bool:
        try:
            await run_connector(login, kind=JobKind.BALANCE, now=NOW + timedelta(seconds=second))
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
            outcomes.add(type(await run_connector("u+empty+flaky", attempt=attempt)))
        except BankUnavailable as error:
            outcomes.add(type(error))
    assert outcomes == {Finished, BankUnavailable}


@pytest.mark.parametrize(
    "login", ["mxuser+typo", "mxuser+", "+", "a+persona=king", "a+slow=x", "a+slow=-1", "a+slow=nan"]
)
async def test_a_control_that_is_not_there_is_denied_without_repeating_the_login(login):
    with pytest.raises(CredentialsDenied) as caught:
        await run_connector(login)
    assert login not in str(caught.value)


async def test_an_e_mail_address_is_a_login_without_controls():
    assert isinstance(await run_connector("ann+locked@mail.example"), Finished)
