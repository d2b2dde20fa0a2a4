"""Fixtures for the tests of programs that call Coatcheck. pytest finds them where Coatcheck is installed.

    coatcheck_server     session   a sandbox of its own, started at first use
    coatcheck            test      the sandbox, emptied: no user, member, account or token
    coatcheck_webhooks   test      an inbox to which the sandbox sends the events of the client
    coatcheck_processor_webhooks   an inbox to which it sends the events of the first processor

With pytest-xdist, each process has a sandbox of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from coatcheck.testing.sandbox import Sandbox, running
from coatcheck.testing.webhook_inbox import WebhookInbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("coatcheck_seed", "Determines the data that the sandbox generates.", default="1")


@pytest.fixture(scope="session")
def coatcheck_server(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox that runs until the session ends. Tests use `coatcheck`, which empties it first."""
    seed = _seed(request.config)
    # Not pytest's directory: each run of pytest closes it to other users, and root runs PostgreSQL as another user.
    with TemporaryDirectory(prefix="coatcheck-") as directory, running(Path(directory), seed=seed) as sandbox:
        yield sandbox


def _seed(config: pytest.Config) -> int:
    """Raises pytest.UsageError if the option is no whole number from 0."""
    value = str(config.getini("coatcheck_seed"))
    if not value.isdecimal():
        raise pytest.UsageError(f"coatcheck_seed must be a whole number from 0, and not {value!r}.")
    return int(value)


@pytest.fixture
def coatcheck(coatcheck_server: Sandbox) -> Sandbox:
    """The sandbox without users. Its clock is ahead by what earlier tests moved it."""
    coatcheck_server.reset()
    return coatcheck_server


@pytest.fixture
def coatcheck_webhooks(coatcheck: Sandbox) -> Iterator[WebhookInbox]:
    """Receives every event of the client, from here to the end of the test."""
    yield from _inbox(coatcheck.client)


@pytest.fixture
def coatcheck_processor_webhooks(coatcheck: Sandbox) -> Iterator[WebhookInbox]:
    """Receives every event of the first processor, from here to the end of the test."""
    with coatcheck.processor() as processor:
        yield from _inbox(processor)


def _inbox(owner: httpx.Client) -> Iterator[WebhookInbox]:
    with WebhookInbox() as inbox:
        wanted = {"webhook_endpoint": {"url": inbox.url, "events": ["*"]}}
        endpoint = (
            owner.post("/coatcheck/webhook_endpoints", json=wanted)
            .raise_for_status()
            .json()["webhook_endpoint"]
        )
        inbox.secret = endpoint["secret"]
        yield inbox
        owner.delete(f"/coatcheck/webhook_endpoints/{endpoint['guid']}").raise_for_status()
