"""Puts a processor's own integration through a fixed set of failures, and reports how it did.

The processor runs as it does in production, with a sandbox as its Coatcheck. It offers three routes to be driven by
(`docs/how-to/processor-conformance.md`). What happens to the account happens in the sandbox, through its public API.
"""

import concurrent.futures
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import httpx

from coatcheck.testing.processor_trial import ANSWER, Failed, NotRun, Shown, Trial, id_in, until
from coatcheck.testing.sandbox import succeeded

NUMBERS = "GET /account/account_numbers"
SLOW = timedelta(seconds=4)
RETRY_AFTER = timedelta(seconds=1)
"""What the sandbox gives with a 429."""
SKEW = timedelta(days=1)


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Case:
    """A failure, and what a good processor does."""

    name: str
    title: str
    expects: str
    run: Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    outcome: Outcome
    found: str
    """What went wrong or is missing; empty if it passed."""
    seconds: float


def run_case(trial: Trial, case: Case) -> Result:
    """Runs one case.

    Raises:
        SandboxFailed: the sandbox refused a call, so nothing can be said of the processor.
    """
    began = time.monotonic()
    outcome, found = Outcome.PASSED, ""
    try:
        case.run(trial)
    except Failed as failed:
        outcome, found = Outcome.FAILED, str(failed)
    except NotRun as missing:
        outcome, found = Outcome.NOT_RUN, str(missing)
    return Result(case, outcome, found, time.monotonic() - began)


def _lost_answer(trial: Trial) -> None:
    code = trial.sandbox.code()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with trial.fault("POST /token", drop=True) as hits:
            adding = pool.submit(trial.processor.add, code)
            # The fault goes as soon as it has hit: the processor's repetition must be answered.
            for _ in until(ANSWER):
                if hits() or adding.done():
                    break
        answer = adding.result()
    # A processor that passes the trouble on is asked again, as its caller would do.
    account_id = id_in(answer) if answer.is_success else trial.processor.share(code)
    trial.expect_usable(account_id, code)


def _revoked(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    trial.expect_usable(account_id, code)
    succeeded(trial.sandbox.client.post(f"/coatcheck/grants/{trial.grant_of(code)}/revoke", json={}))
    trial.expect_unusable(account_id)


def _changed_numbers(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    trial.expect_usable(account_id, code)
    before = trial.numbers(code)
    trial.bank_event(code, "numbers_changed")
    assert trial.numbers(code) != before, "the sandbox changes them"
    if trial.is_listening():
        trial.delivered("account_numbers.changed", code.account_guid)
    trial.expect_usable(account_id, code)


def _with_control(control: str) -> Callable[[Trial], None]:
    def run(trial: Trial) -> None:
        code = trial.sandbox.code(controls=[control])
        trial.expect_usable(trial.processor.share(code), code)

    return run


def _closed_account(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    trial.expect_usable(account_id, code)
    trial.bank_event(code, "account_closed")
    trial.delivered("account.closed", code.account_guid)
    trial.expect_unusable(account_id)


def _slow(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    with trial.fault(NUMBERS, latency_ms=round(SLOW / timedelta(milliseconds=1))):
        _expect_passing_trouble(trial.processor.show(account_id))
    trial.expect_usable(account_id, code)


def _too_many_requests(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with trial.fault(NUMBERS, status=429) as hits:
            showing = pool.submit(trial.processor.show, account_id)
            for _ in until(ANSWER):
                if hits() or showing.done():
                    break
            # Not the whole time: a repetition right at its end is allowed, and must not be counted.
            time.sleep(0.8 * RETRY_AFTER.total_seconds())
            asked = hits()
        shown = showing.result()
    if asked > 1:
        raise Failed(f"It asked {asked} times before the time in `Retry-After` was over.")
    _expect_passing_trouble(shown)
    trial.expect_usable(account_id, code)


def _duplicate_webhook(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    trial.bank_event(code, "numbers_changed")
    trial.redeliver(trial.delivered("account_numbers.changed", code.account_guid))
    trial.expect_usable(account_id, code)


def _reordered_webhook(trial: Trial) -> None:
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    grant = trial.grant_of(code)
    for is_disabled in (True, False):
        changed = {"user": {"is_disabled": is_disabled}}
        succeeded(trial.sandbox.client.put(f"/users/{code.user_guid}", json=changed))
    suspended = trial.delivered("token.suspended", grant)
    trial.delivered("token.resumed", grant)
    trial.redeliver(suspended)
    trial.expect_usable(account_id, code)


def _expired(trial: Trial) -> None:
    code = trial.sandbox.code("read-protected expires-in:3600")
    account_id = trial.processor.share(code)
    trial.expect_usable(account_id, code)
    trial.sandbox.clock.advance(timedelta(hours=1, seconds=1))
    trial.expect_unusable(account_id)


def _clock_skew(trial: Trial) -> None:
    trial.sandbox.clock.advance(SKEW)
    code = trial.sandbox.code()
    account_id = trial.processor.share(code)
    trial.expect_usable(account_id, code)
    if trial.is_listening():
        trial.bank_event(code, "numbers_changed")
        trial.delivered("account_numbers.changed", code.account_guid)
        trial.expect_usable(account_id, code)


def _expect_passing_trouble(shown: Shown) -> None:
    """The processor has the account's numbers after all, or says that it cannot tell now."""
    if shown.http_status == httpx.codes.OK and shown.status == "usable" and shown.numbers is not None:
        return
    if shown.http_status != httpx.codes.SERVICE_UNAVAILABLE:
        raise Failed(
            f"It answered {shown.http_status} with the status {shown.status!r} in passing trouble. It should wait, or "
            "answer 503."
        )


CASES: Sequence[Case] = (
    Case(
        "lost_answer",
        "The answer of the exchange is lost",
        "It exchanges the code again with the same Idempotency-Key and gets the same token.",
        _lost_answer,
    ),
    Case(
        "revoked", "The client revokes the grant between two reads", "It uses the account no more.", _revoked
    ),
    Case(
        "changed_numbers", "The bank changes the account number", "It uses the new number.", _changed_numbers
    ),
    Case(
        "leading_zeros",
        "The numbers begin with zeros",
        "It keeps every digit.",
        _with_control("leading_zeros"),
    ),
    Case(
        "seventeen_digits",
        "The account number has 17 digits",
        "It keeps every digit.",
        _with_control("seventeen_digits"),
    ),
    Case("closed_account", "The bank closes the account", "It uses the account no more.", _closed_account),
    Case(
        "slow",
        f"Coatcheck takes {SLOW.seconds} seconds for an answer",
        "It waits, or answers 503. The account stays usable.",
        _slow,
    ),
    Case(
        "too_many_requests",
        "Coatcheck answers 429",
        "It waits as long as Retry-After says, or answers 503. The account stays usable.",
        _too_many_requests,
    ),
    Case(
        "duplicate_webhook",
        "An event is delivered twice",
        "It accepts the second one too.",
        _duplicate_webhook,
    ),
    Case(
        "reordered_webhook",
        "An old event is delivered after a newer one",
        "It accepts the old event and changes nothing.",
        _reordered_webhook,
    ),
    Case("expired", "The grant expires", "It uses the account no more.", _expired),
    Case(
        "clock_skew",
        "Coatcheck's clock is a day ahead",
        "It relies on what Coatcheck answers, not on its own clock.",
        _clock_skew,
    ),
)
