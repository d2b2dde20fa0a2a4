"""The credentials of a sandbox: one client and two processors, created once for a directory and written to a file.

With a seed, every id and key is derived from it, the same on every machine. Without one they are random.
"""

import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from coatcheck import ids
from coatcheck.app import Services
from coatcheck.cli.runtime import OPERATOR
from coatcheck.connectors.sandbox.bank import SandboxSettings
from coatcheck.db.database import Connection
from coatcheck.directory.clients import Identity
from coatcheck.directory.processors import ProcessorOptions
from coatcheck.errors import ConfigurationError, NotFound
from coatcheck.model.clients import find_client
from coatcheck.model.widgets import LOCAL, WidgetAppearance

FILE = "credentials.json"
SEED_FILE = "seed"
CLIENT_NAME = "Sandbox client"
PROCESSORS = {
    "Sandbox processor A": ProcessorOptions(),
    "Sandbox processor B, for MX's SDK": ProcessorOptions(owners_at_transactions=True),
}


@dataclass(frozen=True, slots=True)
class ProcessorCredentials:
    processor_id: str
    api_key: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of `credentials.json`."""

    base_url: str
    client_id: str
    client_api_key: str = field(repr=False)
    processors: tuple[ProcessorCredentials, ...]


def stored_seed(directory: Path, seed: int | None) -> int:
    """The seed of the sandbox's data. The first run stores it in the directory.

    Raises:
        ConfigurationError: the directory was created with another seed, or cannot be used.
    """
    file = directory / SEED_FILE
    try:
        if not file.exists():
            write_file(file, "" if seed is None else str(seed))
        stored = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be used: {type(error).__name__}.") from error
    if stored and not stored.isdecimal():
        raise ConfigurationError(f"{file} contains no seed. Choose another --data-dir.")
    if seed is not None and stored != str(seed):
        created = f"with --seed {stored}" if stored else "without a seed"
        raise ConfigurationError(
            f"{directory} was created {created}. Leave --seed out, or choose another --data-dir."
        )
    return int(stored) if stored else SandboxSettings().seed


def write_file(file: Path, text: str) -> None:
    """Writes the whole file or nothing. Only its owner can read it."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    new.replace(file)


def read_credentials(directory: Path) -> Credentials | None:
    """The credentials of the directory; None if there are none yet.

    Raises:
        ConfigurationError: the file cannot be read, or has another content.
    """
    file = directory / FILE
    try:
        content = json.loads(file.read_text())
        processors = tuple(ProcessorCredentials(**processor) for processor in content.pop("processors"))
        return Credentials(**content, processors=processors)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {type(error).__name__}. Delete it to create new credentials."
        ) from None


async def ensure_credentials(services: Services, directory: Path) -> Credentials:
    """The credentials of the directory, with the present address. The first run creates them."""
    stored = read_credentials(directory)
    async with services.db.transaction() as connection:
        if stored is None or not await _exists(connection, stored.client_id):
            stored = await _create(services, connection, (directory / SEED_FILE).read_text().strip())
        credentials = replace(stored, base_url=services.settings.base_url)
        # Before the commit. If the commit fails, the next run creates a client again; after it, a failed write would
        # leave a client whose key is unknown.
        write_file(directory / FILE, json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials


async def _exists(connection: Connection, client_guid: str) -> bool:
    try:
        await find_client(connection, client_guid)
    except NotFound:
        return False
    return True


async def _create(services: Services, connection: Connection, seed: str) -> Credentials:
    new = await services.clients.add(
        connection, CLIENT_NAME, actor=OPERATOR, identity=_identity("CLT", seed, CLIENT_NAME)
    )
    guid = new.client.guid
    await services.clients.set_widget_appearance(
        connection, guid, WidgetAppearance(list(LOCAL)), actor=OPERATOR
    )
    processors = []
    for name, options in PROCESSORS.items():
        added = await services.processors.add(
            connection, name, options, actor=OPERATOR, identity=_identity("PPR", seed, name)
        )
        await services.processors.enable_for(connection, added.processor.guid, guid, actor=OPERATOR)
        processors.append(ProcessorCredentials(added.processor.guid, added.api_key, name))
    return Credentials(services.settings.base_url, guid, new.api_key, tuple(processors))


def _identity(prefix: str, seed: str, name: str) -> Identity:
    """The guid and the key that follow from the seed; random ones without a seed."""
    if not seed:
        return Identity(ids.new(prefix))
    guid = f"{prefix}-{uuid.UUID(bytes=_derive(seed, f'{prefix} {name}')[:16], version=4)}"
    return Identity(guid, int.from_bytes(_derive(seed, f"key {guid}"), "big"))


def _derive(seed: str, purpose: str) -> bytes:
    return hashlib.sha256(f"coatcheck sandbox|{seed}|{purpose}".encode()).digest()
