"""Users that move to another cell: where they are, and the refusal of their changes meanwhile (pre-deploy)."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

MOVES = """
-- A user that is moving, or has moved, from this cell; or one that arrives here, while to_cell is this cell.
CREATE TABLE cell_move (
    user_guid text PRIMARY KEY,
    to_cell text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('copying', 'switched', 'finished')),
    began_at timestamptz NOT NULL,
    switched_at timestamptz
);

-- By what a request can name the user: guids, and hashes of secrets in hexadecimal.
CREATE TABLE cell_move_name (
    name text PRIMARY KEY,
    user_guid text NOT NULL REFERENCES cell_move ON DELETE CASCADE
);
CREATE INDEX cell_move_name_of_user ON cell_move_name (user_guid);
"""

# The setting is that of the command that moves.
REFUSE = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM cell_move WHERE user_guid = coalesce(NEW.{owner}, OLD.{owner}) {condition})
       AND current_setting('coatcheck.moves_users', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the user is moving to another cell' USING ERRCODE = 'CC001';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
"""

# A read that is counted is no change of the user while the rows are copied: the switch brings the counts.
TOKENS = """
CREATE TRIGGER moving_user BEFORE INSERT OR DELETE ON access_token FOR EACH ROW
    EXECUTE FUNCTION refuse_moving_user_guid();
CREATE TRIGGER moving_user_changed BEFORE UPDATE ON access_token FOR EACH ROW
    WHEN (OLD.reads = NEW.reads) EXECUTE FUNCTION refuse_moving_user_guid();
CREATE TRIGGER moving_user_counted BEFORE UPDATE ON access_token FOR EACH ROW
    WHEN (OLD.reads <> NEW.reads) EXECUTE FUNCTION refuse_moved_user_guid();
"""

TABLES = {
    "end_user": "guid",
    "data_key": "owner_guid",
    "sealed_secret": "owner_guid",
}
TABLES |= dict.fromkeys(
    (
        *(
            "authorization_disclosure",
            "member",
            "member_authorization",
            "oauth_state",
            "member_job",
            "account",
        ),
        *("merged_account", "blocked_account", "transaction", "statement", "micro_deposit", "account_number"),
        *("account_owner", "statement_import", "statement_import_account", "statement_import_row"),
        *("former_account", "deleted_account", "authorization_code", "link", "widget_session"),
        *("portal_session", "disconnection", "sandbox_bank_record"),
    ),
    "user_guid",
)


# Disabled, because they cost 7 us for each row. `coatcheck cell prepare` enables them.
def upgrade() -> None:
    op.execute(MOVES)
    for owner in ("guid", "owner_guid", "user_guid"):
        op.execute(REFUSE.format(name=f"refuse_moving_{owner}", owner=owner, condition=""))
    op.execute(
        REFUSE.format(name="refuse_moved_user_guid", owner="user_guid", condition="AND phase <> 'copying'")
    )
    op.execute(TOKENS)
    for table, owner in TABLES.items():
        op.execute(
            f"""CREATE TRIGGER moving_user BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
                EXECUTE FUNCTION refuse_moving_{owner}()"""
        )
    for table, trigger in (
        *((table, "moving_user") for table in (*TABLES, "access_token")),
        ("access_token", "moving_user_changed"),
        ("access_token", "moving_user_counted"),
    ):
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
