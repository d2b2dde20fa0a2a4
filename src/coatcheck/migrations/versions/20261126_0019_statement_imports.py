"""Imports of statement files, and what each of them listed (pre-deploy)."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE statement_import (
    user_guid text NOT NULL,
    guid text NOT NULL,
    client_guid text NOT NULL,
    member_guid text NOT NULL,
    format text NOT NULL,
    warnings text[] NOT NULL,
    created_at timestamptz(0) NOT NULL,
    PRIMARY KEY (user_guid, guid),
    FOREIGN KEY (user_guid, member_guid) REFERENCES member (user_guid, guid) ON DELETE CASCADE
)
""")
    op.execute("CREATE INDEX statement_import_of_client ON statement_import (client_guid, created_at, guid)")
    op.execute("CREATE INDEX statement_import_of_member ON statement_import (user_guid, member_guid)")
    op.execute("""
CREATE TABLE statement_import_account (
    user_guid text NOT NULL,
    import_guid text NOT NULL,
    account_guid text NOT NULL,
    name text,
    added integer NOT NULL,
    already_known integer NOT NULL,
    balance numeric,
    available_balance numeric,
    balance_on date,
    account_hash bytea,
    PRIMARY KEY (user_guid, import_guid, account_guid),
    FOREIGN KEY (user_guid, import_guid) REFERENCES statement_import (user_guid, guid) ON DELETE CASCADE,
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
)
""")
    op.execute(
        "CREATE INDEX statement_import_account_of_account ON statement_import_account (user_guid, account_guid)"
    )
    op.execute("""
CREATE TABLE statement_import_row (
    user_guid text NOT NULL,
    import_guid text NOT NULL,
    account_guid text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (user_guid, account_guid, id, import_guid),
    FOREIGN KEY (user_guid, import_guid, account_guid)
        REFERENCES statement_import_account (user_guid, import_guid, account_guid) ON DELETE CASCADE
)
""")
    op.execute(
        "CREATE INDEX statement_import_row_of_import ON statement_import_row (user_guid, import_guid, account_guid)"
    )
