"""Deletion of many rows, in statements that are each short enough for the timeout.

One statement for all of them would fail if they were too many, change nothing, and fail again the next time.
"""

from coatcheck.db.database import Connection, Parameters, run

BATCH = 1_000
"""Rows of one statement."""


def first_rows(table: str, condition: str, number: int) -> str:
    """A DELETE of the first rows of the table that satisfy the condition."""
    # An array, because PostgreSQL fetches its rows by their places, and joins a query with the whole table.
    # SKIP LOCKED: another process deletes what it has locked.
    return f"""DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM {table} WHERE {condition} LIMIT {number} FOR UPDATE SKIP LOCKED))"""


async def delete_in_batches(
    connection: Connection, table: str, condition: str, parameters: Parameters
) -> None:
    """Deletes the rows of the table that satisfy the condition.

    Args:
        connection: in autocommit mode: each batch is a transaction of its own.
        table: its name; it is not partitioned.
        condition: SQL over the table, whose columns need no alias.
        parameters: of the condition.
    """
    statement = first_rows(table, condition, BATCH)
    while await run(connection, statement, parameters) == BATCH:
        pass
