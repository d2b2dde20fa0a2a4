"""Members that were deleted, and whose access at the upstream is to be ended (pre-deploy)."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE disconnection (
    guid text PRIMARY KEY,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    institution_code text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz(0) NOT NULL,
    created_at timestamptz(0) NOT NULL
)
""")
    op.execute("CREATE INDEX disconnection_due ON disconnection (next_attempt_at, guid)")
