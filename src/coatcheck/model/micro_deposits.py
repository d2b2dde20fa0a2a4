"""Micro-deposits: two small amounts that prove the ownership of an account."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


class DepositStatus(StrEnum):
    """The state of micro-deposits (MX docs: microdeposits)."""

    #: A worker has to send them.
    INITIATED = "INITIATED"
    #: Sent; not arrived yet.
    REQUESTED = "REQUESTED"
    #: Arrived. The user can enter the amounts.
    DEPOSITED = "DEPOSITED"
    #: The user entered the right amounts.
    VERIFIED = "VERIFIED"
    #: They could not be sent.
    ERRORED = "ERRORED"
    #: The user entered wrong amounts and may try again.
    DENIED = "DENIED"
    #: The user entered wrong amounts three times.
    PREVENTED = "PREVENTED"
    #: MX's: the account is verified in another way. Not used here.
    CONFLICTED = "CONFLICTED"
    #: MX's: the institution returned the deposits. Not used here.
    REJECTED = "REJECTED"
    #: The holder is known, the account is not.
    PREINITIATED = "PREINITIATED"


@dataclass(frozen=True, slots=True)
class MicroDeposit:
    """Micro-deposits. The account, its holder and the amounts are sealed in the vault."""

    guid: str
    user_guid: str
    client_guid: str
    account_type: str | None
    institution_code: str | None
    institution_name: str | None
    status: str
    """A `DepositStatus`."""
    error_message: str | None
    wrong_attempts: int
    arrives_at: datetime | None
    verified_at: datetime | None
    created_at: datetime
    updated_at: datetime
    account_number: str | None = None
    """Masked: the last four digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositAccount:
    """The account that receives the deposits, and its holder, as the end user gave them. Sealed in the vault."""

    account_number: str | None = field(default=None, repr=False)
    routing_number: str | None = field(default=None, repr=False)
    account_name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)


async def find_micro_deposit(
    connection: Connection, client_guid: str, guid: str, *, user_guid: str | None = None
) -> MicroDeposit:
    """The client's micro-deposits with this guid; of this user, if one is given.

    Raises:
        NotFound: there are none.
    """
    deposit = await fetch_one(
        connection,
        MicroDeposit,
        f"""SELECT {columns(MicroDeposit)} FROM micro_deposit
            WHERE client_guid = %(client_guid)s AND guid = %(guid)s
              AND (%(user_guid)s::text IS NULL OR user_guid = %(user_guid)s)""",
        {"client_guid": client_guid, "guid": guid, "user_guid": user_guid},
    )
    if deposit is None:
        raise NotFound
    return deposit


async def list_micro_deposits(
    connection: Connection, user_guid: str, page: PageRequest, *, status: DepositStatus | None = None
) -> Page[MicroDeposit]:
    return await fetch_page(
        connection,
        MicroDeposit,
        Selection("micro_deposit", ("created_at", "guid"), {"user_guid": user_guid, "status": status}),
        page,
    )


def account_hash(index_key: bytes, user_guid: str, routing_number: str, account_number: str) -> bytes:
    """A hash that is equal for equal accounts of a user. It is keyed: numbers can be guessed from a plain hash.

    Args:
        index_key: the key of the keyring for such hashes.
        user_guid: the user.
        routing_number: in canonical form.
        account_number: in canonical form.
    """
    parts = json.dumps(("account", user_guid, routing_number, account_number))
    return keyed_hash(index_key, "micro-deposit", parts)


async def is_verified(connection: Connection, user_guid: str, hashed: bytes) -> bool:
    """Whether the user has verified micro-deposits to the account with this hash."""
    cursor = await connection.execute(
        """SELECT FROM micro_deposit WHERE user_guid = %(user_guid)s
           AND account_hash = %(account_hash)s AND status = 'VERIFIED'""",
        {"user_guid": user_guid, "account_hash": hashed},
    )
    return await cursor.fetchone() is not None
