"""The checks that every connector must pass.

Each resets the simulated institution first, and builds a connector anew for each run, as a new process would. It fails
with an `AssertionError` that says what the connector did wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from coatcheck.connectors.collected import BATCH, CollectedData
from coatcheck.connectors.contract import (
    DisconnectedMember,
    Disconnection,
    Finished,
    Institution,
    JobKind,
    NeedsAnswers,
    SessionEnded,
    Task,
)
from coatcheck.errors import AnswerRejected, BankError, ConnectionDiscontinued, ConsentRevoked, LoginClosed
from coatcheck.testing.connector_under_test import ConnectorUnderTest
from coatcheck.testing.faults import CountingSession, Fault, Faults, Killed
from coatcheck.testing.runs import NOW

MAX_ROUNDS = 5
"""Rounds of questions before a job must finish."""


@dataclass
class _Member:
    """The data of a member that is stored between two runs."""

    under_test: ConnectorUnderTest
    credentials: Mapping[str, str]
    state: bytes | None = None
    resume: bytes | None = None

    async def run(
        self, kind: JobKind, faults: Faults | None = None, answers: Mapping[str, str] | None = None
    ) -> tuple[Finished | NeedsAnswers, CountingSession]:
        """One run by a new process; raises what it raises."""
        faults = faults or Faults()
        session = CountingSession(
            faults,
            Task(kind, self.under_test.institution_code, "MBR-test", NOW),
            self.credentials,
            answers=answers,
            resume=self.resume if answers is not None else None,
            state=self.state,
            store_state=self._store_state,
        )
        result = await faults.during(self.under_test.build(faults).run(session))
        if isinstance(result, NeedsAnswers):
            self.resume = result.resume
        elif result.state is not None:
            self.state = result.state
        return result, session

    async def finished_run(self, kind: JobKind, faults: Faults | None = None) -> CountingSession:
        result, session = await self.run(kind, faults)
        assert isinstance(result, Finished), (
            f"{kind}: the run asks a question, but these credentials need none."
        )
        return session

    async def disconnect(self, faults: Faults | None = None) -> None:
        """One disconnection by a new process; raises what it raises."""
        faults = faults or Faults()
        disconnection = Disconnection(
            DisconnectedMember("MBR-test", "", self.under_test.institution_code),
            self.credentials,
            state=self.state,
            store_state=self._store_state,
        )
        await faults.during(self.under_test.build(faults).disconnect(disconnection))

    async def _store_state(self, state: bytes) -> None:
        self.state = state


@dataclass(frozen=True)
class Check:
    """One sentence about a connector, and the function that proves it."""

    sentence: str
    function: Callable[[ConnectorUnderTest], Awaitable[None]]
    under_test: ConnectorUnderTest

    async def __call__(self) -> None:
        self.under_test.reset()
        await self.function(self.under_test)

    def __str__(self) -> str:
        return self.sentence.replace(" ", "-")


def conformance_checks(under_test: ConnectorUnderTest) -> Sequence[Check]:
    """Every check that applies to the connector."""
    checks = [*_ALWAYS]
    if under_test.credentials_with_question is not None:
        checks += _WITH_QUESTION
    if under_test.credentials_without_accounts is not None:
        checks.append(("a login without accounts finishes", _without_accounts))
    if under_test.credentials_with_unusable_rows is not None:
        checks.append(("unusable rows do not stop the usable ones", _unusable_rows))
    if under_test.lists_unreadable_accounts:
        checks.append(("an account that cannot be read stays open", _unreadable_account))
    if under_test.disconnects:
        checks += _WITH_DISCONNECT
    return [Check(sentence, function, under_test) for sentence, function in checks]


MUST_END_WITH: Mapping[Fault | None, type[BaseException]] = MappingProxyType(
    {
        Fault.CANCELLED_BEFORE: asyncio.CancelledError,
        Fault.CANCELLED_AFTER: asyncio.CancelledError,
        Fault.KILLED: Killed,
    }
)
"""What no connector may catch."""
ACCESS_HAS_ENDED = (ConsentRevoked, LoginClosed, ConnectionDiscontinued)
"""What `disconnect` may raise for a member whose access has ended."""


# --- the checks ------------------------------------------------------------------------------------------


async def _institutions(under_test: ConnectorUnderTest) -> None:
    institutions = under_test.build(Faults()).institutions()
    again = under_test.build(Faults()).institutions()
    assert list(institutions) == list(again), "Two processes list different institutions."
    keys = [key for each in institutions for key in (each.code, each.guid)]
    assert len(keys) == len(set(keys)), "Two institutions share a code or a guid."
    assert all(each.guid.startswith("INS-") for each in institutions), (
        "An institution's guid begins with INS-."
    )
    _institution(under_test)
    assert under_test.build(Faults()).has_disconnect == under_test.disconnects, (
        "`disconnects` of the test is not `has_disconnect` of the connector."
    )
    for each in institutions:
        guids = [field.guid for field in each.credentials]
        assert len(guids) == len(set(guids)), f"{each.code}: two credential fields share a guid."
        assert bool(each.credentials) != each.supports_oauth, (
            f"{each.code}: credential fields or OAuth, not both."
        )


async def _every_kind(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        under_test.reset()
        session = await _Member(under_test, under_test.credentials).finished_run(kind)
        assert session.data.accounts, f"{kind}: the run adds no account."
        assert not session.data.skipped, f"{kind}: rows cannot be stored: {dict(session.data.skipped)}."
        assert session.longest_page <= BATCH, f"{kind}: a page has more than {BATCH} transactions."
        has_transactions = any(session.data.transaction_batches())
        assert has_transactions or not session.task.wants_transactions, f"{kind}: no transaction was added."


async def _stable_ids(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        under_test.reset()
        member = _Member(under_test, under_test.credentials)
        first = _ids((await member.finished_run(kind)).data)
        result, session = await member.run(kind)
        second = _ids(session.data)
        if isinstance(result, Finished) and not result.lists_all_transactions:
            # It adds what has changed since the first run: nothing but transactions of that run.
            second = (second[0], first[1] if set(second[1]) <= set(first[1]) else second[1], second[2])
        assert first == second, (
            f"{kind}: a second run gives other ids, in another process with the same state."
        )


async def _failing_first_run(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        for fault in Fault:
            for at_request in range(1, await _requests(under_test, kind, earlier_runs=0) + 1):
                under_test.reset()
                member = _Member(under_test, under_test.credentials)
                await _fails(member, kind, Faults(fault, at_request=at_request))


async def _failing_later_run(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        for fault in Fault:
            for at_request in range(1, await _requests(under_test, kind, earlier_runs=1) + 1):
                under_test.reset()
                member = _Member(under_test, under_test.credentials)
                await member.finished_run(kind)
                await _fails(member, kind, Faults(fault, at_request=at_request))


async def _ending_session(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        for at in range(1, await _session_calls(under_test, kind) + 1):
            under_test.reset()
            member = _Member(under_test, under_test.credentials)
            with _raises(SessionEnded, f"{kind}: SessionEnded at session call {at} does not end the run."):
                await member.run(kind, Faults(ends_at=at))


async def _cancelled_session(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        for at in range(1, await _session_calls(under_test, kind) + 1):
            under_test.reset()
            member = _Member(under_test, under_test.credentials)
            where = f"cancelled at session call {at}"
            with _raises(asyncio.CancelledError, f"{kind}, {where}: the run continues."):
                await member.run(kind, Faults(cancelled_at=at))
            await _succeeds(member, kind, where)


async def _question(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        under_test.reset()
        member = await _asked_member(under_test, kind)
        result = member.asked
        for _ in range(MAX_ROUNDS):
            keys = [question.key for question in result.questions]
            assert keys, f"{kind}: the run needs answers and asks nothing."
            assert len(keys) == len(set(keys)), f"{kind}: two questions share a key."
            answers = {question.key: under_test.answer(question) for question in result.questions}
            next_result, session = await member.run(kind, answers=answers)
            if isinstance(next_result, Finished):
                assert session.data.accounts, f"{kind}: the run after the answers adds no account."
                return
            result = next_result
        raise AssertionError(
            f"{kind}: the run asks more questions after {MAX_ROUNDS} rounds of right answers."
        )


async def _wrong_answer(under_test: ConnectorUnderTest) -> None:
    kind = _kinds(under_test)[0]
    member = await _asked_member(under_test, kind)
    wrong = {question.key: under_test.wrong_answer(question) for question in member.asked.questions}
    answers = {key: value for key, value in wrong.items() if value is not None}
    if answers:
        with _raises(AnswerRejected, "A wrong answer is not rejected."):
            await member.run(kind, answers=answers)
        assert isinstance(await _first_result(member, kind), Finished | NeedsAnswers)


async def _abandoned_question(under_test: ConnectorUnderTest) -> None:
    kind = _kinds(under_test)[0]
    member = await _asked_member(under_test, kind)
    member.resume = None
    result = await _first_result(member, kind)
    assert isinstance(result, NeedsAnswers | Finished), "A job after an unanswered question fails."


async def _without_accounts(under_test: ConnectorUnderTest) -> None:
    assert under_test.credentials_without_accounts is not None
    for kind in _kinds(under_test):
        under_test.reset()
        session = await _Member(under_test, under_test.credentials_without_accounts).finished_run(kind)
        assert not session.data.accounts, f"{kind}: these credentials lead to an account."


async def _unusable_rows(under_test: ConnectorUnderTest) -> None:
    assert under_test.credentials_with_unusable_rows is not None
    kind = JobKind.AGGREGATION
    session = await _Member(under_test, under_test.credentials_with_unusable_rows).finished_run(kind)
    rows = [row for batch in session.data.transaction_batches() for row in batch]
    ids = [(row.account_id, row.id) for row in rows]
    assert rows, "The usable transactions are missing."
    assert len(ids) > len(set(ids)) or session.data.skipped, "The simulation sends no unusable row."


async def _unreadable_account(under_test: ConnectorUnderTest) -> None:
    for kind in _kinds(under_test):
        under_test.reset()
        member = _Member(under_test, under_test.credentials)
        before = {each.id for each in (await member.finished_run(kind)).data.accounts}
        under_test.make_account_unreadable()
        result, session = await member.run(kind)
        assert isinstance(result, Finished), f"{kind}: the run asks a question."
        unread = before - {each.id for each in session.data.accounts}
        assert unread, f"{kind}: the run adds every account. The simulation makes none unreadable."
        assert not result.lists_all_accounts or unread <= {*result.unread_accounts}, (
            f"{kind}: an account that the institution lists without its data is closed."
        )


async def _disconnected(under_test: ConnectorUnderTest) -> None:
    member = await _member_with_access(under_test)
    await member.disconnect()
    assert not under_test.has_access, "The upstream still gives access after `disconnect`."


async def _disconnected_twice(under_test: ConnectorUnderTest) -> None:
    member = await _member_with_access(under_test)
    await member.disconnect()
    await _disconnects(member, "a second time")


async def _disconnected_before_a_run(under_test: ConnectorUnderTest) -> None:
    await _disconnects(_Member(under_test, under_test.credentials), "before the first run")


async def _failing_disconnection(under_test: ConnectorUnderTest) -> None:
    faults = Faults()
    await (await _member_with_access(under_test)).disconnect(faults)
    for fault in Fault:
        for at_request in range(1, faults.requests + 1):
            under_test.reset()
            member, where = await _member_with_access(under_test), f"{fault} at request {at_request}"
            try:
                await member.disconnect(Faults(fault, at_request=at_request))
            except (BankError, Killed, asyncio.CancelledError):
                pass
            except Exception as error:
                raise AssertionError(
                    f"{where}: the disconnection raises {type(error).__name__} instead of a BankError."
                ) from error
            await _disconnects(member, where)


# --- what the checks share ---------------------------------------------------------------------------


async def _fails(member: _Member, kind: JobKind, faults: Faults) -> None:
    """A run with a fault, then one without: the first may fail in a known way, the second must succeed."""
    where = f"{faults.fault} at request {faults.at_request}"
    ended: BaseException | None = None
    try:
        await member.run(kind, faults)
    except (BankError, Killed, asyncio.CancelledError) as error:
        ended = error
    except Exception as error:
        raise AssertionError(
            f"{kind}, {where}: the run raises {type(error).__name__} instead of a BankError."
        ) from error
    if (expected := MUST_END_WITH.get(faults.fault)) is not None:
        assert isinstance(ended, expected), f"{kind}, {where}: the run continues."
    if isinstance(ended, BankError):
        text = f"{ended.problem} {ended.detail}"
        assert not any(value in text for value in member.credentials.values()), (
            f"{kind}, {where}: the error's text contains a credential."
        )
    await _succeeds(member, kind, where)


async def _succeeds(member: _Member, kind: JobKind, where: str) -> None:
    try:
        session = await member.finished_run(kind)
    except BankError as error:
        raise AssertionError(
            f"{kind}, {where}: the member is broken; the next run raises {type(error).__name__}."
        ) from error
    assert session.data.accounts, f"{kind}, {where}: the next run adds no account."


async def _member_with_access(under_test: ConnectorUnderTest) -> _Member:
    """A member that was read once."""
    member = _Member(under_test, under_test.credentials)
    await member.finished_run(_kinds(under_test)[0])
    assert under_test.has_access, "The simulation says that there is no access, but the run has read."
    return member


async def _disconnects(member: _Member, where: str) -> None:
    """A disconnection without a fault ends the access, or says that it has ended."""
    try:
        await member.disconnect()
    except ACCESS_HAS_ENDED:
        pass
    except BankError as error:
        raise AssertionError(f"{where}: the disconnection raises {type(error).__name__}.") from error
    assert not member.under_test.has_access, f"{where}: the upstream still gives access."


async def _requests(under_test: ConnectorUnderTest, kind: JobKind, *, earlier_runs: int) -> int:
    """How many HTTP requests a run sends."""
    under_test.reset()
    member = _Member(under_test, under_test.credentials)
    for _ in range(earlier_runs):
        await member.finished_run(kind)
    faults = Faults()
    await member.finished_run(kind, faults)
    return faults.requests


async def _session_calls(under_test: ConnectorUnderTest, kind: JobKind) -> int:
    under_test.reset()
    faults = Faults()
    await _Member(under_test, under_test.credentials).finished_run(kind, faults)
    return faults.session_calls


@dataclass
class _AskedMember(_Member):
    asked: NeedsAnswers = field(default_factory=lambda: NeedsAnswers(()))


async def _asked_member(under_test: ConnectorUnderTest, kind: JobKind) -> _AskedMember:
    """A member whose run needs answers."""
    assert under_test.credentials_with_question is not None
    member = _AskedMember(under_test, under_test.credentials_with_question)
    result = await _first_result(member, kind)
    assert isinstance(result, NeedsAnswers), f"{kind}: these credentials lead to no question."
    member.asked = result
    return member


async def _first_result(member: _Member, kind: JobKind) -> Finished | NeedsAnswers:
    return (await member.run(kind))[0]


def _institution(under_test: ConnectorUnderTest) -> Institution:
    institutions = under_test.build(Faults()).institutions()
    found = next((each for each in institutions if each.code == under_test.institution_code), None)
    assert found is not None, f"There is no institution {under_test.institution_code}."
    return found


def _kinds(under_test: ConnectorUnderTest) -> list[JobKind]:
    supported = _institution(under_test).supports
    kinds = [kind for kind in under_test.kinds if kind in supported]
    assert kinds, "The institution supports none of the kinds of job."
    return kinds


def _ids(data: CollectedData) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    transactions = [(row.account_id, row.id) for batch in data.transaction_batches() for row in batch]
    return [each.id for each in data.accounts], transactions, [each.id for each in data.statements]


@contextmanager
def _raises(expected: type[BaseException], sentence: str) -> Iterator[None]:
    try:
        yield
    except expected:
        return
    except Exception as error:
        raise AssertionError(f"{sentence} It raises {type(error).__name__}.") from error
    raise AssertionError(sentence)


_ALWAYS: Sequence[tuple[str, Callable[[ConnectorUnderTest], Awaitable[None]]]] = (
    ("institutions have unique codes and guids", _institutions),
    ("every kind of job finishes", _every_kind),
    ("a second process gives the same ids", _stable_ids),
    ("the first run may fail at every request", _failing_first_run),
    ("a later run may fail at every request", _failing_later_run),
    ("a lost job ends the run", _ending_session),
    ("a cancelled run ends and breaks nothing", _cancelled_session),
)
_WITH_DISCONNECT: Sequence[tuple[str, Callable[[ConnectorUnderTest], Awaitable[None]]]] = (
    ("a deleted member has no access", _disconnected),
    ("a disconnection may be repeated", _disconnected_twice),
    ("a member that was never read is disconnected", _disconnected_before_a_run),
    ("a disconnection may fail at every request", _failing_disconnection),
)
_WITH_QUESTION: Sequence[tuple[str, Callable[[ConnectorUnderTest], Awaitable[None]]]] = (
    ("right answers lead to accounts", _question),
    ("a wrong answer is rejected", _wrong_answer),
    ("an unanswered question breaks nothing", _abandoned_question),
)
