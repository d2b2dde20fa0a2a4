"""The sessions of the portal (pre-deploy)."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE portal_session (
    expires_day integer NOT NULL,
    session_hash bytea NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    locale text NOT NULL,
    created_at timestamptz NOT NULL,
    idle_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (expires_day, session_hash)
) PARTITION BY LIST (expires_day)
""")
    op.execute("CREATE INDEX portal_session_guid ON portal_session (guid)")
    op.execute("CREATE TABLE portal_session_rest PARTITION OF portal_session DEFAULT")
