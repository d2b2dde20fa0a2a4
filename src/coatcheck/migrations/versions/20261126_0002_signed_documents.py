"""Signing keys and the documents that they sign (pre-deploy).

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SIGNING_KEYS = """
-- The private key is destroyed some time after the next key has started to sign. The public key stays longer.
CREATE TABLE signing_key (
    kid text PRIMARY KEY,
    public_key text NOT NULL,
    master_key_id text,
    wrapped bytea,
    created_at timestamptz(0) NOT NULL,
    signs_from timestamptz(0) NOT NULL,
    published_until timestamptz(0)
);
"""

DOCUMENTS = """
CREATE TABLE revocation_receipt (
    guid text PRIMARY KEY,
    client_guid text NOT NULL,
    grant_guid text UNIQUE,
    revoked integer NOT NULL,
    at timestamptz NOT NULL,
    receipt text NOT NULL
);
CREATE INDEX revocation_receipt_by_age ON revocation_receipt (at);

-- It names objects by their guids only, and outlives them.
CREATE TABLE authorization_disclosure (
    guid text PRIMARY KEY,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    session_guid text NOT NULL UNIQUE,
    processor_guids text[] NOT NULL,
    text text NOT NULL,
    signed_at timestamptz(0) NOT NULL,
    last_granted_at timestamptz(0) NOT NULL,
    statement text NOT NULL
);
CREATE INDEX authorization_disclosure_by_age ON authorization_disclosure (last_granted_at);
CREATE INDEX authorization_disclosure_of_user ON authorization_disclosure (user_guid);

CREATE TABLE member_authorization (
    user_guid text NOT NULL,
    member_guid text NOT NULL,
    disclosure_guid text NOT NULL REFERENCES authorization_disclosure ON DELETE CASCADE,
    PRIMARY KEY (user_guid, member_guid),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
);
CREATE INDEX member_authorization_by_disclosure ON member_authorization (disclosure_guid);

ALTER TABLE authorization_code ADD COLUMN disclosure_guid text;
ALTER TABLE access_token ADD COLUMN disclosure_guid text;

CREATE TABLE deletion_attestation (
    guid text PRIMARY KEY,
    client_guid text NOT NULL,
    user_guid text NOT NULL,
    at timestamptz NOT NULL,
    statement text NOT NULL,
    UNIQUE (client_guid, user_guid)
);
CREATE INDEX deletion_attestation_by_age ON deletion_attestation (at);
"""


def upgrade() -> None:
    op.execute(SIGNING_KEYS)
    op.execute(DOCUMENTS)
