"""The transactions of a deleted account are deleted in pieces, if there are many (pre-deploy).

The foreign key deleted them in the transaction that deletes the account, however many they are. A trigger deletes up to
10,000 there, and leaves the others to the worker. Nothing reads a transaction without its account.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

DELETED_ACCOUNTS = """
-- An account that was deleted and whose transactions are not all deleted yet.
CREATE TABLE deleted_account (
    user_guid text NOT NULL,
    guid text NOT NULL,
    PRIMARY KEY (user_guid, guid)
);

CREATE FUNCTION delete_transactions_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM transaction t
    USING (SELECT guid FROM transaction WHERE user_guid = OLD.user_guid AND account_guid = OLD.guid
           ORDER BY date DESC, guid DESC LIMIT 10000) AS first
    WHERE t.user_guid = OLD.user_guid AND t.guid = first.guid;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted = 10000 THEN
        INSERT INTO deleted_account (user_guid, guid) VALUES (OLD.user_guid, OLD.guid) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_transactions_deleted AFTER DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION delete_transactions_of_account();
ALTER TABLE transaction DROP CONSTRAINT transaction_user_guid_account_guid_fkey;
"""

# The sweep for micro-deposits that were never verified.
UNVERIFIED = """
CREATE INDEX micro_deposit_unverified ON micro_deposit (created_at) WHERE status <> 'VERIFIED';
"""


def upgrade() -> None:
    op.execute(DELETED_ACCOUNTS)
    op.execute(UNVERIFIED)
