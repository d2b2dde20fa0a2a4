"""A redeemed code is deleted, and its token keeps its hash (with the new program: the old one stops before).

The row of a redeemed code repeated that of its token.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

# What a token was exchanged for: the hash of a code, or of a setup token, which several tokens share.
TOKENS = """
ALTER TABLE access_token
    ADD COLUMN code_hash bytea,
    ADD COLUMN code_challenge text,
    ADD COLUMN idempotency_hash bytea,
    ADD COLUMN sealed_reply bytea;
SELECT set_config('coatcheck.moves_users', 'on', true);
UPDATE access_token t
SET code_hash = coalesce(c.setup_token_hash, c.code_hash), code_challenge = c.code_challenge,
    idempotency_hash = c.idempotency_hash, sealed_reply = c.sealed_reply
FROM authorization_code c
WHERE c.redeemed_at IS NOT NULL AND t.expires_week = c.token_week AND t.token_hash = c.token_hash;
CREATE INDEX access_token_of_code ON access_token USING hash (code_hash);
"""

# The second index, for what expires next, has a condition that the count of an account's codes does not have. So
# PostgreSQL cannot choose it for the count.
CODES = """
DELETE FROM authorization_code WHERE redeemed_at IS NOT NULL;
ALTER TABLE authorization_code
    DROP COLUMN redeemed_at,
    DROP COLUMN redeemed_by,
    DROP COLUMN token_week,
    DROP COLUMN token_hash,
    DROP COLUMN idempotency_hash,
    DROP COLUMN sealed_reply;
CREATE INDEX authorization_code_of_account ON authorization_code (account_guid, expires_day, expires_at);
CREATE INDEX authorization_code_expiry ON authorization_code (expires_at) WHERE expires_at > created_at;
"""


def upgrade() -> None:
    for part in (TOKENS, CODES):
        op.execute(part)
