"""Staff whose sign-in was reset join by their new invitation only (pre-deploy).

Before, an account of the identity provider with the same e-mail address signed in without it.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE staff ADD COLUMN by_invitation_only boolean NOT NULL DEFAULT false")
