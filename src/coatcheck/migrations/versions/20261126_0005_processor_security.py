"""How processors authenticate, and what their tokens are bound to (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PROCESSORS = """
ALTER TABLE processor
    ADD COLUMN client_authentication text NOT NULL DEFAULT 'client_secret',
    ADD COLUMN sender_constraint text NOT NULL DEFAULT 'none',
    ADD COLUMN profile text NOT NULL DEFAULT 'default',
    ADD COLUMN jwks text,
    ADD COLUMN certificate_thumbprints text[] NOT NULL DEFAULT '{}';
"""

CODES_AND_TOKENS = """
ALTER TABLE authorization_code ADD COLUMN code_challenge text;
-- What the processor must show with each use (RFC 7800): NULL nothing, `jkt:` a key, `x5t#S256:` a certificate.
ALTER TABLE access_token ADD COLUMN confirmation text;

CREATE TABLE used_jti (
    expires_day integer NOT NULL,
    jti_hash bytea NOT NULL,
    PRIMARY KEY (expires_day, jti_hash)
) PARTITION BY LIST (expires_day);
CREATE TABLE used_jti_rest PARTITION OF used_jti DEFAULT;
"""

VIEW = """
-- A token that is bound to nothing ends when the tokens of its processor must be bound.
CREATE OR REPLACE VIEW live_token AS
SELECT t.expires_week, t.token_hash, t.guid, t.client_guid, t.processor_guid, t.user_guid, t.member_guid,
       t.account_guid, t.scope, t.reads_protected, t.expires_at,
       p.owners_at_transactions, p.numbers_as_strings,
       coalesce(t.permissions,
                CASE WHEN t.reads_protected THEN '{balances,numbers,owners,transactions}'::text[]
                     ELSE '{balances,transactions}'::text[] END) AS permissions,
       t.lookback_days, t.max_reads, t.reads, t.version,
       m.broken_since IS NOT NULL OR coalesce(m.connection_status IN ('DISCONNECTED', 'CLOSED'), false) AS is_suspended,
       p.allowed_networks, t.confirmation
FROM access_token t
JOIN processor p ON p.guid = t.processor_guid AND NOT p.is_disabled
                AND (p.sender_constraint = 'none' OR t.confirmation IS NOT NULL)
JOIN client_processor cp ON cp.client_guid = t.client_guid AND cp.processor_guid = t.processor_guid
JOIN client c ON c.guid = t.client_guid AND NOT c.is_disabled
JOIN end_user u ON u.guid = t.user_guid AND NOT u.is_disabled
JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid AND a.member_guid = t.member_guid
JOIN member m ON m.user_guid = t.user_guid AND m.guid = t.member_guid
WHERE t.revoked_at IS NULL;
"""


def upgrade() -> None:
    for part in (PROCESSORS, CODES_AND_TOKENS, VIEW):
        op.execute(part)
