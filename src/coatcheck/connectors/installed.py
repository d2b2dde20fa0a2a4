"""The installed connectors. A package registers a connector as an entry point of the group `coatcheck.connectors`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, distributions
from types import MappingProxyType
from typing import Any

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.connectors.contract import Connector, ConnectorContext, RecordReader, no_record
from coatcheck.connectors.http_clients import Guard, HttpClients
from coatcheck.connectors.settings import (
    read_settings,
    setting_names,
    settings_by_connector,
    shown_settings,
)
from coatcheck.errors import ConfigurationError

GROUP = "coatcheck.connectors"


@dataclass(frozen=True, slots=True)
class InstalledConnector:
    """An entry point. Its package is not imported before `load`."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def load(self) -> type[Connector]:
        """The connector's class.

        Raises:
            ConfigurationError: it cannot be imported, or is not a connector.
        """
        try:
            found = self.entry_point.load()
        except Exception as error:
            raise ConfigurationError(
                f"The connector {self.name} of {self.distribution} cannot be loaded.",
                detail=f"{type(error).__name__}: {error}",
            ) from error
        if not (isinstance(found, type) and issubclass(found, Connector)):
            raise ConfigurationError(
                f"The entry point {self.name} of {self.distribution} is not a Connector class."
            )
        return found


def installed_connectors() -> Mapping[str, InstalledConnector]:
    """All connectors in this Python environment, by name.

    Raises:
        ConfigurationError: two distributions use the same name.
    """
    return _installed_on(tuple(sys.path))


@lru_cache(maxsize=4)
def _installed_on(path: tuple[str, ...]) -> Mapping[str, InstalledConnector]:
    """As `installed_connectors`, for one search path: the files of every distribution are read once."""
    found: dict[str, InstalledConnector] = {}
    for distribution in distributions(path=list(path)):
        for point in distribution.entry_points.select(group=GROUP):
            one = InstalledConnector(point.name, distribution.name, distribution.version, point)
            # A distribution that is on the path twice is imported from its first place.
            first = found.setdefault(point.name, one)
            if first.distribution != one.distribution:
                raise ConfigurationError(
                    f"The connector {point.name} is installed twice: by {first.distribution} and by "
                    f"{one.distribution}."
                )
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """An installed connector as an operator sees it."""

    name: str
    distribution: str
    version: str
    is_enabled: bool
    institutions: int | None
    """The number of its institutions; None unless it is enabled and its settings are usable."""
    settings: Mapping[str, Any]
    """By name. Secrets are hidden. The values are None if the settings are not usable."""
    problem: str | None
    """Why it cannot be used."""


def load_connectors(
    settings: Settings, clock: Clock, *, guard: Guard, read_record: RecordReader = no_record
) -> Sequence[Connector]:
    """Builds the connectors that `settings.connectors` names.

    Args:
        settings: which connectors, and their settings.
        clock: the clock of the process.
        guard: restricts an HTTP client to public addresses.
        read_record: as in `ConnectorContext`.

    Raises:
        ConfigurationError: a connector is not installed, cannot be loaded, or its settings are wrong.
    """
    installed = _installed_with(settings.connectors)
    given = settings_by_connector(settings.connector, installed)
    return tuple(
        _build(installed[name], given.get(name, {}), settings.base_url, clock, guard, read_record)
        for name in dict.fromkeys(settings.connectors)
    )


def connector_statuses(settings: Settings, clock: Clock, *, guard: Guard) -> Sequence[ConnectorStatus]:
    """Every installed connector, by name. Connectors that are not enabled are loaded, but not built.

    Raises:
        ConfigurationError: a setting belongs to no connector, or an enabled connector is not installed.
    """
    installed = _installed_with(settings.connectors)
    given = settings_by_connector(settings.connector, installed)
    status_of = partial(_status, settings=settings, clock=clock, guard=guard)
    return tuple(status_of(installed[name], given.get(name, {})) for name in sorted(installed))


def _installed_with(enabled: Sequence[str]) -> Mapping[str, InstalledConnector]:
    installed = installed_connectors()
    if missing := [name for name in enabled if name not in installed]:
        raise ConfigurationError(
            f"There is no connector {', '.join(missing)}. Installed: {', '.join(sorted(installed)) or 'none'}."
        )
    return installed


def _status(
    one: InstalledConnector, given: Mapping[str, Any], *, settings: Settings, clock: Clock, guard: Guard
) -> ConnectorStatus:
    is_enabled = one.name in settings.connectors
    shown: Mapping[str, Any] = {}
    institutions = problem = None
    try:
        kind = one.load()
        shown = dict.fromkeys(setting_names(kind.settings_type))
        shown = shown_settings(read_settings(one.name, kind.settings_type, given))
        if is_enabled:
            connector = _build(one, given, settings.base_url, clock, guard)
            institutions = len(connector.institutions())
    except ConfigurationError as error:
        problem = error.problem
    return ConnectorStatus(one.name, one.distribution, one.version, is_enabled, institutions, shown, problem)


def _build(
    one: InstalledConnector,
    given: Mapping[str, Any],
    base_url: str,
    clock: Clock,
    guard: Guard,
    read_record: RecordReader = no_record,
) -> Connector:
    kind = one.load()
    return kind(
        ConnectorContext(
            name=one.name,
            settings=read_settings(one.name, kind.settings_type, given),
            clock=clock,
            base_url=base_url.rstrip("/"),
            http=HttpClients(guard=guard),
            read_record=read_record,
        )
    )
