"""Fixtures of the tests of requests and of commands."""

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
    """Removes the COATCHECK_* variables of the environment in which the tests run."""
    for name in [name for name in os.environ if name.startswith("COATCHECK_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def terminal(bare_environment, capsys):
    """Runs a command in this process, with only the settings that the test sets."""
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
    """Runs a command with a database, a master key and the sandbox connector."""
    bare_environment.setenv("COATCHECK_DATABASE_URL", url)
    bare_environment.setenv("COATCHECK_MASTER_KEY", master_key)
    bare_environment.setenv("COATCHECK_CONNECTORS", "sandbox")
    return terminal


@pytest.fixture
def run_in_thread(operator):
    """Runs a command in a thread, for tests with a running event loop; returns the JSON that it prints."""

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
    """Runs a command on `own_url`."""
    bare_environment.setenv("COATCHECK_DATABASE_URL", own_url)
    return operator
