"""Creates the account that micro-deposits have verified."""

from datetime import datetime

from coatcheck import ids
from coatcheck.connectors.contract import Institution
from coatcheck.db.database import Connection
from coatcheck.members import member_rows
from coatcheck.members.account_rows import put_account
from coatcheck.model.accounts import Account
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit
from coatcheck.vault.vault import AccountNumbers, Vault

NO_INSTITUTION = Institution(
    code="micro_deposits", guid="INS-5d0b2f0e-3a46-5d7b-9d57-0f4c1f6d2a10", name="Micro-deposits", url=""
)
"""The institution of an account whose routing number no connector knows."""


async def add_verified_account(
    connection: Connection,
    vault: Vault,
    deposit: MicroDeposit,
    account: DepositAccount,
    institution: Institution | None,
    now: datetime,
) -> None:
    """Creates a manual member with the account and its numbers, so that processors can get tokens for it."""
    member_guid = await _add_member(connection, deposit, institution or NO_INSTITUTION, now)
    number = account.account_number or ""
    added = Account(
        guid=ids.new("ACT"),
        user_guid=deposit.user_guid,
        client_guid=deposit.client_guid,
        member_guid=member_guid,
        id=deposit.guid,
        name=account.account_name or (deposit.account_type or "").title(),
        type=deposit.account_type or "CHECKING",
        account_number=number[-4:],
        is_manual=True,
        created_at=now,
        updated_at=now,
    )
    await put_account(connection, added)
    numbers = AccountNumbers(
        account_guid=added.guid, account_number=number, routing_number=account.routing_number
    )
    await vault.store_numbers(
        connection, user_guid=deposit.user_guid, member_guid=member_guid, numbers=[numbers]
    )


async def _add_member(
    connection: Connection, deposit: MicroDeposit, institution: Institution, now: datetime
) -> str:
    guid = ids.new("MBR")
    # Without a login_hash, so that a user can verify several accounts at the same institution.
    await member_rows.add_member(
        connection,
        {
            "user_guid": deposit.user_guid,
            "guid": guid,
            "client_guid": deposit.client_guid,
            "institution_code": institution.code,
            "institution_guid": institution.guid,
            "name": institution.name,
            "is_manual": True,
            "created_at": now,
            "updated_at": now,
        },
    )
    return guid
