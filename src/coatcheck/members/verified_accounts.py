"""The verified accounts of a member: the bank has given their numbers, so that a code can be issued for them."""

from collections.abc import Sequence

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.model.accounts import Account, account_row
from coatcheck.model.mx_codes import VERIFIABLE_ACCOUNT_TYPE_IDS
from coatcheck.vault.vault import has_numbers


async def verified_accounts(connection: Connection, user_guid: str, member_guid: str) -> Sequence[Account]:
    """The open accounts of one member that are of a verifiable type and have numbers in the vault, oldest first."""
    where = f"""user_guid = %(user_guid)s AND member_guid = %(member_guid)s
                AND type = ANY (%(types)s) AND NOT is_closed AND {has_numbers("account")}"""
    return await fetch_all(
        connection,
        Account,
        f"SELECT {columns(Account)} FROM ({account_row(where)}) AS account ORDER BY created_at, guid",
        {"user_guid": user_guid, "member_guid": member_guid, "types": list(VERIFIABLE_ACCOUNT_TYPE_IDS)},
    )
