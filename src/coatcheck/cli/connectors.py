"""`coatcheck connectors`: the installed connectors. Needs no database and changes nothing."""

from dataclasses import asdict

from coatcheck.cli.console import AsJson, show_json, show_table
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
        show_json([asdict(status) for status in statuses])
        return
    rows = [
        {
            "name": status.name,
            "package": status.distribution,
            "version": status.version,
            "enabled": status.is_enabled,
            "institutions": status.institutions,
            "settings": ", ".join(f"{name}={value}" for name, value in status.settings.items()) or None,
            "problem": status.problem,
        }
        for status in statuses
    ]
    show_table(rows, nothing="No connector is installed.")
