"""The indexes of events have the end of a guid in place of the whole (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# The key was needed to find an event by its guid. The last 7 characters are random and find it as well.
INDEXES = """
ALTER TABLE event DROP CONSTRAINT event_pkey;
DROP INDEX event_of_owner;
CREATE INDEX event_by_guid ON event ((right(guid, 7)));
CREATE INDEX event_of_owner ON event ((right(owner_guid, 7)), position);
"""


def upgrade() -> None:
    op.execute(INDEXES)
