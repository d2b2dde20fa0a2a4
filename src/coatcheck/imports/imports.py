"""Imports statement files.

    file --> read (in a thread, without a transaction) --> one transaction: member, accounts, transactions, import
    delete --> the transactions that no other import lists, the accounts without an import, the member without accounts

Data of a file is what the user supplied: the numbers of its accounts do not count as validated until micro-deposits
have verified the same numbers.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.collected import BATCH
from coatcheck.connectors.contract import BankTransaction
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping, MappedAccount
from coatcheck.connectors.statement_files.reading import ReadFile, csv_header, read_statement_file
from coatcheck.connectors.statement_files.statement import FileAccount
from coatcheck.db.database import Connection
from coatcheck.errors import ConstraintNotMet, UserDisabled
from coatcheck.events import mx_events
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.events.mx_events import TransactionCounts
from coatcheck.grants.announcements import about_grants, live_grants_of_accounts
from coatcheck.grants.deletion import end_tokens_of_accounts
from coatcheck.imports import accounts as accounts_of_files
from coatcheck.imports import import_rows
from coatcheck.imports.records import Import, ImportedAccount
from coatcheck.members import member_rows
from coatcheck.members.account_rows import change_account, delete_account, put_account
from coatcheck.members.announcements import about_member, about_result
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.ingest import Ingester, IngestResult, delete_transactions
from coatcheck.members.members import MAX_MEMBERS, Members
from coatcheck.members.status import MemberEvent, transition
from coatcheck.model.accounts import Account, accounts_of_member, ignored_ids
from coatcheck.model.members import STATEMENT_FILE, STATEMENT_FILE_GUID, Member, find_member
from coatcheck.model.micro_deposits import account_hash, is_verified
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.users import User
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader

MEMBER_NAME = "Statement files"
MAX_FILE_BYTES = 20 * 1024 * 1024
IGNORED = "An account of the file was merged into another account, or blocked: nothing was imported into it."


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written of one account of the file."""

    account: ImportedAccount
    listed: Sequence[BankTransaction]
    counts: TransactionCounts


class Imports:
    """The caller's transaction has everything of an import, or nothing."""

    def __init__(self, dependencies: Dependencies, members: Members) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._ingester = Ingester(dependencies)
        self._members = members
        self._index_key = dependencies.index_key

    async def read(self, user: User, data: bytes, mapping: CsvMapping | None) -> ReadFile:
        """Reads a file. A CSV file without a mapping is read by the one that was used last for the same header.

        Raises:
            UnreadableFile: it is not a statement file, or is damaged.
        """
        if mapping is None and (header := await asyncio.to_thread(csv_header, data)):
            async with self._db.connection() as connection:
                mapping = await _remembered(self._vault, connection, user, header)
        # In a thread: a large file takes seconds, in which this process answers other requests.
        return await asyncio.to_thread(read_statement_file, data, mapping)

    async def add(self, connection: Connection, user: User, read: ReadFile, *, actor: str) -> Import:
        """Writes what the file has and is not known yet.

        Args:
            connection: the caller's transaction.
            user: whose file it is.
            read: the file.
            actor: the guid of who imports it, or `operator`.

        Raises:
            ConstraintNotMet: the user has 25 members, and none of statement files yet.
            UserDisabled: the client disabled the user.
            UnreadableFile: a transaction has a value that cannot be stored.
        """
        now = self._clock.now()
        member = await self._member(connection, user, actor)
        before = await member_rows.lock_member(connection, user.guid, member.guid)
        written = await self._write_accounts(connection, member, read.statement.accounts, now)
        ignored = [IGNORED] if len(written) < len(read.statement.accounts) else []
        one = Import(
            guid=ids.new("IMP"),
            user_guid=user.guid,
            member_guid=member.guid,
            format=read.statement.format.value,
            warnings=[*read.statement.warnings, *ignored],
            accounts=[each.account for each in written],
            created_at=now,
        )
        await self._save(connection, user, one, written)
        if read.mapping is not None:
            await self._remember(connection, user, read.header, read.mapping)
        changes = {"successfully_aggregated_at": now, "updated_at": now}
        await member_rows.change_member(connection, user.guid, member.guid, changes)
        changed = await find_member(connection, user.guid, member.guid)
        announced = await about_result(connection, before, changed, _ingested(written), now)
        await self._record(connection, one, user.client_guid, "statement_file.imported", actor, *announced)
        return one

    async def preview(self, connection: Connection, user: User, read: ReadFile) -> Import:
        """What `add` would do. Raises as it. Nothing is written."""
        known = await self._known_accounts(connection, user)
        # The real import, taken back: a preview that computed the result in another way could differ from it.
        async with connection.transaction(force_rollback=True):
            one = await self.add(connection, user, read, actor=user.client_guid)
        accounts = [
            each if each.account_guid in known else replace(each, account_guid=None) for each in one.accounts
        ]
        return replace(one, guid=None, member_guid=one.member_guid if known else None, accounts=accounts)

    async def find(self, connection: Connection, client_guid: str, guid: str) -> Import:
        """The import of a user of the client.

        Raises:
            NotFound: the client has no such import.
        """
        row = await import_rows.find_import(connection, client_guid, guid)
        return (await import_rows.with_accounts(connection, [row]))[0]

    async def list(
        self, connection: Connection, client_guid: str, user_guid: str | None, page: PageRequest
    ) -> Page[Import]:
        """The imports of the client's users, newest first."""
        rows = await import_rows.list_imports(connection, client_guid, user_guid, page)
        return Page(await import_rows.with_accounts(connection, rows.items), rows.total, page)

    async def delete(self, connection: Connection, one: Import, *, client_guid: str, actor: str) -> None:
        """Takes the import back: the transactions that no other import lists, and the accounts that have no other.

        The balance of each account that remains is that of the newest remaining file. Tokens on a deleted account end.

        Raises:
            NotFound: the import was deleted meanwhile.
        """
        assert one.guid is not None, "a preview was not imported"
        assert one.member_guid is not None
        member = await find_member(connection, one.user_guid, one.member_guid)
        # As `Members.disconnect`, which deletes a member that is left without accounts.
        await member_rows.prevent_user_deletion(connection, one.user_guid)
        await member_rows.lock_member(connection, one.user_guid, member.guid, for_deletion=True)
        await import_rows.find_import(connection, client_guid, one.guid)
        # Before the import is deleted, whose rows go with it.
        rows = await import_rows.rows_of_this_import_alone(connection, one.user_guid, one.guid)
        await import_rows.delete_import(connection, one.user_guid, one.guid)
        await delete_transactions(connection, one.user_guid, [(each.account_guid, each.id) for each in rows])
        guids = [each.account_guid for each in one.accounts if each.account_guid]
        gone = await import_rows.accounts_without_import(connection, one.user_guid, guids)
        if gone:
            await self._delete_accounts(connection, member, gone, actor)
        for guid in set(guids) - set(gone):
            await self._set_balance(connection, one.user_guid, guid)
        await self._record(connection, one, client_guid, "statement_file.deleted", actor)
        # Without accounts it would still count as one of the user's 25 members.
        if not await accounts_of_member(connection, one.user_guid, member.guid):
            await self._members.disconnect(connection, member)

    # --- the member and its accounts ---

    async def _member(self, connection: Connection, user: User, actor: str) -> Member:
        """The member of the user's statement files, created with the first of them."""
        # The lock keeps two first files from making two members.
        if await member_rows.lock_user(connection, user.guid):
            raise UserDisabled
        existing = await member_rows.member_with_login(connection, user.guid, STATEMENT_FILE, b"")
        if existing is not None:
            return await find_member(connection, user.guid, existing)
        if await member_rows.count_members(connection, user.guid) >= MAX_MEMBERS:
            raise ConstraintNotMet(f"A user can have at most {MAX_MEMBERS} members.")
        now = self._clock.now()
        row: dict[str, Any] = {
            "user_guid": user.guid,
            "guid": ids.new("MBR"),
            "client_guid": user.client_guid,
            "institution_code": STATEMENT_FILE,
            "institution_guid": STATEMENT_FILE_GUID,
            "name": MEMBER_NAME,
            "connection_status": transition(MemberEvent.IMPORTED, None),
            "background_aggregation_is_disabled": True,
            "login_hash": b"",
            "created_at": now,
            "updated_at": now,
        }
        await member_rows.add_member(connection, row)
        member = await find_member(connection, user.guid, row["guid"])
        entry = Entry(
            client_guid=user.client_guid,
            actor=actor,
            action="member.created",
            subject=member.guid,
            detail={"institution_code": STATEMENT_FILE, "user_guid": user.guid},
        )
        created = mx_events.member(mx_events.Action.CREATED, member)
        await self._journal.record(connection, entry, created, about_member(EventType.MEMBER_CREATED, member))
        return member

    async def _known_accounts(self, connection: Connection, user: User) -> frozenset[str]:
        member = await member_rows.member_with_login(connection, user.guid, STATEMENT_FILE, b"")
        accounts = await accounts_of_member(connection, user.guid, member) if member else ()
        return frozenset(each.guid for each in accounts)

    async def _new_account(
        self, connection: Connection, member: Member, file_account: FileAccount, id: str, now: datetime
    ) -> Account:
        """Writes the account, with the numbers and the owner that the file gives."""
        account = accounts_of_files.new_account(file_account, member, id, now)
        await put_account(connection, account)
        hashed = self._hash(member.user_guid, file_account)
        # The user may have typed the file: only the bank, by two deposits, says whose account it is.
        passed = hashed is not None and await is_verified(connection, member.user_guid, hashed)
        numbers = accounts_of_files.numbers_of(file_account, account.guid, passed_validation=passed)
        owner = accounts_of_files.owner_of(file_account, account.guid)
        await self._vault.store_numbers(
            connection,
            user_guid=member.user_guid,
            member_guid=member.guid,
            numbers=[numbers] if numbers else [],
        )
        await self._vault.store_owners(
            connection, user_guid=member.user_guid, member_guid=member.guid, owners=[owner] if owner else []
        )
        return account

    async def _write_accounts(
        self, connection: Connection, member: Member, accounts: Sequence[FileAccount], now: datetime
    ) -> Sequence[_Written]:
        """Leaves out accounts that the client merged into other accounts, or blocked."""
        known = {
            each.id: each for each in await accounts_of_member(connection, member.user_guid, member.guid)
        }
        ignored = await ignored_ids(connection, member.user_guid, member.guid)
        written: list[_Written] = []
        for each in accounts:
            id = accounts_of_files.account_id(self._index_key, member.user_guid, each)
            if id not in ignored:
                account = known.get(id) or await self._new_account(connection, member, each, id, now)
                written.append(await self._write(connection, account, each, now))
        return written

    def _hash(self, user_guid: str, file_account: FileAccount) -> bytes | None:
        routing = accounts_of_files.routing_number_of(file_account)
        if routing is None or file_account.number is None:
            return None
        return account_hash(self._index_key, user_guid, routing, file_account.number)

    async def _write(
        self, connection: Connection, account: Account, file_account: FileAccount, now: datetime
    ) -> _Written:
        assert account.id is not None, "an account of a file has an id"
        listed = accounts_of_files.transactions_of(file_account, account.id)
        counts = await self._ingester.write_transactions(
            connection,
            member_rows.MemberKey(account.user_guid, account.member_guid),
            {account.id: account.guid},
            (listed[start : start + BATCH] for start in range(0, len(listed), BATCH)),
            now,
        )
        of_account = counts.get(account.guid, TransactionCounts(created=0, updated=0))
        closing = file_account.closing
        imported = ImportedAccount(
            account_guid=account.guid,
            name=account.name,
            added=of_account.created,
            already_known=len(listed) - of_account.created,
            balance=accounts_of_files.balance_of(file_account, closing),
            available_balance=accounts_of_files.balance_of(file_account, file_account.available),
            balance_on=closing.on if closing else None,
            account_hash=self._hash(account.user_guid, file_account),
        )
        return _Written(imported, listed, of_account)

    async def _save(
        self, connection: Connection, user: User, one: Import, written: Sequence[_Written]
    ) -> None:
        assert one.guid is not None
        await import_rows.add_import(connection, user.client_guid, one)
        for each in written:
            await import_rows.add_account(
                connection, user.guid, one.guid, each.account, [row.id for row in each.listed]
            )
            assert each.account.account_guid is not None
            await self._set_balance(connection, user.guid, each.account.account_guid)

    async def _set_balance(self, connection: Connection, user_guid: str, account_guid: str) -> None:
        newest = await import_rows.newest_balance(connection, user_guid, account_guid)
        changes = {
            # None where no file states one, as after the one that did was taken back.
            "balance": newest.balance if newest else None,
            "available_balance": newest.available_balance if newest else None,
            "imported_at": await import_rows.last_import(connection, user_guid, account_guid),
        }
        await change_account(connection, user_guid, account_guid, changes, self._clock.now())

    async def _delete_accounts(
        self, connection: Connection, member: Member, guids: Sequence[str], actor: str
    ) -> None:
        now = self._clock.instant()
        grants = await live_grants_of_accounts(connection, guids, now)
        await end_tokens_of_accounts(connection, guids, now)
        for guid in guids:
            await delete_account(connection, member.user_guid, guid)
        entries = [
            Entry(client_guid=member.client_guid, actor=actor, action="account.deleted", subject=guid)
            for guid in guids
        ]
        await self._journal.record_each(connection, entries)
        # All at once: a second statement would lock the sequences of objects out of their order.
        await self._journal.announce(
            connection, *about_grants(EventType.TOKEN_REVOKED, grants, revoked_by=None)
        )

    async def _record(
        self,
        connection: Connection,
        one: Import,
        client_guid: str,
        action: str,
        actor: str,
        *announced: Announcement,
    ) -> None:
        assert one.guid is not None, "a preview is not recorded"
        entry = Entry(
            client_guid=client_guid,
            actor=actor,
            action=action,
            subject=one.guid,
            detail={"user_guid": one.user_guid, "member_guid": one.member_guid or "", "format": one.format},
        )
        await self._journal.record(connection, entry, *announced)

    async def _remember(
        self, connection: Connection, user: User, header: Sequence[str], mapping: CsvMapping
    ) -> None:
        """Keeps the mapping for the user's next file with the same header. It is sealed: it can name an account."""
        if header:
            await self._vault.store_secret(
                connection,
                owner_guid=user.guid,
                record_guid=_key_of(header),
                kind=SecretKind.CSV_MAPPING,
                value=json.dumps(asdict(mapping)).encode(),
            )


async def _remembered(
    vault: Vault, connection: Connection, user: User, header: Sequence[str]
) -> CsvMapping | None:
    key = _key_of(header)
    sealed = await vault.disclose_secret(
        connection,
        owner_guid=user.guid,
        record_guid=key,
        kind=SecretKind.CSV_MAPPING,
        reader=WorkerReader(key, user.client_guid),
    )
    if sealed is None:
        return None
    values: Mapping[str, Any] = json.loads(sealed)
    return CsvMapping(**{**values, "account": MappedAccount(**values["account"])})


def _key_of(header: Sequence[str]) -> str:
    return f"CSV-{sha256(json.dumps(list(header)).encode()).hexdigest()[:32]}"


def _ingested(written: Sequence[_Written]) -> IngestResult:
    """What the import changed, as a job reports it. It changes no numbers and closes no account."""
    return IngestResult(
        numbered_account_guids=(),
        transactions={
            each.account.account_guid: each.counts
            for each in written
            if each.account.account_guid and (each.counts.created or each.counts.updated)
        },
        statements_created_count=0,
        renumbered_account_guids=(),
        reowned_account_guids=(),
        closed_account_guids=(),
    )
