"""Counters of rate limits, and to which addresses a client's end users may be sent back (pre-deploy)."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Not logged: a counter that a crash loses begins again, and costs no write to the log.
RATE_LIMIT = """
CREATE UNLOGGED TABLE rate_limit (
    key text PRIMARY KEY,
    hits bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX rate_limit_expires_at ON rate_limit (expires_at);
"""


def upgrade() -> None:
    op.execute("ALTER TABLE client ADD COLUMN redirect_urls text[]")
    op.execute(RATE_LIMIT)
