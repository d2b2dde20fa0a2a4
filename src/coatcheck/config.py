"""The settings: one frozen object, read once from a TOML file and the environment. The environment overrides the file.

Every field is a setting: `COATCHECK_<FIELD>` in the environment, `<field>` in the file. Durations are seconds.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, inspect

from coatcheck.cell_digit import DIGITS, FIRST
from coatcheck.errors import ConfigurationError

PREFIX = "COATCHECK_"
LONGEST_DURATION = timedelta(days=3650)
"""The sum of the current time and a longer duration could exceed the range of `datetime`."""
CONNECTION = re.compile(r"postgres(ql)?://|\s*[a-z_]+\s*=")
"""The two notations of libpq: a URL, or keywords and values."""
TABLES = {"connector_": "connector", "cell_": "cells"}
"""How the names of a table's entries begin in the environment, and the setting that is the table."""
POSITIVE = (
    "request_deadline",
    "code_ttl",
    "token_ttl",
    "app_token_ttl",
    "link_ttl",
    "job_lease",
    "job_timeout",
)
"""The durations that must not be 0."""

Pooling: TypeAlias = Literal["session", "transaction", "transaction_prepared"]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
# `$` alone also matches before a trailing line break.
Limit: TypeAlias = Annotated[
    str, Meta(pattern=r"^([1-9][0-9]{0,8}/([1-9][0-9]{0,3} )?(second|minute|hour|day))?(?!\n)$")
]
"""The notation of the library `limits`: `100/minute`, `10/30 second`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str = field(default="", repr=False)
    """The URL of PostgreSQL, such as `postgresql://coatcheck@db/coatcheck`, or keywords, such as `host=db`."""
    database_pooling: Pooling = "session"
    """`transaction` and `transaction_prepared`: `database_url` leads to a pooler that may give each transaction another
    session. The second is for one that knows which session has which prepared statement."""
    database_direct_url: str = field(default="", repr=False)
    """The URL of PostgreSQL without a pooler, for what needs a session of its own: `migrate`, and the notifications of
    workers. Empty: `database_url`."""
    cell: Annotated[str, Meta(pattern=r"^[0-9A-Za-z](?!\n)$")] = FIRST
    """The digit of the cell of `database_url`. The cell `0` has the directory."""
    cells: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The databases of the other cells, by their digits: a table in the file, `COATCHECK_CELL_<DIGIT>` in the
    environment. With any, `serve` answers for all cells."""
    master_key: str = field(default="", repr=False)
    """`id:base64` of 32 bytes; several are separated by commas. The first encrypts. Prefer `master_key_file`."""
    master_key_file: str = ""
    """A file with one `id:base64` a line. The first encrypts, all decrypt. Only its owner may read it."""
    aws_kms_key: str = ""
    """The ARN, id or alias of the key of AWS KMS that wraps master keys."""
    hashicorp_vault_key: str = "transit/coatcheck"
    """The mount and the name of the Transit key of HashiCorp Vault that wraps master keys."""
    base_url: str = "http://127.0.0.1:8000"
    """The address at which clients, browsers and institutions reach this server. Links are built from it, never from
    the `Host` header. Where `host` or `port` is set and this is not, it follows from them."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """The port to listen on."""
    sandbox: bool = False
    """Whether the clock can be moved and the sandbox API is served. `coatcheck sandbox` sets it."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Guids and secrets of a sandbox follow from it; None makes them random. `coatcheck sandbox --seed` sets it."""
    metrics_host: str = "127.0.0.1"
    """The address of the listener for metrics."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The port of the listener for metrics. 0: there is none."""
    request_deadline: timedelta = timedelta(seconds=10)
    """How long a request waits at most for the database and for others, before it is answered with 503."""
    tracing: bool = False
    """Exports traces, as the environment variables of OpenTelemetry say (`OTEL_EXPORTER_OTLP_ENDPOINT`)."""
    service_role: str = ""
    """The database role of `serve` and `work`, to which `migrate` grants what they need. Empty: they are the owner."""
    pool_size: Count = 16
    """Database connections of one process."""
    connectors: tuple[str, ...] = ()
    """Which connectors are enabled, such as `sandbox`. A production server does not enable the sandbox."""
    connector: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Settings of connectors: a table for each in the file, `COATCHECK_CONNECTOR_<NAME>_<FIELD>` in the environment.
    Checked and converted by `connectors.settings`, which knows the fields."""
    code_ttl: timedelta = timedelta(minutes=10)
    """Lifetime of an authorization code (RFC 6749 4.1.2: at most 10 minutes)."""
    token_ttl: timedelta = timedelta(days=60)
    """Lifetime of an access token (MX processor guide: 60 days)."""
    app_token_ttl: timedelta = timedelta(days=365)
    """Lifetime of the access of an app that claimed a setup token (12 CFR 1033.421(b): at most a year)."""
    link_ttl: timedelta = timedelta(minutes=10)
    """Lifetime of a widget or OAuth link (MX docs: 10 minutes or first use)."""
    key_overlap: timedelta = timedelta(hours=24)
    """How long the old API key works after a rotation."""
    max_codes_per_account: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Codes of one account that can be redeemed at the same time. A request for one more gets 429."""
    on_code_reuse: Literal["revoke", "reject"] = "revoke"
    """`revoke` also revokes the token of a replayed code (RFC 6749 4.1.2); `reject` only refuses."""
    client_cert_header: bool = False
    """Trusts the header Client-Cert (RFC 9440) of the proxies in `--trusted-proxies`, which must remove a caller's."""
    dpop_nonces: bool = False
    """DPoP proofs need a nonce of this server (RFC 9449 8). Client libraries repeat the first request with it."""
    aggregation_interval: timedelta = timedelta(hours=3)
    """The least time between two aggregations of a member. Test institutions are exempt."""
    background_interval: timedelta = timedelta(hours=24)
    """How often a connected member is aggregated in the background."""
    mfa_ttl: timedelta = timedelta(hours=24)
    """How long a challenge waits for its answer before the member becomes EXPIRED."""
    job_lease: timedelta = timedelta(seconds=60)
    """How long a job stays leased to a worker that stopped renewing."""
    job_attempts: Count = 5
    """How often a job is attempted before it fails."""
    job_timeout: timedelta = timedelta(minutes=3)
    """How long one attempt at an institution may take."""
    worker_concurrency: Count = 32
    """Jobs that one worker runs at the same time."""
    institution_concurrency: Count = 8
    """Jobs that all workers together run at one institution at the same time, so that a slow one delays no other."""
    webhook_allow_private: bool = False
    """Lets webhooks be sent over http and to private addresses. For a sandbox and for development only."""
    body_deadline: timedelta = timedelta(seconds=10)
    """How long the body of a request may take to arrive. `request_deadline` applies as well."""
    hsts_max_age: timedelta = timedelta()
    """How long browsers reach this host by https only (RFC 6797). 0 sends no `Strict-Transport-Security`."""
    limit_requests_of_address: Limit = ""
    """Requests of one address, such as `600/minute`. Empty: no limit."""
    limit_requests_of_caller: Limit = ""
    """Requests with one API key, access token or widget session, such as `6000/minute`. Empty: no limit."""
    limit_failures_of_address: Limit = "200/minute"
    """Failed authentications from one address."""
    limit_failures_of_caller: Limit = "100/minute"
    """Failed authentications with one id from one address."""
    limit_refused_codes: Limit = "300/minute"
    """Codes that one processor presents from one address and may not redeem."""
    limit_connects_of_user: Limit = "60/hour"
    """Members that one user connects, and credentials that are replaced. Counted in the database, by all processes."""
    limit_refreshes_of_member: Limit = "24/day"
    """Jobs of one member that processors start: by `max_age` and by balance checks. Counted in the database."""
    limit_refreshes_of_processor: Limit = "10000/day"
    """Jobs that one processor starts at one institution. Counted in the database, by all processes."""
    limit_storage: str = field(default="memory", repr=False)
    """Where the counters are: `memory`, `database`, or the URL of a Valkey or Redis server."""
    portal_oidc_issuer: str = ""
    """The issuer of the identity provider with which end users open the portal. Empty: they open it by links only."""
    portal_oidc_client_id: str = ""
    """The id of the portal at the identity provider."""
    portal_oidc_client_secret: str = field(default="", repr=False)
    """The secret of the portal at the identity provider, for `client_secret_basic`. Empty: it has none, but PKCE."""
    portal_oidc_client_guid: str = ""
    """The guid of the client whose users sign in there."""
    portal_oidc_claim: str = "sub"
    """The claim whose value is the `id` of the user."""
    staff_oidc_issuer: str = ""
    """The issuer of the identity provider with which staff sign in (OpenID Connect). Empty: by passkey only."""
    staff_oidc_client_id: str = ""
    """The id of the dashboard at the identity provider."""
    staff_oidc_client_secret: str = field(default="", repr=False)
    """The secret of the dashboard at the identity provider, for `client_secret_basic`. Empty: it has none, but PKCE."""
    audit_checkpoint_file: str = ""
    """A file to which the worker appends the signed checkpoints of the audit log. Empty: none."""
    audit_checkpoint_url: str = field(default="", repr=False)
    """A URL to which the worker posts the newest signed checkpoint of the audit log. Empty: none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["json", "console"] = "json"
    """`json` for programs, `console` for people."""

    def __post_init__(self) -> None:
        self._check_database()
        self._check_cells()
        if not _is_origin(self.base_url):
            raise ConfigurationError(
                "The setting base_url must start with http:// or https://, must name a host, and must not end with a"
                " slash or contain a path."
            )
        if self.metrics_port and self.metrics_port == self.port:
            raise ConfigurationError(
                f"The settings port and metrics_port are both {self.port}. Set metrics_port to another port."
            )
        if self.audit_checkpoint_url and not is_url(self.audit_checkpoint_url):
            raise ConfigurationError(
                "The setting audit_checkpoint_url must start with http:// or https:// and must name a host."
            )
        self._check_oidc("staff", "dashboard")
        self._check_oidc("portal", "portal")
        if self.portal_oidc_issuer and not self.portal_oidc_client_guid:
            raise ConfigurationError(
                "The setting portal_oidc_client_guid is missing. It names the client whose users sign in."
            )
        if self.seed is not None and not self.sandbox:
            raise ConfigurationError(
                "The setting seed makes every token predictable. It is for a sandbox only: remove it."
            )
        self._check_durations()

    @property
    def direct_url(self) -> str:
        """The URL for what needs a session of its own."""
        return self.database_direct_url or self.database_url

    def _check_database(self) -> None:
        for name in ("database_url", "database_direct_url"):
            url = getattr(self, name)
            if url and not CONNECTION.match(url):
                raise ConfigurationError(
                    f"The setting {name} must be a URL such as postgresql://coatcheck@db/coatcheck, or keywords such as"
                    " host=db dbname=coatcheck user=coatcheck."
                )
        if self.database_pooling != "session" and not self.database_direct_url:
            raise ConfigurationError(
                f"The setting database_pooling is {self.database_pooling}. Set database_direct_url to the URL of"
                " PostgreSQL without the pooler, which migrate and workers need."
            )

    def _check_cells(self) -> None:
        if (self.cells or self.cell != FIRST) and self.sandbox:
            raise ConfigurationError("A sandbox has one cell. Remove the settings cell and cells.")
        for digit, url in self.cells.items():
            if digit not in {*DIGITS} - {self.cell}:
                raise ConfigurationError(
                    f"The setting cells must name each other cell by one character, 0 to 9, A to Z or a to z: {digit}"
                    " is none, or is this cell."
                )
            if not CONNECTION.match(url):
                raise ConfigurationError(
                    f"The setting cells must have the URL of PostgreSQL for the cell {digit}, such as"
                    " postgresql://coatcheck@db1/coatcheck."
                )

    def _check_oidc(self, whose: str, what: str) -> None:
        issuer = getattr(self, f"{whose}_oidc_issuer")
        if not issuer:
            return
        if not getattr(self, f"{whose}_oidc_client_id"):
            raise ConfigurationError(
                f"The setting {whose}_oidc_client_id is missing. Register the {what} at the issuer."
            )
        if not is_url(issuer) or not _is_protected(issuer):
            raise ConfigurationError(
                f"The setting {whose}_oidc_issuer must start with https:// (on this machine also http://) and"
                " must name a host."
            )

    def _check_durations(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, timedelta):
                continue
            if value < timedelta() or value > LONGEST_DURATION or (not value and each.name in POSITIVE):
                least = "more than 0" if each.name in POSITIVE else "at least 0"
                raise ConfigurationError(
                    f"The setting {each.name} must be {least} and at most {LONGEST_DURATION.days} days, in seconds."
                )


def is_url(url: str) -> bool:
    """Whether it is the URL of a web server: http or https, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_protected(url: str) -> bool:
    """Whether nobody between this machine and the host reads what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_local(parts.hostname or "")


def _is_origin(url: str) -> bool:
    """Whether the URL has a scheme, a host and perhaps a port, and nothing else."""
    return is_url(url) and url.endswith(f"//{urlsplit(url).netloc}")


def is_local(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(host: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens on the host and the port."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (compared, not listened on)
    return f"http://{reachable}:{port}"


def _check_port(settings: Settings) -> None:
    """A base URL of this machine must have the port on which the server listens there, if no proxy is in between."""
    url = urlsplit(settings.base_url)
    is_direct = url.scheme == "http" and is_local(url.hostname or "") and is_local(settings.host)
    if is_direct and settings.port and url.port != settings.port:
        address = address_of(settings.host, settings.port)
        raise ConfigurationError(
            f"The server listens on port {settings.port}, and the setting base_url names another one. Set"
            f" COATCHECK_BASE_URL={address}, or change the port."
        )


def load(
    environment: Mapping[str, str] | None = None, file: Path | None = None, **overrides: Any
) -> Settings:
    """Reads the file (or the one `COATCHECK_CONFIG` names), then the environment, then `overrides`.

    Raises:
        ConfigurationError: a setting is unknown or cannot be read. The message names the setting and what is allowed,
            and never contains its value.
    """
    environment = os.environ if environment is None else environment
    given = environment.get(f"{PREFIX}CONFIG")
    file = file or (Path(given) if given else None)
    values: dict[str, Any] = _from_file(file) if file else {}
    values |= _from_environment(environment)
    for prefix, setting in TABLES.items():
        entries = {
            name.removeprefix(prefix): values.pop(name) for name in [*values] if name.startswith(prefix)
        }
        if entries:
            values[setting] = {**values.get(setting, {}), **entries}
    values |= overrides
    types = get_type_hints(Settings, include_extras=True)
    if unknown := sorted(values.keys() - types.keys()):
        raise ConfigurationError(_explain_unknown(unknown[0], [*types]))
    converted = {name: _convert(name, types[name], value) for name, value in values.items()}
    settings = Settings(**converted)
    if settings.port and "base_url" not in values and {"host", "port"} & values.keys():
        return replace(settings, base_url=address_of(settings.host, settings.port))
    if "port" in values:
        _check_port(settings)
    return settings


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"The settings file {file} cannot be read: {error.strerror}. Correct COATCHECK_CONFIG."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The settings file {file} cannot be read: it is not UTF-8. Save it as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"The settings file {file} is not valid TOML: {error}. Correct it there."
        ) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}CONFIG"
    }


def _explain_unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"Unknown setting: {name}. " + (f"Did you mean {close[0]}?" if close else "Remove it.")


def _convert(name: str, kind: Any, value: Any) -> Any:
    """The value, which is text in the environment, as the type of the setting."""
    if isinstance(value, str) and isinstance(inspect.type_info(kind), inspect.VarTupleType):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise ConfigurationError(
            f"The setting {name} cannot be read: it must be {_describe(inspect.type_info(kind))}."
        ) from None


def _describe(kind: inspect.Type) -> str:
    """What a setting of this type can be, for an error message."""
    match kind:
        case inspect.IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}"
        case inspect.UnionType(types=(wanted, inspect.NoneType())):
            return _describe(wanted)
        case inspect.BoolType():
            return "true or false"
        case inspect.TimeDeltaType():
            return "a number of seconds"
        case inspect.LiteralType(values=values):
            *first, last = map(str, values)
            return f"{', '.join(first)} or {last}"
        case inspect.StrType(pattern=str()):
            return "a number and a period such as 100/minute, or empty for no limit"
        case inspect.VarTupleType():
            return "a list of names, in the environment separated by commas"
        case inspect.DictType():
            return "a table"
    return "text"


def names() -> tuple[str, ...]:
    """Every setting's name, in the order of the documentation."""
    return tuple(item.name for item in fields(Settings))
