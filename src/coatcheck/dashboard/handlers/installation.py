"""The installation, for the operator: findings, database and disk, keys, checkpoints and metrics."""

import shutil
from math import isfinite

from prometheus_client import REGISTRY
from starlette.responses import Response

from coatcheck import examination, metrics
from coatcheck.audit.entries import Entry
from coatcheck.audit.installation import last_sealed, newest_checkpoints
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.db.sizes import database_size, largest_tables
from coatcheck.http.charts import Bar, bars
from coatcheck.vault.keys import master_keys_in_use
from coatcheck.vault.signing_keys import documents_kept, published_keys

TABLES = 15
CHECKPOINTS = 20
OPERATIONS = 20
"""The most frequent operations that the chart shows."""


async def show_findings(request: DashboardRequest) -> Response:
    """What `coatcheck doctor` finds."""
    settings = request.services.settings
    findings = [*examination.examine_settings(settings)]
    async with request.services.db.connection() as connection:
        findings += [found async for found in examination.examine_database(connection, settings)]
    return request.page("findings", findings=findings)


async def show_database(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        size = await database_size(connection)
        tables = await largest_tables(connection, TABLES)
    # Of this machine. PostgreSQL does not tell how much space is left on its own.
    disk = shutil.disk_usage("/")
    return request.page("database", size=size, tables=tables, disk=disk)


async def show_keys(request: DashboardRequest) -> Response:
    """Which master keys wrap keys, and the keys that sign receipts."""
    services = request.services
    async with services.db.connection() as connection:
        wrapped = await master_keys_in_use(connection)
        signing = await published_keys(connection, services.clock.now())
    return request.page(
        "keys",
        wrapped=wrapped,
        sealing_id=services.vault.sealing_id,
        signing=signing,
        now=services.clock.now(),
    )


async def confirm_signing_rotation(request: DashboardRequest) -> Response:
    return request.page("rotate_signing_key")


async def rotate_signing_key(request: DashboardRequest) -> Response:
    """Publishes a new key of receipts, which signs after 15 minutes."""
    services = request.services
    async with services.db.transaction() as connection:
        added = await services.signing_keys.rotate(
            connection, documents_kept=documents_kept(services.settings), at_once=False
        )
        entry = Entry(actor=request.actor, action="signing_key.rotated", subject=added.kid)
        await services.journal.record(connection, entry)
    return request.redirect("/keys")


async def show_checkpoints(request: DashboardRequest) -> Response:
    """How far the audit log is sealed."""
    async with request.services.db.connection() as connection:
        _, has_more = await last_sealed(connection)
        checkpoints = await newest_checkpoints(connection, CHECKPOINTS)
    return request.page("checkpoints", checkpoints=checkpoints, has_unsealed=has_more)


async def show_metrics(request: DashboardRequest) -> Response:
    """Charts of what this process counted since it started."""
    return request.page(
        "metrics",
        requests=_by("coatcheck_requests", "operation")[:OPERATIONS],
        statuses=_by("coatcheck_requests", "status"),
        exchanges=_by("coatcheck_exchanges", "result"),
        durations=_durations(),
        pool=request.services.db.pool_stats(),
    )


def _by(name: str, label: str) -> list[Bar]:
    """The sums of a counter by one of its labels, the greatest first."""
    sums: dict[str, int] = {}
    for family in REGISTRY.collect():
        if family.name == name:
            for sample in family.samples:
                if sample.name == f"{name}_total":
                    key = sample.labels[label]
                    sums[key] = sums.get(key, 0) + int(sample.value)
    return [*bars(sorted(sums.items(), key=lambda pair: -pair[1]))]


def _durations() -> list[Bar]:
    """How many requests took up to each bound, and longer than the bound before it."""
    counts: dict[float, int] = {}
    for family in metrics.REQUEST_SECONDS.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                counts[bound] = counts.get(bound, 0) + int(sample.value)
    below, found = 0, []
    for bound in sorted(counts):
        found.append((f"{bound:g} s" if isfinite(bound) else "…", counts[bound] - below))
        below = counts[bound]
    return [*bars(found)]
