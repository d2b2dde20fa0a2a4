"""The world file of `coatcheck sandbox --world`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import data_directory
from coatcheck.emulator.worlds import make
from coatcheck.errors import ConfigurationError, InvalidRequest
from coatcheck.http import encoding
from coatcheck.management.schemas import sandbox_worlds

if TYPE_CHECKING:
    from pathlib import Path

    from coatcheck.app import Services

MADE = "world.json"
"""The guids of what was made, and the keys of new clients and processors, as PUT /coatcheck/sandbox/world answers."""


async def make_world(services: Services, file: Path, directory: Path) -> None:
    """Makes the world of the file, and writes what was made into the directory.

    Raises:
        ConfigurationError: the file cannot be read, or is not a world. Nothing was changed.
    """
    try:
        content = await asyncio.to_thread(file.read_bytes)
        made = await make.make_world(services, content, actor=OPERATOR)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error
    except InvalidRequest as error:
        raise ConfigurationError(f"{file}: {error.problem}") from None
    text = encoding.encode(sandbox_worlds.world_body(made)).decode()
    data_directory.write_file(directory / MADE, f"{text}\n")
