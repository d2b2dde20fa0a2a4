"""The settings of a command: of the environment, or of the sandbox that `--data-dir` names."""

from __future__ import annotations

from typing import Any

from coatcheck import config
from coatcheck.cli import data_directory


def load_settings(**overrides: Any) -> config.Settings:
    """As `config.load`.

    Raises:
        ConfigurationError: a setting cannot be used, or --data-dir names no sandbox.
    """
    directory = data_directory.selected.get()
    if directory is None:
        return config.load(**overrides)
    credentials = data_directory.find_credentials(directory)
    of_sandbox = {
        **data_directory.settings_of(directory),
        "database_url": credentials.database_url,
        "base_url": credentials.base_url,
    }
    return config.load(**{**of_sandbox, **overrides})
