"""Where the clock of a sandbox stands, and how often its processes started (pre-deploy)."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
ALTER TABLE sandbox_clock
    ALTER COLUMN moved_by SET DEFAULT interval '0',
    ADD COLUMN frozen_at timestamptz,
    ADD COLUMN starts bigint NOT NULL DEFAULT 0
""")
