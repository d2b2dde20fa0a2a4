"""The sandbox bank as a connector."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlencode

from coatcheck.connectors.contract import (
    ASGIApp,
    AuthorizationRequest,
    AuthorizationResponse,
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    Connector,
    ConnectorContext,
    Deposits,
    Finished,
    Institution,
    JobKind,
    Merchant,
    NeedsAnswers,
    Session,
    Task,
)
from coatcheck.connectors.sandbox import bank_data
from coatcheck.connectors.sandbox.authorization_page import CLIENT_ID, AuthorizationPages
from coatcheck.connectors.sandbox.challenges import QUESTIONS, check_password, next_question
from coatcheck.connectors.sandbox.consent import Consents, Grant, challenge_of
from coatcheck.connectors.sandbox.household import household_of
from coatcheck.connectors.sandbox.institutions import institutions
from coatcheck.connectors.sandbox.logins import Login, parse_login
from coatcheck.connectors.sandbox.merchants import merchants
from coatcheck.connectors.sandbox.numbers import seeded
from coatcheck.connectors.sandbox.statements import statements
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

_ERROR_CONTROLS: Mapping[str, type[BankError]] = MappingProxyType(
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
"""Controls that make a run fail."""

PAGE = 500
"""The number of transactions in one call of `add_transactions`."""


@dataclass(frozen=True, slots=True)
class _Generated:
    accounts: Sequence[BankAccount]
    numbers: Sequence[BankNumbers]
    owners: Sequence[BankOwner]
    transactions: Sequence[BankTransaction]
    statements: Sequence[BankStatement]


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    seed: int = 1
    """Determines all data of the sandbox bank."""


class SandboxBank(Connector):
    """The data is a function of the seed, the institution, the login and the time in the task.

    Credentials: any login, with controls (`logins.CONTROLS`). The password selects the outcome (`challenges`). The
    bank keeps no state, so it asks its questions in every job.
    """

    settings_type = SandboxSettings
    sends_deposits = True

    def __init__(self, context: ConnectorContext[SandboxSettings]) -> None:
        super().__init__(context)
        self._seed = context.settings.seed
        self._clock = context.clock
        self._institutions = {institution.code: institution for institution in institutions()}
        self._consents = Consents(self._seed)
        self._authorize_url = f"{context.pages_url}/authorize"
        self._pages = AuthorizationPages(
            self._institutions, self._consents, redirect_uri=context.redirect_uri, clock=context.clock
        )

    @property
    def pages(self) -> ASGIApp:
        return self._pages

    def institutions(self) -> Sequence[Institution]:
        return tuple(self._institutions.values())

    def merchants(self) -> Sequence[Merchant]:
        return merchants()

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        task = session.task
        institution = self._institutions[task.institution_code]
        if task.kind not in institution.supports:
            raise BankFailed("The institution does not offer this.")
        login, password = _sign_in(institution, session.credentials)
        if institution.supports_oauth:
            self._consents.check(institution.code, session.credentials)
        await self._apply_failure_controls(login, task)
        check_password(password)
        kind = QUESTIONS.get(password)
        rounds = 2 if login.has("mfa_twice") else 1 if kind else 0
        if needs_answers := next_question(kind, rounds, session.answers, session.resume):
            return needs_answers
        if not login.has("empty"):
            # In a thread, because generating is CPU-bound and would block the event loop and its lease renewals.
            await self._add(session, await asyncio.to_thread(self._generate, task, institution, login))
        return Finished()

    async def authorize(self, request: AuthorizationRequest) -> str:
        if not self._institutions[request.institution_code].supports_oauth:
            raise JobNotSupported
        query = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "institution": request.institution_code,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "code_challenge": request.code_challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._authorize_url}?{urlencode(query)}"

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        grant = Grant(response.institution_code, response.redirect_uri, challenge_of(response.code_verifier))
        return self._consents.redeem(response.code, grant, self._clock.now())

    async def send_deposits(self, *, routing_number: str, account_number: str, now: datetime) -> Deposits:  # noqa: ARG002 (the contract names it)
        """Computes the amounts from the account number, so that a tester knows them.

        The first amount is the last digit plus 1, the second is the second-to-last digit plus 11, in cents: 1234567842
        receives 0.03 and 0.15. They arrive at 14:00 UTC on the next weekday, or immediately if the number begins
        with 3333.
        """
        second_to_last, last = (
            int(digit) for digit in f"00{''.join(filter(str.isdecimal, account_number))}"[-2:]
        )
        amounts = (Decimal(last + 1) / 100, Decimal(second_to_last + 11) / 100)
        arrive_at = now if account_number.startswith("3333") else _next_weekday(now)
        return Deposits(amounts, arrive_at)

    def _generate(self, task: Task, institution: Institution, login: Login) -> _Generated:
        household = household_of(self._seed, institution, login)
        records = bank_data.records_of(
            self._seed, institution, login, household, since=task.since, now=task.now
        )
        kind = task.kind
        return _Generated(
            accounts=bank_data.accounts(records),
            numbers=bank_data.numbers(records, task.member_guid) if kind is JobKind.VERIFICATION else (),
            owners=bank_data.owners(records) if kind is JobKind.IDENTIFICATION else (),
            transactions=_transactions(records, task) if task.wants_transactions else (),
            statements=_statements(records) if kind is JobKind.STATEMENT else (),
        )

    async def _add(self, session: Session, generated: _Generated) -> None:
        await session.add_accounts(generated.accounts)
        await session.add_numbers(generated.numbers)
        await session.add_owners(generated.owners)
        for start in range(0, len(generated.transactions), PAGE):
            await session.add_transactions(generated.transactions[start : start + PAGE])
        await session.add_statements(generated.statements)

    async def _apply_failure_controls(self, login: Login, task: Task) -> None:
        """Waits or raises an error, according to the login's controls."""
        if login.has("hang"):
            await asyncio.Event().wait()
        if login.has("slow"):
            await asyncio.sleep(login.number("slow", 3))
        for control, error in _ERROR_CONTROLS.items():
            if login.has(control):
                raise error
        # Seeded with the attempt too, so that a retry can succeed.
        draw = seeded(self._seed, "flaky", task.member_guid, task.kind, task.now, task.attempt).random()
        if login.has("flaky") and draw < login.number("flaky", 0.5):
            raise BankUnavailable


def _transactions(records: bank_data.BankRecords, task: Task) -> Sequence[BankTransaction]:
    rows = bank_data.transactions(records, task.since)
    return _with_unusable_rows(rows) if records.login.has("unusable_rows") else rows


def _with_unusable_rows(rows: Sequence[BankTransaction]) -> Sequence[BankTransaction]:
    """The transactions, with unusable text in some and with rows that cannot be stored."""
    if len(rows) < 2:
        return rows
    first, second, *others = rows
    return [
        replace(first, description=f"{first.description}\0"),
        replace(second, memo="long " * 1_000),
        *others,
        replace(second, memo="long " * 1_000),
        replace(first, id=""),
        replace(first, id="not-a-number", amount=Decimal("NaN")),
        replace(first, id="of-no-account", account_id="unknown"),
    ]


def _statements(records: bank_data.BankRecords) -> Sequence[BankStatement]:
    from coatcheck.connectors.sandbox import pdf  # noqa: PLC0415 (imports reportlab, which the web process never needs)

    return [
        BankStatement(
            account_id=each.account_id, id=f"{each.account_id}-{each.end:%Y-%m}", pdf=pdf.render(each)
        )
        for each in statements(records)
    ]


def _sign_in(institution: Institution, credentials: Mapping[str, str]) -> tuple[Login, str]:
    """The login and the password.

    Raises:
        CredentialsMissing: one of them is empty.
    """
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
