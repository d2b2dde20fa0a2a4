"""Tokens and codes take half of the space (with the new program: the old one stops before).

The scope loses the guids, which have columns of their own. The indexes of tokens have the end of a guid in place of the
whole, and the guid of the token as a UUID.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# What follows `user-guid:... member-guid:... account-guid:...`, with the space before it.
SCOPES = """
DROP VIEW live_token;
ALTER TABLE authorization_code ALTER COLUMN scope TYPE text
    USING substr(scope, 38 + length(user_guid) + length(member_guid) + length(account_guid));
ALTER TABLE access_token ALTER COLUMN scope TYPE text
    USING substr(scope, 38 + length(user_guid) + length(member_guid) + length(account_guid));
ALTER TABLE authorization_code RENAME COLUMN scope TO atoms;
ALTER TABLE access_token RENAME COLUMN scope TO atoms;
"""

VIEW = """
-- A token lives as long as everything it names: deleting or disabling any of it ends the token at once. One that is
-- bound to nothing ends when the tokens of its processor must be bound.
CREATE VIEW live_token AS
SELECT t.expires_week, t.token_hash, t.guid, t.client_guid, t.processor_guid, t.user_guid, t.member_guid,
       t.account_guid, t.atoms, t.reads_protected, t.expires_at,
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

# The last 7 characters of a guid are random and distinguish the objects well enough. Those of a member or an account
# have no order: its tokens are few, and are sorted when they are listed.
INDEXES = """
DROP INDEX access_token_of_client;
DROP INDEX access_token_of_client_and_processor;
DROP INDEX access_token_of_processor;
DROP INDEX access_token_of_account;
DROP INDEX access_token_of_member;
DROP INDEX access_token_of_end_user;
DROP INDEX access_token_revoked;
DROP INDEX access_token_limited;
DROP INDEX access_token_narrowed;
CREATE INDEX access_token_of_client ON access_token ((right(client_guid, 7)), (right(guid, 36)::uuid));
CREATE INDEX access_token_of_client_and_processor
    ON access_token ((right(client_guid, 7)), (right(processor_guid, 7)), (right(guid, 36)::uuid));
CREATE INDEX access_token_of_processor ON access_token ((right(processor_guid, 7)), (right(guid, 36)::uuid));
CREATE INDEX access_token_of_end_user ON access_token ((right(user_guid, 7)), (right(guid, 36)::uuid));
CREATE INDEX access_token_of_member ON access_token ((right(member_guid, 7)));
CREATE INDEX access_token_of_account ON access_token ((right(account_guid, 7)));
CREATE INDEX access_token_revoked ON access_token ((right(client_guid, 7)), (right(guid, 36)::uuid))
    WHERE revoked_at IS NOT NULL;
CREATE INDEX access_token_limited ON access_token ((right(client_guid, 7)), (right(guid, 36)::uuid))
    WHERE max_reads IS NOT NULL;
CREATE INDEX access_token_narrowed ON access_token ((right(client_guid, 7)), (right(guid, 36)::uuid))
    WHERE version > 1;
"""

DELETED_ACCOUNTS = """
CREATE OR REPLACE FUNCTION revoke_tokens_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE access_token SET revoked_at = greatest(now(), created_at), revoked_because = 'its account was deleted'
    WHERE right(account_guid, 7) = right(OLD.guid, 7) AND account_guid = OLD.guid AND revoked_at IS NULL;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    for part in (SCOPES, VIEW, INDEXES, DELETED_ACCOUNTS):
        op.execute(part)
