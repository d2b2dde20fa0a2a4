"""Ids of JWTs that were used: a client assertion or a DPoP proof is accepted once (RFC 7523 3, RFC 9449 11.1).

One row for each, in the partition of the day on which the JWT is no longer accepted in any case. Then a day is dropped.
"""

import json
from dataclasses import dataclass
from datetime import timedelta

from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection, fetch_one, run
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.dpop import DPoPProof
from coatcheck.grants.jwt_verification import MAX_AGE
from coatcheck.grants.secrets import EPOCH, day_of

# For an id that is there already, ON CONFLICT returns no row: a bound token without `used` shows an old proof.
USE_IF_BOUND = """
WITH bound AS (
    SELECT guid, client_guid, processor_guid FROM access_token
    WHERE expires_week = %(week)s AND token_hash = %(token_hash)s AND confirmation = ANY(%(confirmations)s)
), used AS (
    INSERT INTO used_jti (expires_day, jti_hash) SELECT %(day)s, %(hash)s FROM bound
    ON CONFLICT DO NOTHING RETURNING true
)
SELECT guid, client_guid, processor_guid FROM bound WHERE NOT EXISTS (SELECT FROM used)
"""


@dataclass(frozen=True, slots=True)
class BoundToken:
    """A token that is bound to the key of a proof."""

    guid: str
    client_guid: str
    processor_guid: str


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
        # The primary key decides between two requests with the same id: one of them inserts nothing.
        marked = await run(
            connection,
            """INSERT INTO used_jti (expires_day, jti_hash) VALUES (%(day)s, %(hash)s)
               ON CONFLICT DO NOTHING""",
            self._row(signer, jti, expires_at),
        )
        return bool(marked)

    async def use_proof(self, connection: Connection, proof: DPoPProof) -> bool:
        """As `use`, for a DPoP proof."""
        return await self.use(
            connection, signer=proof.key_thumbprint, jti=proof.jti, expires_at=_refused_from(proof)
        )

    async def use_proof_with_token(
        self, connection: Connection, proof: DPoPProof, presented: PresentedToken
    ) -> BoundToken | None:
        """Marks the proof as used if the token is bound to its key. Returns the token if the proof was used before.

        The connection is in autocommit mode, as for `use`. With a token that is not bound to the key nothing is
        written, so that a stranger cannot fill the table.
        """
        return await fetch_one(
            connection,
            BoundToken,
            USE_IF_BOUND,
            {
                "week": presented.period,
                "token_hash": presented.hash,
                "confirmations": presented.confirmations,
                **self._row(proof.key_thumbprint, proof.jti, _refused_from(proof)),
            },
        )

    def _row(self, signer: str, jti: str, expires_at: float) -> dict[str, object]:
        return {
            "day": day_of(EPOCH + timedelta(seconds=expires_at)),
            # As JSON, no other pair has the same text. Hashed, an id of any length and content fits the index.
            "hash": keyed_hash(self._hash_key, "jti", json.dumps([signer, jti])),
        }


def _refused_from(proof: DPoPProof) -> float:
    return proof.issued_at + MAX_AGE.total_seconds()
