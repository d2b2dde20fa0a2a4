"""What a connector is given of one member: a run, with its task and the data that it adds, or a disconnection."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

from coatcheck.connectors.collected import CollectedData
from coatcheck.connectors.records import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    JobKind,
    Question,
)

T = TypeVar("T")

LOOKBACK: Mapping[JobKind, timedelta] = MappingProxyType(
    {
        JobKind.AGGREGATION: timedelta(days=90),
        JobKind.HISTORY: timedelta(days=730),
        JobKind.STATEMENT: timedelta(days=372),
    }
)
"""How far back a job of each kind reads (MX docs: 90 days, 24 months); the others read the present."""
MAX_STATE_BYTES = 64 * 1024
EXCHANGE_GRACE = timedelta(seconds=4)
"""How long a cancelled run waits for a running `rotate` or `save_state` before it cancels that too."""


class SessionEnded(Exception):
    """This worker no longer has the lease of the job. The run must end, and nothing that it added is saved."""


@dataclass(frozen=True, slots=True)
class Task:
    """The data that a run is to read."""

    kind: JobKind
    institution_code: str
    member_guid: str
    now: datetime
    include_transactions: bool = True
    attempt: int = 1
    is_background: bool = False
    """No user is waiting. A connector with a limited number of calls can reserve calls for runs that a user waits for.
    """
    user_guid: str = ""
    """The end user whose member it is."""
    known_since: Mapping[str, date] = field(default_factory=dict)
    """By account id, as `since_of`, for the accounts whose transactions earlier runs have read."""

    @property
    def wants_transactions(self) -> bool:
        return self.kind is JobKind.HISTORY or (
            self.kind is JobKind.AGGREGATION and self.include_transactions
        )

    @property
    def since(self) -> date:
        """The earliest date of the transactions or statements that the run is to read."""
        return self.now.date() - LOOKBACK.get(self.kind, timedelta())

    def since_of(self, account_id: str) -> date:
        """The earliest date of the transactions of an account that the run is to read.

        It is later than `since` in a daily aggregation, for an account whose earlier days earlier runs have read. A run
        that adds more is not wrong, only slower.
        """
        return max(self.since, self.known_since.get(account_id, self.since))


@dataclass(frozen=True, slots=True)
class DisconnectedMember:
    """A member that was deleted."""

    guid: str
    user_guid: str
    institution_code: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run read everything that the task asks for."""

    state: bytes | None = field(default=None, repr=False)
    """The member's state from now on, saved together with the data, such as a cursor. None keeps the last saved."""
    lists_all_accounts: bool = True
    """The run added every account of the login: those that it did not add are closed."""
    unread_accounts: Collection[str] = ()
    """The ids of accounts that the institution lists, but whose data it did not give now, such as the balance. They
    stay open, as the last run that could read them left them. With an id that no run has read, no account is closed: it
    may be one of the member's accounts under a new id. An id that this run has added changes nothing."""
    unread_transactions: Collection[str] = ()
    """The ids of accounts that the run added, but whose transactions it could not read. Their transactions stay as they
    are, and the next run reads the days since the last run that could read them."""
    lists_all_transactions: bool = True
    """The run added every pending transaction: those that it did not add are deleted. False for a connector that
    adds only what changed since its last run."""
    keeps_sign_in: bool = False
    """What the user answered counts for the jobs that follow in the same request: their runs get the same
    `Session.answers` and `Session.resume`. False for an institution that asks again."""


@dataclass(frozen=True, slots=True)
class NeedsAnswers:
    """The institution needs answers from the end user first. The data that the run added is discarded."""

    questions: Sequence[Question]
    resume: bytes = field(default=b"", repr=False)
    """`Session.resume` of the run that gets the answers."""


class MemberSecrets:
    """The credentials of a member, and the state that its connector saved."""

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        state: bytes | None,
        store_state: Callable[[bytes], Awaitable[None]],
        check_lease: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.credentials = credentials
        """By `CredentialField.field_name`; for an OAuth institution what `Connector.complete` returned."""
        self._state = state
        self._store_state = store_state
        self._check_lease = check_lease

    @property
    def state(self) -> bytes | None:
        """The member's state as last saved by any run; None before the first, and after new credentials came."""
        return self._state

    async def save_state(self, state: bytes) -> None:
        """Saves the member's state at once, in its own transaction, even if the run fails later.

        Call it as soon as the institution has replaced a secret, before anything else can fail, or replace the secret
        within `rotate`. A cancellation waits until the state is saved.

        Raises:
            SessionEnded: this worker no longer has the lease of the job. Nothing was saved.
            ValueError: the state is longer than 64 KiB.
        """
        await _uncancelled(self._save(state))

    async def rotate(self, exchange: Callable[[], Awaitable[bytes]]) -> bytes:
        """Runs an exchange that invalidates the stored secret, and saves the state that it returns.

        A cancellation of the run (at its time limit, or when the worker stops) waits up to 4 seconds for both.
        Otherwise the new secret could be lost between the institution's answer and the save.

        Raises:
            SessionEnded: this worker no longer has the lease of the job. Nothing was saved, and nothing exchanged if
                the lease had ended before. An institution that gets a replaced secret again may revoke the new one as
                well (RFC 9700 4.14).
        """
        if self._check_lease is not None:
            await self._check_lease()

        async def exchange_and_save() -> bytes:
            state = await exchange()
            await self._save(state)
            return state

        return await _uncancelled(exchange_and_save())

    async def _save(self, state: bytes) -> None:
        if len(state) > MAX_STATE_BYTES:
            raise ValueError("A member's state is at most 64 KiB.")
        await self._store_state(state)
        self._state = state


class Disconnection(MemberSecrets):
    """A member that was deleted, and whose access at the upstream is to be ended."""

    def __init__(
        self,
        member: DisconnectedMember,
        credentials: Mapping[str, str],
        *,
        state: bytes | None,
        store_state: Callable[[bytes], Awaitable[None]],
        check_lease: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(credentials, state=state, store_state=store_state, check_lease=check_lease)
        self.member = member

    def __repr__(self) -> str:
        return f"<Disconnection of {self.member.guid}>"


class Session(MemberSecrets):
    """Created by the worker for each run, and by `coatcheck.testing.connectors` in a connector's own tests.

    All rows become visible at once, when the run has returned `Finished`. Of a run that fails, only the saved states
    are kept. Add an account before the rows that belong to it.
    """

    def __init__(  # noqa: PLR0913 (what a run is given)
        self,
        task: Task,
        credentials: Mapping[str, str],
        *,
        answers: Mapping[str, str] | None = None,
        resume: bytes | None = None,
        state: bytes | None = None,
        store_state: Callable[[bytes], Awaitable[None]],
        check_lease: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(credentials, state=state, store_state=store_state, check_lease=check_lease)
        self.task = task
        self.answers = answers
        """By `Question.key`; None in a run that does not follow `NeedsAnswers`."""
        self.resume = resume
        """`NeedsAnswers.resume` of the run whose questions were answered; None in any other run."""
        self.data = CollectedData()

    def __repr__(self) -> str:
        return f"<Session {self.task.kind} of {self.task.member_guid}>"

    async def add_accounts(self, accounts: Iterable[BankAccount]) -> None:
        """Adds a page of accounts; of two with the same id the last counts.

        Raises:
            BankDataUnusable: a row cannot be stored.
        """
        self.data.add_accounts(accounts)

    async def add_numbers(self, numbers: Iterable[BankNumbers]) -> None:
        """Adds payment numbers. Those of an account replace all that were stored for it.

        Raises:
            BankDataUnusable: a row cannot be stored, or its account was not added.
        """
        self.data.add_numbers(numbers)

    async def add_owners(self, owners: Iterable[BankOwner]) -> None:
        """Adds account owners. Those of an account replace all that were stored for it.

        Raises:
            BankDataUnusable: a row cannot be stored, or its account was not added.
        """
        self.data.add_owners(owners)

    async def add_transactions(self, transactions: Iterable[BankTransaction]) -> None:
        """Adds a page of transactions; of two with the same account and id the last counts.

        Rows that cannot be stored are left out, counted and logged.

        Raises:
            BankDataUnusable: the run holds too much data.
        """
        self.data.add_transactions(transactions)
        await asyncio.sleep(0)  # lets other runs continue: the check of a large page blocks the event loop

    async def remove_transactions(self, account_id: str, ids: Iterable[str]) -> None:
        """Deletes transactions that earlier runs added, for an institution that names what it withdrew."""
        self.data.remove_transactions(account_id, ids)

    async def add_statements(self, statements: Iterable[BankStatement]) -> None:
        """Adds statements; rows that cannot be stored are left out, counted and logged.

        Raises:
            BankDataUnusable: the run holds too much data.
        """
        self.data.add_statements(statements)


async def _uncancelled(work: Awaitable[T]) -> T:
    """The result of `work`, which continues for up to `EXCHANGE_GRACE` after the caller is cancelled."""
    # The shield keeps the cancellation from `work`: when the institution has answered, the old secret is invalid.
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        loop = asyncio.get_running_loop()
        end = loop.time() + EXCHANGE_GRACE.total_seconds()
        while not task.done() and (left := end - loop.time()) > 0:
            # `jobs.tasks.cancel_tasks` can cancel a run several times.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=left)
        if not task.cancel():
            # It has ended. Its exception is read so that asyncio does not log it as never retrieved.
            task.cancelled() or task.exception()
        raise
