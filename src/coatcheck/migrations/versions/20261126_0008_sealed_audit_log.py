"""The sealed audit log: numbers and checkpoints; functions that create and drop partitions (pre-deploy).

It rewrites `audit_event` and `disclosure`, because each of their rows gets a number.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBERS = """
-- One sequence for both tables: the order of the sealed log. A number that a failed transaction took stays unused.
CREATE SEQUENCE audit_number;
ALTER TABLE audit_event ADD COLUMN number bigint NOT NULL DEFAULT nextval('audit_number');
ALTER TABLE disclosure ADD COLUMN number bigint NOT NULL DEFAULT nextval('audit_number');
CREATE INDEX audit_event_number ON audit_event (number);
CREATE INDEX disclosure_number ON disclosure (number);
"""

CHECKPOINTS = """
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY,
    through bigint NOT NULL,
    at timestamptz(0) NOT NULL,
    note text NOT NULL,
    numbers bigint[] NOT NULL,
    hashes bytea NOT NULL,
    peaks bytea NOT NULL
);
ALTER TABLE audit_checkpoint ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TRIGGER audit_checkpoint_append_only BEFORE UPDATE OR DELETE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoint_not_truncated BEFORE TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_event_not_truncated BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER disclosure_not_truncated BEFORE TRUNCATE ON disclosure
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

# These run with the rights of the owner of the tables. They create partitions under the names that the program uses,
# and drop none of a table that is append only. `search_path` is fixed, so that a caller cannot put other functions in
# front of PostgreSQL's.
PARTITIONS = """
CREATE FUNCTION create_partition(parent regclass, name text, bounds text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent_name name;
    parent_schema name;
BEGIN
    SELECT c.relname, n.nspname INTO parent_name, parent_schema
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = parent AND c.relkind = 'p' AND c.relowner = current_user::regrole;
    IF parent_name IS NULL OR name !~ ('^' || parent_name || '_[a-z0-9_]+$') THEN
        RAISE EXCEPTION '% is not the name of a partition of %', name, parent
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %s FOR VALUES %s',
                   parent_schema, name, parent, bounds);
END $$;

CREATE FUNCTION create_range_partition(parent regclass, name text, starts timestamptz, ends timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT create_partition(parent, name, format('FROM (%L) TO (%L)', starts, ends));
END;

CREATE FUNCTION create_list_partition(parent regclass, name text, value integer)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT create_partition(parent, name, format('IN (%L)', value));
END;

CREATE FUNCTION drop_partition(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    partition regclass;
    parent regclass;
BEGIN
    SELECT i.inhrelid, i.inhparent INTO partition, parent
    FROM pg_inherits i
    JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p' AND p.relowner = current_user::regrole
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relname = name;
    IF partition IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
               WHERE t.tgrelid = parent AND f.proname = 'refuse_change') THEN
        RAISE EXCEPTION '% is append only', parent USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE %s', partition);
END $$;

REVOKE ALL ON FUNCTION create_partition(regclass, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION create_range_partition(regclass, text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION create_list_partition(regclass, text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION drop_partition(text) FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute(NUMBERS)
    op.execute(CHECKPOINTS)
    op.execute(PARTITIONS)
