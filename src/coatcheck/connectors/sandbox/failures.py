"""The controls that make a run wait or fail."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.sandbox.bank_side import BankEvent
from coatcheck.connectors.sandbox.controls import Window
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.numbers import seeded
from coatcheck.connectors.sandbox.sign_in import SignIn
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankError,
    BankFailed,
    BankRateLimited,
    BankTimedOut,
    BankUnavailable,
    ConnectionDiscontinued,
    ConsentRevoked,
    CredentialsDenied,
    LoginClosed,
    LoginLocked,
)

_ERRORS: Mapping[str, BankError] = MappingProxyType(
    {
        "http_500": BankFailed(),
        "http_503": BankUnavailable(),
        "timeout": BankTimedOut(),
        "locked": LoginLocked(),
        "impeded": ActionNeeded(),
        "consent_revoked": ConsentRevoked(),
        "login_closed": LoginClosed(),
        "discontinued": ConnectionDiscontinued(),
        "truncated_body": BankDataUnusable("The institution's answer ended in the middle."),
        "bad_json": BankDataUnusable("The institution's answer is not JSON."),
    }
)
"""What every run of a login with the control raises."""
_ENDINGS: Mapping[BankEvent, type[BankError]] = MappingProxyType(
    {
        BankEvent.CONSENT_REVOKED: ConsentRevoked,
        BankEvent.PASSWORD_CHANGED: CredentialsDenied,
        BankEvent.LOCKED: LoginLocked,
    }
)


async def wait(login: Login) -> None:
    if login.has("hang"):
        await asyncio.Event().wait()
    if login.has("slow"):
        await asyncio.sleep(login.argument("slow"))


def check(login: Login, sign_in: SignIn, task: Task, *, seed: int) -> None:
    """Raises the error of the login's controls, or of the end of the sign-in, if they make this run fail."""
    for control, error in _ERRORS.items():
        if login.has(control):
            # A new one: a raised error keeps its traceback, and with it the frames of every earlier raise.
            raise type(error)(error.problem)
    if sign_in.ended is not None:
        raise _ENDINGS[sign_in.ended]
    _check_consent(login, sign_in, task)
    if login.has("http_429"):
        seconds = login.argument("http_429")
        raise BankRateLimited(f"The institution may be read again in {seconds:g} seconds.")
    if login.has("maintenance"):
        _check_maintenance(login.argument("maintenance"), task.now)
    if login.has("flaky"):
        # Seeded with the attempt too, so that a retry can succeed.
        draw = seeded(seed, "flaky", task.member_guid, task.kind, task.now, task.attempt).random()
        if draw < login.argument("flaky"):
            raise BankUnavailable


def _check_consent(login: Login, sign_in: SignIn, task: Task) -> None:
    if login.has("consent_expires_in") and sign_in.since is not None:
        lifetime = timedelta(seconds=login.argument("consent_expires_in"))
        if task.now >= sign_in.since + lifetime:
            raise ConsentRevoked("The consent at the institution has expired.")
    if login.has("token_reuse") and sign_in.has_aggregated and task.kind is JobKind.AGGREGATION:
        raise ConsentRevoked("The institution ended the consent: a refresh token was used twice.")


def _check_maintenance(window: Window, now: datetime) -> None:
    if window.includes(now.time()):
        raise BankUnavailable(f"The institution is in maintenance until {window.end:%H:%M} UTC.")
