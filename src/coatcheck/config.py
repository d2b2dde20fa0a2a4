"""The settings: one frozen object, read once, from a TOML file and the environment (which wins).

Every field is a setting: `COATCHECK_<FIELD>` in the environment, `<field>` in the file. Durations are seconds.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

from coatcheck.errors import ConfigurationError

PREFIX = "COATCHECK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str = field(default="", repr=False)
    """Where PostgreSQL is, such as `postgresql://coatcheck@db/coatcheck`."""
    master_key: str = field(default="", repr=False)
    """`id:base64` of 32 bytes; several separated by commas, the first seals. Prefer `master_key_file`."""
    master_key_file: str = ""
    """A file with one `id:base64` a line, the first seals, all open. Readable by its owner alone."""
    base_url: str = "http://127.0.0.1:8000"
    """How clients, browsers and banks reach this server; links are built from it, never from `Host`."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    pool_size: int = 16
    """Database connections of one process."""
    connectors: tuple[str, ...] = ()
    """Which connectors are enabled, such as `sandbox`. A production server does not enable the sandbox."""
    connector: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Settings of connectors: a table for each in the file, `COATCHECK_CONNECTOR_<NAME>_<FIELD>` in the environment.
    Checked and converted by `connectors.settings`, which knows the fields."""
    code_ttl: timedelta = timedelta(minutes=10)
    """Life of an authorization code (RFC 6749 4.1.2: at most 10 minutes)."""
    token_ttl: timedelta = timedelta(days=60)
    """Life of an access token (MX processor guide: 60 days)."""
    link_ttl: timedelta = timedelta(minutes=10)
    """Life of a widget or OAuth link (MX docs: 10 minutes or first use)."""
    key_overlap: timedelta = timedelta(hours=24)
    """How long the old API key still works after a rotation."""
    on_code_reuse: str = "revoke"
    """`revoke` ends the token that a replayed code bought (RFC 6749 4.1.2); `reject` only refuses."""
    aggregation_interval: timedelta = timedelta(hours=3)
    """Least time between two aggregations of a member; test institutions are exempt."""
    background_interval: timedelta = timedelta(hours=24)
    """How often a connected member is aggregated without being asked."""
    mfa_ttl: timedelta = timedelta(hours=24)
    """How long a challenge waits for its answer before the member is EXPIRED."""
    job_lease: timedelta = timedelta(seconds=60)
    """How long a worker that stopped renewing keeps its job."""
    job_attempts: int = 5
    """How often a job is picked up before it is given up."""
    job_timeout: timedelta = timedelta(minutes=3)
    """How long one sitting at a bank may take."""
    worker_concurrency: int = 32
    """Jobs that one worker runs at once."""
    institution_concurrency: int = 8
    """Jobs at one institution that all workers together run at once, so that a hung bank slows no other."""
    webhook_allow_private: bool = False
    """Webhooks may go to http and to private addresses: for a sandbox and for development, never else."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: str = "json"
    """`json` for machines or `console` for people."""

    def __post_init__(self) -> None:
        if self.on_code_reuse not in {"revoke", "reject"}:
            raise ConfigurationError("on_code_reuse is `revoke` or `reject`.")
        if self.database_url and not self.database_url.startswith(("postgresql://", "postgres://")):
            raise ConfigurationError("database_url is a URL such as postgresql://coatcheck@db/coatcheck.")
        if not self.base_url.startswith(("http://", "https://")) or self.base_url.endswith("/"):
            raise ConfigurationError("base_url starts with http:// or https:// and has no slash at its end.")
        if not 0 <= self.port <= 65535:
            raise ConfigurationError("port is a number from 0 to 65535.")
        if self.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ConfigurationError("log_level is DEBUG, INFO, WARNING or ERROR.")
        for name in ("code_ttl", "token_ttl", "link_ttl", "job_lease", "job_timeout"):
            if getattr(self, name) <= timedelta():
                raise ConfigurationError(f"{name} is longer than nothing.")


def load(
    environment: Mapping[str, str] | None = None, file: Path | None = None, **overrides: Any
) -> Settings:
    """Reads the file (or the one `COATCHECK_CONFIG` names), then the environment, then `overrides`.

    Raises:
        ConfigurationError: a setting is unknown or cannot be read; it says which.
    """
    environment = os.environ if environment is None else environment
    given = environment.get(f"{PREFIX}CONFIG")
    file = file or (Path(given) if given else None)
    values: dict[str, Any] = _from_file(file) if file else {}
    values |= {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}CONFIG"
    }
    of_connectors = {
        name.removeprefix("connector_"): values.pop(name)
        for name in [*values]
        if name.startswith("connector_")
    }
    if of_connectors:
        values["connector"] = {**values.get("connector", {}), **of_connectors}
    hints = get_type_hints(Settings)
    if unknown := values.keys() - hints.keys():
        raise ConfigurationError(f"Unknown setting: {', '.join(sorted(unknown))}.")
    return Settings(**{name: _read(name, hints[name], value) for name, value in values.items()} | overrides)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"The settings file {file} cannot be read: {error}.") from error


def _read(name: str, kind: Any, value: Any) -> Any:
    """Text or a TOML value, as the setting's type."""
    try:
        if name == "connector":
            return dict(value)
        if kind is timedelta:
            return timedelta(seconds=float(value))
        if kind is int:
            return int(value)
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if get_args(kind):
            return (
                tuple(part.strip() for part in value.split(",") if part.strip())
                if isinstance(value, str)
                else tuple(value)
            )
        return str(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"The setting {name} cannot be read.") from error


def names() -> tuple[str, ...]:
    """Every setting's name, in the order they are documented."""
    return tuple(item.name for item in fields(Settings))
