"""Two cells on one PostgreSQL server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from coatcheck.app import Services, build
from coatcheck.cells.cell import Cell, open_cells
from coatcheck.cells.directory import copy_directory
from coatcheck.cells.move import Step, UserMove
from coatcheck.cells.preparation import prepare
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.model.accounts import Account
from coatcheck.vault.master_keys import MasterKeys
from tests.factories import Keyed, make_account, make_processor, make_user


class Died(Exception):
    """The process that moved the user died."""


@dataclass(frozen=True)
class Cells:
    """The services of cell 0, which has the directory, and of cell 1."""

    first: Services
    second: Services

    @property
    def clock(self) -> MovableClock:
        assert isinstance(self.first.clock, MovableClock)
        return self.first.clock

    @property
    def all(self) -> tuple[Services, Services]:
        return self.first, self.second

    @property
    def by_digit(self) -> dict[str, Cell]:
        return {"0": Cell("0", self.first.db), "1": Cell("1", self.second.db)}

    async def make_processor(self, client: Keyed) -> Keyed:
        """A processor that is enabled for the client, in both cells."""
        processor = await make_processor(self.first, client)
        await self.copy_directory()
        return processor

    async def make_account(self, client: Keyed) -> Account:
        """An account in cell 0, of a new user."""
        return await make_account(self.first, await make_user(self.first, client))

    async def copy_directory(self) -> None:
        await copy_directory(self.by_digit["0"], [self.by_digit["1"]])

    async def move(
        self,
        user_guid: str,
        source: str = "0",
        target: str = "1",
        *,
        dies_before: Step | None = None,
        grace: timedelta = timedelta(),
    ) -> None:
        """Moves a user. With `dies_before`, the process dies before that step."""

        def progress(step: Step) -> None:
            if step is dies_before:
                raise Died

        move = UserMove(self.first.clock, self.first.journal, grace=grace)
        await move.run(user_guid, self.by_digit[source], self.by_digit[target], progress)


@asynccontextmanager
async def two_cells(settings: Settings, second_url: str, clock: MovableClock) -> AsyncIterator[Cells]:
    of_first = replace(settings, cells={"1": second_url})
    of_second = replace(settings, database_url=second_url, cell="1")
    async with build(of_first, clock) as first:
        async with open_cells(first) as cells:
            await prepare(cells["0"], cells["1"], MasterKeys.load(settings))
        async with build(of_second, clock) as second:
            yield Cells(first, second)


async def add_transactions(services: Services, account: Account, count: int) -> None:
    async with services.db.connection() as connection:
        await connection.execute(
            """INSERT INTO transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date,
                   category, category_guid, top_level_category, top_level_category_guid, created_at, updated_at)
               SELECT %(user)s, 'TRN-' || n, %(member)s, %(account)s, n, n, 'DEBIT', 'POSTED',
                   current_date - mod(n, 100), 'Groceries', 'CAT-1', 'Food', 'CAT-2', now(), now()
               FROM generate_series(1, %(count)s) AS n""",
            {
                "user": account.user_guid,
                "member": account.member_guid,
                "account": account.guid,
                "count": count,
            },
        )
