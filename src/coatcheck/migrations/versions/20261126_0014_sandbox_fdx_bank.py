"""Clients, authorization requests and consents of the FDX bank of a sandbox (pre-deploy)."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE sandbox_fdx_client (
    client_id text PRIMARY KEY,
    client_name text NOT NULL,
    redirect_uris text[] NOT NULL,
    authentication text NOT NULL,
    secret_hash bytea,
    jwks text,
    created_at timestamptz(0) NOT NULL
)
""")
    op.execute("""
CREATE TABLE sandbox_fdx_request (
    request_uri text PRIMARY KEY,
    client_id text NOT NULL REFERENCES sandbox_fdx_client ON DELETE CASCADE,
    parameters text NOT NULL,
    expires_at timestamptz(0) NOT NULL
)
""")
    op.execute("""
CREATE TABLE sandbox_fdx_consent (
    id text PRIMARY KEY,
    client_id text NOT NULL REFERENCES sandbox_fdx_client ON DELETE CASCADE,
    login text NOT NULL,
    clusters text[] NOT NULL,
    lookback_days integer,
    duration_days integer NOT NULL,
    authorization_details text,
    redirect_uri text NOT NULL,
    code_challenge text NOT NULL,
    code_hash bytea NOT NULL,
    code_expires_at timestamptz(0) NOT NULL,
    code_is_used boolean NOT NULL DEFAULT false,
    access_hash bytea,
    access_expires_at timestamptz(0),
    refresh_hash bytea,
    used_refresh_hashes bytea[] NOT NULL DEFAULT '{}',
    created_at timestamptz(0) NOT NULL,
    expires_at timestamptz(0) NOT NULL,
    revoked_at timestamptz(0),
    revocation_reason text,
    revocation_initiator text
)
""")
    op.execute("CREATE INDEX sandbox_fdx_request_of_client ON sandbox_fdx_request (client_id)")
    op.execute("CREATE INDEX sandbox_fdx_consent_of_client ON sandbox_fdx_consent (client_id)")
