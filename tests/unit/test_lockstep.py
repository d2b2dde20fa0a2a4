"""Pieces of work that run in lockstep share what they ask the database for."""

import asyncio
from contextvars import ContextVar, copy_context
from functools import partial

import pytest

from coatcheck.db.lockstep import Piece, ask, run_in_lockstep
from tests.member_setup import PATIENCE

pytestmark = pytest.mark.own_database


class Refusal(Exception):
    """A piece ends before it has written anything."""


class Squares:
    """Answers with the squares of numbers, and remembers what each statement was asked."""

    def __init__(self):
        self.asked = []

    async def __call__(self, connection, numbers):
        self.asked.append(list(numbers))
        cursor = await connection.execute(
            "SELECT n * n FROM unnest(%(numbers)s::int[]) WITH ORDINALITY AS asked (n, place) ORDER BY place",
            {"numbers": list(numbers)},
        )
        return [square for (square,) in await cursor.fetchall()]


async def together(connection, *works):
    async with asyncio.timeout(PATIENCE):
        return await run_in_lockstep(
            connection, [Piece(work, copy_context()) for work in works], harmless=Refusal
        )


async def test_what_several_pieces_ask_is_one_statement_and_each_gets_its_own_answer(services):
    squares = Squares()

    async def work(number):
        return await ask(connection, squares, number) + await ask(connection, squares, number + 1)

    async with services.db.connection() as connection:
        assert await together(connection, *(partial(work, each) for each in (1, 5, 3))) == [5, 61, 25]
    assert squares.asked == [[1, 5, 3], [2, 6, 4]]


async def test_outside_of_lockstep_a_question_is_asked_alone_and_at_once(services):
    squares = Squares()
    async with services.db.connection() as connection:
        assert await ask(connection, squares, 4) == 16
    assert squares.asked == [[4]]


async def test_a_question_on_another_connection_is_asked_alone_and_at_once(services):
    squares = Squares()

    async def work():
        async with services.db.connection() as other:
            return await ask(other, squares, 3)

    async with services.db.connection() as connection:
        assert await together(connection, work, work) == [9, 9]
    assert squares.asked == [[3], [3]]


async def test_different_questions_are_asked_each_by_one_statement(services):
    squares, others = Squares(), Squares()

    async def work(answerer, number):
        return await ask(connection, answerer, number)

    async with services.db.connection() as connection:
        given = [(squares, 2), (others, 3), (squares, 4)]
        assert await together(connection, *(partial(work, *each) for each in given)) == [4, 9, 16]
    assert (squares.asked, others.asked) == ([[2, 4]], [[3]])


async def test_the_others_wait_for_a_piece_that_executes_a_statement_itself(services):
    squares = Squares()

    async def executes():
        await connection.execute("SELECT count(*) FROM generate_series(1, 100000)")
        return await ask(connection, squares, 7)

    async with services.db.connection() as connection:
        # It asks last and is answered in its place.
        assert await together(connection, executes, partial(ask, connection, squares, 2)) == [49, 4]
    assert squares.asked == [[7, 2]]


async def test_nobody_waits_for_a_piece_that_has_ended(services):
    squares = Squares()

    async def asks_nothing():
        return "ended"

    async with services.db.connection() as connection:
        assert await together(connection, asks_nothing, partial(ask, connection, squares, 2)) == ["ended", 4]


async def test_a_piece_that_ends_before_it_writes_does_not_end_the_others(services):
    squares, refusal = Squares(), Refusal()

    async def refuses():
        await ask(connection, squares, 1)
        raise refusal

    async def goes_on():
        return await ask(connection, squares, 2) + await ask(connection, squares, 3)

    async with services.db.connection() as connection:
        assert await together(connection, refuses, goes_on) == [refusal, 13]
    assert squares.asked == [[1, 2], [3]]


@pytest.mark.parametrize("fails", ["a piece", "a statement"])
async def test_any_other_failure_ends_all_and_nothing_is_committed(services, fails):
    async def write(connection, keys):
        await connection.execute("INSERT INTO probe SELECT unnest(%(keys)s::text[])", {"keys": list(keys)})
        return keys

    async def broken(connection, numbers):
        await connection.execute("SELECT 1 / 0")
        return numbers

    async def fail():
        await ask(connection, write, "of the piece that fails")
        if fails == "a piece":
            raise ValueError
        await ask(connection, broken, 1)

    async def wait():
        await ask(connection, write, "of the other")
        await ask(connection, write, "never")
        await asyncio.Event().wait()

    async with services.db.connection() as connection:
        await connection.execute("CREATE TEMPORARY TABLE probe (key text)")
        with pytest.raises(ExceptionGroup):
            async with connection.transaction():
                await together(connection, fail, wait)
        cursor = await connection.execute("SELECT count(*) FROM probe")
        assert await cursor.fetchone() == (0,)


async def test_a_cancellation_ends_every_piece(services):
    ended, asked = [], asyncio.Event()

    async def never(connection, questions):
        asked.set()
        await asyncio.Event().wait()

    async def work(number):
        try:
            await ask(connection, never, number)
        finally:
            ended.append(number)

    async with services.db.connection() as connection:
        all_of_them = asyncio.create_task(together(connection, partial(work, 1), partial(work, 2)))
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        all_of_them.cancel()
        await asyncio.gather(all_of_them, return_exceptions=True)
    assert sorted(ended) == [1, 2]


async def test_each_piece_has_its_own_context(services):
    name = ContextVar("name")
    squares, seen = Squares(), []

    def context_named(value):
        context = copy_context()
        context.run(name.set, value)
        return context

    async def work():
        await ask(connection, squares, 1)
        seen.append(name.get())

    async with services.db.connection() as connection:
        pieces = [Piece(work, context_named(each)) for each in ("a", "b")]
        await run_in_lockstep(connection, pieces, harmless=Refusal)
    assert sorted(seen) == ["a", "b"]
