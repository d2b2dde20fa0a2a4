"""When API keys were last used, to within an hour, so that a key that nobody uses can be ended."""

import psycopg

from coatcheck.clock import Clock
from coatcheck.db.database import Database, run
from coatcheck.errors import Unavailable
from coatcheck.grants.api_keys import LIVE
from coatcheck.grants.secrets import Kind, parse_secret


class KeyUses:
    def __init__(self, clock: Clock, db: Database, hash_key: bytes) -> None:
        self._clock = clock
        self._db = db
        self._hash_key = hash_key

    async def record(self, api_key: str) -> bool:
        """Records that a key is used now. Returns whether it did: it follows the answer, and raises nothing."""
        kind = Kind.CLIENT_KEY if api_key.startswith(f"{Kind.CLIENT_KEY}_") else Kind.PROCESSOR_KEY
        key = parse_secret(kind, api_key, self._hash_key)
        if key is None:
            return False
        try:
            async with self._db.connection() as connection:
                await run(
                    connection,
                    # `greatest`: the clocks of the processes differ, and a later record must not bring an earlier time.
                    f"""INSERT INTO api_key_use AS u (key_hash, last_used_at)
                        SELECT k.key_hash, %(now)s FROM api_key k WHERE k.key_hash = %(key_hash)s AND {LIVE}
                        ON CONFLICT (key_hash)
                        DO UPDATE SET last_used_at = greatest(u.last_used_at, excluded.last_used_at)""",
                    {"key_hash": key.hash, "now": self._clock.now()},
                )
        # A foreign key: the API key was deleted after the answer.
        except (Unavailable, psycopg.errors.ForeignKeyViolation):
            return False
        return True
