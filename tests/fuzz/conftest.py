"""The live server that the fuzzing tests share, and for how long they run."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coatcheck.config import Settings
from tests.fuzz.live_server import LiveServer, live_server


@pytest.fixture(scope="session")
def seconds() -> float:
    """For each test. `make fuzz` sets more."""
    return float(os.environ.get("FUZZ_SECONDS", "15"))


@pytest.fixture(scope="module")
def live(file_url: str, master_key: str) -> Iterator[LiveServer]:
    settings = Settings(
        database_url=file_url,
        master_key=master_key,
        connectors=("sandbox",),
        base_url="http://coatcheck.test",
    )
    # A throttle would hide what is behind it.
    unlimited = {"limit_failures_of_address": "", "limit_failures_of_caller": "", "limit_refused_codes": ""}
    with live_server(replace(settings, **unlimited)) as running:
        yield running
