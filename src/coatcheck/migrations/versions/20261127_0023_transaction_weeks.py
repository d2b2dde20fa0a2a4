"""How many transactions an account has on each day, kept by triggers; an index of the pending ones (pre-deploy).

It reads every transaction once. A list finds its pages and its total by these numbers.

The SQL is frozen: it takes nothing from the program or an installed library.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# A row for each week takes less space than one for each day.
WEEKS = """
-- `week` is its Monday. `numbers` are those of its seven days.
CREATE TABLE transaction_week (
    user_guid text NOT NULL,
    account_guid text NOT NULL,
    week date NOT NULL,
    numbers integer[] NOT NULL,
    PRIMARY KEY (user_guid, account_guid, week),
    FOREIGN KEY (user_guid, account_guid) REFERENCES account (user_guid, guid) ON DELETE CASCADE
);
CREATE INDEX transaction_pending ON transaction (user_guid, account_guid) WHERE status = 'PENDING';
"""


def _weekly(changes: str) -> str:
    """The changes of each week, from rows with `user_guid`, `account_guid`, `date` and `change`."""
    numbers = ", ".join(f"coalesce(sum(change) FILTER (WHERE weekday = {day}), 0)" for day in range(1, 8))
    return f"""
        SELECT user_guid, account_guid, date - (weekday - 1), ARRAY[{numbers}]::integer[]
        FROM (SELECT user_guid, account_guid, date, extract(isodow FROM date)::integer, sum(change)
              FROM ({changes}) AS changes GROUP BY 1, 2, 3 HAVING sum(change) <> 0)
             AS daily (user_guid, account_guid, date, weekday, change)
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""


def _sum(changes: str) -> str:
    return f"ARRAY[{', '.join(f'w.numbers[{day}] + {changes}.numbers[{day}]' for day in range(1, 8))}]"


ADDED = "SELECT user_guid, account_guid, date, 1 AS change FROM added"
REMOVED = "SELECT user_guid, account_guid, date, -1 AS change FROM removed"


def _put(changes: str) -> str:
    return f"""
        INSERT INTO transaction_week AS w (user_guid, account_guid, week, numbers) {_weekly(changes)}
        ON CONFLICT (user_guid, account_guid, week) DO UPDATE SET numbers = {_sum("excluded")};"""


# The triggers run once for each statement. A deletion only updates: the account may be deleted, and its weeks with it.
TRIGGERS = f"""
CREATE FUNCTION count_transactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {_put(ADDED)}
    ELSIF TG_OP = 'UPDATE' THEN {_put(f"{ADDED} UNION ALL {REMOVED}")}
    ELSE
        UPDATE transaction_week w SET numbers = {_sum("gone")}
        FROM ({_weekly(REMOVED)}) AS gone (user_guid, account_guid, week, numbers)
        WHERE w.user_guid = gone.user_guid AND w.account_guid = gone.account_guid AND w.week = gone.week;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transactions_inserted AFTER INSERT ON transaction
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_transactions();
CREATE TRIGGER transactions_updated AFTER UPDATE ON transaction
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_transactions();
CREATE TRIGGER transactions_deleted AFTER DELETE ON transaction
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_transactions();
"""

# The new triggers' lock keeps writers away until the end of the migration, so that none is missed or counted twice.
EXISTING = f"""
INSERT INTO transaction_week (user_guid, account_guid, week, numbers)
{_weekly("SELECT user_guid, account_guid, date, 1 AS change FROM transaction")};
"""

# Only those of one client, or of its disabled users, are looked through.
USERS = """
CREATE INDEX end_user_of_email ON end_user (client_guid, email) WHERE email IS NOT NULL;
"""


def upgrade() -> None:
    for part in (WEEKS, TRIGGERS, EXISTING, USERS):
        op.execute(part)
