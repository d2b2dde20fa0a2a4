"""What migrations do with the rows that they find."""

import hashlib
import time
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from coatcheck import migrations
from coatcheck.migrations.upgrade import upgrade
from tests.databases import EMPTY, copied_database

USER, MEMBER, ACCOUNT = "USR-1", "MBR-2", "ACT-3"
SCOPE = f"user-guid:{USER} member-guid:{MEMBER} account-guid:{ACCOUNT}"
CODES = f"""
INSERT INTO authorization_code (expires_day, code_hash, client_guid, user_guid, member_guid, account_guid, scope,
                                reads_protected, created_at, expires_at, redeemed_at, redeemed_by, token_week,
                                token_hash, idempotency_hash, sealed_reply, setup_token_hash)
VALUES (1, 'code', 'CLT-1', '{USER}', '{MEMBER}', '{ACCOUNT}', '{SCOPE} read-protected', true, now(), now(),
        now(), 'PPR-1', 1, 'token', 'key', 'sealed', NULL),
       (1, 'claimed', 'CLT-1', '{USER}', '{MEMBER}', '{ACCOUNT}', '{SCOPE}', false, now(), now(),
        now(), 'PPR-2', 1, 'app', NULL, NULL, 'setup'),
       (1, 'open', 'CLT-1', '{USER}', '{MEMBER}', '{ACCOUNT}', '{SCOPE} max-reads:3', false, now(), now(),
        NULL, NULL, NULL, NULL, NULL, NULL, NULL)"""
TOKENS = f"""
INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid,
                          account_guid, scope, reads_protected, first_characters, created_at, expires_at)
SELECT 1, hash::bytea, 'TKN-' || gen_random_uuid(), 'CLT-1', processor, '{USER}', '{MEMBER}', '{ACCOUNT}', scope, true,
       'cct', now(), now()
FROM (VALUES ('token', 'PPR-1', '{SCOPE} read-protected'), ('app', 'PPR-2', '{SCOPE}')) AS t (hash, processor, scope)"""
ENTRY = (
    '{{"action":"a.b","actor":"operator","at":"2026-10-31T23:59:59.000250Z","client_guid":{client},'
    '"detail":{detail},"guid":"AUD-00000000-0000-7000-8000-00000000000{number}","subject":"S \\"\\\\ ü\\n"}}'
)
ENTRIES = [
    ENTRY.format(client="null", detail="{}", number=1),
    ENTRY.format(client='"CLT-1"', detail='{"list":"x","name":"Zoë \\"{ }\\""}', number=2),
]


@pytest.fixture
def before(server_url: str) -> Iterator[str]:
    """A database with the schema 0032."""
    with copied_database(server_url, EMPTY) as url:
        config = Config()
        config.set_main_option("script_location", str(next(iter(migrations.__path__))))
        config.set_main_option("path_separator", "os")
        engine = create_engine(
            "postgresql+psycopg://", poolclass=NullPool, creator=partial(psycopg.connect, url)
        )
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0032")
            connection.commit()
        yield url


def test_tokens_keep_their_scope_and_learn_the_code_that_they_were_exchanged_for(before: str) -> None:
    with psycopg.connect(before) as connection:
        connection.execute(CODES)
        connection.execute(TOKENS)
    upgrade(before)
    with psycopg.connect(before) as connection:
        tokens = connection.execute(
            "SELECT processor_guid, atoms, code_hash, idempotency_hash, sealed_reply FROM access_token ORDER BY 1"
        ).fetchall()
        codes = connection.execute("SELECT code_hash, atoms FROM authorization_code").fetchall()
    assert tokens == [
        ("PPR-1", " read-protected", b"code", b"key", b"sealed"),
        ("PPR-2", "", b"setup", None, None),
    ]
    assert codes == [(b"open", " max-reads:3")]


def store_entry(connection: psycopg.Connection, body: str, at: str = "2026-10-31T23:59:59Z") -> None:
    values = {"body": body, "at": at, "hash": hashlib.sha256(b"\0" + body.encode()).digest()}
    connection.execute(
        """INSERT INTO audit_event (at, guid, client_guid, body, leaf_hash)
           SELECT %(at)s, entry ->> 'guid', entry ->> 'client_guid', %(body)s, %(hash)s
           FROM (SELECT %(body)s::json AS entry) AS given""",
        values,
    )


def test_entries_of_the_audit_log_keep_their_text_number_and_month(before: str) -> None:
    with psycopg.connect(before) as connection:
        connection.execute(
            "SELECT create_range_partition('audit_event', 'audit_event_2026_10', '2026-10-01Z', '2026-11-01Z')"
        )
        for body in ENTRIES:
            store_entry(connection, body)
        numbers = connection.execute("SELECT number FROM audit_event ORDER BY 1").fetchall()
    upgrade(before)
    with psycopg.connect(before) as connection:
        found = connection.execute("SELECT body FROM audit_entry ORDER BY number").fetchall()
        assert connection.execute("SELECT number FROM audit_event ORDER BY 1").fetchall() == numbers
        in_month = connection.execute("SELECT count(*) FROM audit_event_2026_10").fetchall()
        with pytest.raises(psycopg.errors.RaiseException, match="append only"):
            connection.execute("DELETE FROM audit_event")
    assert found == [(body,) for body in ENTRIES]
    assert in_month == [(2,)]


def test_an_entry_whose_text_would_become_another_one_stops_the_migration(before: str) -> None:
    with psycopg.connect(before) as connection:
        store_entry(connection, ENTRIES[0].replace('":', '": '))
    with pytest.raises(Exception, match="an audit entry would have another text"):
        upgrade(before)


def test_the_revision_of_a_row_begins_after_what_the_program_before_sends_while_it_is_replaced(
    before: str,
) -> None:
    add = "INSERT INTO end_user (guid, client_guid, created_at) VALUES (%s, 'CLT-1', now())"
    with psycopg.connect(before) as connection:
        connection.execute("INSERT INTO client (guid, name, created_at) VALUES ('CLT-1', 'Acme', now())")
        connection.execute(add, ("USR-1",))
    upgrade(before)
    last_sent = time.time() + 23 * 3600
    with psycopg.connect(before) as connection:
        connection.execute(add, ("USR-2",))
        (old,), (new,) = connection.execute("SELECT revision FROM end_user ORDER BY guid").fetchall()
    assert old > last_sent
    assert new == 1
