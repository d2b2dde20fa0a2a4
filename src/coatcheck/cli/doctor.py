"""`coatcheck doctor`: what is wrong with an installation, and how to mend it."""

import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import typer
from rich.text import Text

from coatcheck.cli.console import AsJson, out, show_json
from coatcheck.cli.runtime import reached, run
from coatcheck.clock import SystemClock
from coatcheck.config import Settings, load
from coatcheck.errors import CoatcheckError, OperatorError
from coatcheck.events import delivery
from coatcheck.grants.secrets import day_of, week_of
from coatcheck.jobs.notifications import APPLICATION_NAME
from coatcheck.members import job_rows
from coatcheck.migrations.revision import HEAD, is_current
from coatcheck.vault.keys import MasterKeys, master_keys_in_use, open_keyring

OLDEST_SERVER = 15
SKEW = timedelta(seconds=2)
"""Beyond it codes, tokens and leases begin to end at the wrong time."""
WAITING = timedelta(minutes=1)
"""How long a due job may stay queued while a worker is well."""


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    says: str
    mend: str = ""


def ok(check: str, says: str) -> Finding:
    return Finding(check, Verdict.OK, says)


def warn(check: str, says: str, mend: str) -> Finding:
    return Finding(check, Verdict.WARN, says, mend)


def fail(check: str, says: str, mend: str) -> Finding:
    return Finding(check, Verdict.FAIL, says, mend)


def doctor(as_json: AsJson = False) -> None:
    """Checks configuration, master key, database, schema, worker and clocks; says how to mend what is wrong.

    Changes nothing. Ends with 1 when something fails.

    Example: coatcheck doctor --json
    """
    findings = run(_examine())
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


def _show(finding: Finding) -> None:
    style = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}[finding.verdict]
    out.print(Text.assemble((f"{finding.verdict:<6}", style), f"{finding.check:<14}", finding.says))
    if finding.mend:
        out.print(Text(f"{'':<20}{finding.mend}", style="dim"))


async def _examine() -> list[Finding]:
    try:
        settings = load()
    except CoatcheckError as error:
        return [
            fail("configuration", error.problem, "Correct the file or the COATCHECK_* variable it names.")
        ]
    findings = list(_configuration(settings))
    try:
        keys: MasterKeys | None = MasterKeys.load(settings)
        findings += _key_file(settings)
    except CoatcheckError as error:
        keys = None
        findings.append(
            fail(
                "master key",
                error.problem,
                "Mend the setting or the file it names. Only where there never was a key: coatcheck keys new",
            )
        )
    try:
        async with reached(settings.database_url) as connection:
            findings += [finding async for finding in _database(connection, settings, keys)]
    except CoatcheckError as error:
        findings.append(
            fail("database", error.problem, "Start PostgreSQL, or correct COATCHECK_DATABASE_URL.")
        )
    return findings


def _configuration(settings: Settings) -> Iterator[Finding]:
    address = urlsplit(settings.base_url)
    if address.scheme == "https" or _is_local(address.hostname or ""):
        yield ok("configuration", f"Links lead to {settings.base_url}.")
    else:
        yield warn(
            "configuration",
            f"base_url {settings.base_url} is not encrypted; codes and tokens would cross the network in clear.",
            "Put a proxy that ends TLS in front and set COATCHECK_BASE_URL to its https:// address.",
        )
    if not settings.connectors:
        yield warn(
            "connectors",
            "No bank can be reached.",
            "Set COATCHECK_CONNECTORS. This version brings one connector, `sandbox`, for trying out.",
        )
    else:
        yield ok("connectors", f"Banks are reached through {', '.join(settings.connectors)}.")


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key_file(settings: Settings) -> Iterator[Finding]:
    if not settings.master_key_file:
        yield warn(
            "master key",
            "It stands in the environment, which other programs of this user can read.",
            "Put it into a file of mode 0600 and set COATCHECK_MASTER_KEY_FILE instead.",
        )
        return
    file = Path(settings.master_key_file)
    if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield warn("master key", f"Others than its owner can open {file}.", f"chmod 600 {file}")
    else:
        yield ok("master key", f"{file} is usable and its owner's alone.")


async def _database(
    connection: psycopg.AsyncConnection[Any], settings: Settings, keys: MasterKeys | None
) -> AsyncIterator[Finding]:
    version = connection.info.server_version // 10_000
    if version >= OLDEST_SERVER:
        yield ok("database", f"PostgreSQL {version} answers.")
    else:
        yield fail(
            "database", f"PostgreSQL {version} is too old.", f"Use PostgreSQL {OLDEST_SERVER} or newer."
        )
    yield await _clocks(connection)
    yield await _durability(connection)
    if not await is_current(connection):
        yield fail("schema", f"It is older than revision {HEAD}, or not there.", "coatcheck migrate")
        return
    yield ok("schema", f"It is at revision {HEAD} or newer.")
    if keys is not None:
        yield await _keyring(connection, keys)
    yield await _worker(connection)
    yield await _queue(connection)
    yield await _partitions(connection, settings)


async def _value(connection: psycopg.AsyncConnection[Any], statement: str, **parameters: Any) -> Any:
    cursor = await connection.execute(statement, parameters)
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def _clocks(connection: psycopg.AsyncConnection[Any]) -> Finding:
    theirs: datetime = await _value(connection, "SELECT clock_timestamp()")
    # Ours counts in whole seconds, cut off.
    skew = abs((SystemClock().now() + timedelta(milliseconds=500)) - theirs)
    if skew <= SKEW:
        return ok("clocks", "This machine and the database agree.")
    return fail(
        "clocks",
        f"This machine and the database differ by {skew.total_seconds():.0f} s.",
        "Let NTP set both; codes, tokens and leases end by the clock.",
    )


async def _durability(connection: psycopg.AsyncConnection[Any]) -> Finding:
    for name in ("fsync", "full_page_writes"):
        if await _value(connection, "SELECT current_setting(%(name)s)", name=name) == "off":
            return fail(
                "durability",
                f"{name} is off: after a crash a redeemed code could be redeemed again.",
                f"ALTER SYSTEM SET {name} TO on; SELECT pg_reload_conf();",
            )
    lagging = await _value(
        connection,
        "SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) = 0 AND count(*) > 0"
        " FROM pg_stat_replication",
    )
    if lagging:
        return warn(
            "durability",
            "No standby is synchronous: a failover can undo redemptions and revocations that were answered.",
            "Set synchronous_standby_names on the primary.",
        )
    if await _value(connection, "SELECT current_setting('synchronous_commit')") == "off":
        return warn(
            "durability",
            "synchronous_commit is off by default; our own sessions turn it on, other tools' do not.",
            "ALTER SYSTEM SET synchronous_commit TO on; SELECT pg_reload_conf();",
        )
    return ok("durability", "What was answered is on disk.")


async def _keyring(connection: psycopg.AsyncConnection[Any], keys: MasterKeys) -> Finding:
    try:
        async with connection.transaction(force_rollback=True):
            await open_keyring(connection, keys)
    except OperatorError as error:
        return fail(
            "keyring",
            f"{error.problem}" + (f" ({error.detail})" if error.detail else ""),
            "Put the master key that the database was set up with back into the file, below the others.",
        )
    old = {*await master_keys_in_use(connection)} - {keys.sealing_id}
    if missing := sorted(old - keys.keys.keys()):
        return fail(
            "keyring",
            f"Some users' keys need the master key {', '.join(missing)}, which is not configured.",
            "Put it back into the file, below the others, then `coatcheck keys rotate`.",
        )
    if old:
        return warn(
            "keyring", "Some keys are still wrapped under an older master key.", "coatcheck keys rotate"
        )
    return ok("keyring", "The master key opens it.")


async def _worker(connection: psycopg.AsyncConnection[Any]) -> Finding:
    count = await _value(
        connection,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %(name)s",
        name=APPLICATION_NAME,
    )
    if count:
        return ok("worker", "At least one is connected.")
    return fail("worker", "None is connected: no bank is read and no webhook sent.", "coatcheck work")


async def _queue(connection: psycopg.AsyncConnection[Any]) -> Finding:
    now = SystemClock().now()
    due = [await job_rows.oldest_due(connection, now), await delivery.oldest_due(connection, now)]
    oldest = max((now - since for since in due if since is not None), default=timedelta())
    if oldest <= WAITING:
        return ok("queue", "No job or webhook is overdue.")
    return warn(
        "queue",
        f"A job or a webhook has been due for {oldest.total_seconds() / 60:.0f} minutes.",
        "Run more workers (coatcheck work), and look in their log for a bank that does not answer.",
    )


async def _partitions(connection: psycopg.AsyncConnection[Any], settings: Settings) -> Finding:
    now = SystemClock().now()
    wanted = [
        f"audit_event_{now:%Y_%m}",
        f"disclosure_{now:%Y_%m}",
        f"authorization_code_{day_of(now + settings.code_ttl)}",
        f"link_{day_of(now + settings.link_ttl)}",
        f"access_token_{week_of(now + settings.token_ttl)}",
    ]
    missing = await _value(
        connection,
        "SELECT coalesce(array_agg(name), '{}') FROM unnest(%(wanted)s::text[]) AS name"
        " WHERE to_regclass(name) IS NULL",
        wanted=wanted,
    )
    if not missing:
        return ok("partitions", "Those of now are there.")
    return warn(
        "partitions",
        f"Not there: {', '.join(missing)}. Rows go into the default ones, slow to clean.",
        "The worker makes them; see that one runs (coatcheck work) and what its log says.",
    )
