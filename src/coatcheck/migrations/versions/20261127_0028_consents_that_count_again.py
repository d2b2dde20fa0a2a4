"""A consent that a user gave in an earlier session of the widget counts in a later one (pre-deploy).

The session names the authorization disclosure that the user signed then. It is NULL where the user was asked.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

EARLIER_DISCLOSURE = """
ALTER TABLE widget_session ADD earlier_disclosure_guid text;
"""


def upgrade() -> None:
    op.execute(EARLIER_DISCLOSURE)
