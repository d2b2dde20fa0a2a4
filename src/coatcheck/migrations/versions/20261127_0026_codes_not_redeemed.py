"""Codes that are not redeemed have indexes of their own (pre-deploy).

The codes of an account that can be redeemed are counted when one is issued. The index of all codes led to those that
were redeemed too. Because the key began with the day, PostgreSQL could also choose it for the range of days, and read
every code of the day.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# The second index, for what expires next, has a condition that the count of an account's codes does not have. So
# PostgreSQL cannot choose it for the count, which it did when the statistics said that there are few accounts.
NOT_REDEEMED = """
CREATE INDEX authorization_code_not_redeemed ON authorization_code (account_guid, expires_day, expires_at)
    WHERE redeemed_at IS NULL;
CREATE INDEX authorization_code_not_redeemed_expiry ON authorization_code (expires_at)
    WHERE redeemed_at IS NULL AND expires_at > created_at;
DROP INDEX authorization_code_of_account;
DROP INDEX authorization_code_expiry;
"""

KEY = """
ALTER TABLE authorization_code DROP CONSTRAINT authorization_code_pkey, ADD PRIMARY KEY (code_hash, expires_day);
"""


def upgrade() -> None:
    op.execute(NOT_REDEEMED)
    op.execute(KEY)
