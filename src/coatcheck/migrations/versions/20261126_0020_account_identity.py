"""How accounts are recognised under other ids, and the guids of deleted accounts (pre-deploy).

`number_hashes`: keyed hashes of the account's numbers. `foreign_before`: transactions of earlier days came from another
connector, under other ids.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE account ADD COLUMN number_hashes bytea[], ADD COLUMN foreign_before date")
    op.execute("""
CREATE TABLE former_account (
    user_guid text NOT NULL REFERENCES end_user ON DELETE CASCADE,
    identity bytea NOT NULL,
    guid text NOT NULL,
    deleted_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, identity)
)
""")
    op.execute("CREATE INDEX former_account_deleted ON former_account (deleted_at)")
