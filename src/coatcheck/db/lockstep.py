"""Lockstep: pieces of work share a transaction, and what several of them ask the database for is asked for once.

    a piece asks --> it waits until every other piece asks or has ended --> one call for all that ask the same
                 --> each gets its own answer

A piece that runs alone asks at once, by the same function. What a piece executes on the connection itself, the others
wait for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from coatcheck.db.database import Connection

T = TypeVar("T")
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Answerer: TypeAlias = Callable[[Connection, Sequence[Question]], Awaitable[Sequence[Answer]]]
"""Answers several questions with one statement, in their order."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """A piece of work, and the context in which it runs."""

    work: Callable[[], Awaitable[T]]
    context: Context = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Asked:
    piece: int
    question: Any = field(repr=False)
    answer: "asyncio.Future[Any]" = field(repr=False)


@dataclass(slots=True)
class _Round:
    """The pieces of one connection."""

    connection: Connection
    busy: int
    """How many pieces neither wait for an answer nor have ended."""
    asked: defaultdict[Answerer[Any, Any], list[_Asked]] = field(default_factory=lambda: defaultdict(list))
    all_wait: asyncio.Event = field(default_factory=asyncio.Event)

    def pause(self) -> None:
        self.busy -= 1
        if not self.busy:
            self.all_wait.set()

    async def answer(self) -> None:
        """Answers what was asked, by one call for each function."""
        self.all_wait.clear()
        asked, self.asked = self.asked, defaultdict(list)
        answered: list[tuple[_Asked, Any]] = []
        for answerer, each in asked.items():
            # In the order of the pieces, not of their tasks: with a seed, every run must write the same.
            each.sort(key=lambda one: one.piece)
            answers = await answerer(self.connection, [one.question for one in each])
            answered += zip(each, answers, strict=True)
        # All at once: a piece that went on sooner would ask its next question without the others.
        self.busy += len(answered)
        for one, answer in answered:
            one.answer.set_result(answer)


_current: ContextVar[tuple[_Round, int] | None] = ContextVar("_current", default=None)
"""The round in which a piece runs, and the number of the piece."""


async def ask(connection: Connection, answerer: Answerer[Question, Answer], question: Question) -> Answer:
    """The answer to a question, together with those of the other pieces that run in lockstep on the connection."""
    current = _current.get()
    if current is None or current[0].connection is not connection:
        return (await answerer(connection, [question]))[0]
    lockstep, number = current
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    lockstep.asked[answerer].append(_Asked(number, question, answer))
    lockstep.pause()
    return await answer


async def run_in_lockstep(
    connection: Connection,
    pieces: Sequence[Piece[T]],
    *,
    harmless: type[Exception] | tuple[type[Exception], ...],
) -> Sequence[T | Exception]:
    """The result of each piece, or the error that it raised.

    Args:
        connection: in a transaction, if the pieces write.
        pieces: what runs.
        harmless: errors that a piece raises before it has written anything. After any other error none of the pieces
            continues, because the transaction cannot be committed.

    Raises:
        ExceptionGroup: a piece, or a statement for several of them, failed otherwise.
    """
    lockstep = _Round(connection, len(pieces))

    async def run(number: int, piece: Piece[T]) -> T | Exception:
        _current.set((lockstep, number))
        try:
            return await piece.work()
        except harmless as error:
            return error
        finally:
            _current.set(None)
            lockstep.pause()

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run(number, piece), context=piece.context)
            for number, piece in enumerate(pieces)
        ]
        while not all(task.done() for task in tasks):
            await lockstep.all_wait.wait()
            await lockstep.answer()
    return [task.result() for task in tasks]
