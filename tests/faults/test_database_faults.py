"""Whatever the database does, each request is answered in time: with its result or with 503 and `Retry-After`."""

import asyncio

import pytest

from tests.faults.load import make_scene, steady_load
from tests.faults.proxy import proxied
from tests.processes import serving

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

DEADLINE = 10.0
HEALED = 15.0
"""Seconds after which the service must have recovered by itself."""


@pytest.fixture
def clock():
    return None


@pytest.fixture
async def scene(services):
    return await make_scene(services)


async def test_after_the_database_host_vanished_every_request_is_answered_and_the_service_heals(
    url, environment, scene, tmp_path
):
    with proxied(url) as proxy:
        given = environment | {"COATCHECK_DATABASE_URL": proxy.url}
        with serving(given, tmp_path / "log") as server:
            async with steady_load(server.base_url, scene) as load:
                await asyncio.sleep(2)
                assert load.statuses.keys() <= {200}
                vanished = load.now()
                proxy.go_silent()
                await asyncio.sleep(HEALED + 2)
    assert load.problems() == []
    assert load.longest < DEADLINE + 1
    assert load.last_failure < vanished + HEALED
