"""From which networks the keys of a client, or the keys and tokens of a processor, are accepted (pre-deploy)."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

VIEW = """
CREATE OR REPLACE VIEW live_token AS
SELECT t.expires_week, t.token_hash, t.guid, t.client_guid, t.processor_guid, t.user_guid, t.member_guid,
       t.account_guid, t.scope, t.reads_protected, t.expires_at,
       p.owners_at_transactions, p.numbers_as_strings,
       coalesce(t.permissions,
                CASE WHEN t.reads_protected THEN '{balances,numbers,owners,transactions}'::text[]
                     ELSE '{balances,transactions}'::text[] END) AS permissions,
       t.lookback_days, t.max_reads, t.reads, t.version,
       m.broken_since IS NOT NULL OR coalesce(m.connection_status IN ('DISCONNECTED', 'CLOSED'), false) AS is_suspended,
       p.allowed_networks
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
    op.execute("ALTER TABLE client ADD COLUMN allowed_networks cidr[]")
    op.execute("ALTER TABLE processor ADD COLUMN allowed_networks cidr[]")
    op.execute(VIEW)
