"""The conformance checks find each fault that they are there for, and accept a connector without one."""

import asyncio
import itertools
from decimal import Decimal

import httpx
import pytest

from coatcheck.connectors.contract import (
    BankAccount,
    BankTransaction,
    ChallengeType,
    Connector,
    CredentialField,
    Finished,
    Institution,
    JobKind,
    NeedsAnswers,
    Question,
)
from coatcheck.errors import AnswerRejected, BankDataUnusable, BankError, BankFailed, ConsentRevoked
from coatcheck.testing.connectors import NOW, ConnectorUnderTest, conformance_checks, connector_context

FIRST, LATER = "the first run may fail at every request", "a later run may fail at every request"
CANCELLED = "a cancelled run ends and breaks nothing"
TWICE = "a disconnection may be repeated"
FAILING_DISCONNECTION = "a disconnection may fail at every request"
FAULTS = {
    "none": set(),
    "saves the secret at the end": {FIRST, LATER, CANCELLED},
    "saves the secret without waiting": {FIRST, LATER, CANCELLED},
    "goes on when cancelled": {FIRST, LATER, CANCELLED},
    "lets errors of its own through": {FIRST, LATER, FAILING_DISCONNECTION},
    "repeats the login in its errors": {FIRST, LATER},
    "goes on when the session has ended": {"a lost job ends the run"},
    "makes up ids": {"a second process gives the same ids"},
    "has one guid twice": {"institutions have unique codes and guids"},
    "gives no transactions": {"every kind of job finishes"},
    "gives rows that cannot be stored": {"every kind of job finishes"},
    "gives one endless page": {"every kind of job finishes"},
    "accepts every answer": {"a wrong answer is rejected"},
    "asks for ever": {"right answers lead to accounts", "a wrong answer is rejected"},
    "finds an account for everybody": {"a login without accounts finishes"},
    "forgets an account without a balance": {"an account that cannot be read stays open"},
    "ends no access": {
        "a deleted member has no access",
        TWICE,
        "a member that was never read is disconnected",
    },
    "fails if the access has ended": {TWICE, FAILING_DISCONNECTION},
}
"""Each with the checks that must find it."""
NUMBERS = itertools.count(1)


class Bank:
    """Replaces the secret at every call; a spent one breaks the connection."""

    def __init__(self):
        self.secret, self.is_broken, self.is_open = "secret-0", False, True
        self.has_balance = True

    def __call__(self, request):
        if request.method == "DELETE":
            was_open, self.is_open = self.is_open, False
            return httpx.Response(200 if was_open else 404, json={})
        self.is_broken = self.is_broken or request.headers["secret"] != self.secret
        if self.is_broken:
            return httpx.Response(401)
        self.secret = f"secret-{next(NUMBERS)}"
        return httpx.Response(200, json={"secret": self.secret, "has_balance": self.has_balance})


class Example(Connector):
    has_disconnect = True

    def __init__(self, context, fault):
        super().__init__(context)
        self._http, self._fault, self._has_balance = context.http, fault, True

    def institutions(self):
        fields = (CredentialField("CRD-1", "LOGIN", "TEXT", "Login", 1),)
        codes = ("bank", "other")
        guids = ("INS-1", "INS-1" if self._fault == "has one guid twice" else "INS-2")
        kinds = frozenset({JobKind.AGGREGATION, JobKind.BALANCE})
        return [
            Institution(code, guid, code, "https://bank.example", supports=kinds, credentials=fields)
            for code, guid in zip(codes, guids, strict=True)
        ]

    async def run(self, session):
        login = session.credentials["LOGIN"]
        if login == "asked" and (question := self._question(session)):
            return question
        secret = session.state or b"secret-0"
        for _ in range(2):
            secret = await self._call(session, secret)
        unread = [] if self._has_balance or self._fault == "forgets an account without a balance" else ["a"]
        try:
            if self._has_balance:
                await self._add(session, login)
        except Exception:
            if self._fault != "goes on when the session has ended":
                raise
        return Finished(
            state=secret if self._fault == "saves the secret at the end" else None, unread_accounts=unread
        )

    async def disconnect(self, disconnection):
        if self._fault == "ends no access":
            return
        response = await self._http.trusted.delete("https://bank.example")
        if response.status_code == 404 and self._fault != "fails if the access has ended":
            return
        if response.status_code != 200:
            raise BankFailed
        try:
            response.json()
        except ValueError:
            if self._fault == "lets errors of its own through":
                raise
            raise BankDataUnusable from None

    def _question(self, session):
        if session.answers is None or self._fault == "asks for ever":
            return NeedsAnswers([Question("q", ChallengeType.TEXT, "?")], resume=b"asked")
        if session.answers["q"] != "right" and self._fault != "accepts every answer":
            raise AnswerRejected
        return None

    async def _call(self, session, secret):
        async def exchange():
            response = await self._http.trusted.post(
                "https://bank.example", headers={"secret": secret.decode()}
            )
            if response.status_code == 401:
                raise ConsentRevoked
            return self._next_secret(session, response)

        try:
            if self._fault == "saves the secret at the end":
                return await exchange()
            if self._fault == "saves the secret without waiting":
                new = await exchange()
                await session.save_state(new)
                return new
            return await session.rotate(exchange)
        except asyncio.CancelledError:
            if self._fault != "goes on when cancelled":
                raise
            return session.state or secret

    def _next_secret(self, session, response):
        if response.status_code != 200:
            login = session.credentials["LOGIN"]
            raise BankFailed(
                f"no answer for {login}" if self._fault == "repeats the login in its errors" else None
            )
        try:
            answer = response.json()
            self._has_balance = answer["has_balance"]
            return answer["secret"].encode()
        except ValueError:
            if self._fault == "lets errors of its own through":
                raise
            raise BankDataUnusable from None

    async def _add(self, session, login):
        if login == "empty" and self._fault != "finds an account for everybody":
            return
        await session.add_accounts([BankAccount("a", "Checking", "CHECKING", Decimal(1))])
        if session.task.wants_transactions and self._fault != "gives no transactions":
            await session.add_transactions(self._transactions())

    def _transactions(self):
        first = next(NUMBERS) if self._fault == "makes up ids" else 0
        count = 5_001 if self._fault == "gives one endless page" else 3
        amount = Decimal("NaN") if self._fault == "gives rows that cannot be stored" else Decimal(1)
        return [
            BankTransaction("a", f"t{number}", amount, "DEBIT", "POSTED", NOW.date(), "Shop", "SHOP")
            for number in range(first, first + count)
        ]


class ExampleUnderTest(ConnectorUnderTest):
    institution_code = "bank"
    credentials = {"LOGIN": "the-login"}
    credentials_with_question = {"LOGIN": "asked"}
    credentials_without_accounts = {"LOGIN": "empty"}
    disconnects = True
    lists_unreadable_accounts = True

    @property
    def has_access(self):
        return self.bank.is_open

    def __init__(self, fault):
        self.fault = fault

    def reset(self):
        self.bank = Bank()

    def make_account_unreadable(self):
        self.bank.has_balance = False

    def build(self, faults):
        transport = faults.transport(httpx.MockTransport(self.bank))
        return Example(connector_context(transport=transport), self.fault)

    def answer(self, question):
        return "right"

    def wrong_answer(self, question):
        return "wrong"


@pytest.mark.parametrize(("fault", "finders"), FAULTS.items(), ids=FAULTS)
async def test_a_fault_is_found_by_the_checks_that_are_there_for_it(fault, finders):
    found = set()
    for check in conformance_checks(ExampleUnderTest(fault)):
        try:
            await check()
        except (AssertionError, BankError):
            found.add(check.sentence)
    assert found == finders
