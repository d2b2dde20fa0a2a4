"""Staff, their invitations, passkeys and sessions (pre-deploy)."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE staff (
    guid text PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    organisation_guid text,
    oidc_subject text UNIQUE,
    joined_at timestamptz,
    created_at timestamptz NOT NULL,
    CHECK ((role = 'operator') = (organisation_guid IS NULL))
)
""")
    op.execute("CREATE UNIQUE INDEX staff_email ON staff (lower(email))")
    op.execute("CREATE INDEX staff_organisation ON staff (organisation_guid)")
    op.execute("""
CREATE TABLE staff_invitation (
    invitation_hash bytea PRIMARY KEY,
    staff_guid text NOT NULL REFERENCES staff (guid) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
)
""")
    op.execute("CREATE INDEX staff_invitation_staff ON staff_invitation (staff_guid)")
    op.execute("""
CREATE TABLE staff_passkey (
    credential_id bytea PRIMARY KEY,
    staff_guid text NOT NULL REFERENCES staff (guid) ON DELETE CASCADE,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    is_disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
)
""")
    op.execute("CREATE INDEX staff_passkey_staff ON staff_passkey (staff_guid)")
    op.execute("""
CREATE TABLE staff_sign_in (
    sign_in_hash bytea PRIMARY KEY,
    purpose text NOT NULL,
    staff_guid text REFERENCES staff (guid) ON DELETE CASCADE,
    next_path text NOT NULL,
    begun_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
)
""")
    op.execute("CREATE INDEX staff_sign_in_expiry ON staff_sign_in (expires_at)")
    op.execute("CREATE INDEX staff_sign_in_staff ON staff_sign_in (staff_guid)")
    op.execute("""
CREATE TABLE staff_session (
    session_hash bytea PRIMARY KEY,
    guid text NOT NULL UNIQUE,
    staff_guid text NOT NULL REFERENCES staff (guid) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    authenticated_at timestamptz NOT NULL,
    idle_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
)
""")
    op.execute("CREATE INDEX staff_session_staff ON staff_session (staff_guid)")
    op.execute("CREATE INDEX staff_session_expiry ON staff_session (expires_at)")
