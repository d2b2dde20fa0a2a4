"""A user moves between two cells under constant reads, and the command that moves is killed again and again."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.cells.cell import find_user
from coatcheck.cells.move import find_source
from coatcheck.testing.load import Run, request, send_all
from tests.disclosures import disclosures
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.processes import coatcheck, process, serving
from tests.two_cells import Cells, add_transactions

KILLS = 12
ROUTES = ("/account/account_numbers", "/account/transactions", "/account/account_owners")


@pytest.mark.faults
@pytest.mark.slow
async def test_tokens_read_without_an_error_however_often_a_move_is_killed(
    cells: Cells, environment: dict[str, str], second_url: str, tmp_path: Path
) -> None:
    client = await make_client(cells.first)
    processor = await make_processor(cells.first, client)
    account = await make_account(cells.first, await make_user(cells.first, client))
    await add_transactions(cells.first, account, 10_000)
    tokens = [
        await make_token(cells.first, account, processor, atoms=atoms) for atoms in ("", "max-reads:1000000")
    ]
    await cells.copy_directory()
    settings = environment | {"COATCHECK_CELL_1": second_url, "COATCHECK_REQUEST_DEADLINE": "2"}
    is_done = asyncio.Event()

    def reads() -> Iterator[bytes]:
        while not is_done.is_set():
            for token in tokens:
                for route in ROUTES:
                    yield request("GET", route, {"Authorization": f"Bearer {token}"})

    async def move_and_kill() -> None:
        for number in range(KILLS):
            target = str((number + 1) % 2)
            command = ("cell", "move", account.user_guid, "--to", target)
            with process(*command, environment=settings, log=tmp_path / "killed") as child:
                await asyncio.sleep(random.uniform(0.5, 4))
                child.kill()
            ended = await asyncio.to_thread(coatcheck, settings, *command)
            # Where the killed one had ended, the user is there already.
            assert ended.returncode == 0 or "already" in ended.stderr, ended.stderr
            assert (await find_source(cells.by_digit, account.user_guid)).digit == target
        is_done.set()

    with serving(settings, tmp_path / "one") as one, serving(settings, tmp_path / "two") as two:
        async with asyncio.TaskGroup() as group:
            group.create_task(move_and_kill())
            runs = [group.create_task(send_all(server.port, reads(), connections=3)) for server in (one, two)]
    results: list[Run] = [run.result() for run in runs]
    assert {status for result in results for status in result.statuses} == {200}
    written = [len(await disclosures(each, account.user_guid)) for each in cells.all]
    print(f"{sum(result.requests for result in results)} reads, {KILLS} kills, disclosures {written}")
    assert sum(written) == sum(result.requests for result in results)
    assert (await find_user(cells.by_digit, account.user_guid)).digit == str(KILLS % 2)
