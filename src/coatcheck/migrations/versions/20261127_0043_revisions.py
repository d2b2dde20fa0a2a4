"""Users and members have a number that each change increases (pre-deploy).

The webhooks of MX's format had the second of the change in its place, so that two changes in one second could not be
put in order. A row that exists begins at the second one day from now: the program before sends seconds until it is
stopped, and those are smaller if that is within the day. A row that it inserts meanwhile begins at 1, so receivers that
have a second of it ignore what follows.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

# A constant default: no row is rewritten.
ADD = """
DO $$
BEGIN
    EXECUTE format('ALTER TABLE {table} ADD COLUMN revision bigint NOT NULL DEFAULT %s',
                   extract(epoch FROM now() + interval '1 day')::bigint);
    ALTER TABLE {table} ALTER COLUMN revision SET DEFAULT 1;
END
$$"""


def upgrade() -> None:
    for table in ("end_user", "member"):
        op.execute(ADD.format(table=table))
