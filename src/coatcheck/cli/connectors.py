"""`coatcheck connectors`: the installed connectors. Needs no database and changes nothing."""

from __future__ import annotations

from dataclasses import asdict

from coatcheck import clock
from coatcheck.cli.console import AsJson, print_json, print_rows
from coatcheck.cli.settings import load_settings
from coatcheck.connectors import installed
from coatcheck.events import ssrf


def connectors(as_json: AsJson = False) -> None:
    """Lists the installed connectors, whether they are enabled, and their settings; secrets are hidden.

    The setting `connectors` enables them. COATCHECK_CONNECTOR_<NAME>_<FIELD> sets a connector's own settings.

    Example: coatcheck connectors --json
    """
    statuses = installed.connector_statuses(load_settings(), clock.SystemClock(), guard=ssrf.public_only)
    if as_json:
        print_json([asdict(status) for status in statuses])
        return
    rows = [
        {
            "name": status.name,
            "package": status.distribution,
            "version": status.version,
            "enabled": status.is_enabled,
            "institutions": status.institutions,
            "settings": [f"{name}={value}" for name, value in status.settings.items()],
            "problem": status.problem,
        }
        for status in statuses
    ]
    print_rows(rows, as_json=False, empty="No connector is installed.")
