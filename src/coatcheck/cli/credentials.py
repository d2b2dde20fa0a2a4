"""Who can use a sandbox: one client and two processors, made once for a directory and written into it.

With a seed every id and key is derived from it, the same on every machine; without one they are random.
"""

import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from coatcheck import ids
from coatcheck.app import Services
from coatcheck.connectors.sandbox.bank import SandboxSettings
from coatcheck.db.database import Connection
from coatcheck.directory.client_rows import add_client, put_widget_look
from coatcheck.directory.processor_rows import add_processor, enable_processor
from coatcheck.errors import ConfigurationError, NotFound
from coatcheck.model.clients import Client, Processor, find_client
from coatcheck.model.widgets import LOCAL, WidgetLook

FILE = "credentials.json"
SEED_FILE = "seed"
CLIENT_NAME = "Sandbox client"
PROCESSORS = {"Sandbox processor A": False, "Sandbox processor B, for MX's SDK": True}
"""By name; whether it finds owners at /account/transactions, where MX's SDKs look for them."""


@dataclass(frozen=True, slots=True)
class ProcessorCredentials:
    processor_id: str
    api_key: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `credentials.json` holds."""

    base_url: str
    client_id: str
    client_api_key: str = field(repr=False)
    processors: tuple[ProcessorCredentials, ...]


def settled_seed(directory: Path, seed: int | None) -> int:
    """The seed of the banks' data: the first run's, kept in the directory.

    Raises:
        ConfigurationError: the directory was made with another.
    """
    file = directory / SEED_FILE
    if not file.exists():
        write(file, "" if seed is None else str(seed))
    kept = file.read_text().strip()
    if seed is not None and kept != str(seed):
        made = f"with --seed {kept}" if kept else "without a seed"
        raise ConfigurationError(
            f"{directory} was made {made}. Leave --seed out, or choose another --data-dir."
        )
    return int(kept) if kept else _unseeded()


def _unseeded() -> int:
    return SandboxSettings().seed


def write(file: Path, text: str) -> None:
    """Writes the file whole or not at all, for its owner alone."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    fresh.replace(file)


def read(directory: Path) -> Credentials | None:
    """The directory's credentials; None where there are none yet."""
    try:
        given = json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        return None
    processors = tuple(ProcessorCredentials(**processor) for processor in given.pop("processors"))
    return Credentials(**given, processors=processors)


async def settle(services: Services, directory: Path) -> Credentials:
    """The directory's credentials, at the address it now has; made on the first run."""
    kept = read(directory)
    async with services.db.transaction() as connection:
        if kept is None or not await _stands(connection, kept.client_id):
            kept = await _made(services, connection, (directory / SEED_FILE).read_text().strip())
        given = replace(kept, base_url=services.settings.base_url)
        # Before the commit: better a file without its client, which the next run makes anew, than keys nobody knows.
        write(directory / FILE, json.dumps(asdict(given), indent=2) + "\n")
    return given


async def _stands(connection: Connection, client_guid: str) -> bool:
    try:
        await find_client(connection, client_guid)
    except NotFound:
        return False
    return True


async def _made(services: Services, connection: Connection, seed: str) -> Credentials:
    now = services.clock.now()
    client = Client(_guid("CLT", seed, CLIENT_NAME), CLIENT_NAME, None, False, now)
    await add_client(connection, client)
    await put_widget_look(connection, client.guid, WidgetLook(list(LOCAL)))
    client_key = await services.api_keys.issue(connection, client.guid, entropy=_entropy(seed, client.guid))
    processors = []
    for name, owners_at_transactions in PROCESSORS.items():
        processor = Processor(
            guid=_guid("PPR", seed, name),
            name=name,
            owners_at_transactions=owners_at_transactions,
            numbers_as_strings=False,
            is_disabled=False,
            created_at=now,
        )
        await add_processor(connection, processor)
        await enable_processor(connection, client_guid=client.guid, processor_guid=processor.guid, now=now)
        key = await services.api_keys.issue(
            connection, processor.guid, entropy=_entropy(seed, processor.guid)
        )
        processors.append(ProcessorCredentials(processor.guid, key, name))
    return Credentials(services.settings.base_url, client.guid, client_key, tuple(processors))


def _derived(seed: str, what: str) -> bytes:
    return hashlib.sha256(f"coatcheck sandbox|{seed}|{what}".encode()).digest()


def _guid(prefix: str, seed: str, what: str) -> str:
    if not seed:
        return ids.new(prefix)
    return f"{prefix}-{uuid.UUID(bytes=_derived(seed, f'{prefix} {what}')[:16], version=4)}"


def _entropy(seed: str, what: str) -> int | None:
    """256 bits for a key; None lets the mint draw them."""
    return int.from_bytes(_derived(seed, f"key {what}"), "big") if seed else None
