"""Writes what a run read: accounts, transactions and statements as rows; numbers, owners and PDFs into the vault.

Rows are matched by the institution's ids, so that a repeated run updates the existing rows and keeps their guids.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from operator import attrgetter
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
    JobKind,
)
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.connectors.session import LOOKBACK
from coatcheck.db.database import Connection, run
from coatcheck.db.lockstep import ask
from coatcheck.events.mx_events import TransactionCounts
from coatcheck.members.account_identity import (
    Identities,
    KnownAccount,
    ReadAccount,
    accounts_of_run,
    former_guids,
    store_number_hashes,
    take_over,
)
from coatcheck.members.account_statements import OVERWRITTEN_ACCOUNT_COLUMNS, put_accounts, put_transactions
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.foreign_transactions import replace_foreign
from coatcheck.members.member_rows import MemberKey
from coatcheck.members.records import MemberJob
from coatcheck.model.categories import categorize
from coatcheck.model.transactions import STORED
from coatcheck.vault.vault import AccountNumbers, AccountOwner, SecretKind

NON_EXPENSES = frozenset({"Transfer", "Investments", "Income"})
"""Top-level categories whose debits are not expenses."""


def _names(record: type) -> frozenset[str]:
    return frozenset(field.name for field in fields(record))


COPIED_TRANSACTION_FIELDS = tuple(name for name in STORED if name in _names(BankTransaction))
_copied = attrgetter(*COPIED_TRANSACTION_FIELDS)  # one call for every row, not one for every field
NUMBER_FIELDS = tuple(sorted(_names(BankNumbers) & _names(AccountNumbers)))
OWNER_FIELDS = tuple(sorted(_names(BankOwner) & _names(AccountOwner)))


@dataclass(frozen=True, slots=True)
class IngestResult:
    numbered_account_guids: Sequence[str]
    """The accounts for which the run read account numbers."""
    transactions: Mapping[str, TransactionCounts]
    """Of each account that has new or changed ones."""
    statements_created_count: int
    renumbered_account_guids: Collection[str]
    """The accounts that had other numbers before."""
    reowned_account_guids: Collection[str]
    """The accounts that had other owners before."""
    closed_account_guids: Sequence[str]
    """The accounts that were open before."""

    @property
    def transaction_counts(self) -> TransactionCounts:
        return TransactionCounts(
            created=sum(each.created for each in self.transactions.values()),
            updated=sum(each.updated for each in self.transactions.values()),
        )


UPSERT_STATEMENT = """INSERT INTO statement AS s
          (user_guid, guid, member_guid, account_guid, id, content_hash, created_at, updated_at)
   VALUES (%(user_guid)s, %(guid)s, %(member_guid)s, %(account_guid)s, %(id)s,
           %(content_hash)s, %(now)s, %(now)s)
   ON CONFLICT (user_guid, account_guid, id) DO UPDATE
   SET content_hash = excluded.content_hash, updated_at = excluded.updated_at
   WHERE s.content_hash <> excluded.content_hash
   RETURNING s.guid, s.xmax = 0"""
"""Returns no row if the PDF is unchanged."""


class Ingester:
    def __init__(self, dependencies: Dependencies) -> None:
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._identities = Identities(dependencies.index_key)

    async def save(
        self, connection: Connection, job: MemberJob, finished: Finished, data: CollectedData, now: datetime
    ) -> IngestResult:
        """Writes the data in the caller's transaction, which has locked the member and ended the job.

        Rows of accounts that the client blocked, or merged into other accounts, are ignored. Accounts that the run
        could not read are left as they are, and so are the transactions that it could not read.
        """
        every, ignored = await accounts_of_run(connection, job)
        unread = {*finished.unread_accounts} - {each.id for each in data.accounts}
        known = [each for each in every if each.id not in unread]
        # Each may be an account of the member under a new id, which only a run that reads its number can recognise.
        unrecognised = unread - ignored - {each.id for each in every}
        with_transactions = _with_transactions(job, finished, data.accounts)
        accounts = {
            each.id: _account(job, each, now, reads_transactions=each.id in with_transactions)
            for each in data.accounts
            if each.id not in ignored
        }
        guids, closed, has_foreign = await self._save_accounts(
            connection, job, known, accounts, data.numbers, now
        )
        if finished.lists_all_accounts and not unrecognised and (missing := _missing(known, guids)):
            await _close_accounts(connection, job, missing, now)
            closed |= missing
        read = {id: guid for id, guid in guids.items() if id in with_transactions}
        if has_foreign and read:
            # Before the transactions are written: a stored row needs its new id first, or it would be written a second
            # time.
            since = now.date() - LOOKBACK[JobKind(job.kind)]
            await replace_foreign(connection, job, read.values(), _listed(data, read), since)
        listed = _Listed(_pending(known, read), [])
        transactions = await self._save_transactions(connection, job, guids, data, listed, now)
        # Most days the run lists all of them. Those of another connector have got the ids of the run meanwhile.
        if finished.lists_all_transactions and read and (has_foreign or listed.missing):
            await _delete_unlisted_pending(connection, job, read.values(), listed.pending)
        numbers = [each for each in data.numbers if each.account_id in guids]
        renumbered, reowned = await self._save_numbers_and_owners(connection, job, guids, numbers, data)
        statements = await self._save_statements(connection, job, guids, data.statements, now)
        return IngestResult(
            numbered_account_guids=tuple(dict.fromkeys(guids[each.account_id] for each in numbers)),
            transactions=transactions,
            statements_created_count=statements,
            renumbered_account_guids=renumbered,
            reowned_account_guids=reowned,
            closed_account_guids=sorted(closed & {each.guid for each in known if not each.is_closed}),
        )

    async def _save_accounts(
        self,
        connection: Connection,
        job: MemberJob,
        known: Sequence[KnownAccount],
        accounts: Mapping[str, Mapping[str, Any]],
        numbers: Sequence[BankNumbers],
        now: datetime,
    ) -> tuple[Mapping[str, str], frozenset[str], bool]:
        """Writes the rows of accounts, by their ids.

        Returns:
            The guids of the accounts by their ids, those that are closed, and if some have foreign rows.
        """
        hashes = self._identities.of_numbers(job.user_guid, numbers)
        taken = await take_over(connection, job, known, [*accounts], hashes)
        known_ids = {taken.get(each.guid, each.id) for each in known}
        identities = {
            id: (self._identities.of_id(job.user_guid, job.institution_code, id), *hashes.get(id, ()))
            for id in accounts
            if id not in known_ids
        }
        former = await former_guids(connection, job, identities, now) if identities else {}
        rows = [{**row, "guid": former.get(id) or ids.new("ACT")} for id, row in accounts.items()]
        written = await ask(connection, put_accounts, rows)
        guids: Mapping[str, str] = {id: guid for id, guid, _ in written}
        closed = frozenset(guid for _, guid, is_closed in written if is_closed)
        await store_number_hashes(
            connection, job.user_guid, {guids[id]: of_id for id, of_id in hashes.items() if id in guids}
        )
        return guids, closed, bool(taken) or any(each.foreign_before for each in known)

    async def _save_numbers_and_owners(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        numbers: Sequence[BankNumbers],
        data: CollectedData,
    ) -> tuple[Collection[str], Collection[str]]:
        """Returns the guids of the accounts that had other numbers before, and of those that had other owners."""
        renumbered = await self._vault.store_numbers(
            connection,
            user_guid=job.user_guid,
            member_guid=job.member_guid,
            numbers=[_numbers(guids[each.account_id], each) for each in numbers],
        )
        reowned = await self._vault.store_owners(
            connection,
            user_guid=job.user_guid,
            member_guid=job.member_guid,
            owners=[_owner(guids[each.account_id], each) for each in data.owners if each.account_id in guids],
        )
        return sorted(renumbered), sorted(reowned)

    @cached_property
    def _merchants(self) -> Mapping[str, ListedMerchant]:
        return {listed.merchant.name: listed for listed in self._registry.merchants()}

    async def _save_transactions(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        data: CollectedData,
        listed: "_Listed",
        now: datetime,
    ) -> Mapping[str, TransactionCounts]:
        """Returns how many of each account were created and updated, and notes in `listed` what the run lists."""

        def batches() -> Iterator[Sequence[BankTransaction]]:
            for batch in data.transaction_batches():
                for each in batch:
                    if (guid := guids.get(each.account_id)) is not None:
                        listed.missing.discard((guid, each.id))
                        if each.status == "PENDING":
                            listed.pending.append((guid, each.id))
                yield batch

        member = MemberKey(job.user_guid, job.member_guid)
        counts = await self.write_transactions(connection, member, guids, batches(), now)
        removed = [(guids[account], id) for account, id in data.removed_transactions if account in guids]
        await delete_transactions(connection, job.user_guid, removed)
        return counts

    async def write_transactions(
        self,
        connection: Connection,
        member: MemberKey,
        guids: Mapping[str, str],
        batches: Iterable[Sequence[BankTransaction]],
        now: datetime,
    ) -> Mapping[str, TransactionCounts]:
        """Writes transactions of a member's accounts. One that is known is updated.

        Args:
            connection: the caller's transaction.
            member: whose accounts they are.
            guids: the guids of the accounts by their `id`. Transactions of other accounts are ignored.
            batches: the transactions, in lists that one statement can write.
            now: the current time.

        Returns:
            How many transactions of each account were created and updated, by its guid.
        """
        created: Counter[str] = Counter()
        updated: Counter[str] = Counter()
        for batch in batches:
            # ON CONFLICT DO UPDATE cannot change a row twice, so the last of two rows with the same id is kept.
            rows = {
                (each.account_id, each.id): self._transaction(member, guids[each.account_id], each, now)
                for each in batch
                if each.account_id in guids
            }
            for account_guid, created_count, updated_count in await ask(
                connection, put_transactions, [*rows.values()]
            ):
                created[account_guid] += created_count
                updated[account_guid] += updated_count
        return {guid: TransactionCounts(created=created[guid], updated=updated[guid]) for guid in created}

    def _transaction(
        self, member: MemberKey, account_guid: str, bank_transaction: BankTransaction, now: datetime
    ) -> dict[str, Any]:
        category, top_level = categorize(bank_transaction.category)
        merchant = self._merchants.get(bank_transaction.merchant or "")
        return {
            **dict(zip(COPIED_TRANSACTION_FIELDS, _copied(bank_transaction), strict=True)),
            "user_guid": member.user_guid,
            "guid": ids.new("TRN"),
            "member_guid": member.guid,
            "account_guid": account_guid,
            "category": category.name,
            "category_guid": category.guid,
            "top_level_category": top_level.name,
            "top_level_category_guid": top_level.guid,
            "merchant_guid": merchant and merchant.guid,
            "merchant_location_guid": merchant and merchant.location_guid,
            "is_expense": bank_transaction.type == "DEBIT" and top_level.name not in NON_EXPENSES,
            "created_at": now,
            "updated_at": now,
        }

    async def _save_statements(
        self,
        connection: Connection,
        job: MemberJob,
        guids: Mapping[str, str],
        bank_statements: Sequence[BankStatement],
        now: datetime,
    ) -> int:
        """Returns the number of created statements. A statement with an unchanged PDF is not written."""
        created = 0
        for each in bank_statements:
            if each.account_id not in guids:
                continue
            cursor = await connection.execute(
                UPSERT_STATEMENT,
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


@dataclass(frozen=True, slots=True)
class _Listed:
    """Pending transactions, each by the guid of its account and its `id`. A run can list millions of others."""

    missing: set[tuple[str, str | None]]
    """Stored ones that the run has not listed yet."""
    pending: list[tuple[str, str]]
    """Those that the run lists."""


def _pending(known: Iterable[ReadAccount], read: Mapping[str, str]) -> set[tuple[str, str | None]]:
    """The pending transactions that are stored of the accounts whose transactions the run has read."""
    guids = {*read.values()}
    return {(each.guid, id) for each in known if each.guid in guids for id in each.pending_ids}


def _listed(data: CollectedData, guids: Mapping[str, str]) -> Iterator[tuple[str, BankTransaction]]:
    """The guid of the account and the transaction, of every transaction of the run."""
    return (
        (guids[each.account_id], each)
        for batch in data.transaction_batches()
        for each in batch
        if each.account_id in guids
    )


def _missing(known: Sequence[KnownAccount], guids: Mapping[str, str]) -> frozenset[str]:
    """The guids of the open accounts that the institution no longer lists."""
    listed = frozenset(guids.values())
    read = [each for each in known if each.id is not None and not each.is_manual]
    return frozenset(each.guid for each in read if not each.is_closed and each.guid not in listed)


async def _close_accounts(
    connection: Connection, job: MemberJob, guids: Collection[str], now: datetime
) -> None:
    """Marks the accounts as closed. They are not deleted."""
    await run(
        connection,
        """UPDATE account SET is_closed = true, updated_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = ANY (%(guids)s)""",
        {"user_guid": job.user_guid, "guids": list(guids), "now": now},
    )


async def delete_transactions(
    connection: Connection, user_guid: str, removed: Sequence[tuple[str, str]]
) -> None:
    """Deletes transactions of a user, each given by the guid of its account and its `id`."""
    if removed:
        await run(
            connection,
            """DELETE FROM transaction t
               USING unnest(%(account_guids)s::text[], %(ids)s::text[]) AS removed (account_guid, id)
               WHERE t.user_guid = %(user_guid)s AND t.account_guid = removed.account_guid AND t.id = removed.id""",
            {
                "user_guid": user_guid,
                "account_guids": [account_guid for account_guid, _ in removed],
                "ids": [id for _, id in removed],
            },
        )


async def _delete_unlisted_pending(
    connection: Connection, job: MemberJob, guids: Collection[str], pending: Sequence[tuple[str, str]]
) -> None:
    """Deletes pending transactions that the run did not list: they were cancelled, or posted under another id."""
    await run(
        connection,
        """DELETE FROM transaction t
           WHERE t.user_guid = %(user_guid)s AND t.account_guid = ANY (%(account_guids)s)
             AND t.status = 'PENDING'
             AND NOT EXISTS (
                   SELECT FROM unnest(%(pending_of)s::text[], %(pending_ids)s::text[]) AS listed (account_guid, id)
                   WHERE listed.account_guid = t.account_guid AND listed.id = t.id)""",
        {
            "user_guid": job.user_guid,
            "account_guids": list(guids),
            "pending_of": [account_guid for account_guid, _ in pending],
            "pending_ids": [id for _, id in pending],
        },
    )


def _with_transactions(job: MemberJob, finished: Finished, accounts: Iterable[BankAccount]) -> frozenset[str]:
    """The ids of the accounts whose transactions the run has read."""
    if not job.wants_transactions:
        return frozenset()
    return frozenset(each.id for each in accounts) - {*finished.unread_transactions}


def _account(
    job: MemberJob, bank_account: BankAccount, now: datetime, *, reads_transactions: bool
) -> dict[str, Any]:
    """The row of an account, without its guid."""
    return {
        **{name: getattr(bank_account, name) for name in OVERWRITTEN_ACCOUNT_COLUMNS},
        "user_guid": job.user_guid,
        "client_guid": job.client_guid,
        "member_guid": job.member_guid,
        "id": bank_account.id,
        "account_number": bank_account.account_number_mask,
        "day_payment_is_due": bank_account.payment_due_at and bank_account.payment_due_at.day,
        "is_business": bank_account.is_business,
        "read_at": now,
        "transactions_read_at": now if reads_transactions else None,
        "created_at": now,
        "updated_at": now,
    }


def _numbers(account_guid: str, bank_numbers: BankNumbers) -> AccountNumbers:
    return AccountNumbers(
        account_guid=account_guid, **{name: getattr(bank_numbers, name) for name in NUMBER_FIELDS}
    )


def _owner(account_guid: str, bank_owner: BankOwner) -> AccountOwner:
    return AccountOwner(
        account_guid=account_guid, **{name: getattr(bank_owner, name) for name in OWNER_FIELDS}
    )
