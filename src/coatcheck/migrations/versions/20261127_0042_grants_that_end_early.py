"""An index of the grants that end before the week of their partition (pre-deploy).

The list of expired grants finds them by it. The index in its place had those that were narrowed, and missed the ones
that the restriction `expires-in` ended early.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE INDEX access_token_ends_early ON access_token ((right(client_guid, 7)), (right(guid, 36)::uuid))
           WHERE expires_at < to_timestamp(expires_week::double precision * 604800)"""
    )
    # Last: it locks out whoever reads a token until the transaction ends, and the index takes long to build.
    op.execute("DROP INDEX access_token_narrowed")
