"""Settings of connectors: which values belong to which connector, and their conversion to its settings class.

    [connector.simplefin]                      in the settings file
    daily_budget = 24
    COATCHECK_CONNECTOR_SIMPLEFIN_DAILY_BUDGET=24     in the environment, which takes precedence

A field of type `Secret` can also be read from a file: `<field>_file` names it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import msgspec

from coatcheck.connectors.contract import Secret
from coatcheck.errors import ConfigurationError


def settings_by_connector(
    given: Mapping[str, Any], installed: Collection[str]
) -> Mapping[str, Mapping[str, Any]]:
    """The values of each connector.

    Args:
        given: tables by connector, as the file has them, and texts by `<connector>_<field>`, from the environment.
        installed: the names of all connectors. Settings of one that is not enabled are allowed.

    Raises:
        ConfigurationError: a value belongs to no connector.
    """
    tables = {name: dict(value) for name, value in given.items() if isinstance(value, Mapping)}
    if unknown := sorted(tables.keys() - set(installed)):
        raise ConfigurationError(
            f"[connector.{unknown[0]}] names no connector. {_listed('Installed', installed)}"
        )
    for key, value in given.items():
        if isinstance(value, Mapping):
            continue
        if key in installed:
            raise ConfigurationError(
                f"[connector.{key}] must be a table, with the settings of the connector."
            )
        # The longest name: with the connectors `plaid` and `plaid_eu`, `plaid_eu_key` belongs to the second.
        owner = max((name for name in installed if key.startswith(f"{name}_")), key=len, default=None)
        if owner is None:
            raise ConfigurationError(
                f"COATCHECK_CONNECTOR_{key.upper()} names no connector. {_listed('Installed', installed)}"
            )
        tables.setdefault(owner, {})[key.removeprefix(f"{owner}_")] = value
    return tables


def read_settings(name: str, settings_type: type, given: Mapping[str, Any]) -> Any:
    """An instance of the connector's settings class.

    Raises:
        ConfigurationError: a setting is unknown, missing or of the wrong type; it says which.
    """
    hints = get_type_hints(settings_type)
    secrets = {
        field for field, hint in hints.items() if hint is Secret or Secret in getattr(hint, "__args__", ())
    }
    values: dict[str, Any] = {}
    for field, value in given.items():
        if field in hints:
            values[field] = _parts(hints[field], value)
        elif (secret := field.removesuffix("_file")) in secrets:
            values[secret] = _from_file(name, field, value)
        else:
            raise ConfigurationError(
                f"The connector {name} has no setting {field}. {_listed('It has', hints)}"
            )
    try:
        return msgspec.convert(values, settings_type, strict=False, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"The connector {name} {_explain(str(error))}") from None


def setting_names(settings_type: type) -> Sequence[str]:
    return tuple(get_type_hints(settings_type))


def shown_settings(settings: Any) -> Mapping[str, Any]:
    """The settings by name, for an operator; secrets are hidden."""
    return {
        name: "(hidden)" if isinstance(value := getattr(settings, name), Secret) else value
        for name in get_type_hints(type(settings))
    }


def _parts(hint: Any, value: Any) -> Any:
    """A list from the comma-separated text of an environment variable, if the setting is a list."""
    if isinstance(value, str) and get_origin(hint) in {tuple, list, set, frozenset}:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _from_file(name: str, field: str, file: Any) -> str:
    try:
        return Path(str(file)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The file that {field} of the connector {name} names cannot be read: {type(error).__name__}."
        ) from None


def _decode(kind: type, value: Any) -> Any:
    if kind in {Secret, Path} and isinstance(value, str):
        return kind(value)
    raise ValueError("a secret and a path are text")


def _explain(problem: str) -> str:
    """What msgspec found, as the rest of a sentence that names the setting."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", problem):
        return f"needs the setting {missing[1]}."
    if wrong := re.fullmatch(r"(.+) - at `\$\.(\w+).*`", problem):
        return f"cannot read its setting {wrong[2]}: {wrong[1]}."
    return f"cannot read its settings: {problem}."


def _listed(what: str, names: Collection[str]) -> str:
    return f"{what}: {', '.join(sorted(names)) or 'none'}."
