"""What a sandbox's bank records of a member (pre-deploy)."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE sandbox_bank_record (
    member_guid text PRIMARY KEY,
    user_guid text NOT NULL,
    record bytea NOT NULL,
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
)
""")
    op.execute("CREATE INDEX sandbox_bank_record_of_member ON sandbox_bank_record (user_guid, member_guid)")
