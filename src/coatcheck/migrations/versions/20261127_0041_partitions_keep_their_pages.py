"""A partition keeps its pages when it is vacuumed (pre-deploy).

The codes that can be redeemed come and go. PostgreSQL plans by the number of pages: for a day that was just emptied it
would plan to read all rows, and keep this plan while thousands of codes are issued. To cut off the pages also locks
readers out.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE OR REPLACE FUNCTION create_partition(parent regclass, name text, bounds text) RETURNS void
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
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %s FOR VALUES %s WITH (vacuum_truncate = off)',
                   parent_schema, name, parent, bounds);
END $$;
"""

CODES = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'authorization_code'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (vacuum_truncate = off)', part);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    for part in (FUNCTION, CODES):
        op.execute(part)
