"""The statements that write the accounts and transactions of runs.

One statement writes thousands of rows, of one member or of several: they are passed as a JSON array.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from coatcheck.connectors.collected import BATCH
from coatcheck.connectors.contract import BankAccount
from coatcheck.db.database import Connection
from coatcheck.db.fragments import compact
from coatcheck.db.json_rows import encode_rows
from coatcheck.model.transactions import STORED

KEY = ("user_guid", "guid")
OVERWRITTEN_ACCOUNT_COLUMNS = (
    *sorted({field.name for field in fields(BankAccount)} - {"id", "account_number_mask", "is_business"}),
)
"""The columns of an existing account that a run overwrites. The client sets metadata, is_hidden and is_business."""
ACCOUNT_COLUMNS = (
    *KEY, "client_guid", "member_guid", "id", *OVERWRITTEN_ACCOUNT_COLUMNS,
    "account_number", "day_payment_is_due", "is_business", "read_at", "transactions_read_at",
    "created_at", "updated_at",
)  # fmt: skip
OVERWRITTEN_TRANSACTION_COLUMNS = tuple(
    name
    for name in STORED
    if name
    not in {*KEY, "member_guid", "account_guid", "id", "description", "metadata", "created_at", "updated_at"}
)
TRANSACTION_COLUMNS = tuple(name for name in STORED if name != "metadata")


def _overwrite(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


PUT_ACCOUNTS = f"""
INSERT INTO account ({", ".join(ACCOUNT_COLUMNS)})
SELECT {", ".join(ACCOUNT_COLUMNS)} FROM json_populate_recordset(NULL::account, %(rows)s::json)
ON CONFLICT (user_guid, member_guid, id) DO UPDATE
SET {_overwrite((*OVERWRITTEN_ACCOUNT_COLUMNS, "account_number", "day_payment_is_due", "read_at", "updated_at"))},
    transactions_read_at = coalesce(excluded.transactions_read_at, account.transactions_read_at)
RETURNING user_guid, member_guid, id, guid, is_closed"""

# A description that the user changed is kept until the institution's own text changes.
# The WHERE clause keeps `updated_at` of unchanged rows. `xmax` is 0 only for a row that was inserted, not updated.
PUT_TRANSACTIONS = compact(f"""
WITH written AS (
    INSERT INTO transaction AS t ({", ".join(TRANSACTION_COLUMNS)})
    SELECT {", ".join(TRANSACTION_COLUMNS)} FROM json_populate_recordset(NULL::transaction, %(rows)s::json)
    ON CONFLICT (user_guid, account_guid, id) DO UPDATE
    SET {_overwrite((*OVERWRITTEN_TRANSACTION_COLUMNS, "updated_at"))},
        description = CASE WHEN t.original_description IS DISTINCT FROM excluded.original_description
                           THEN excluded.description ELSE t.description END
    WHERE ({", ".join(f"t.{name}" for name in OVERWRITTEN_TRANSACTION_COLUMNS)})
          IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in OVERWRITTEN_TRANSACTION_COLUMNS)})
    RETURNING t.account_guid, t.xmax = 0 AS is_new
)
SELECT account_guid, count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
GROUP BY account_guid""")


async def put_accounts(
    connection: Connection, each: Sequence[Sequence[Mapping[str, Any]]]
) -> Sequence[Sequence[tuple[str, str, bool]]]:
    """Writes accounts, each sequence those of one member. Returns the id and the guid of each, and if it is closed."""
    rows = [row for of_member in each for row in of_member]
    cursor = await connection.execute(PUT_ACCOUNTS, {"rows": encode_rows(rows)})
    written: defaultdict[tuple[str, str], list[tuple[str, str, bool]]] = defaultdict(list)
    for user_guid, member_guid, *account in await cursor.fetchall():
        written[user_guid, member_guid].append(tuple(account))
    return [
        written[of_member[0]["user_guid"], of_member[0]["member_guid"]] if of_member else []
        for of_member in each
    ]


async def put_transactions(
    connection: Connection, each: Sequence[Sequence[Mapping[str, Any]]]
) -> Sequence[Sequence[tuple[str, int, int]]]:
    """Writes transactions, each sequence those of one member. Returns how many of each account were new and changed."""
    member_of = {row["account_guid"]: number for number, rows in enumerate(each) for row in rows}
    counts: list[list[tuple[str, int, int]]] = [[] for _ in each]
    rows = [row for of_member in each for row in of_member]
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        cursor = await connection.execute(PUT_TRANSACTIONS, {"rows": encode_rows(batch)})
        for account_guid, created, updated in await cursor.fetchall():
            counts[member_of[account_guid]].append((account_guid, created, updated))
    return counts
