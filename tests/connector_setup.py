"""Connectors of the tests, announced as an installed package announces its own."""

from pathlib import Path

from coatcheck.connectors.contract import Connector


def announced(directory: Path, name: str, connector: type[Connector]) -> Path:
    """The directory, which on `sys.path` is an installed distribution with an entry point for the class."""
    metadata = directory / f"{name}_connector-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-connector\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[coatcheck.connectors]\n{name} = {connector.__module__}:{connector.__qualname__}\n"
    )
    return directory
