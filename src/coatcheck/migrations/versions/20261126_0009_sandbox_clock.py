"""How far the clock of a sandbox was moved (pre-deploy)."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE sandbox_clock (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    moved_by interval NOT NULL
)
""")
