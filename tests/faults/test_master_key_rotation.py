"""Rotating the master key while real processes serve: no request fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coatcheck.app import Services
from coatcheck.testing.load import request, send_all
from coatcheck.vault.master_keys import new_master_key_line
from tests.factories import make_account, make_client, make_processor, make_token, make_user
from tests.processes import Serving, process, serving

ACCOUNTS = 40


def write(file: Path, *lines: str) -> None:
    """Replaces the key file at once, as `mv` does."""
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text("\n".join(lines))
    fresh.replace(file)


@asynccontextmanager
async def reading(server: Serving, requests: list[bytes]) -> AsyncIterator[Counter[int]]:
    """Sends the requests again and again until the block ends, then once more, and counts the statuses."""
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def read() -> None:
        is_last = False
        while not is_last:
            is_last = stop.is_set()
            statuses.update((await send_all(server.port, requests, connections=4)).statuses)

    task = asyncio.create_task(read())
    try:
        yield statuses
    finally:
        stop.set()
        await task


@pytest.mark.faults
@pytest.mark.own_database
async def test_a_rotation_of_the_master_key_under_load_fails_no_read_of_numbers(
    services: Services, environment: dict[str, str], master_key: str, tmp_path: Path
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    accounts = [await make_account(services, await make_user(services, client)) for _ in range(ACCOUNTS)]
    tokens = [await make_token(services, account, processor) for account in accounts]
    reads = [
        request("GET", "/account/account_numbers", {"Authorization": f"Bearer {token}"}) for token in tokens
    ]
    file, fresh = tmp_path / "master.key", new_master_key_line()
    write(file, master_key)
    with_file = {name: value for name, value in environment.items() if name != "COATCHECK_MASTER_KEY"}
    with_file["COATCHECK_MASTER_KEY_FILE"] = str(file)

    with serving(with_file, tmp_path / "running") as running:
        async with reading(running, reads) as statuses:
            write(file, fresh, master_key)
            with serving(with_file, tmp_path / "restarted") as restarted:
                async with reading(restarted, reads) as of_restarted:
                    with process(
                        "keys", "rotate", environment=with_file, log=tmp_path / "rotate"
                    ) as rotation:
                        assert await asyncio.to_thread(rotation.wait) == 0
        assert set(statuses) == {200}
        assert set(of_restarted) == {200}

    write(file, fresh)
    with serving(with_file, tmp_path / "afterwards") as afterwards:
        assert (await send_all(afterwards.port, reads, connections=4)).statuses == {200: ACCOUNTS}
