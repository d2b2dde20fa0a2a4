"""The institutions of an upstream, in a file, for a connector whose upstream offers hundreds or thousands of them.

    coatcheck institution fetch NAME --> Connector.fetch_institutions --> the file --> Connector.institutions

A process reads the file when it starts. It starts while the upstream is unavailable, and every process lists the same.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from coatcheck.connectors.records import Institution
from coatcheck.errors import ConfigurationError
from coatcheck.replaced_files import replaced

_decoder = msgspec.json.Decoder(tuple[Institution, ...])
_encoder = msgspec.json.Encoder(order="deterministic")


def read_institutions(connector: str, file: Path) -> Sequence[Institution]:
    """The institutions in the file.

    Raises:
        ConfigurationError: the file does not exist, or cannot be read.
    """
    try:
        return _decoder.decode(file.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}, the list of institutions of the connector {connector}, does not exist. "
            f"Run coatcheck institution fetch {connector}."
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"{file}, the list of institutions of the connector {connector}, cannot be read.",
            detail=f"{type(error).__name__}: {error}",
        ) from None


def write_institutions(file: Path, institutions: Iterable[Institution]) -> None:
    """Replaces the file. A process that reads it meanwhile sees the old list or the new one.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    listed = sorted(institutions, key=lambda each: each.code)
    try:
        with replaced(file) as opened:
            opened.write(msgspec.json.format(_encoder.encode(listed), indent=1).decode())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {type(error).__name__}.") from None
