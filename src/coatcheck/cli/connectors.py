"""`coatcheck connectors`: the installed connectors. Needs no database and changes nothing."""

from dataclasses import asdict

from coatcheck.cli.console import AsJson, print_json, print_rows
from coatcheck.clock import SystemClock
from coatcheck.config import load
from coatcheck.connectors.installed import connector_statuses
from coatcheck.events.ssrf import public_only


def connectors(as_json: AsJson = False) -> None:
    """Lists the installed connectors, whether they are enabled, and their settings; secrets are hidden.

    The setting `connectors` enables them. COATCHECK_CONNECTOR_<NAME>_<FIELD> sets a connector's own settings.

    Example: coatcheck connectors --json
    """
    statuses = connector_statuses(load(), SystemClock(), guard=public_only)
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
