"""When the transactions of an account were last read, so that a daily aggregation reads the days since (pre-deploy).

NULL: never, or by the program before this one. The next run reads all days.
"""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE account ADD transactions_read_at timestamptz")
