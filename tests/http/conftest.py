"""What requests need, and the operator's terminal."""

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass

import pytest
import structlog

from coatcheck.cli.main import main
from tests.databases import EMPTY, copied_database
from tests.factories import make_account, make_user


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
async def user(api):
    """The guid of a user of the client, which has the id `ann`."""
    return await api.create_user(id="ann")


@pytest.fixture
async def account(services, client):
    """A verified account of another user of the client."""
    return await make_account(services, await make_user(services, client))


@pytest.fixture
def bare_environment(monkeypatch):
    """No COATCHECK_* variable of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("COATCHECK_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def terminal(bare_environment, capsys):
    """Runs a verb as the operator does, with no setting but those the test gives."""
    handlers, level = logging.root.handlers[:], logging.root.level

    def run(*arguments):
        bare_environment.setattr(sys, "argv", ["coatcheck", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Answer(ended.value.code or 0, printed.out, printed.err)

    yield run
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def operator(terminal, bare_environment, url, master_key):
    """The terminal of somebody whose installation is in order."""
    bare_environment.setenv("COATCHECK_DATABASE_URL", url)
    bare_environment.setenv("COATCHECK_MASTER_KEY", master_key)
    bare_environment.setenv("COATCHECK_CONNECTORS", "sandbox")
    return terminal


@pytest.fixture
def run_elsewhere(operator):
    """For a test that has a loop running: the verb in a thread, where it may run its own; its JSON."""

    async def run(*arguments):
        return json.loads((await asyncio.to_thread(operator, *arguments, "--json")).out)

    return run


@pytest.fixture
def empty_url(server_url):
    """A database of the test's own, not migrated."""
    with copied_database(server_url, EMPTY) as url:
        yield url


@pytest.fixture
def own_url(server_url):
    """A database of the test's own."""
    with copied_database(server_url) as url:
        yield url


@pytest.fixture
def own_operator(operator, bare_environment, own_url):
    """The operator of that database."""
    bare_environment.setenv("COATCHECK_DATABASE_URL", own_url)
    return operator
