"""Fixtures: how processes reach the database."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests import pgbouncer
from tests.databases import execute

needs_pgbouncer = pytest.mark.skipif(not pgbouncer.PROGRAM, reason=pgbouncer.MISSING)
needs_preparing_pgbouncer = pytest.mark.skipif(
    pgbouncer.version() < pgbouncer.PREPARES_SINCE, reason=pgbouncer.TOO_OLD
)


@pytest.fixture(
    params=[
        "direct",
        pytest.param("session", marks=[needs_pgbouncer, pytest.mark.slow]),
        pytest.param("transaction", marks=needs_pgbouncer),
        pytest.param("transaction_prepared", marks=[needs_preparing_pgbouncer, pytest.mark.slow]),
    ]
)
def reaching(
    request: pytest.FixtureRequest, environment: dict[str, str], url: str
) -> Iterator[dict[str, str]]:
    """The settings of processes that reach the database directly, or through PgBouncer in one of its modes."""
    if request.param == "direct":
        yield environment
        return
    if request.param != "session":
        database = urlsplit(url).path[1:]
        execute(url, *pgbouncer.role_settings(f"postgres IN DATABASE {database}").splitlines())
    with pgbouncer.pgbouncer(url, request.param) as settings:
        yield environment | settings
