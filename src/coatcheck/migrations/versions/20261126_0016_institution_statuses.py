"""The statuses of institutions, and blocked accounts (pre-deploy)."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE blocked_account (
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    id text NOT NULL,
    blocked_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, member_guid, id),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
)
""")
    # An institution without a row is OPERATIONAL, and AVAILABLE to every client.
    op.execute("""
CREATE TABLE institution_status (
    institution_code text PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('MAINTENANCE', 'DEGRADED', 'UNAVAILABLE'))
)
""")
    op.execute("""
CREATE TABLE institution_client_status (
    client_guid text NOT NULL REFERENCES client ON DELETE CASCADE,
    institution_code text NOT NULL,
    client_status text NOT NULL CHECK (client_status IN (
        'PREVENT_ALL', 'PREVENT_NEW', 'PREVENT_ALL_AND_DISCONNECT', 'PREVENT_VERIFICATION', 'PREVENT_BACKGROUND_AGG'
    )),
    PRIMARY KEY (client_guid, institution_code)
)
""")
    op.execute("CREATE INDEX member_at_institution ON member (client_guid, institution_code)")
