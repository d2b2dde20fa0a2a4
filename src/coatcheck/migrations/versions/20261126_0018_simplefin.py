"""Apps, their setup tokens and their access URLs (pre-deploy)."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# An app is a processor of one client, without an API key. NULL: any other processor.
APPS = """
ALTER TABLE processor ADD COLUMN app_of text REFERENCES client;
CREATE UNIQUE INDEX processor_app ON processor (app_of, name) WHERE app_of IS NOT NULL;
"""

# A setup token is one code for each of its accounts, an access URL one token for each.
SETUP_TOKENS = """
ALTER TABLE authorization_code
    ADD COLUMN setup_token_guid text,
    ADD COLUMN setup_token_hash bytea;
CREATE INDEX authorization_code_of_setup_token ON authorization_code (setup_token_hash)
    WHERE setup_token_hash IS NOT NULL;
ALTER TABLE access_token
    ADD COLUMN simplefin_access_guid text,
    ADD COLUMN simplefin_access_hash bytea;
CREATE INDEX access_token_of_simplefin_access ON access_token (simplefin_access_hash)
    WHERE simplefin_access_hash IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(APPS)
    op.execute(SETUP_TOKENS)
