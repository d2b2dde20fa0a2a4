"""The secrets of a webhook endpoint: what signs, and the credentials that the receiver asks for.

Both are one sealed record. After a rotation the old secret signs too, for `OVERLAP`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from coatcheck.db.database import Connection
from coatcheck.events.signing import new_secret
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader

OVERLAP = timedelta(hours=24)
"""How long after a rotation the old secret signs too."""


@dataclass(frozen=True, slots=True)
class EndpointSecrets:
    """The opened record."""

    secret: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    """When the old secret ceases to sign."""
    authorization: str | None = field(default=None, repr=False)
    """The value of the header `Authorization`; None if the receiver asks for none."""

    def signing(self, now: datetime) -> Sequence[str]:
        """The secrets that sign now, the newest first."""
        if self.previous is not None and self.previous_until is not None and now < self.previous_until:
            # Receivers accept a webhook if one of the signatures is right, so they can change their secret at any
            # time in between.
            return [self.secret, self.previous]
        return [self.secret]

    def rotated(self, now: datetime) -> "EndpointSecrets":
        return replace(self, secret=new_secret(), previous=self.secret, previous_until=now + OVERLAP)


async def store(
    connection: Connection, vault: Vault, owner_guid: str, endpoint_guid: str, secrets: EndpointSecrets
) -> None:
    values: Mapping[str, Any] = {
        "secret": secrets.secret,
        "previous": secrets.previous,
        "previous_until": secrets.previous_until and secrets.previous_until.isoformat(),
        "authorization": secrets.authorization,
    }
    await vault.store_secret(
        connection,
        owner_guid=owner_guid,
        record_guid=endpoint_guid,
        kind=SecretKind.WEBHOOK_ENDPOINT,
        value=json.dumps(values).encode(),
    )


async def disclose(
    connection: Connection, vault: Vault, owner_guid: str, endpoint_guid: str, *, reader_guid: str
) -> EndpointSecrets | None:
    """The secrets, or None if the endpoint was deleted. Writes a disclosure to the reader."""
    sealed = await vault.disclose_secret(
        connection,
        owner_guid=owner_guid,
        record_guid=endpoint_guid,
        kind=SecretKind.WEBHOOK_ENDPOINT,
        reader=WorkerReader(reader_guid, owner_guid),
    )
    if sealed is None:
        return None
    values = json.loads(sealed)
    until = values["previous_until"]
    return EndpointSecrets(**values | {"previous_until": until and datetime.fromisoformat(until)})


def basic(username: str, password: str) -> str:
    """The header `Authorization` of HTTP Basic (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def bearer(token: str) -> str:
    """The header `Authorization` of a bearer token (RFC 6750)."""
    return f"Bearer {token}"
