"""When API keys were last used (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

# A table of its own: the rows of api_key are copied to every cell, and a cell knows its own uses.
TABLE = """
CREATE TABLE api_key_use (
    key_hash bytea PRIMARY KEY REFERENCES api_key ON DELETE CASCADE,
    last_used_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)
