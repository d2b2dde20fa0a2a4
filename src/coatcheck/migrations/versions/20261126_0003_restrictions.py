"""Restrictions, versions and renewal of tokens; exact instants; the token of each disclosure (pre-deploy)."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `timestamptz(0)` rounds: a token would expire up to half a second early. No table is rewritten.
EXACT_INSTANTS = """
DROP VIEW live_token;
ALTER TABLE api_key
    ALTER created_at TYPE timestamptz, ALTER expires_at TYPE timestamptz;
ALTER TABLE authorization_code
    ALTER created_at TYPE timestamptz, ALTER expires_at TYPE timestamptz, ALTER redeemed_at TYPE timestamptz;
ALTER TABLE access_token
    ALTER created_at TYPE timestamptz, ALTER expires_at TYPE timestamptz, ALTER revoked_at TYPE timestamptz;
ALTER TABLE link
    ALTER created_at TYPE timestamptz, ALTER expires_at TYPE timestamptz, ALTER opened_at TYPE timestamptz;
ALTER TABLE widget_session
    ALTER created_at TYPE timestamptz, ALTER expires_at TYPE timestamptz, ALTER idle_at TYPE timestamptz,
    ALTER consented_at TYPE timestamptz;
"""

# `permissions` is NULL if the scope has no `read:` atom: the token then reads what MX gives.
RESTRICTIONS = """
ALTER TABLE authorization_code
    ADD permissions text[],
    ADD expires_in integer,
    ADD lookback_days integer,
    ADD max_reads integer,
    ADD renews_week integer,
    ADD renews_hash bytea;
ALTER TABLE access_token
    ADD permissions text[],
    ADD lookback_days integer,
    ADD max_reads integer,
    ADD reads integer NOT NULL DEFAULT 0,
    ADD last_read_at timestamptz,
    ADD version integer NOT NULL DEFAULT 1,
    ADD revoked_by text,
    ADD superseded_by text;
CREATE INDEX authorization_code_of_account ON authorization_code (account_guid, expires_at);
CREATE INDEX access_token_by_guid ON access_token (guid);
"""

# Set when the connection breaks, until the member is CONNECTED again: an attempt to repair it changes the status too.
BROKEN_CONNECTIONS = """
ALTER TABLE member ADD broken_since timestamptz;
UPDATE member SET broken_since = updated_at WHERE connection_status IN ('DISCONNECTED', 'CLOSED');
"""

DISCLOSURES = """
ALTER TABLE disclosure
    ADD token_guid text,
    ADD request_id text,
    ADD address text;
CREATE INDEX disclosure_of_token ON disclosure (token_guid, at) WHERE token_guid IS NOT NULL;
"""

VIEW = """
-- A token lives as long as everything it names: deleting or disabling any of it ends the token at once.
CREATE VIEW live_token AS
SELECT t.expires_week, t.token_hash, t.guid, t.client_guid, t.processor_guid, t.user_guid, t.member_guid,
       t.account_guid, t.scope, t.reads_protected, t.expires_at,
       p.owners_at_transactions, p.numbers_as_strings,
       coalesce(t.permissions,
                CASE WHEN t.reads_protected THEN '{balances,numbers,owners,transactions}'::text[]
                     ELSE '{balances,transactions}'::text[] END) AS permissions,
       t.lookback_days, t.max_reads, t.reads, t.version,
       m.broken_since IS NOT NULL OR coalesce(m.connection_status IN ('DISCONNECTED', 'CLOSED'), false) AS is_suspended
FROM access_token t
JOIN processor p ON p.guid = t.processor_guid AND NOT p.is_disabled
JOIN client_processor cp ON cp.client_guid = t.client_guid AND cp.processor_guid = t.processor_guid
JOIN client c ON c.guid = t.client_guid AND NOT c.is_disabled
JOIN end_user u ON u.guid = t.user_guid AND NOT u.is_disabled
JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid AND a.member_guid = t.member_guid
JOIN member m ON m.user_guid = t.user_guid AND m.guid = t.member_guid
WHERE t.revoked_at IS NULL;
"""


def upgrade() -> None:
    for part in (EXACT_INSTANTS, RESTRICTIONS, BROKEN_CONNECTIONS, DISCLOSURES, VIEW):
        op.execute(part)
