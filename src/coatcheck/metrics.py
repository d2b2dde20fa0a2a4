"""What the program counts and measures, for Prometheus. A label never contains a guid, an address or a secret."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from coatcheck.errors import ConfigurationError

REQUESTS = Counter("coatcheck_requests", "Requests that were answered.", ["surface", "operation", "status"])
REQUEST_SECONDS = Histogram(
    "coatcheck_request_seconds",
    "Time from a request's headers to its answer, in seconds.",
    ["surface", "operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EXCHANGES = Counter(
    "coatcheck_exchanges",
    "Codes that a processor presented, by result: `issued`, or why it was refused.",
    ["result"],
)
FAILED_AUTHENTICATIONS = Counter(
    "coatcheck_failed_authentications",
    "Requests without valid credentials, by surface. Those that were throttled count too.",
    ["surface"],
)
REFUSED_READS = Counter(
    "coatcheck_refused_reads",
    "Reads with a live token that one of its restrictions refused.",
    ["restriction"],
)
JOBS = Counter("coatcheck_jobs", "Attempts at a member's job, by kind and result.", ["kind", "result"])
JOB_SECONDS = Histogram(
    "coatcheck_job_seconds",
    "Duration of an attempt at a member's job, in seconds.",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180),
)
DISCONNECTIONS = Counter(
    "coatcheck_disconnections",
    "Attempts to end the access of a deleted member at its upstream, by result: `ended`, `failed` or `given_up`.",
    ["result"],
)
WEBHOOKS = Counter("coatcheck_webhook_attempts", "Attempts to deliver a webhook, by result.", ["result"])
DATABASE_UNAVAILABLE = Counter("coatcheck_database_unavailable", "Times that the database did not answer.")
OLDEST_DUE = Gauge(
    "coatcheck_oldest_due_seconds", "How long the oldest due task of a kind has waited, in seconds.", ["kind"]
)


@cache
def _of_requests(surface: str, operation: str, status: int) -> tuple[Counter, Histogram]:
    # Kept, because each search by labels takes a lock.
    return REQUESTS.labels(surface, operation, status), REQUEST_SECONDS.labels(surface, operation)


def count_request(surface: str, operation: str, status: int, seconds: float) -> None:
    """Counts an answered request and how long it took."""
    requests, durations = _of_requests(surface, operation, status)
    requests.inc()
    durations.observe(seconds)


class _PoolCollector(Collector):
    """Reads the state of the connection pool at each scrape."""

    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stats = self._stats()
        size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
        family = GaugeMetricFamily(
            "coatcheck_database_connections", "Connections of this process to the database.", labels=["state"]
        )
        family.add_metric(["used"], size - available)
        family.add_metric(["idle"], available)
        yield family
        yield GaugeMetricFamily(
            "coatcheck_database_waiting",
            "Requests that wait for a connection to the database.",
            stats.get("requests_waiting", 0),
        )


@contextmanager
def exposed(host: str, port: int, pool_stats: Callable[[], Mapping[str, int]]) -> Iterator[None]:
    """Serves the metrics on a listener of their own while the block runs. Port 0 serves nothing.

    Args:
        host: the address to listen on.
        port: the port.
        pool_stats: the state of the connection pool (`psycopg_pool.get_stats`).

    Raises:
        ConfigurationError: the address or the port cannot be used.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served on {host} port {port}: {error.strerror}. Change metrics_port."
        ) from error
    collector = _PoolCollector(pool_stats)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
        server.shutdown()
        server.server_close()
        thread.join()
