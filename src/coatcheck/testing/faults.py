"""Fault injection: one HTTP request of a run fails, or one call of its session."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from enum import StrEnum
from typing import Any, TypeVar

import httpx

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    Session,
    SessionEnded,
)

T = TypeVar("T")

MAX_CALLS = 200
"""HTTP requests, and calls of the session, in one run. A simulated institution should need far fewer."""


class Fault(StrEnum):
    """What happens to one HTTP request of a run."""

    #: The institution answers with status 500, and does nothing.
    STATUS_500 = "status 500"
    #: The institution answers with a body that cannot be read, and does nothing.
    UNREADABLE = "unreadable answer"
    #: The connection fails before the institution sees the request.
    DISCONNECTED = "connection refused"
    #: The run is cancelled before the institution sees the request.
    CANCELLED_BEFORE = "cancelled before the request"
    #: The run is cancelled when the institution has processed the request.
    CANCELLED_AFTER = "cancelled after the request"
    #: The process dies before the institution sees the request.
    KILLED = "killed"


class Killed(BaseException):
    """Simulates that the process is killed. No code of the run may catch it."""


class Faults:
    """Counts the HTTP requests and session calls of a run, and makes one of them fail."""

    def __init__(
        self, fault: Fault | None = None, *, at_request: int = 0, ends_at: int = 0, cancelled_at: int = 0
    ) -> None:
        self.requests = 0
        self.session_calls = 0
        self.fault = fault
        self.at_request = at_request
        self._ends_at = ends_at
        self._cancelled_at = cancelled_at
        self._run: asyncio.Task[Any] | None = None

    def transport(self, institution: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """The transport of the simulated institution, with the fault."""
        return _FaultyTransport(institution, self)

    async def during(self, run: Coroutine[Any, Any, T]) -> T:
        """The result of a run with the fault."""
        task = asyncio.ensure_future(run)
        self._run = task
        return await task

    async def cancel_run(self) -> None:
        if self._run is not None:
            self._run.cancel()
        # A cancellation arrives at the next await of the run, which is this one.
        await asyncio.sleep(0)

    def next_request(self) -> Fault | None:
        self.requests += 1
        assert self.requests <= MAX_CALLS, f"A run sends more than {MAX_CALLS} requests."
        return self.fault if self.requests == self.at_request else None

    async def next_session_call(self) -> None:
        self.session_calls += 1
        assert self.session_calls <= MAX_CALLS, f"A run calls its session more than {MAX_CALLS} times."
        if self.session_calls == self._ends_at:
            raise SessionEnded
        if self.session_calls == self._cancelled_at:
            await self.cancel_run()


class _FaultyTransport(httpx.AsyncBaseTransport):
    def __init__(self, institution: httpx.AsyncBaseTransport, faults: Faults) -> None:
        self._institution = institution
        self._faults = faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault = self._faults.next_request()
        match fault:
            case Fault.STATUS_500:
                return httpx.Response(500, text="simulated failure")
            case Fault.UNREADABLE:
                return httpx.Response(200, content=b'\x00{"unreadable": ')
            case Fault.DISCONNECTED:
                raise httpx.ConnectError("simulated failure", request=request)
            case Fault.KILLED:
                raise Killed
            case Fault.CANCELLED_BEFORE:
                await self._faults.cancel_run()
        response = await self._institution.handle_async_request(request)
        if fault is Fault.CANCELLED_AFTER:
            await self._faults.cancel_run()
        return response


class CountingSession(Session):
    """A session that counts its calls and can make one of them fail."""

    def __init__(self, faults: Faults, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._faults = faults
        self.longest_page = 0

    async def add_accounts(self, accounts: Iterable[BankAccount]) -> None:
        await self._faults.next_session_call()
        await super().add_accounts(accounts)

    async def add_numbers(self, numbers: Iterable[BankNumbers]) -> None:
        await self._faults.next_session_call()
        await super().add_numbers(numbers)

    async def add_owners(self, owners: Iterable[BankOwner]) -> None:
        await self._faults.next_session_call()
        await super().add_owners(owners)

    async def add_transactions(self, transactions: Iterable[BankTransaction]) -> None:
        await self._faults.next_session_call()
        page = list(transactions)
        self.longest_page = max(self.longest_page, len(page))
        await super().add_transactions(page)

    async def remove_transactions(self, account_id: str, ids: Iterable[str]) -> None:
        await self._faults.next_session_call()
        await super().remove_transactions(account_id, ids)

    async def add_statements(self, statements: Iterable[BankStatement]) -> None:
        await self._faults.next_session_call()
        await super().add_statements(statements)

    async def save_state(self, state: bytes) -> None:
        await self._faults.next_session_call()
        await super().save_state(state)

    async def rotate(self, exchange: Callable[[], Awaitable[bytes]]) -> bytes:
        await self._faults.next_session_call()
        return await super().rotate(exchange)
