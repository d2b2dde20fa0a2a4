"""The sandbox bank as a connector."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlencode

from coatcheck.clock import Clock
from coatcheck.connectors.contract import (
    ASGIApp,
    BankStatement,
    Connector,
    Deposits,
    Finished,
    Institution,
    JobKind,
    Merchant,
    NeedsAnswers,
    Task,
)
from coatcheck.connectors.sandbox import bank_data
from coatcheck.connectors.sandbox.authorization_page import CLIENT_ID, ConsentSite
from coatcheck.connectors.sandbox.challenges import QUESTIONS, check_password, next_question
from coatcheck.connectors.sandbox.consent import Consents, Grant, challenge_of
from coatcheck.connectors.sandbox.household import household
from coatcheck.connectors.sandbox.institutions import institutions
from coatcheck.connectors.sandbox.logins import Login, parse_login
from coatcheck.connectors.sandbox.merchants import merchants
from coatcheck.connectors.sandbox.numbers import seeded
from coatcheck.connectors.sandbox.statements import MONTHS, statements
from coatcheck.errors import (
    ActionNeeded,
    BankError,
    BankFailed,
    BankTimedOut,
    BankUnavailable,
    ConnectionDiscontinued,
    ConsentRevoked,
    CredentialsMissing,
    JobNotSupported,
    LoginClosed,
    LoginLocked,
)

_FAILING: Mapping[str, type[BankError]] = MappingProxyType(
    {
        "http_500": BankFailed,
        "http_503": BankUnavailable,
        "timed_out": BankTimedOut,
        "locked": LoginLocked,
        "impeded": ActionNeeded,
        "consent_revoked": ConsentRevoked,
        "login_closed": LoginClosed,
        "discontinued": ConnectionDiscontinued,
    }
)
"""Controls that end a sitting with an error."""

_DAYS: Mapping[JobKind, int] = MappingProxyType(
    {
        JobKind.AGGREGATION: 90,
        JobKind.HISTORY: 730,
        JobKind.STATEMENT: 31 * MONTHS,
    }
)
"""How far back the books are read."""


class SandboxBank(Connector):
    """Everything it says follows from the seed, the institution, the login and the time in the task.

    Credentials: any login, with controls (`logins.CONTROLS`); the password decides (`challenges`). It keeps
    nothing between sittings and asks its questions anew in each.
    """

    name = "sandbox"
    sends_deposits = True

    def __init__(self, *, seed: int, base_url: str, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._institutions = {institution.code: institution for institution in institutions()}
        self._consents = Consents(seed)
        self._page = f"{base_url.rstrip('/')}/banks/{self.name}/authorize"
        self.site: ASGIApp | None = ConsentSite(
            self._institutions,
            self._consents,
            redirect_uri=f"{base_url.rstrip('/')}/oauth/callback",
            clock=clock,
        )

    def institutions(self) -> Sequence[Institution]:
        return tuple(self._institutions.values())

    def merchants(self) -> Sequence[Merchant]:
        return merchants()

    async def run(
        self,
        task: Task,
        credentials: Mapping[str, str],
        answers: Mapping[str, str] | None,
        state: bytes | None,
    ) -> Finished | NeedsAnswers:
        institution = self._institutions[task.institution_code]
        if task.kind not in institution.supports:
            raise BankFailed("The institution does not offer this.")
        login, password = _signed_in(institution, credentials)
        if institution.supports_oauth:
            self._consents.check(institution.code, credentials)
        await self._misbehave(login, task)
        check_password(password)
        kind = QUESTIONS.get(password)
        rounds = 2 if login.has("mfa_twice") else 1 if kind else 0
        if asking := next_question(kind, rounds, answers, state):
            return asking
        return await asyncio.to_thread(self._read, task, institution, login)

    def authorize(self, *, institution_code: str, state: str, redirect_uri: str, code_challenge: str) -> str:
        if not self._institutions[institution_code].supports_oauth:
            raise JobNotSupported
        request = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "institution": institution_code,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._page}?{urlencode(request)}"

    async def complete(
        self, *, institution_code: str, code: str, code_verifier: str, redirect_uri: str
    ) -> Mapping[str, str]:
        grant = Grant(institution_code, redirect_uri, challenge_of(code_verifier))
        return self._consents.redeem(code, grant, self._clock.now())

    async def send_deposits(self, *, routing_number: str, account_number: str, now: datetime) -> Deposits:  # noqa: ARG002 (the contract's)
        """Sends amounts that a tester can tell from the account number.

        The first is the last digit plus 1 cents, the second the last digit but one plus 11 cents: 0.03 and
        0.15 go to 1234567842. They arrive at 14:00 UTC of the next weekday, at once where the number begins
        with 3333.
        """
        before, last = (int(digit) for digit in f"00{''.join(filter(str.isdecimal, account_number))}"[-2:])
        amounts = (Decimal(last + 1) / 100, Decimal(before + 11) / 100)
        arrive_at = now if account_number.startswith("3333") else _next_weekday(now)
        return Deposits(amounts, arrive_at)

    def _read(self, task: Task, institution: Institution, login: Login) -> Finished:
        """What the task asks for. Computed, so it is CPU time: kept off the event loop."""
        home = household(self._seed, institution, login)
        if login.has("empty"):
            return Finished(())
        since = task.now.date() - timedelta(days=_DAYS.get(task.kind, 0))
        at_desk = bank_data.session(self._seed, institution, login, home, since=since, now=task.now)
        wants_transactions = task.kind is JobKind.HISTORY or (
            task.kind is JobKind.AGGREGATION and task.include_transactions
        )
        return Finished(
            accounts=bank_data.accounts(at_desk),
            numbers=bank_data.numbers(at_desk, task.member_guid) if task.kind is JobKind.VERIFICATION else (),
            owners=bank_data.owners(at_desk) if task.kind is JobKind.IDENTIFICATION else (),
            transactions=bank_data.transactions(at_desk, since) if wants_transactions else (),
            statements=_printed(at_desk) if task.kind is JobKind.STATEMENT else (),
        )

    async def _misbehave(self, login: Login, task: Task) -> None:
        """Does what the login's controls say about the connection itself."""
        if login.has("hang"):
            await asyncio.Event().wait()
        if login.has("slow"):
            await asyncio.sleep(login.number("slow", 3))
        for control, failure in _FAILING.items():
            if login.has(control):
                raise failure
        draw = seeded(self._seed, "flaky", task.member_guid, task.kind, task.now, task.attempt).random()
        if login.has("flaky") and draw < login.number("flaky", 0.5):
            raise BankUnavailable


def _printed(session: bank_data.BankSession) -> tuple[BankStatement, ...]:
    from coatcheck.connectors.sandbox import pdf  # noqa: PLC0415 (web and worker load the same connector; only the worker's jobs get here, and the web process is spared reportlab)

    return tuple(
        BankStatement(
            account_id=each.account_id,
            id=f"{each.account_id}-{each.end:%Y-%m}",
            period_end=each.end,
            pdf=pdf.printed(each),
        )
        for each in statements(session)
    )


def _signed_in(institution: Institution, credentials: Mapping[str, str]) -> tuple[Login, str]:
    login = credentials.get("LOGIN", "")
    password = credentials.get("PASSWORD", "")
    if not login or not (password or institution.supports_oauth):
        raise CredentialsMissing
    return parse_login(login), password


def _next_weekday(now: datetime) -> datetime:
    arrival = now.replace(hour=14, minute=0, second=0) + timedelta(days=1)
    while arrival.weekday() >= 5:
        arrival += timedelta(days=1)
    return arrival
