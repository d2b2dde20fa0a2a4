"""Whether the first data of a member is announced (pre-deploy).

MX sends its webhook of initial data to callers of v20250224, so a member remembers in which version it was requested.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE member ADD COLUMN announces_initial_data boolean NOT NULL DEFAULT false")
