"""The sandbox bank as a connector."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode, urlsplit

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
from coatcheck.connectors.sandbox import bank_data, failures
from coatcheck.connectors.sandbox.authorization_page import CLIENT_ID, AuthorizationPages
from coatcheck.connectors.sandbox.bank_side import BankSide, decode_bank_side
from coatcheck.connectors.sandbox.challenges import (
    check_password,
    next_code,
    next_question,
    questions_of,
)
from coatcheck.connectors.sandbox.consent import Consents, Grant, challenge_of
from coatcheck.connectors.sandbox.household import household_of
from coatcheck.connectors.sandbox.institutions import institutions
from coatcheck.connectors.sandbox.logins import Login, parse_login
from coatcheck.connectors.sandbox.merchants import merchants
from coatcheck.connectors.sandbox.sign_in import SignIn, decode_sign_in
from coatcheck.connectors.sandbox.statements import statements
from coatcheck.connectors.sandbox.transactions import DEPENDENT, pages_of
from coatcheck.connectors.sandbox.translations import translate
from coatcheck.errors import (
    AnswerRejected,
    BankFailed,
    CredentialsMissing,
    JobNotSupported,
)


@dataclass(frozen=True, slots=True)
class _Generated:
    accounts: Sequence[BankAccount]
    numbers: Sequence[BankNumbers]
    owners: Sequence[BankOwner]
    transactions: Sequence[Sequence[BankTransaction]]
    """Pages."""
    statements: Sequence[BankStatement]


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    seed: int = 1
    """Determines all data of the sandbox bank."""


class SandboxBank(Connector):
    """The data is a function of the seed, the institution, the login and the time in the task.

    Credentials: any login, with controls (`controls.CONTROLS`). The password selects the outcome (`challenges`). The
    bank asks its questions once for the jobs of one request.
    """

    settings_type = SandboxSettings
    sends_deposits = True
    # Only with the control `backdated`, for which it lists all days, does it book with an earlier date.
    overlap = timedelta(days=1)
    overlap_of_pending = timedelta(0)

    def __init__(self, context: ConnectorContext[SandboxSettings]) -> None:
        super().__init__(context)
        self._seed = context.settings.seed
        self._clock = context.clock
        self._read_record = context.read_record
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

    @property
    def seed(self) -> int:
        """Determines all data of the bank."""
        return self._seed

    def accounts_of(self, institution_code: str, login: str, side: BankSide) -> tuple[str, tuple[str, ...]]:
        """The persona of a login, and the labels of its accounts.

        Raises:
            CredentialsDenied: the login has a control that the bank does not know.
        """
        customer = parse_login(login).with_side(side)
        household = household_of(self._seed, self._institutions[institution_code], customer)
        labels = [account.kind.label for account in household.accounts]
        return household.persona_name, tuple(
            each for each in labels if side.accounts is None or each in side.accounts
        )

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        task = session.task
        institution = self._institutions[task.institution_code]
        if task.kind not in institution.supports:
            raise BankFailed("The institution does not offer this.")
        login, password = _sign_in(institution, session.credentials)
        login = login.with_side(decode_bank_side(await self._read_record(task.member_guid)))
        if institution.supports_oauth:
            self._consents.check(institution.code, session.credentials)
        sign_in = decode_sign_in(session.state)
        await failures.wait(login)
        failures.check(login, sign_in, task, seed=self._seed)
        check_password(password)
        # Saved at once, because the error below ends the run, and with it what the run would save.
        if session.answers is not None and login.has("wrong_then_right") and not sign_in.has_refused_answer:
            await session.save_state(replace(sign_in, has_refused_answer=True).encode())
            raise AnswerRejected
        if needs_answers := _next_question(login, password, session):
            return needs_answers
        unread: frozenset[str] = frozenset()
        if not login.has("empty"):
            at_bank = replace(task, now=_time_at_bank(login, task.now))
            if _is_short(login, task):
                generated = self._generate(at_bank, institution, login)
            else:
                # In a thread, because generating is CPU-bound and would block the event loop and its lease renewals.
                generated = await asyncio.to_thread(self._generate, at_bank, institution, login)
            if (
                login.has("unreadable_account")
                and sign_in.has_aggregated
                and task.kind is JobKind.AGGREGATION
            ):
                unread = frozenset(each.id for each in generated.accounts[:1])
            await self._add(session, generated, unread)
        return Finished(
            state=_remembered(login, sign_in, task),
            unread_accounts=unread,
            keeps_sign_in=not login.has("mfa_every_job"),
        )

    def translate(self, text: str, language: str) -> str:
        return translate(text, language)

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
        if request.client_name:
            query["app"] = request.client_name
        if request.language:
            query["ui_locales"] = request.language
        if request.kinds:
            query["data"] = " ".join(request.kinds)
        return f"{self._authorize_url}?{urlencode(query)}"

    def allow(self, page_url: str, login: str) -> str:
        """The code that a user gets who signs in with `login` on the page at this URL of `authorize`, and allows it."""
        request = dict(parse_qsl(urlsplit(page_url).query))
        grant = Grant(request["institution"], request["redirect_uri"], request["code_challenge"])
        return self._consents.issue_code(login, grant, self._clock.now())

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
        records = bank_data.lazy_records_of(
            self._seed, institution, login, household, since=task.since, now=task.now
        )
        kind = task.kind
        return _Generated(
            accounts=bank_data.accounts(records),
            numbers=bank_data.numbers(records, task.member_guid) if kind is JobKind.VERIFICATION else (),
            owners=bank_data.owners(records) if kind is JobKind.IDENTIFICATION else (),
            transactions=pages_of(records, task.since, task.known_since) if task.wants_transactions else (),
            statements=_statements(records) if kind is JobKind.STATEMENT else (),
        )

    async def _add(self, session: Session, generated: _Generated, unread: Collection[str]) -> None:
        await session.add_accounts(each for each in generated.accounts if each.id not in unread)
        await session.add_numbers(generated.numbers)
        await session.add_owners(generated.owners)
        for page in generated.transactions:
            await session.add_transactions(each for each in page if each.account_id not in unread)
        await session.add_statements(generated.statements)


def _next_question(login: Login, password: str, session: Session) -> NeedsAnswers | None:
    if login.has("mfa_otp"):
        return next_code(session.answers, session.resume)
    return next_question(*questions_of(login, password), session.answers, session.resume)


def _is_short(login: Login, task: Task) -> bool:
    """Whether the run reads a few days only, of months that are in memory or take milliseconds."""
    return (
        task.kind is JobKind.AGGREGATION
        and bool(task.known_since)
        and not any(map(login.has, ("many_tx", *DEPENDENT)))
    )


def _remembered(login: Login, sign_in: SignIn, task: Task) -> bytes | None:
    """The member's state after a run, if one of its controls needs it."""
    if not any(map(login.has, ("consent_expires_in", "token_reuse", "unreadable_account"))):
        return None
    has_aggregated = sign_in.has_aggregated or task.kind is JobKind.AGGREGATION
    return replace(sign_in, since=sign_in.since or task.now, has_aggregated=has_aggregated).encode()


def _time_at_bank(login: Login, now: datetime) -> datetime:
    return datetime.combine(login.argument("clock"), time(12), UTC) if login.has("clock") else now


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
