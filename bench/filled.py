"""A database with many rows, for measurements and query plans. The rows are synthetic; no secret in them opens."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg

from coatcheck.db.partitions import ensure_month_partitions
from coatcheck.grants.secrets import day_of, week_of

CLIENTS, PROCESSORS = 50, 10
ACCOUNTS_OF_A_USER = 2
TOKEN = "'TKN-01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')"
"""The guid of the n-th token, `{token}` in the statements."""

DIRECTORY = """
INSERT INTO client (guid, name, created_at)
    SELECT 'CLT-fill-' || n, 'Client ' || n, %(then)s FROM generate_series(0, %(clients)s - 1) n;
INSERT INTO processor (guid, name, created_at)
    SELECT 'PPR-fill-' || n, 'Processor ' || n, %(then)s FROM generate_series(0, %(processors)s - 1) n;
INSERT INTO client_processor (client_guid, processor_guid, enabled_at)
    SELECT c.guid, p.guid, %(then)s FROM client c CROSS JOIN processor p
    WHERE c.guid LIKE 'CLT-fill-%%' AND p.guid LIKE 'PPR-fill-%%';
"""
USERS = """
INSERT INTO end_user (guid, client_guid, id, created_at)
    SELECT 'USR-fill-' || n, 'CLT-fill-' || n %% %(clients)s, 'id' || n, %(then)s + n * interval '1 second'
    FROM generate_series(0, %(users)s - 1) n;
INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name, connection_status,
                    aggregated_at, created_at, updated_at)
    SELECT 'USR-fill-' || n, 'MBR-fill-' || n, 'CLT-fill-' || n %% %(clients)s, 'mxbank', 'INS-1', 'MX Bank',
           'CONNECTED', %(now)s, %(then)s, %(then)s
    FROM generate_series(0, %(users)s - 1) n;
INSERT INTO account (user_guid, guid, client_guid, member_guid, id, type, created_at, updated_at)
    SELECT 'USR-fill-' || n / %(each)s, 'ACT-fill-' || n, 'CLT-fill-' || n / %(each)s %% %(clients)s,
           'MBR-fill-' || n / %(each)s, 'a' || n, 'CHECKING', %(then)s, %(then)s
    FROM generate_series(0, %(accounts)s - 1) n;
INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state, requested_by,
                        created_at, queued_at, ended_at)
    SELECT 'USR-fill-' || n, 'JOB-fill-' || n, 'CLT-fill-' || n %% %(clients)s, 'MBR-fill-' || n, 'mxbank',
           'AGGREGATE', 'ended', 'operator', %(then)s, %(then)s, %(then)s
    FROM generate_series(0, %(users)s - 1) n;
"""
TOKENS = """
INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid,
                          account_guid, atoms, reads_protected, first_characters, created_at, expires_at)
    SELECT %(week)s, sha256(('t' || n)::bytea), {token}, a.client_guid, 'PPR-fill-' || n %% %(processors)s,
           a.user_guid, a.member_guid, a.guid, '', true, 'cct_fill',
           %(then)s + n * interval '1 ms', %(expires)s
    FROM generate_series(0, %(tokens)s - 1) n
    JOIN account a ON a.user_guid = 'USR-fill-' || (n %% %(accounts)s) / %(each)s
                  AND a.guid = 'ACT-fill-' || n %% %(accounts)s;
INSERT INTO authorization_code (expires_day, code_hash, client_guid, user_guid, member_guid, account_guid, atoms,
                                reads_protected, created_at, expires_at)
    SELECT %(day)s, sha256(('c' || n)::bytea), t.client_guid, t.user_guid, t.member_guid, t.account_guid, t.atoms, true,
           %(then)s, %(now)s
    FROM generate_series(0, %(tokens)s - 1) n JOIN access_token t ON right(t.guid, 12) = lpad(to_hex(n), 12, '0');
"""
HISTORY = """
INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown, token_guid)
    SELECT %(now)s - n * interval '1 ms', 'PPR-fill-' || n %% %(processors)s, 'CLT-fill-' || n %% %(clients)s,
           'USR-fill-' || n %% %(users)s, 'ACT-fill-' || n %% %(accounts)s, 'ACCOUNT_NUMBERS', 1, {token}
    FROM generate_series(0, %(tokens)s - 1) n;
INSERT INTO audit_event (at, guid, client_guid, actor, action, subject)
    SELECT %(now)s - n * interval '1 ms', gen_random_uuid(), 'CLT-fill-' || n %% %(clients)s, 'operator', 'fill', '-'
    FROM generate_series(0, %(tokens)s - 1) n;
INSERT INTO webhook_endpoint (guid, owner_guid, url, events, status, authentication, created_at)
    SELECT 'WHE-fill-' || n, 'CLT-fill-' || n, 'https://hooks.example.com/', '{*}', 'enabled', 'none', %(then)s
    FROM generate_series(0, %(clients)s - 1) n;
INSERT INTO event (guid, owner_guid, format, type, object, sequence, payload, occurred_at, due_at)
    SELECT 'EVT-fill-' || n, 'CLT-fill-' || n %% %(clients)s, 'coatcheck', 'code.redeemed', {token}, 1, '{}',
           %(now)s - n * interval '1 ms', %(now)s
    FROM generate_series(0, %(tokens)s - 1) n;
INSERT INTO event_sequence (owner_guid, object, last, changed_at)
    SELECT 'CLT-fill-' || n %% %(clients)s, {token}, 1, %(now)s FROM generate_series(0, %(tokens)s - 1) n;
INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, object, position, status, attempts,
                      created_at)
    SELECT 'DLV-fill-' || n, e.guid, e.occurred_at, 'WHE-fill-' || n %% %(clients)s, e.owner_guid, e.object, e.position,
           'delivered', 1, e.occurred_at
    FROM generate_series(0, %(tokens)s - 1) n JOIN event e ON e.guid = 'EVT-fill-' || n;
INSERT INTO transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date, category,
                         category_guid, top_level_category, top_level_category_guid, created_at, updated_at)
    SELECT a.user_guid, 'TRN-fill-' || n, a.member_guid, a.guid, 't' || n, 1, 'DEBIT', 'POSTED',
           (%(now)s - n %% 400 * interval '1 day')::date, 'Groceries', 'CAT-1', 'Food', 'CAT-2', %(then)s, %(then)s
    FROM generate_series(0, %(tokens)s - 1) n
    JOIN account a ON a.user_guid = 'USR-fill-' || (n %% %(accounts)s) / %(each)s
                  AND a.guid = 'ACT-fill-' || n %% %(accounts)s;
"""


async def fill(url: str, tokens: int, progress: Callable[[str], None] = lambda _: None) -> None:
    """Adds this many tokens, codes, disclosures, audit entries, events and transactions, and a tenth as many users."""
    now = datetime.now(UTC)
    users = max(CLIENTS, tokens // 10)
    values = {
        "now": now,
        "then": now - timedelta(days=30),
        "expires": now + timedelta(days=30),
        "week": week_of(now + timedelta(days=30)),
        "day": day_of(now),
        "tokens": tokens,
        "users": users,
        "accounts": users * ACCOUNTS_OF_A_USER,
        "each": ACCOUNTS_OF_A_USER,
        "clients": CLIENTS,
        "processors": PROCESSORS,
    }
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS access_token_{values['week']} PARTITION OF access_token"
            f" FOR VALUES IN ({values['week']})"
        )
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS authorization_code_{values['day']} PARTITION OF authorization_code"
            f" FOR VALUES IN ({values['day']})"
        )
        for table in ("audit_event", "disclosure", "event", "delivery"):
            await ensure_month_partitions(connection, table, now)
        for name, script in (
            ("directory", DIRECTORY),
            ("users", USERS),
            ("tokens", TOKENS),
            ("history", HISTORY),
        ):
            progress(name)
            async with psycopg.AsyncClientCursor(connection) as cursor:
                for statement in script.split(";"):
                    if statement.strip():
                        await cursor.execute(statement.replace("{token}", TOKEN), values)
            await connection.execute("ANALYZE")
