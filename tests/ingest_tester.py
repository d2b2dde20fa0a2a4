"""A member for which a test saves the data of runs, and accounts and a transaction to save."""

from datetime import date
from decimal import Decimal

from coatcheck.connectors.collected import CollectedData
from coatcheck.connectors.contract import BankAccount, BankTransaction, Finished, JobKind
from coatcheck.members.records import MemberJob
from coatcheck.model.accounts import accounts_of_member
from coatcheck.vault.vault import ClientReader

CHECKING = BankAccount(
    id="a", name="Checking", type="CHECKING", balance=Decimal("10.50"), account_number_mask="6789"
)
SAVINGS = BankAccount(id="b", name="Savings", type="SAVINGS", balance=Decimal("99.00"))
COFFEE = BankTransaction(
    account_id="a",
    id="t1",
    amount=Decimal("4.20"),
    type="DEBIT",
    status="POSTED",
    date=date(2026, 3, 1),
    description="Coffee",
    original_description="POS 4711 COFFEE",
    category="Coffee Shops",
)
ROWS = """SELECT t.id, t.guid, t.status, t.amount, t.description, t.created_at, t.updated_at, t.metadata
          FROM transaction t WHERE user_guid = %(user)s ORDER BY t.id"""


class IngestTester:
    """A member for which a test saves the data of runs."""

    def __init__(self, end_user, member, ingester):
        self.end_user, self.member, self.ingester = end_user, member, ingester

    def job(self, kind=JobKind.AGGREGATION, *, include_transactions=True):
        return MemberJob(
            user_guid=self.member.user_guid,
            guid="JOB-test",
            client_guid=self.member.client_guid,
            member_guid=self.member.guid,
            institution_code=self.member.institution_code,
            kind=kind.value,
            attempt=1,
            claims=1,
            is_background=False,
            include_transactions=include_transactions,
            follow_ups=[],
            callback_payload=None,
            requested_by="test",
        )

    async def ingest(
        self,
        accounts=(),
        *,
        numbers=(),
        owners=(),
        transactions=(),
        statements=(),
        removed=(),
        finished=None,
        kind=JobKind.AGGREGATION,
        **more,
    ):
        """Saves the data of a run."""
        data = CollectedData()
        data.add_accounts(accounts)
        data.add_numbers(numbers)
        data.add_owners(owners)
        data.add_transactions(transactions)
        data.add_statements(statements)
        for account_id, id in removed:
            data.remove_transactions(account_id, [id])
        async with self.end_user.services.db.transaction() as connection:
            return await self.ingester.save(
                connection,
                self.job(kind, **more),
                finished or Finished(),
                data,
                self.end_user.services.clock.now(),
            )

    async def accounts(self):
        async with self.end_user.services.db.connection() as connection:
            found = await accounts_of_member(connection, self.member.user_guid, self.member.guid)
        return {account.id: account for account in found}

    async def numbers(self):
        reader = ClientReader(self.member.client_guid, self.member.user_guid, self.member.guid)
        async with self.end_user.services.db.connection() as connection:
            numbers = await self.end_user.services.vault.disclose_numbers(connection, reader)
        return [(each.guid, each.account_number, each.routing_number) for each in numbers.items]
