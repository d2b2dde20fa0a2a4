"""An account is found by its guid alone (pre-deploy).

The commands of an operator and the API of a client name an account without its user.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX account_by_guid ON account (guid)")
