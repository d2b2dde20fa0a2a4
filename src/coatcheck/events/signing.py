"""Signs webhooks (Standard Webhooks), so that the receiver can check that they are ours and unchanged."""

import base64
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

from coatcheck.db.database import Connection, run
from coatcheck.seeding import random_bytes
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader

SECRET_BYTES = 32
PREFIX = "whsec_"


async def signing_secret(connection: Connection, vault: Vault, client_guid: str, *, reader_guid: str) -> str:
    """The client's secret, `whsec_` and base64 of 256 bits; generated on first use and stored in the vault.

    Args:
        connection: the caller's transaction.
        vault: stores the secret and writes the disclosure.
        client_guid: the client whose webhooks it signs.
        reader_guid: the reader that the disclosure names: the event that is delivered, or the operator.
    """
    secret = await _stored_secret(connection, vault, client_guid, reader_guid)
    if secret is None:
        # Two deliveries may find no secret at once. The lock of the client's row lets only one of them create it.
        await run(
            connection, "SELECT FROM client WHERE guid = %(guid)s FOR NO KEY UPDATE", {"guid": client_guid}
        )
        secret = await _stored_secret(connection, vault, client_guid, reader_guid)
    if secret is None:
        secret = new_secret()
        await vault.store_secret(
            connection,
            owner_guid=client_guid,
            record_guid=client_guid,
            kind=SecretKind.WEBHOOK_SECRET,
            value=secret.encode(),
        )
    return secret


def new_secret() -> str:
    """`whsec_` and base64 of 256 bits."""
    return PREFIX + base64.b64encode(random_bytes(SECRET_BYTES, "webhook")).decode()


def signature_headers(
    signing_secrets: Sequence[str], event_guid: str, body: str, now: datetime
) -> dict[str, str]:
    """The headers of a webhook, with a signature by each of the secrets.

    `webhook-id` is the event's guid. It is the same in every attempt, so that the receiver can detect duplicates.
    """
    return {
        "webhook-id": event_guid,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(each).sign(event_guid, now, body) for each in signing_secrets),
    }


async def _stored_secret(
    connection: Connection, vault: Vault, client_guid: str, reader_guid: str
) -> str | None:
    value = await vault.disclose_secret(
        connection,
        owner_guid=client_guid,
        record_guid=client_guid,
        kind=SecretKind.WEBHOOK_SECRET,
        reader=WorkerReader(reader_guid, client_guid),
    )
    return None if value is None else value.decode()
