"""Runs a connector in a test, without a database and without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from coatcheck.clock import Clock, SystemClock
from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    Connector,
    ConnectorContext,
    DisconnectedMember,
    Disconnection,
    Finished,
    HttpClients,
    NeedsAnswers,
    NoSettings,
    Session,
    Task,
)

SettingsT = TypeVar("SettingsT")

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
"""The default time of a run."""


def connector_context(
    settings: Any = None,
    *,
    name: str = "test",
    clock: Clock | None = None,
    base_url: str = "http://coatcheck.test",
    transport: httpx.AsyncBaseTransport | None = None,
) -> ConnectorContext[Any]:
    """The context of a connector in a test. Without a transport every request fails."""
    return ConnectorContext(
        name=name,
        settings=NoSettings() if settings is None else settings,
        clock=clock or SystemClock(),
        base_url=base_url,
        http=HttpClients(guard=_unguarded, transport=transport or httpx.MockTransport(_refuse), attempts=1),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run and the data that it added."""

    result: Finished | NeedsAnswers
    accounts: Sequence[BankAccount]
    numbers: Sequence[BankNumbers]
    owners: Sequence[BankOwner]
    transactions: Sequence[BankTransaction]
    statements: Sequence[BankStatement]
    removed_transactions: Sequence[tuple[str, str]]
    skipped: Mapping[tuple[str, str], int]
    """The number of rows that could not be stored, by record and field."""
    saved_states: Sequence[bytes] = field(repr=False)
    """In the order of `save_state` and `rotate`."""

    @property
    def is_finished(self) -> bool:
        return isinstance(self.result, Finished)

    @property
    def needs_answers(self) -> NeedsAnswers:
        """The questions.

        Raises:
            AssertionError: the run finished.
        """
        assert isinstance(self.result, NeedsAnswers), "the run finished without a question"
        return self.result


async def run_connector(
    connector: Connector,
    task: Task,
    credentials: Mapping[str, str],
    *,
    answers: Mapping[str, str] | None = None,
    resume: bytes | None = None,
    state: bytes | None = None,
) -> Run:
    """One run of the connector; raises what it raises."""
    saved: list[bytes] = []

    async def store_state(value: bytes) -> None:
        saved.append(value)

    session = Session(task, credentials, answers=answers, resume=resume, state=state, store_state=store_state)
    result = await connector.run(session)
    data = session.data
    return Run(
        result=result,
        accounts=data.accounts,
        numbers=data.numbers,
        owners=data.owners,
        transactions=tuple(row for batch in data.transaction_batches() for row in batch),
        statements=data.statements,
        removed_transactions=data.removed_transactions,
        skipped=data.skipped,
        saved_states=tuple(saved),
    )


async def disconnect_member(
    connector: Connector,
    member: DisconnectedMember,
    credentials: Mapping[str, str],
    *,
    state: bytes | None = None,
) -> Sequence[bytes]:
    """One disconnection by the connector; raises what it raises. Returns the states that it saved."""
    saved: list[bytes] = []

    async def store_state(value: bytes) -> None:
        saved.append(value)

    await connector.disconnect(Disconnection(member, credentials, state=state, store_state=store_state))
    return saved


def _unguarded(client: httpx.AsyncClient) -> httpx.AsyncClient:
    return client


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("This test gave no transport.", request=request)
