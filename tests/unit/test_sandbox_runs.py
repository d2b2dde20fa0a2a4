"""Runs of the sandbox bank: the result of every special password, answer and control."""

import asyncio
import base64
import re
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from stdnum.us import rtn

from coatcheck.connectors.contract import ChallengeType, JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
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

ERROR_VALUES = [
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
    """One run. `answer` answers the question of the run `asked`."""
    task = Task(kind, institution, "MBR-1", **{"now": NOW, **more})
    answers = None if asked is None else {asked.needs_answers.questions[0].key: answer}
    resume = None if asked is None else asked.needs_answers.resume
    return await run_connector(
        BANK, task, {"LOGIN": login, "PASSWORD": password}, answers=answers, resume=resume
    )


@pytest.mark.parametrize("institution", ["mxbank", "mxcu_credential", "lanternfish_bank", "loonwater_bank"])
async def test_any_other_password_returns_the_accounts(institution):
    result = await run(institution=institution)
    assert result.is_finished
    assert 2 <= len(result.accounts) <= 8


@pytest.mark.parametrize(("word", "error", "status"), ERROR_VALUES)
async def test_an_error_value_as_password_raises_the_error(word, error, status):
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
async def test_a_challenge_password_asks_a_question_and_the_right_answer_connects(password, kind):
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
@pytest.mark.parametrize(("word", "error", "status"), ERROR_VALUES)
async def test_an_error_value_as_answer_raises_the_error(password, word, error, status):
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
async def test_one_option_is_right_and_the_others_are_wrong(password):
    asking = await run(password=password)
    values = [option.value for option in asking.needs_answers.questions[0].options]
    assert values.count("correct") == 1
    for value in set(values) - {"correct", "challenge"}:
        with pytest.raises(BankError):
            await run(password=password, answer=value, asked=asking)


async def test_the_images_are_png():
    image = (await run(password="image")).needs_answers.questions[0].image_data
    shapes = [
        option.data_uri for option in (await run(password="image_options")).needs_answers.questions[0].options
    ]
    assert len(set(shapes)) == 3
    for uri in (image, *shapes):
        media_type, _, data = uri.partition(",")
        png = base64.b64decode(data)
        assert media_type == "data:image/png;base64"
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        size = int.from_bytes(png[33:37])
        width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
        assert len(zlib.decompress(png[41 : 41 + size])) == (width + 1) * height


async def test_test_atrium_is_mxuser():
    assert await run("test_atrium", "password", JobKind.HISTORY) == await run("mxuser", "x", JobKind.HISTORY)


async def test_each_login_at_each_institution_has_its_own_accounts():
    result = [
        await run("ann"),
        await run("bob"),
        await run("ann", institution="lanternfish_bank"),
    ]
    ids = [account.id for each in result for account in each.accounts]
    assert len(ids) == len(set(ids))


async def test_another_seed_gives_other_accounts():
    other = SandboxBank(connector_context(SandboxSettings(seed=2)))
    task = Task(JobKind.BALANCE, "mxbank", "MBR-1", NOW)
    result = await run_connector(other, task, {"LOGIN": "mxuser", "PASSWORD": "x"})
    assert {each.id for each in result.accounts}.isdisjoint(each.id for each in (await run()).accounts)


READ_PARTS = {
    JobKind.AGGREGATION: {"accounts", "transactions"},
    JobKind.HISTORY: {"accounts", "transactions"},
    JobKind.BALANCE: {"accounts"},
    JobKind.VERIFICATION: {"accounts", "numbers"},
    JobKind.IDENTIFICATION: {"accounts", "owners"},
    JobKind.STATEMENT: {"accounts", "statements"},
}


@pytest.mark.parametrize("kind", JobKind)
async def test_a_job_reads_the_data_of_its_kind_and_nothing_else(kind):
    result = await run(kind=kind)
    parts = ("accounts", "numbers", "owners", "transactions", "statements")
    assert {part for part in parts if getattr(result, part)} == READ_PARTS[kind]


@pytest.mark.parametrize("kind", JobKind)
async def test_every_job_returns_the_same_accounts(kind):
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


async def test_numbers_are_integers_that_every_sdk_can_decode():
    for persona in PERSONAS:
        result = await run(f"ann+persona={persona}", kind=JobKind.VERIFICATION)
        payable = [each.id for each in result.accounts if each.type in {"CHECKING", "SAVINGS"}]
        assert [each.account_id for each in result.numbers] == payable
        for each in result.numbers:
            assert str(int(each.account_number)) == each.account_number
            assert int(each.account_number) < 2**31
            assert rtn.is_valid(each.routing_number)
            assert each.passed_validation
            mask = next(
                account for account in result.accounts if account.id == each.account_id
            ).account_number_mask
            assert each.account_number.endswith(mask)


async def test_mx_bank_returns_only_the_full_name_of_an_owner():
    (at_mx, *_), (at_mxcu, *_) = [
        (await run(kind=JobKind.IDENTIFICATION, institution=code)).owners
        for code in ("mxbank", "mxcu_credential")
    ]
    assert (at_mx.first_name, at_mx.last_name) == (None, None)
    assert at_mx.owner_name == at_mxcu.owner_name == f"{at_mxcu.first_name} {at_mxcu.last_name}"
    assert at_mx.phone.startswith("+1")
    assert at_mx.phone[5:10] == "55501"


async def test_a_canadian_institution_has_canadian_numbers_and_owners():
    result = await run(kind=JobKind.VERIFICATION, institution="loonwater_bank")
    assert_canadian(result)
    owners = (await run(kind=JobKind.IDENTIFICATION, institution="loonwater_bank")).owners
    assert {each.country for each in owners} == {"CA"}


def test_a_repr_contains_no_number_and_no_owner():
    result = asyncio.run(run(kind=JobKind.VERIFICATION))
    assert result.numbers[0].account_number not in repr(result)
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
    """The results of all kinds of job for a login, without statements."""
    result = await run(login)
    numbers = (await run(login, kind=JobKind.VERIFICATION)).numbers
    return replace(result, numbers=numbers, owners=(await run(login, kind=JobKind.IDENTIFICATION)).owners)


def assert_canadian(result: Run) -> None:
    assert {each.currency_code for each in (*result.accounts, *result.transactions)} == {"CAD"}
    for each in result.numbers:
        assert each.routing_number is None
        assert (len(each.institution_number), len(each.transit_number)) == (3, 5)
        assert each.account_number.isdecimal()


def closed(baseline: Run, result: Run) -> None:
    first, *rest = result.accounts
    assert (first.is_closed, first.balance) == (True, Decimal("0.00"))
    assert not any(each.is_closed for each in rest)
    assert first.id not in {each.account_id for each in result.transactions}


def nsf(baseline: Run, result: Run) -> None:
    for before, each in zip(baseline.accounts, result.accounts, strict=True):
        is_deposit = each.type in {"CHECKING", "SAVINGS"}
        assert (each.balance == Decimal("7.31")) == is_deposit
        assert each.id == before.id
    assert result.transactions


def no_tx(baseline: Run, result: Run) -> None:
    assert result == replace(baseline, transactions=())


def pending_only(baseline: Run, result: Run) -> None:
    assert result.transactions
    assert {each.status for each in result.transactions} == {"PENDING"}
    assert {each.posted_at for each in result.transactions} == {None}


def joint(baseline: Run, result: Run) -> None:
    assert len(result.owners) == 2 * len(result.accounts)
    assert {each.account_ownership for each in result.accounts} == {"JOINT"}
    assert len({each.owner_name for each in result.owners}) == 2
    assert {each.owner_name for each in baseline.owners} < {each.owner_name for each in result.owners}


def no_owner(baseline: Run, result: Run) -> None:
    assert baseline.owners
    assert not result.owners


def name_mismatch(baseline: Run, result: Run) -> None:
    assert {each.owner_name for each in result.owners}.isdisjoint(each.owner_name for each in baseline.owners)


def name_variant(baseline: Run, result: Run) -> None:
    for usual, owner in zip(baseline.owners, result.owners, strict=True):
        first, last = (unaccented(each) for each in usual.owner_name.split(" ", 1))
        assert owner.owner_name == f"{first} {last[0]} {last} JR".upper()
        assert (owner.address, owner.phone) == (usual.address, usual.phone)


def no_phone(baseline: Run, result: Run) -> None:
    assert all(each.phone for each in baseline.owners)
    assert result.owners == tuple(replace(each, phone=None) for each in baseline.owners)


def po_box(baseline: Run, result: Run) -> None:
    for usual, owner in zip(baseline.owners, result.owners, strict=True):
        assert re.fullmatch(r"PO Box [0-9]{3,4}", owner.address)
        assert replace(owner, address=usual.address) == usual


def unaccented(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def business(baseline: Run, result: Run) -> None:
    assert all(each.is_business for each in result.accounts)
    assert not any(each.is_business for each in baseline.accounts)
    assert all(each.owner_name.endswith("LLC") for each in result.owners)


def leading_zeros(baseline: Run, result: Run) -> None:
    for each in result.numbers:
        assert each.account_number.startswith("00")
        assert each.routing_number.startswith("0")
        assert rtn.is_valid(each.routing_number)


def seventeen_digits(baseline: Run, result: Run) -> None:
    assert {len(each.account_number) for each in result.numbers} == {17}
    assert not any(each.account_number.startswith("0") for each in result.numbers)


def canadian(baseline: Run, result: Run) -> None:
    assert_canadian(result)


def tokenized(baseline: Run, result: Run) -> None:
    masks = {each.id: each.account_number_mask for each in result.accounts}
    assert not any(each.account_number.endswith(masks[each.account_id]) for each in result.numbers)


def wrong_number(baseline: Run, result: Run) -> None:
    for each in result.numbers:
        assert not each.passed_validation
        assert not rtn.is_valid(each.routing_number)


def unusable_rows(baseline: Run, result: Run) -> None:
    kept = {each.id: each for each in result.transactions}
    assert list(kept) == [each.id for each in baseline.transactions]
    assert len(result.transactions) == len(kept) + 1
    assert sum(each.amount for each in kept.values()) == sum(each.amount for each in baseline.transactions)
    assert max(len(each.memo or "") for each in kept.values()) == 1_000
    assert not any("\0" in each.description for each in kept.values())
    assert set(result.skipped) == {("BankTransaction", field) for field in ("id", "amount", "account_id")}


def empty(baseline: Run, result: Run) -> None:
    parts = ("accounts", "numbers", "owners", "transactions", "statements")
    assert not any(getattr(result, part) for part in parts)


def persona(baseline: Run, result: Run) -> None:
    assert [each.type for each in result.accounts] == ["CHECKING", "PREPAID"]


DATA_CONTROLS: dict[str, tuple[str, Callable[[Run, Run], None]]] = {
    check.__name__: (check.__name__, check)
    for check in (
        nsf, no_tx, pending_only, joint, no_owner, name_mismatch, name_variant, no_phone, po_box, business,
        leading_zeros, seventeen_digits, canadian, tokenized, wrong_number, unusable_rows, empty,
    )
} | {"closed_account": ("closed_account", closed), "persona": ("persona=thin-file", persona)}  # fmt: skip


@pytest.mark.parametrize(("control", "error"), FAILURES.items())
async def test_a_control_can_make_the_bank_fail(control, error):
    with pytest.raises(error):
        await run(f"mxuser+{control}")


@pytest.mark.parametrize(("word", "check"), DATA_CONTROLS.values(), ids=DATA_CONTROLS)
async def test_a_control_changes_the_data(word, check):
    check(await everything("mxuser"), await everything(f"mxuser+{word}"))


async def test_many_tx_adds_transactions_and_keeps_the_balance():
    baseline, result = [await run(login) for login in ("mxuser", "mxuser+many_tx=4000")]
    assert len(result.transactions) - len(baseline.transactions) in range(480, 510)
    assert result.accounts == baseline.accounts
    assert {each.id for each in baseline.transactions} < {each.id for each in result.transactions}


async def test_controls_can_be_combined():
    result = await everything("mxuser+joint+no_tx+seventeen_digits")
    assert (len(result.owners), result.transactions) == (2 * len(result.accounts), ())
    assert len(result.numbers[0].account_number) == 17


async def test_a_control_does_not_change_the_accounts():
    assert [each.id for each in (await run("ann+joint")).accounts] == [
        each.id for each in (await run("ann")).accounts
    ]


async def test_a_tokenized_number_belongs_to_one_member():
    task = Task(JobKind.VERIFICATION, "mxbank", "MBR-2", NOW)
    other = await run_connector(BANK, task, {"LOGIN": "mxuser+tokenized", "PASSWORD": "x"})
    own = await run("mxuser+tokenized", kind=JobKind.VERIFICATION)
    assert own.numbers[0].account_number != other.numbers[0].account_number
    assert own == await run("mxuser+tokenized", kind=JobKind.VERIFICATION)


async def test_mfa_twice_needs_two_right_answers():
    login = "mxuser+mfa_twice"
    first = await run(login)
    second = await run(login, answer="correct", asked=first)
    assert not second.is_finished
    assert (await run(login, answer="correct", asked=second)).is_finished
    with pytest.raises(AnswerRejected):
        await run(login, answer="x", asked=second)


async def test_slow_waits_for_the_given_seconds():
    loop = asyncio.get_running_loop()
    before = loop.time()
    await run("mxuser+slow=0.05", kind=JobKind.BALANCE)
    assert loop.time() - before >= 0.05


async def test_hang_never_answers():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run("mxuser+hang"), 0.05)


async def test_flaky_fails_for_its_share_of_attempts_and_is_reproducible():
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


@pytest.mark.parametrize(
    ("window", "is_open"),
    [
        ("15:00-16:00", False), ("16:00-17:00", True), ("15:30-15:31", False), ("15:00-15:30", True),
        ("22:00-15:31", False), ("22:00-15:30", True), ("00:00-00:00", False),
    ],
)  # fmt: skip
async def test_the_bank_is_unavailable_in_its_maintenance_window_only(window, is_open):
    login = f"mxuser+maintenance={window}"
    if is_open:
        assert (await run(login)).is_finished
    else:
        with pytest.raises(BankUnavailable):
            await run(login)


async def test_the_clock_of_the_bank_stands_at_noon_of_the_day():
    result = await run("mxuser+clock=2025-03-01")
    noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert result == await run("mxuser", now=noon)
    assert max(each.transacted_at for each in result.transactions) <= noon


@pytest.mark.parametrize(
    "login", ["mxuser+backdated", "mxuser+schema_drift+duplicate_tx", "mxuser+unusable_rows"]
)
async def test_controls_of_transactions_can_be_combined(login):
    assert (await run(f"{login}+reordered_pages+currency_cad")).is_finished


async def test_another_attempt_at_a_flaky_bank_may_succeed():
    outcomes = set()
    for attempt in range(1, 21):
        try:
            outcomes.add((await run("u+empty+flaky", attempt=attempt)).is_finished)
        except BankUnavailable as error:
            outcomes.add(type(error))
    assert outcomes == {True, BankUnavailable}


@pytest.mark.parametrize(
    "login",
    [
        "mxuser+typo", "mxuser+", "+", "a+persona=king", "a+persona", "a+slow=x", "a+slow=-1", "a+slow=nan",
        "a+joint=2", "a+nsf+nsf", "a+flaky=2", "a+clock", "a+clock=2026-02-30", "a+clock=1066-10-14",
        "a+maintenance=25:00-26:00", "a+maintenance=02:00", "a+many_tx=1e9",
    ],
)  # fmt: skip
async def test_an_unknown_control_is_denied_without_quoting_the_login(login):
    with pytest.raises(CredentialsDenied) as caught:
        await run(login)
    assert login not in str(caught.value)


async def test_an_e_mail_address_is_a_login_without_controls():
    assert (await run("ann+locked@mail.example")).is_finished
