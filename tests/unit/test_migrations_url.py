"""The URL of the database that `coatcheck migrate` takes."""

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from psycopg import conninfo

from coatcheck.migrations.upgrade import pending, upgrade
from tests.databases import EMPTY, copied_database


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    with copied_database(server_url, EMPTY) as url:
        yield url


def test_a_url_with_several_hosts_of_which_one_is_away_is_migrated(empty_url: str) -> None:
    parts = urlsplit(empty_url)
    hosts = ",".join(quote(host, safe="") for host in ("/away", parse_qs(parts.query)["host"][0]))
    url = f"postgresql://{parts.username}@{parts.path}?host={hosts}&port=5432,5432&target_session_attrs=read-write"
    assert pending(url)
    upgrade(url)
    assert pending(url) == []


def test_a_database_that_is_named_by_keywords_is_migrated(empty_url: str) -> None:
    upgrade(conninfo.make_conninfo(empty_url))
    assert pending(empty_url) == []
