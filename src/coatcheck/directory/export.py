"""The export of a user: all that is kept of the user, and who read it.

It comes in batches, so that memory stays bounded whatever the user has. No connection is held between two batches,
because the receiver may be slow. The export is an entry of the audit log; each batch of account numbers and owners,
and each file of a statement, is a disclosure. What is sealed for the server's own use, such as the credentials at a
bank, is counted and not exported: nobody can read it.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.db.database import Database
from coatcheck.grants.authorization_disclosures import AuthorizationDisclosures
from coatcheck.grants.listing import GrantFilter, Grants
from coatcheck.imports.import_rows import ImportRow
from coatcheck.model import accounts, members, transactions
from coatcheck.model.accounts import Account
from coatcheck.model.jobs import Job
from coatcheck.model.members import Member
from coatcheck.model.micro_deposits import MicroDeposit
from coatcheck.model.paging import BATCH, PageRequest, Selection, each_batch
from coatcheck.model.statements import Statement
from coatcheck.model.transactions import Transaction
from coatcheck.model.users import User
from coatcheck.vault.user_reads import UserRead, reads_of_user, sealed_secrets_of_user
from coatcheck.vault.vault import ClientReader, SecretKind, Vault

SOURCES: tuple[tuple[str, type[Any], str], ...] = (
    ("members", Member, members.SOURCE),
    ("jobs", Job, "member_job"),
    ("accounts", Account, accounts.SOURCE),
    ("transactions", Transaction, transactions.SOURCE),
    ("micro_deposits", MicroDeposit, "micro_deposit"),
    ("statement_imports", ImportRow, "statement_import"),
)
"""What is read as it is stored: the section, the record and the relation, which has `user_guid` and `guid`."""

Section: TypeAlias = tuple[str, Sequence[object]]
"""The name of a section and some of its records. The batches of a section follow one another."""


@dataclass(frozen=True, slots=True)
class ExportedStatement:
    guid: str
    member_guid: str
    account_guid: str
    created_at: datetime
    pdf_base64: str | None


class UserExport:
    """Reads all that is kept of a user."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        journal: Journal,
        grants: Grants,
        disclosures: AuthorizationDisclosures,
    ) -> None:
        self._db = db
        self._vault = vault
        self._journal = journal
        self._grants = grants
        self._disclosures = disclosures

    async def sections(self, user: User, *, actor: str) -> AsyncIterator[Section]:
        """Every section, each at least once and in batches. The export is recorded before anything is read.

        Args:
            user: whose data is exported.
            actor: the guid of the client or the user that asks for it.
        """
        await self._record(user, actor)
        yield "users", [user]
        for name, record, source in SOURCES:
            yield name, []
            async for batch in self._stored(record, source, user):
                yield name, batch
        async for section in self._sealed(user):
            yield section
        async for section in self._access(user):
            yield section

    async def transactions(self, user: User, *, actor: str) -> AsyncIterator[Sequence[Transaction]]:
        """The transactions alone, in batches, in the order of their guids. The export is recorded first."""
        await self._record(user, actor)
        async for batch in self._stored(Transaction, transactions.SOURCE, user):
            yield batch

    async def reads(self, user: User, *, actor: str) -> AsyncIterator[Sequence[UserRead]]:
        """Who read what, in batches, oldest first. The export is recorded first."""
        await self._record(user, actor)
        async for batch in reads_of_user(self._db, user.guid):
            yield batch

    async def _record(self, user: User, actor: str) -> None:
        async with self._db.transaction() as connection:
            await self._journal.record(
                connection,
                Entry(client_guid=user.client_guid, actor=actor, action="user.exported", subject=user.guid),
            )

    def _stored(self, record: type[Any], source: str, user: User) -> AsyncIterator[Sequence[Any]]:
        """Every row of the user, in the order of the guids."""
        return each_batch(self._db, record, Selection(source, ("guid",), {"user_guid": user.guid}))

    async def _sealed(self, user: User) -> AsyncIterator[Section]:
        """What the vault keeps: numbers, owners and statements opened, the rest counted."""
        reader = ClientReader(user.client_guid, user.guid)
        for name, disclose in (
            ("account_numbers", self._vault.disclose_numbers),
            ("account_owners", self._vault.disclose_owners),
        ):
            # The total is that of the last page: what is added during the export makes it longer, and no page is left
            # out.
            number, total = 1, 1
            while (number - 1) * BATCH < total:
                async with self._db.connection() as connection:
                    page = await disclose(connection, reader, PageRequest(number, BATCH))
                yield name, page.items
                number, total = number + 1, page.total
        yield "statements", []
        async for batch in self._stored(Statement, "statement", user):
            for statement in batch:
                yield "statements", [await self._statement(statement, reader)]
        async with self._db.connection() as connection:
            yield "sealed_secrets", await sealed_secrets_of_user(connection, user.guid)

    async def _statement(self, statement: Statement, reader: ClientReader) -> ExportedStatement:
        async with self._db.connection() as connection:
            content = await self._vault.disclose_secret(
                connection,
                owner_guid=statement.user_guid,
                record_guid=statement.guid,
                kind=SecretKind.STATEMENT,
                reader=reader,
            )
        return ExportedStatement(
            statement.guid,
            statement.member_guid,
            statement.account_guid,
            statement.created_at,
            None if content is None else b64encode(content).decode(),
        )

    async def _access(self, user: User) -> AsyncIterator[Section]:
        """Who may read, what the user agreed to, and who read what."""
        filters = GrantFilter(client_guid=user.client_guid, user_guid=user.guid)
        yield "grants", []
        async for grants in self._grants.each(self._db, filters):
            yield "grants", grants
        yield "authorization_disclosures", []
        async for agreed in self._disclosures.each(self._db, user.client_guid, user.guid):
            yield "authorization_disclosures", agreed
        yield "reads", []
        async for batch in reads_of_user(self._db, user.guid):
            yield "reads", batch
