"""An index for the deliveries that failed, which are few among many (pre-deploy).

While it is built, no delivery is made or attempted: what announces an event waits.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

INDEX = "CREATE INDEX delivery_failed ON delivery (owner_guid, position, guid) WHERE status = 'failed'"


def upgrade() -> None:
    op.execute(INDEX)
