"""The keys that sign checkpoints: the signing keys of the installation, in the order in which they signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from coatcheck.db.database import Connection
from coatcheck.signatures import decode_public_key
from coatcheck.vault.signing_keys import all_keys


@dataclass(frozen=True, slots=True)
class LogKey:
    public_key: bytes
    """32 bytes, of Ed25519."""
    signs_from: datetime
    replaced_at: datetime | None
    """None for the newest."""


async def log_keys(connection: Connection) -> Sequence[LogKey]:
    """The keys, oldest first."""
    # The withdrawn ones too: without them, the checkpoints that they signed before could not be verified.
    keys = [*reversed(await all_keys(connection)), None]
    return [
        LogKey(decode_public_key(key.public_key), key.signs_from, following.signs_from if following else None)
        for key, following in pairwise(keys)
        if key is not None
    ]
