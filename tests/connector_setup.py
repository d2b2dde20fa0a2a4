"""Connectors of the tests, with the metadata of an installed package."""

from pathlib import Path

from coatcheck.connectors.contract import Connector


def register_connector(directory: Path, name: str, connector: type[Connector]) -> Path:
    """Writes the metadata of a distribution with this entry point; returns the directory, for `sys.path`."""
    metadata = directory / f"{name}_connector-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-connector\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[coatcheck.connectors]\n{name} = {connector.__module__}:{connector.__qualname__}\n"
    )
    return directory
