"""What is wrong with an installation, and how to repair it: for `coatcheck doctor` and the dashboard."""

import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coatcheck import clock, config, sandbox_clock
from coatcheck.audit import installation
from coatcheck.connectors import installed
from coatcheck.db import connections, database
from coatcheck.errors import CoatcheckError, OperatorError
from coatcheck.events import claims, ssrf
from coatcheck.grants import secrets
from coatcheck.jobs import heartbeats
from coatcheck.members import job_rows
from coatcheck.migrations import revision
from coatcheck.vault import keys as keyring
from coatcheck.vault import master_keys

OLDEST_SERVER = 15
MAX_SKEW = timedelta(seconds=2)
"""With a greater difference, codes, tokens and leases end at the wrong time."""
LONGEST_AUTHORIZATION = timedelta(days=366)
"""An authorization ends after a year unless it is renewed (12 CFR 1033.421)."""
MAX_UNSEALED = timedelta(minutes=1)
MAX_OVERDUE = timedelta(minutes=1)
"""How long a due job stays queued at most while enough workers run."""

MAX_MOVING = timedelta(minutes=10)
"""How long the move of a user takes at most, unless it was interrupted."""


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    status: Status
    message: str
    fix: str = ""
    """What the operator can do; empty if nothing is wrong."""


def ok(check: str, message: str) -> Finding:
    return Finding(check, Status.OK, message)


def warn(check: str, message: str, fix: str) -> Finding:
    return Finding(check, Status.WARN, message, fix)


def fail(check: str, message: str, fix: str) -> Finding:
    return Finding(check, Status.FAIL, message, fix)


def examine_settings(settings: config.Settings) -> Iterator[Finding]:
    """The findings that need no database."""
    address = urlsplit(settings.base_url)
    if address.scheme == "https" or config.is_local(address.hostname or ""):
        yield ok("configuration", f"base_url is {settings.base_url}.")
    else:
        yield warn(
            "configuration",
            f"base_url {settings.base_url} is not encrypted: codes and tokens cross the network in clear text.",
            "Put a proxy that terminates TLS in front, and set COATCHECK_BASE_URL to its https:// address.",
        )
    if settings.token_ttl > LONGEST_AUTHORIZATION:
        yield warn(
            "token lifetime",
            f"token_ttl is {settings.token_ttl.days} days: a processor reads for longer than a year without a renewal.",
            "Set COATCHECK_TOKEN_TTL to 31536000 or less (12 CFR 1033.421), unless your counsel says otherwise.",
        )
    yield _connectors(settings)
    yield _master_key(settings)


def _connectors(settings: config.Settings) -> Finding:
    try:
        statuses = installed.connector_statuses(settings, clock.SystemClock(), guard=ssrf.public_only)
    except CoatcheckError as error:
        return fail("connectors", error.problem, "Correct COATCHECK_CONNECTORS or the connector's settings.")
    for status in statuses:
        if status.is_enabled and status.problem:
            return fail("connectors", status.problem, f"Correct the connector {status.name} or its settings.")
    if not settings.connectors:
        return warn(
            "connectors",
            "No connector is enabled: no institution can be reached.",
            "Set COATCHECK_CONNECTORS. `coatcheck connectors` lists the installed connectors.",
        )
    return ok("connectors", f"Enabled: {', '.join(settings.connectors)}.")


def _master_key(settings: config.Settings) -> Finding:
    try:
        master_keys.MasterKeys.load(settings)
    except CoatcheckError as error:
        advice = "Correct the setting or the file. For a new installation only: coatcheck keys new"
        return fail("master key", error.problem, advice)
    if not settings.master_key_file:
        return warn(
            "master key",
            "It is in the environment, which other programs of this user can read.",
            "Write it to a file with mode 0600, and set COATCHECK_MASTER_KEY_FILE instead.",
        )
    file = Path(settings.master_key_file)
    if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        return warn("master key", f"Other users than its owner can open {file}.", f"chmod 600 {file}")
    return ok("master key", f"{file} is usable, and only its owner can read it.")


async def examine_database(
    connection: database.Connection, settings: config.Settings
) -> AsyncIterator[Finding]:
    """The findings about the database and what it says of the workers.

    Args:
        connection: outside of a transaction.
        settings: those of the installation.
    """
    version = connection.info.server_version // 10_000
    if version >= OLDEST_SERVER:
        yield ok("database", f"PostgreSQL {version} answers.")
    else:
        yield fail(
            "database", f"PostgreSQL {version} is too old.", f"Use PostgreSQL {OLDEST_SERVER} or newer."
        )
    if settings.database_pooling != "session":
        yield await _pooler(connection)
    yield await _clocks(connection)
    yield await _durability(connection)
    yield await _statement_log(connection)
    if not await revision.is_current(connection):
        yield fail("schema", f"It is missing, or older than revision {revision.HEAD}.", "coatcheck migrate")
        return
    yield await _schema(connection)
    yield await _connections(connection, settings)
    with suppress(CoatcheckError):
        yield await _keyring(connection, master_keys.MasterKeys.load(settings))
    yield await _worker(connection)
    yield await _queue(connection)
    if settings.cells:
        yield await _moves(connection, settings)
    yield await _partitions(connection, settings)
    yield await _audit_role(connection)
    yield await _audit_log(connection, settings)


async def _value(connection: database.Connection, statement: str, **parameters: Any) -> Any:
    cursor = await connection.execute(statement, parameters)
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def _role(connection: database.Connection) -> str:
    """The quoted name of the role."""
    return str(await _value(connection, "SELECT quote_ident(current_user)"))


async def _clocks(connection: database.Connection) -> Finding:
    database_time: datetime = await _value(connection, "SELECT clock_timestamp()")
    # The clock truncates to whole seconds, by half a second on average.
    skew = abs((clock.SystemClock().now() + timedelta(milliseconds=500)) - database_time)
    if skew <= MAX_SKEW:
        return ok("clocks", "This machine and the database agree.")
    return fail(
        "clocks",
        f"This machine and the database differ by {skew.total_seconds():.0f} s.",
        "Synchronise both with NTP. Codes, tokens and leases expire by the clock.",
    )


async def _pooler(connection: database.Connection) -> Finding:
    missing = await connections.missing_settings(connection)
    if not missing:
        return ok("pooler", "The sessions behind it have the settings that Coatcheck needs.")
    role = await _role(connection)
    return fail(
        "pooler",
        f"The sessions behind it do not have the settings {', '.join(missing)}.",
        " ".join(f"ALTER ROLE {role} SET {name} TO '{value}';" for name, value in missing.items())
        + " Then let the pooler connect again (PgBouncer: RECONNECT).",
    )


async def _statement_log(connection: database.Connection) -> Finding:
    logs_values = await _value(
        connection,
        """SELECT current_setting('log_parameter_max_length') <> '0'
              AND (current_setting('log_statement') <> 'none'
                   OR current_setting('log_min_duration_statement') <> '-1'
                   OR current_setting('log_min_duration_sample') <> '-1')""",
    )
    if logs_values:
        return warn(
            "statement log",
            "PostgreSQL logs statements with their values: e-mail addresses, and what clients note about users.",
            "ALTER SYSTEM SET log_parameter_max_length TO 0; SELECT pg_reload_conf();",
        )
    return ok("statement log", "PostgreSQL logs no values of statements.")


async def _durability(connection: database.Connection) -> Finding:
    for name in ("fsync", "full_page_writes"):
        if await _value(connection, "SELECT current_setting(%(name)s)", name=name) == "off":
            return fail(
                "durability",
                f"{name} is off: after a crash, a redeemed code could be redeemed again.",
                f"ALTER SYSTEM SET {name} TO on; SELECT pg_reload_conf();",
            )
    sync_states = await _value(connection, "SELECT array_agg(sync_state) FROM pg_stat_replication") or []
    if None in sync_states:
        return warn(
            "durability",
            "This role may not see whether a standby is synchronous.",
            f"GRANT pg_read_all_stats TO {await _role(connection)};",
        )
    if sync_states and not {"sync", "quorum"} & {*sync_states}:
        return warn(
            "durability",
            "No standby is synchronous: a failover can undo redemptions and revocations that were answered.",
            "Set synchronous_standby_names on the primary.",
        )
    if await _value(connection, "SELECT current_setting('synchronous_commit')") == "off":
        return warn(
            "durability",
            "synchronous_commit is off by default. Coatcheck turns it on in its sessions, other programs do not.",
            "ALTER SYSTEM SET synchronous_commit TO on; SELECT pg_reload_conf();",
        )
    return ok("durability", "Answered requests are on disk.")


async def _schema(connection: database.Connection) -> Finding:
    found = await revision.revision_of(connection)
    if found == revision.HEAD:
        return ok("schema", f"It is at revision {found}.")
    return warn(
        "schema",
        f"It is at revision {found}, newer than this program, which knows {revision.HEAD}.",
        "Deploy the later version of Coatcheck that migrated it.",
    )


async def _connections(connection: database.Connection, settings: config.Settings) -> Finding:
    limit = int(await _value(connection, "SELECT current_setting('max_connections')"))
    # serve and work have a pool each, and a listener.
    needed = 2 * settings.pool_size + 1
    if needed <= limit:
        return ok("connections", f"The server allows {limit}; one serve and one work need {needed}.")
    return fail(
        "connections",
        f"The server allows {limit} connections, and one serve and one work need {needed}.",
        "Lower COATCHECK_POOL_SIZE, or raise max_connections of the server.",
    )


async def _keyring(connection: database.Connection, keys: master_keys.MasterKeys) -> Finding:
    try:
        async with connection.transaction(force_rollback=True):
            await keyring.open_keyring(connection, keys)
    except OperatorError as error:
        return fail(
            "keyring",
            f"{error.problem}" + (f" ({error.detail})" if error.detail else ""),
            "Add the master key with which the database was set up to the file, below the others.",
        )
    old = {*await keyring.master_keys_in_use(connection)} - {keys.sealing_id}
    if missing := sorted(old - keys.keys.keys()):
        return fail(
            "keyring",
            f"Some users' keys need the master key {', '.join(missing)}, which is not configured.",
            "Add it to the file, below the others, then run `coatcheck keys rotate`.",
        )
    if old:
        return warn(
            "keyring", "Some keys are still wrapped with an older master key.", "coatcheck keys rotate"
        )
    return ok("keyring", "The master key unwraps it.")


async def _worker(connection: database.Connection) -> Finding:
    if await heartbeats.is_any_worker_alive(connection):
        return ok("worker", "At least one worker is running.")
    return fail("worker", "No worker is running: no job runs and no webhook is sent.", "coatcheck work")


async def _now(connection: database.Connection) -> datetime:
    """The time by which things fall due: that of a sandbox may have been moved."""
    return (await sandbox_clock.read_clock(connection)).now()


async def _queue(connection: database.Connection) -> Finding:
    now = await _now(connection)
    due = [await job_rows.oldest_due(connection, now), await claims.oldest_due(connection, now)]
    oldest = max((now - since for since in due if since is not None), default=timedelta())
    if oldest <= MAX_OVERDUE:
        return ok("queue", "No job or webhook is overdue.")
    return warn(
        "queue",
        f"A job or a webhook has been due for {oldest.total_seconds() / 60:.0f} minutes.",
        "Run more workers (coatcheck work), and look in their log for an institution that does not answer.",
    )


async def _moves(connection: database.Connection, settings: config.Settings) -> Finding:
    user_guid = await _value(
        connection,
        """SELECT min(user_guid) FROM cell_move
           WHERE phase <> 'finished' AND to_cell <> %(cell)s AND began_at < %(before)s""",
        cell=settings.cell,
        before=await _now(connection) - MAX_MOVING,
    )
    if user_guid is None:
        return ok("moves", "No user has been moving to another cell for long.")
    return warn(
        "moves",
        f"{user_guid} has been moving to another cell for more than {MAX_MOVING.seconds // 60} minutes: changes of"
        " the user are refused.",
        f"Run `coatcheck cell move {user_guid}` again, or `coatcheck cell cancel {user_guid}`.",
    )


async def _partitions(connection: database.Connection, settings: config.Settings) -> Finding:
    now = await _now(connection)
    expected = [
        f"audit_event_{now:%Y_%m}",
        f"disclosure_{now:%Y_%m}",
        f"authorization_code_{secrets.day_of(now + settings.code_ttl)}",
        f"link_{secrets.day_of(now + settings.link_ttl)}",
        f"access_token_{secrets.week_of(now + settings.token_ttl)}",
        f"access_token_{secrets.week_of(now + settings.app_token_ttl)}",
    ]
    missing = await _value(
        connection,
        "SELECT coalesce(array_agg(name), '{}') FROM unnest(%(expected)s::text[]) AS name"
        " WHERE to_regclass(name) IS NULL",
        expected=expected,
    )
    if not missing:
        return ok("partitions", "The partitions of today exist.")
    return warn(
        "partitions",
        f"Missing: {', '.join(missing)}. Rows go to the default partitions, which are slow to clean.",
        "Workers create them. Check that one runs (coatcheck work), and its log.",
    )


async def _audit_role(connection: database.Connection) -> Finding:
    role = await _value(connection, "SELECT current_user")
    if not await installation.may_alter_log(connection):
        return ok("audit role", f"The role {role} can only append to the audit log.")
    return warn(
        "audit role",
        f"The role {role} can change the audit log: it owns the tables, or is a superuser.",
        "Let another role own them, set COATCHECK_SERVICE_ROLE and run `coatcheck migrate` as the owner.",
    )


async def _audit_log(connection: database.Connection, settings: config.Settings) -> Finding:
    sealed_at, has_more = await installation.last_sealed(connection)
    if has_more and (sealed_at is None or await _now(connection) - sealed_at > MAX_UNSEALED):
        return warn(
            "audit log",
            f"Nothing was sealed since {f'{sealed_at:%Y-%m-%d %H:%M:%S} UTC' if sealed_at else 'the start'}.",
            "A worker seals it. Check that one runs (coatcheck work), and its log for worker.periodic_failed.",
        )
    file = Path(settings.audit_checkpoint_file) if settings.audit_checkpoint_file else None
    if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
        return fail(
            "audit log",
            f"The setting audit_checkpoint_file cannot be written: {file}.",
            "Create its directory, or let the user of the worker write there.",
        )
    if not settings.audit_checkpoint_file and not settings.audit_checkpoint_url:
        return warn(
            "audit log",
            "Its checkpoints are not published: the owner of the database can rewrite it unseen.",
            "Set COATCHECK_AUDIT_CHECKPOINT_FILE or COATCHECK_AUDIT_CHECKPOINT_URL.",
        )
    return ok("audit log", "It is sealed, and its checkpoints are published.")
