"""The controls of the sandbox bank: words that change what it does for one login.

A control is given in the login (`alice+nsf+slow=5s`), by the sandbox's API or in a world file. This module is the only
list of them: the login, the API, the world file, the authorization page and docs/reference/sandbox-bank.md read it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from coatcheck.connectors.sandbox.personas import PERSONAS

MAX_NUMBER = 1e6
YEARS = range(2000, 2100)
"""The years to which `clock` can set the bank."""


class Window(NamedTuple):
    """A time of each day, in UTC. It includes midnight if the end is not after the start."""

    start: time
    end: time

    def includes(self, at: time) -> bool:
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


@dataclass(frozen=True, slots=True)
class Argument:
    """What follows `=`."""

    placeholder: str
    expected: str
    """What it must be, for the message of a refusal."""
    parse: Callable[[str], Any]
    """The value of the text. Raises ValueError if it has none."""
    default: str | None
    """The text where none is given; None if one must be."""


@dataclass(frozen=True, slots=True)
class Control:
    name: str
    bank: str
    """What the bank does."""
    client: str
    """What a client sees at MX's API."""
    processor: str
    """What a processor sees with a token for the account."""
    argument: Argument | None = None
    former_name: str | None = None
    """A name that works too."""


class InvalidControl(ValueError):
    """A control is unknown, or its argument is not usable."""


def _number(text: str, most: float = MAX_NUMBER) -> float:
    value = float(text)
    if not 0 <= value <= most:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    return _number(text.removesuffix("s"))


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day.year not in YEARS:
        raise ValueError
    return day


def _window(text: str) -> Window:
    start, _, end = text.partition("-")
    return Window(time.fromisoformat(start), time.fromisoformat(end))


def _persona(text: str) -> str:
    name = text.replace("-", "_")
    if name not in PERSONAS:
        raise ValueError
    return name


_SECONDS = partial(Argument, "<seconds>s", "a number of seconds, such as 5s", _seconds)
_SAME = "The same."
_NOTHING_YET = "There is no token yet: the member has no accounts."
_LAST = "What was read before; tokens go on working."
_BROKEN = "403 `connection_broken`, until the user has repaired the connection."
_FAILED = "`connection_status` FAILED; DEGRADED after a background aggregation."

_EVERY = (
    Control(
        "persona",
        "Selects the household.",
        f"The accounts of the persona: {', '.join(PERSONAS)}.",
        "The account of that household.",
        Argument("<name>", f"one of {', '.join(PERSONAS)}", _persona, None),
    ),
    # --- accounts and balances ---
    Control(
        "empty", "The login has no accounts.", "CONNECTED, without accounts.", "There is no account to read."
    ),
    Control(
        "closed_account",
        "The first checking account is closed, at 0.00 and without transactions.",
        "`is_closed` of the account is true, its `balance` 0.00.",
        "The balance 0.00 and no transactions.",
    ),
    Control(
        "frozen",
        "Checking and savings accounts are frozen: their money is there, and none is available.",
        "`available_balance` 0.00 beside an unchanged `balance`.",
        "`available_balance` 0.00 at `/payment_account`.",
    ),
    Control(
        "nsf",
        "The balance of checking and savings is always 7.31: every movement is offset immediately.",
        "`balance` 7.31, and transactions that add up to nothing.",
        "The balance 7.31: too little for a payment.",
    ),
    Control(
        "currency_cad",
        "Amounts are Canadian dollars, with numbers of the United States.",
        "`currency_code` CAD of accounts and transactions.",
        "`currency_code` CAD of transactions.",
    ),
    Control(
        "unreadable_account",
        "From the second aggregation on, the bank lists the first account without its balance and its transactions.",
        "The account stays as it was; `provenance.fetched_at` in v20250224 says when it was read.",
        "What was read before. With `max_age`, 503 `not_fresh`.",
    ),
    # --- transactions ---
    Control("no_tx", "The bank returns no transactions.", "No transactions; the balances stay.", _SAME),
    Control(
        "many_tx",
        "The first account has 10,000 more transactions in 24 months, or as many as given.",
        "A history of many pages.",
        _SAME,
        Argument("<count>", "a number of transactions", _number, "10000"),
    ),
    Control(
        "duplicate_tx",
        "The five newest posted transactions of the first account are listed twice, under two ids.",
        "Pairs of equal transactions with different guids.",
        _SAME,
    ),
    Control(
        "reordered_pages",
        "The pages of transactions arrive newest first, and the first page twice.",
        "Each transaction once, sorted as always. The order of the guids is not that of the dates.",
        _SAME,
    ),
    Control(
        "backdated",
        "Every fifth posted transaction of the first account is dated ten days before it arrives.",
        "Transactions whose `date` is ten days before `posted_at`.",
        _SAME,
    ),
    Control(
        "pending_only",
        "Transactions of the last five days are pending, and older ones are not returned.",
        "Only transactions with the `status` PENDING.",
        _SAME,
    ),
    Control(
        "unusable_rows",
        "Some transactions have a NUL or 5,000 characters in a text, one is repeated, and three cannot be stored.",
        "The text cut and cleaned, the repeated one once, the three left out.",
        _SAME,
    ),
    # --- owners ---
    Control(
        "joint", "Every account has a second owner.", "Two owners, `account_ownership` JOINT.", "Two owners."
    ),
    Control(
        "no_owner", "The bank returns no owners.", "No owners, `account_ownership` UNKNOWN.", "No owners."
    ),
    Control(
        "name_mismatch",
        "The owner is not the login's usual owner.",
        "Another `owner_name` than without the control.",
        "An owner who is not the person that it expects.",
    ),
    Control(
        "name_variant",
        "The owner's name is in capitals without accents, with an initial and a suffix.",
        "An `owner_name` such as `RENEE Q QUINONES JR`.",
        "The owner that it expects, spelled in another way.",
    ),
    Control(
        "no_phone",
        "The bank has no telephone number of the owners.",
        "Owners whose `phone` is null.",
        _SAME,
    ),
    Control(
        "po_box",
        "The owners have a post office box in place of a street.",
        "An `address` such as `PO Box 4711`.",
        _SAME,
    ),
    Control(
        "business",
        "Accounts are business accounts, owned by a company.",
        "An `owner_name` that ends in LLC.",
        _SAME,
    ),
    # --- account numbers ---
    Control(
        "leading_zeros",
        "Account numbers begin with two zeros, routing numbers with one.",
        "Both as text with their zeros.",
        "Both as JSON strings: an integer would lose the zeros.",
    ),
    Control(
        "seventeen_digits",
        "Account numbers have 17 digits, the longest that ACH carries.",
        "17 digits.",
        "17 digits.",
    ),
    Control(
        "canadian",
        "Institution and transit numbers instead of a routing number, and Canadian dollars.",
        "`institution_number` and `transit_number`, no `routing_number`; `currency_code` CAD.",
        "The same numbers.",
    ),
    Control(
        "tokenized_number",
        "Account numbers are valid only for this member and do not match the mask.",
        "Numbers that do not end in the account's mask; `is_tokenized` true in v20250224.",
        "A number that works for payments and is printed on no cheque; `is_tokenized` true in v20250224.",
        former_name="tokenized",
    ),
    Control(
        "wrong_number",
        "The routing number has a wrong check digit.",
        "`passed_validation` false.",
        "`passed_validation` false, and a routing number that no bank has.",
    ),
    # --- questions ---
    Control(
        "mfa_text", "The bank asks a security question.", "CHALLENGED, with a TEXT challenge.", _NOTHING_YET
    ),
    Control(
        "mfa_options",
        "The bank asks a question with options.",
        "CHALLENGED, with an OPTIONS challenge.",
        _NOTHING_YET,
    ),
    Control(
        "mfa_image",
        "The bank asks for the word in a picture.",
        "CHALLENGED, with an IMAGE_DATA challenge.",
        _NOTHING_YET,
    ),
    Control(
        "mfa_totp",
        "The bank asks for a one-time code.",
        "CHALLENGED, with a TOKEN challenge.",
        _NOTHING_YET,
    ),
    Control(
        "mfa_otp",
        "The bank asks where to send a one-time code, then for it. The user can get another one, or by another way.",
        "CHALLENGED, with an OPTIONS challenge, and then with a TOKEN challenge that has `options`.",
        _NOTHING_YET,
    ),
    Control(
        "mfa_twice",
        "The bank asks two questions, one after the other.",
        "CHALLENGED, and CHALLENGED again after the first right answer.",
        _NOTHING_YET,
    ),
    Control(
        "mfa_every_job",
        "The bank asks its question in every job, also in those of one request.",
        "CHALLENGED, and CHALLENGED again in the next job after the right answer.",
        _NOTHING_YET,
    ),
    Control(
        "wrong_then_right",
        "The bank asks a question, and refuses the first answer whatever it is. The next job accepts the right one.",
        "REJECTED after the first answer, CONNECTED after the second.",
        _NOTHING_YET,
    ),
    # --- the sign-in ---
    Control("locked", "The login is locked.", "`connection_status` LOCKED.", _LAST),
    Control(
        "impeded",
        "The user must act on the bank's own site first.",
        "`connection_status` IMPEDED.",
        _LAST,
    ),
    Control(
        "login_closed",
        "The user is no longer a customer.",
        "`connection_status` CLOSED.",
        _BROKEN,
    ),
    Control(
        "discontinued",
        "The bank no longer offers this connection.",
        "`connection_status` DISCONTINUED, permanently.",
        _LAST,
    ),
    Control(
        "consent_revoked",
        "The user withdrew the consent at the bank.",
        "`connection_status` DISCONNECTED.",
        _BROKEN,
    ),
    Control(
        "consent_expires_in",
        "The consent ends this long after the first run with the credentials. New credentials are a new consent.",
        "CONNECTED, and DISCONNECTED in the first job after that.",
        _BROKEN,
        _SECONDS("60s"),
    ),
    Control(
        "scope_reduced",
        "The user shares the first account only, without numbers, owners and statements.",
        "One account; no account numbers and no owners.",
        "No code is issued for the account (422), because its numbers were not read.",
    ),
    Control(
        "token_reuse",
        "From the second aggregation on, the bank takes its refresh token for a stolen one and ends the consent.",
        "CONNECTED, and DISCONNECTED after the second aggregation.",
        _BROKEN,
    ),
    # --- failures ---
    Control(
        "slow",
        "The bank takes this long.",
        "`is_being_aggregated` true for as long.",
        "Data that is older for as long.",
        _SECONDS("3s"),
    ),
    Control(
        "hang",
        "The bank never answers.",
        "`connection_status` DELAYED after `job_timeout`.",
        _LAST,
    ),
    Control(
        "timeout",
        "The bank times out at once.",
        "`connection_status` DELAYED; DEGRADED after a background aggregation.",
        _LAST,
        former_name="timed_out",
    ),
    Control(
        "flaky",
        "Half of all attempts fail with 503, or the share given; the seed decides which.",
        _FAILED,
        _LAST,
        Argument("<share>", "a share from 0 to 1, such as 0.3", partial(_number, most=1), "0.5"),
    ),
    Control("http_500", "The bank fails with 500.", _FAILED, _LAST),
    Control("http_503", "The bank is unavailable, 503.", _FAILED, _LAST),
    Control(
        "http_429",
        "The bank limits how often it is read, 429, with this `Retry-After`.",
        _FAILED,
        _LAST,
        _SECONDS("60s"),
    ),
    Control("truncated_body", "The bank's answer ends in the middle.", _FAILED, _LAST),
    Control("bad_json", "The bank's answer is not JSON.", _FAILED, _LAST),
    Control(
        "schema_drift",
        "The first account has a type, and its two newest transactions a status, that nobody knows.",
        "The `type` DIGITAL_WALLET of the account; the two transactions are left out.",
        "The two transactions are left out.",
    ),
    Control(
        "maintenance",
        "The bank is unavailable at this time of each day, in UTC; without an argument all day.",
        _FAILED,
        _LAST,
        Argument("<HH:MM>-<HH:MM>", "two times of a day, such as 02:00-04:00", _window, "00:00-00:00"),
    ),
    Control(
        "clock",
        "The bank is at noon of this day, whatever the time is.",
        "Balances and transactions of that day, and none later.",
        _SAME,
        Argument("<YYYY-MM-DD>", f"a day from {YEARS[0]} to {YEARS[-1]}, such as 2026-03-01", _day, None),
    ),
)
CONTROLS: Mapping[str, Control] = MappingProxyType({each.name: each for each in _EVERY})
"""Every control by its name, in the order of the documentation."""
_BY_NAME = {name: each for each in _EVERY for name in (each.name, each.former_name) if name}


def parse_controls(words: Iterable[str]) -> Mapping[str, str]:
    """The text of each control's argument by the control's name, such as `5s` by `slow`; empty without an argument.

    Raises:
        InvalidControl: a control is unknown or given twice, or its argument is not usable.
    """
    found: dict[str, str] = {}
    for word in words:
        name, has_argument, text = word.partition("=")
        if (control := _BY_NAME.get(name)) is None:
            raise InvalidControl(
                f"the sandbox bank has no control `{name[:50]}`. It has {', '.join(CONTROLS)}"
            )
        if control.name in found:
            raise InvalidControl(f"the control `{control.name}` is given twice")
        _check_argument(control, text if has_argument else None)
        found[control.name] = text
    return MappingProxyType(found)


def argument_of(name: str, text: str) -> Any:
    """The value of the text after `name=`, or of the default if the text is empty."""
    argument = CONTROLS[name].argument
    assert argument is not None
    return argument.parse(text or argument.default or "")


def _check_argument(control: Control, text: str | None) -> None:
    argument = control.argument
    if argument is None:
        if text is not None:
            raise InvalidControl(f"the control `{control.name}` has no argument")
        return
    try:
        argument.parse(text or argument.default or "")
    except ValueError:
        raise InvalidControl(
            f"the control `{control.name}` takes {argument.expected}: `{control.name}={argument.placeholder}`"
        ) from None
