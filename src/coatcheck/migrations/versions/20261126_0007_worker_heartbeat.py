"""The signs of life of the workers (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# By the clock of the database, which all processes share.
WORKERS = """
CREATE TABLE worker_heartbeat (
    guid text PRIMARY KEY,
    started_at timestamptz NOT NULL,
    at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(WORKERS)


def downgrade() -> None:
    op.execute("DROP TABLE worker_heartbeat")
