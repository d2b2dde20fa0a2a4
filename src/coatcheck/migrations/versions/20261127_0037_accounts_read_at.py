"""When each account was read (pre-deploy).

A run can read some accounts of a member and leave others as they were. An account that no run has read since this
migration has none: it was read when its member was.
"""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE account ADD read_at timestamptz(0)")
