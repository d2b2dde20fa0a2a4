"""Coalescing: calls of one statement that arrive at the same time become one statement.

    a call, and no statement runs   -> a statement with its row, at once
    a call, and a statement runs    -> it waits; when that one ends, one statement has the rows of all that wait, and
                                       is sent before the answers of that one are passed on
    the statement fails             -> every row again, in a statement of its own
    the connection is lost          -> every call fails: whether the statement was committed is unknown

A round trip takes several times as long as the work of one row, in this process and in PostgreSQL. Nothing waits for
others to come: only for a statement that runs already, and at most for `PATIENCE`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
import psycopg

from coatcheck import deadline
from coatcheck.db.database import AnyCursor, Connection, Database, Parameters, check_columns
from coatcheck.errors import Unavailable

Rows: TypeAlias = Sequence[tuple[Any, ...]]

NO_PARAMETERS: Parameters = MappingProxyType({})
MAX_ROWS = 64
"""Of one statement, unless its coalescer has another limit."""
PATIENCE = timedelta(milliseconds=50)
"""After it, calls no longer wait for a statement that runs, which may wait for a lock or a server that is away."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The first column of a coalesced statement: the number of the call to which the row belongs."""

    caller: int


class Asked:
    """The CTE `asked`, with which a coalesced statement begins: a row for each call, with the values that it passed."""

    def __init__(self, types: Mapping[str, str]) -> None:
        """`types` has the columns beside `caller`, which is the number of the call."""
        self.types = types
        self.names = tuple(types)
        self._binary = tuple(name for name, kind in types.items() if kind == "bytea")
        listed = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
        # JSON, because psycopg converts an array element by element in Python, which takes longer than the statement.
        rows = f"SELECT * FROM json_to_recordset(%(asked)s::json) AS given (caller integer, {listed})"
        self.cte = f"asked AS ({rows})"
        # PostgreSQL takes `asked` for a hundred rows, and would scan a small table rather than look up as many.
        self.cte_of_one = f"asked AS ({rows} LIMIT 1)"

    def row(self, caller: int, values: Parameters) -> Mapping[str, object]:
        """The values of a call, as PostgreSQL reads them from JSON."""
        binary = {name: f"\\x{value.hex()}" for name in self._binary if (value := values[name]) is not None}
        return {"caller": caller, **{name: values[name] for name in self.names}, **binary}

    def of(self, row: str, fragment: str) -> str:
        """The fragment with the columns of a row in place of the parameters of the same names."""
        for name in self.names:
            fragment = fragment.replace(f"%({name})s", f"{row}.{name}")
        return fragment


@dataclass(frozen=True, slots=True)
class CoalescedStatement:
    """A statement that answers several calls.

    It begins with `asked`. Its first column is `caller`, its other columns are the fields of `records`. The rows of one
    call must not depend on another call.
    """

    asked: Asked
    sql: str
    records: tuple[type, ...]
    partition_keys: tuple[str, str] | None = None
    """Two integers in `asked`, or one twice. The parameters `first` and `last` are the least value of the one and the
    greatest value of the other, so that PostgreSQL opens no partition outside."""
    lock_order: str | None = None
    """A column of `asked`: rows are locked in its order, so that no two statements wait for each other."""

    async def alone(self, connection: Connection, values: Parameters) -> Rows:
        """The rows of one call, without the column `caller`. The values are parameters of the statement too."""
        cursor = await self.execute(connection, [values], values)
        return (await rows_by_call(cursor, 1))[0]

    async def answers(self, connection: Connection, calls: Sequence[Parameters]) -> Sequence[Rows]:
        """The rows of each call, without the column `caller`."""
        sql = self.sql if len(calls) > 1 else _sql_of_one(self)
        return await rows_by_call(await self.execute(connection, calls, sql=sql), len(calls))

    async def execute(
        self,
        connection: Connection,
        calls: Sequence[Parameters],
        more: Parameters = NO_PARAMETERS,
        sql: str | None = None,
    ) -> AnyCursor:
        numbered = [self.asked.row(number, values) for number, values in enumerate(calls)]
        if self.lock_order is not None:
            numbered.sort(key=itemgetter(self.lock_order))
        parameters: dict[str, object] = {"asked": msgspec.json.encode(numbered).decode(), **more}
        if self.partition_keys is not None:
            first, last = self.partition_keys
            parameters["first"] = min(values[first] for values in calls)
            parameters["last"] = max(values[last] for values in calls)
        cursor = await connection.execute(sql or self.sql, parameters)
        check_columns(cursor, self.sql, (Caller, *self.records))
        return cursor


@cache
def _sql_of_one(statement: CoalescedStatement) -> str:
    return statement.sql.replace(statement.asked.cte, statement.asked.cte_of_one)


@dataclass(frozen=True, slots=True)
class _Call:
    values: Parameters = field(repr=False)
    answer: "asyncio.Future[Rows]"
    deadline: float | None


class Coalescer:
    """Executes a statement for many calls at once.

    Do not call it while holding a connection of the pool: if every connection were held so, none would be left for it.
    With `is_reserved` it may use a reserved connection.
    """

    def __init__(
        self, db: Database, statement: CoalescedStatement, *, is_reserved: bool = False, most: int = MAX_ROWS
    ) -> None:
        """`most` is the largest number of calls in one statement."""
        self._db = db
        self._statement = statement
        self._is_reserved = is_reserved
        self._most = most
        self._waiting: deque[_Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest: asyncio.Task[None] | None = None
        """The task that takes the calls that wait, until it ends or `PATIENCE` is over."""

    async def __call__(self, values: Parameters) -> Rows:
        """The rows of this call, without the column `caller`.

        Raises:
            psycopg.Error: the statement fails with this row.
            Unavailable: as `Database.connection`, or the deadline is over.
        """
        call = _Call(values, asyncio.get_running_loop().create_future(), deadline.instant())
        self._waiting.append(call)
        # As many as one statement takes need not wait for the one that runs.
        if self._newest is None or len(self._waiting) % self._most == 0:
            self._start()
        return await call.answer

    def _start(self) -> None:
        # An empty context: the statement must not end with the deadline of the call that happens to start it.
        task = asyncio.create_task(self._execute_waiting(), context=Context())
        timer = asyncio.get_running_loop().call_later(PATIENCE.total_seconds(), self._release, task)
        # The event loop has weak references alone: without this one, the task could be collected while it runs.
        self._tasks.add(task)
        self._newest = task

        def end(task: asyncio.Task[None]) -> None:
            timer.cancel()
            self._tasks.discard(task)
            self._release(task)

        task.add_done_callback(end)

    def _release(self, task: asyncio.Task[None] | None) -> None:
        if self._newest is task:
            self._newest = None
            if self._waiting:
                self._start()

    async def _execute_waiting(self) -> None:
        calls: Sequence[_Call] = []
        try:
            async with self._db.connection(is_reserved=self._is_reserved) as connection:
                # Only now: those that came while it waited for the connection are included.
                calls = self._take()
                if not calls or await self._answer(connection, calls):
                    return
            # The statement failed and changed nothing, whichever row is to blame. Its connection is given back by now:
            # each row takes one.
            await asyncio.gather(*map(self._execute_alone, calls))
        except Exception as error:  # noqa: BLE001 (every call gets it)
            # Without a connection, none was taken yet. Those above `most` get another task, by `_release`.
            _fail(calls or self._take(), error)
        finally:
            for call in calls:
                # Of no effect on a call that has its answer. The others must not wait for a task that was cancelled.
                call.answer.cancel()

    async def _execute_alone(self, call: _Call) -> None:
        try:
            async with self._db.connection(is_reserved=self._is_reserved) as connection:
                if not call.answer.done():
                    await self._answer(connection, [call])
        except Exception as error:  # noqa: BLE001 (the call gets it)
            _fail([call], error)

    def _take(self) -> Sequence[_Call]:
        """Up to `most` of the calls that wait and still want an answer."""
        taken: list[_Call] = []
        now = time.monotonic()
        while self._waiting and len(taken) < self._most:
            call = self._waiting.popleft()
            if call.deadline is not None and call.deadline <= now:
                _fail([call], Unavailable(detail="deadline"))
            elif not call.answer.done():
                taken.append(call)
        return taken

    async def _answer(self, connection: Connection, calls: Sequence[_Call]) -> bool:
        """Answers the calls. False: the statement failed and changed nothing, and there are several to blame."""
        deadlines = [call.deadline for call in calls if call.deadline is not None]
        # The latest: the statement must not end early for the calls that can wait for longer.
        left = max(deadlines) - time.monotonic() if len(deadlines) == len(calls) else None
        try:
            with deadline.within(None if left is None else timedelta(seconds=left)):
                cursor = await self._statement.execute(connection, [call.values for call in calls])
        except psycopg.Error:
            # A lost connection does not tell whether the statement was committed.
            if len(calls) == 1 or connection.closed:
                raise
            return False
        answers = await rows_by_call(cursor, len(calls))
        # The next statement first: PostgreSQL works for those who wait while this process works for those answered.
        self._release(asyncio.current_task())
        for call, rows in zip(calls, answers, strict=True):
            if not call.answer.done():
                call.answer.set_result(rows)
        return True


async def rows_by_call(cursor: AnyCursor, calls: int) -> Sequence[Rows]:
    """The rows of each call."""
    answers: list[list[tuple[Any, ...]]] = [[] for _ in range(calls)]
    for row in await cursor.fetchall():
        answers[row[0]].append(row[1:])
    return answers


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error)
