"""Ids of JWTs that were used: a client assertion or a DPoP proof is accepted once (RFC 7523 3, RFC 9449 11.1).

One row for each, in the partition of the day on which the JWT is no longer accepted in any case. Then a day is dropped.
"""

import json
from datetime import timedelta

from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection, run
from coatcheck.grants.secrets import EPOCH, day_of


class UsedJtis:
    """The JWTs that this installation has accepted."""

    def __init__(self, hash_key: bytes) -> None:
        self._hash_key = hash_key

    async def use(self, connection: Connection, *, signer: str, jti: str, expires_at: float) -> bool:
        """Marks the JWT as used, and returns whether it was not before. Concurrent calls cannot both succeed.

        Args:
            connection: in autocommit mode: a refusal later must not take the mark back.
            signer: who signed it: a guid or the thumbprint of a key. Two signers may choose the same id.
            jti: its id.
            expires_at: seconds since 1970 from which it is refused in any case.
        """
        return bool(
            await run(
                connection,
                """INSERT INTO used_jti (expires_day, jti_hash) VALUES (%(day)s, %(hash)s)
                   ON CONFLICT DO NOTHING""",
                {
                    "day": day_of(EPOCH + timedelta(seconds=expires_at)),
                    "hash": keyed_hash(self._hash_key, "jti", json.dumps([signer, jti])),
                },
            )
        )
