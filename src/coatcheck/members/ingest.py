"""Writes what a run read: accounts, transactions and statements as rows; numbers, owners and PDFs into the vault.

Everything is matched by the institution's own ids, so that a second run of the same finds its rows and keeps their
guids. Thousands of rows go in one statement, as JSON that PostgreSQL spreads over the columns.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from coatcheck import ids
from coatcheck.connectors.collected import CollectedData
from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    Finished,
)
from coatcheck.connectors.registry import ListedMerchant, Registry
from coatcheck.db.database import Connection, run
from coatcheck.members.records import MemberJob
from coatcheck.model.accounts import merged_ids
from coatcheck.model.categories import categorize
from coatcheck.model.transactions import STORED
from coatcheck.vault.vault import AccountNumbers, AccountOwner, SecretKind, Vault

NOT_SPENT = frozenset({"Transfer", "Investments", "Income"})
"""Top-level categories whose debits are no expenses."""


def _names(record: type) -> frozenset[str]:
    return frozenset(field.name for field in fields(record))


KEY = ("user_guid", "guid")
ACCOUNT_FACTS = (*sorted(_names(BankAccount) - {"id", "account_number_mask", "is_business"}),)
"""What a run may change about an account. The client owns the rest: metadata, is_hidden, is_business."""
ACCOUNT_COLUMNS = (
    *KEY, "client_guid", "member_guid", "id", *ACCOUNT_FACTS,
    "account_number", "day_payment_is_due", "is_business", "created_at", "updated_at",
)  # fmt: skip
TRANSACTION_FACTS = tuple(
    name
    for name in STORED
    if name
    not in {*KEY, "member_guid", "account_guid", "id", "description", "metadata", "created_at", "updated_at"}
)
TRANSACTION_COLUMNS = tuple(name for name in STORED if name != "metadata")
SAME_IN_TRANSACTION = tuple(name for name in STORED if name in _names(BankTransaction))
NUMBERS = tuple(sorted(_names(BankNumbers) & _names(AccountNumbers)))
OWNER = tuple(sorted(_names(BankOwner) & _names(AccountOwner)))


def _overwrite(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


PUT_ACCOUNTS = f"""
INSERT INTO account ({", ".join(ACCOUNT_COLUMNS)})
SELECT {", ".join(ACCOUNT_COLUMNS)} FROM json_populate_recordset(NULL::account, %(rows)s::json)
ON CONFLICT (user_guid, member_guid, id) DO UPDATE
SET {_overwrite((*ACCOUNT_FACTS, "account_number", "day_payment_is_due", "updated_at"))}
RETURNING id, guid"""

# A description that the user changed is kept until the institution's own text changes.
# A row is new if no transaction ever replaced a version of it: then its xmax is 0.
PUT_TRANSACTIONS = f"""
WITH written AS (
    INSERT INTO transaction AS t ({", ".join(TRANSACTION_COLUMNS)})
    SELECT {", ".join(TRANSACTION_COLUMNS)} FROM json_populate_recordset(NULL::transaction, %(rows)s::json)
    ON CONFLICT (user_guid, account_guid, id) DO UPDATE
    SET {_overwrite((*TRANSACTION_FACTS, "updated_at"))},
        description = CASE WHEN t.original_description IS DISTINCT FROM excluded.original_description
                           THEN excluded.description ELSE t.description END
    WHERE ({", ".join(f"t.{name}" for name in TRANSACTION_FACTS)})
          IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in TRANSACTION_FACTS)})
    RETURNING t.xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written"""


@dataclass(frozen=True, slots=True)
class IngestResult:
    numbered_account_guids: Sequence[str]
    """Accounts that payment numbers were read for."""
    transactions_created_count: int
    transactions_updated_count: int
    statements_created_count: int


class Ingester:
    def __init__(self, vault: Vault, registry: Registry) -> None:
        self._vault = vault
        self._registry = registry

    async def save(
        self, connection: Connection, job: MemberJob, finished: Finished, data: CollectedData, now: datetime
    ) -> IngestResult:
        """Writes it all in the caller's transaction, which has locked the member and ended the job.

        Rows of accounts that the client merged into others are left out.
        """
        merged = await merged_ids(connection, job.user_guid, job.member_guid)
        guids = await _save_accounts(
            connection, job, [each for each in data.accounts if each.id not in merged], now
        )
        if finished.lists_all_accounts:
            await _close_missing_accounts(connection, job, guids, now)
        created, updated = await self._save_transactions(connection, job, guids, finished, data, now)
        numbers = [each for each in data.numbers if each.account_id in guids]
        await self._save_numbers_and_owners(connection, job, guids, numbers, data)
        statements = await self._save_statements(connection, job, guids, data.statements, now)
        numbered = dict.fromkeys(guids[each.account_id] for each in numbers)
        return IngestResult(tuple(numbered), created, updated, statements)

    async def _save_numbers_and_owners(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        numbers: Sequence[BankNumbers],
        data: CollectedData,
    ) -> None:
        await self._vault.store_numbers(
            connection,
            user_guid=job.user_guid,
            member_guid=job.member_guid,
            numbers=[_numbers(guids[each.account_id], each) for each in numbers],
        )
        await self._vault.store_owners(
            connection,
            user_guid=job.user_guid,
            member_guid=job.member_guid,
            owners=[_owner(guids[each.account_id], each) for each in data.owners if each.account_id in guids],
        )

    @cached_property
    def _merchants(self) -> Mapping[str, ListedMerchant]:
        return {listed.merchant.name: listed for listed in self._registry.merchants()}

    async def _save_transactions(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        finished: Finished,
        data: CollectedData,
        now: datetime,
    ) -> tuple[int, int]:
        """How many are new, and how many of the old changed; the others keep their `updated_at`."""
        created = updated = 0
        pending: list[tuple[str, str]] = []
        for batch in data.transaction_batches():
            # One statement may touch a row once only, so of two with the same id the last counts.
            once = {
                (each.account_id, each.id): self._transaction(job, guids[each.account_id], each, now)
                for each in batch
                if each.account_id in guids
            }
            cursor = await connection.execute(PUT_TRANSACTIONS, {"rows": _to_json(list(once.values()))})
            row = await cursor.fetchone()
            created, updated = (created + row[0], updated + row[1]) if row else (created, updated)
            pending += [(guids[each[0]], each[1]) for each, row in once.items() if row["status"] == "PENDING"]
        removed = [(guids[account], id) for account, id in data.removed_transactions if account in guids]
        await _delete_transactions(connection, job, removed)
        if job.wants_transactions and finished.lists_all_transactions:
            await _delete_unlisted_pending(connection, job, guids, pending)
        return created, updated

    def _transaction(
        self, job: MemberJob, account_guid: str, given: BankTransaction, now: datetime
    ) -> dict[str, Any]:
        category, top_level = categorize(given.category)
        merchant = self._merchants.get(given.merchant or "")
        return {
            **{name: getattr(given, name) for name in SAME_IN_TRANSACTION},
            "user_guid": job.user_guid,
            "guid": ids.new("TRN"),
            "member_guid": job.member_guid,
            "account_guid": account_guid,
            "category": category.name,
            "category_guid": category.guid,
            "top_level_category": top_level.name,
            "top_level_category_guid": top_level.guid,
            "merchant_guid": merchant and merchant.guid,
            "merchant_location_guid": merchant and merchant.location_guid,
            "is_expense": given.type == "DEBIT" and top_level.name not in NOT_SPENT,
            "created_at": now,
            "updated_at": now,
        }

    async def _save_statements(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        given: Sequence[BankStatement],
        now: datetime,
    ) -> int:
        """How many are new. One whose PDF is the same is left as it is."""
        created = 0
        for each in given:
            if each.account_id not in guids:
                continue
            cursor = await connection.execute(
                """INSERT INTO statement AS s
                          (user_guid, guid, member_guid, account_guid, id, content_hash, created_at, updated_at)
                   VALUES (%(user_guid)s, %(guid)s, %(member_guid)s, %(account_guid)s, %(id)s,
                           %(content_hash)s, %(now)s, %(now)s)
                   ON CONFLICT (user_guid, account_guid, id) DO UPDATE
                   SET content_hash = excluded.content_hash, updated_at = excluded.updated_at
                   WHERE s.content_hash <> excluded.content_hash
                   RETURNING s.guid, s.xmax = 0""",
                {
                    "user_guid": job.user_guid,
                    "guid": ids.new("STA"),
                    "member_guid": job.member_guid,
                    "account_guid": guids[each.account_id],
                    "id": each.id,
                    "content_hash": sha256(each.pdf).hexdigest(),
                    "now": now,
                },
            )
            if (row := await cursor.fetchone()) is None:
                continue
            guid, is_new = row
            created += is_new
            await self._vault.store_secret(
                connection,
                owner_guid=job.user_guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                value=each.pdf,
            )
        return created


async def _save_accounts(
    connection: Connection, job: MemberJob, given: Sequence[BankAccount], now: datetime
) -> Mapping[str, str]:
    """The accounts' guids by the institution's ids."""
    cursor = await connection.execute(
        PUT_ACCOUNTS, {"rows": _to_json([_account(job, each, now) for each in given])}
    )
    return dict(await cursor.fetchall())


async def _close_missing_accounts(
    connection: Connection, job: MemberJob, guids: Mapping[str, str], now: datetime
) -> None:
    """Closes the member's accounts that the institution no longer lists; nothing is deleted."""
    await run(
        connection,
        """UPDATE account SET is_closed = true, updated_at = %(now)s
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND NOT is_manual AND NOT is_closed
             AND id <> ALL (%(listed)s)""",
        {"user_guid": job.user_guid, "member_guid": job.member_guid, "listed": list(guids), "now": now},
    )


async def _delete_transactions(
    connection: Connection, job: MemberJob, removed: Sequence[tuple[str, str]]
) -> None:
    """Deletes what the institution withdrew, by account guid and id."""
    if removed:
        await run(
            connection,
            """DELETE FROM transaction t
               USING unnest(%(of)s::text[], %(ids)s::text[]) AS removed (account_guid, id)
               WHERE t.user_guid = %(user_guid)s AND t.account_guid = removed.account_guid AND t.id = removed.id""",
            {
                "user_guid": job.user_guid,
                "of": [account_guid for account_guid, _ in removed],
                "ids": [id for _, id in removed],
            },
        )


async def _delete_unlisted_pending(
    connection: Connection, job: MemberJob, guids: Mapping[str, str], pending: Sequence[tuple[str, str]]
) -> None:
    """Deletes pending transactions that the run did not list: they were cancelled, or posted under another id."""
    await run(
        connection,
        """DELETE FROM transaction t
           WHERE t.user_guid = %(user_guid)s AND t.account_guid = ANY (%(account_guids)s)
             AND t.status = 'PENDING'
             AND NOT EXISTS (SELECT FROM unnest(%(of)s::text[], %(ids)s::text[]) AS kept (account_guid, id)
                             WHERE kept.account_guid = t.account_guid AND kept.id = t.id)""",
        {
            "user_guid": job.user_guid,
            "account_guids": list(guids.values()),
            "of": [account_guid for account_guid, _ in pending],
            "ids": [id for _, id in pending],
        },
    )


def _account(job: MemberJob, given: BankAccount, now: datetime) -> dict[str, Any]:
    return {
        **{name: getattr(given, name) for name in ACCOUNT_FACTS},
        "user_guid": job.user_guid,
        "guid": ids.new("ACT"),
        "client_guid": job.client_guid,
        "member_guid": job.member_guid,
        "id": given.id,
        "account_number": given.account_number_mask,
        "day_payment_is_due": given.payment_due_at and given.payment_due_at.day,
        "is_business": given.is_business,
        "created_at": now,
        "updated_at": now,
    }


def _numbers(account_guid: str, given: BankNumbers) -> AccountNumbers:
    return AccountNumbers(account_guid=account_guid, **{name: getattr(given, name) for name in NUMBERS})


def _owner(account_guid: str, given: BankOwner) -> AccountOwner:
    return AccountOwner(account_guid=account_guid, **{name: getattr(given, name) for name in OWNER})


def _to_json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=str)
