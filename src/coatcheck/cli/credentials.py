"""Creates the credentials of a sandbox: one client and two processors, once for a directory.

With a seed, every id and key is derived from it, the same on every machine. Without one they are random.
"""

import hashlib
import json
import uuid
from dataclasses import asdict, replace
from pathlib import Path

from coatcheck import ids
from coatcheck.app import Services
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import data_directory
from coatcheck.cli.data_directory import Credentials, ProcessorCredentials
from coatcheck.db.database import Connection
from coatcheck.directory.clients import Identity
from coatcheck.directory.processors import ProcessorOptions
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.errors import NotFound
from coatcheck.events.endpoints import EndpointStatus
from coatcheck.model.clients import find_client
from coatcheck.model.widgets import LOCAL, WidgetAppearance

CLIENT_NAME = "Sandbox client"
PROCESSORS = {
    "Sandbox processor A": ProcessorOptions(),
    "Sandbox processor B, for MX's SDK": ProcessorOptions(owners_at_transactions=True),
}


async def ensure_credentials(
    services: Services, directory: Path, *, webhooks_to: str | None = None
) -> Credentials:
    """The credentials of the directory, with the present addresses. The first run creates them.

    Args:
        services: of the sandbox.
        directory: of the sandbox.
        webhooks_to: the URL to which the client's events and MX's webhooks are sent from now on; None changes nothing.
    """
    stored = data_directory.read_credentials(directory)
    async with services.db.transaction() as connection:
        if stored is None or not await _exists(connection, stored.client_id):
            stored = await _create(services, connection, str(_seed(directory)))
        settings = services.settings
        credentials = replace(stored, base_url=settings.base_url, database_url=settings.database_url)
        if webhooks_to is not None:
            credentials = await _send_webhooks(services, connection, credentials, webhooks_to)
        # Before the commit. If the commit fails, the next run creates a client again; after it, a failed write would
        # leave a client whose key is unknown.
        text = json.dumps(asdict(credentials), indent=2)
        data_directory.write_file(directory / data_directory.CREDENTIALS, f"{text}\n")
    return credentials


async def _send_webhooks(
    services: Services, connection: Connection, credentials: Credentials, url: str
) -> Credentials:
    """Sends the client's events and MX's webhooks to the URL. One secret signs both."""
    client = credentials.client_id
    await services.clients.set_webhook_url(connection, client, url, actor=OPERATOR)
    secret = await services.clients.webhook_secret(connection, client, reader=OPERATOR)
    owner = Owner(client, is_processor=False)
    changes = EndpointChanges(url=url, status=EndpointStatus.ENABLED)
    try:
        kept = credentials.webhook_endpoint or ""
        endpoint = await services.webhook_endpoints.update(connection, owner, kept, changes)
    except NotFound:
        created = await services.webhook_endpoints.create(connection, owner, changes, secret=secret)
        endpoint = created.endpoint
    return replace(credentials, webhook_endpoint=endpoint.guid, webhook_secret=secret)


def _seed(directory: Path) -> int | str:
    seed = data_directory.stored_seed(directory, None)
    return "" if seed is None else seed


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
    return Credentials(
        base_url=services.settings.base_url,
        client_id=guid,
        client_api_key=new.api_key,
        processors=tuple(processors),
    )


def _identity(prefix: str, seed: str, name: str) -> Identity:
    """The guid and the key that follow from the seed; random ones without a seed."""
    if not seed:
        return Identity(ids.new(prefix))
    guid = f"{prefix}-{uuid.UUID(bytes=_derive(seed, f'{prefix} {name}')[:16], version=4)}"
    return Identity(guid, int.from_bytes(_derive(seed, f"key {guid}"), "big"))


def _derive(seed: str, purpose: str) -> bytes:
    return hashlib.sha256(f"coatcheck sandbox|{seed}|{purpose}".encode()).digest()
