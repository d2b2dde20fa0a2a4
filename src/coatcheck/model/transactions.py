"""Transactions. Every look-up starts from their user."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.db.fragments import PagedRows
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page

SOURCE = """(SELECT t.*, u.id AS user_id, a.id AS account_id
             FROM transaction t
             JOIN end_user u ON u.guid = t.user_guid
             JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
            ) AS n"""


# Not frozen, because a page has up to 1,000: a frozen dataclass of 44 fields takes 9 us to build, this one 0.8 us.
@dataclass(slots=True)
class Transaction:
    guid: str
    user_guid: str
    user_id: str | None
    member_guid: str
    account_guid: str
    account_id: str | None
    id: str
    amount: Decimal
    """Unsigned; the direction is in `type`."""
    type: str
    status: str
    date: date
    transacted_at: datetime | None
    posted_at: datetime | None
    description: str | None
    original_description: str | None
    memo: str | None
    currency_code: str | None
    category: str
    category_guid: str
    top_level_category: str
    top_level_category_guid: str
    check_number_string: str | None
    merchant_guid: str | None
    merchant_location_guid: str | None
    merchant_category_code: int | None
    extended_transaction_type: str | None
    recurrence: str | None
    metadata: str | None
    is_bill_pay: bool
    is_direct_deposit: bool
    is_expense: bool
    is_fee: bool
    is_income: bool
    is_international: bool
    is_overdraft_fee: bool
    is_payroll_advance: bool
    is_recurring: bool
    is_subscription: bool
    city: str | None
    state: str | None
    country: str | None
    postal_code: str | None
    created_at: datetime
    updated_at: datetime


STORED = tuple(f.name for f in fields(Transaction) if f.name not in {"user_id", "account_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilter:
    """The filters of a list of transactions. Bounds are inclusive; None is no bound."""

    from_date: date | None = None
    to_date: date | None = None
    from_created_at: datetime | None = None
    to_created_at: datetime | None = None
    from_updated_at: datetime | None = None
    to_updated_at: datetime | None = None
    category_guids: list[str] = field(default_factory=list)
    top_level_category_guids: list[str] = field(default_factory=list)
    use_case: str | None = None
    member_guid: str | None = None
    account_guid: str | None = None
    status: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The filters that are set: the parameters of the conditions with these names."""
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) not in (None, [])}


CONDITIONS = {
    "from_date": "date >= %(from_date)s",
    "to_date": "date <= %(to_date)s",
    "from_created_at": "created_at >= %(from_created_at)s",
    "to_created_at": "created_at <= %(to_created_at)s",
    "from_updated_at": "updated_at >= %(from_updated_at)s",
    "to_updated_at": "updated_at <= %(to_updated_at)s",
    "category_guids": "category_guid = ANY (%(category_guids)s)",
    "top_level_category_guids": "top_level_category_guid = ANY (%(top_level_category_guids)s)",
    "use_case": """EXISTS (SELECT FROM member m WHERE m.user_guid = n.user_guid AND m.guid = n.member_guid
                           AND %(use_case)s = ANY (m.use_cases))""",
    "member_guid": "member_guid = %(member_guid)s",
    "account_guid": "account_guid = %(account_guid)s",
    "status": "status = %(status)s",
}


def transaction_rows(source: str, where: str, conditions: Iterable[str]) -> PagedRows[Transaction]:
    """A fragment: transactions, newest first.

    Args:
        source: `SOURCE` or `account_source`.
        where: a condition over the alias `n`.
        conditions: names of `CONDITIONS`. Their parameters are those of `TransactionFilter.values`.
    """
    where = " AND ".join([where, *(CONDITIONS[name] for name in conditions)])
    return PagedRows(
        Transaction,
        f"SELECT n.* FROM {source} WHERE {where}",
        counted=f"transaction n WHERE {where}",
        order=("date DESC", "guid DESC"),
    )


def account_source(user: str, account: str) -> str:
    """`SOURCE` for the transactions of one account, whose user and guid are SQL expressions.

    It reads the `id` of the user and of the account once. The joins of `SOURCE` read them again for each row, which
    takes longer than reading the transactions.
    """
    return f"""(SELECT t.*, (SELECT id FROM end_user WHERE guid = {user}) AS user_id,
                    (SELECT id FROM account WHERE user_guid = {user} AND guid = {account}) AS account_id
                FROM transaction t) AS n"""


async def list_transactions(
    connection: Connection, user_guid: str, page: PageRequest, filters: TransactionFilter
) -> Page[Transaction]:
    """The user's transactions that satisfy the filter, newest first."""
    values = filters.values
    rows = transaction_rows(SOURCE, "user_guid = %(user_guid)s", values)
    return await fetch_page(
        connection,
        Transaction,
        Selection(
            source=f"({rows.select}) AS transaction",
            counted=rows.counted,
            order=", ".join(rows.order),
            parameters={"user_guid": user_guid, **values},
        ),
        page,
    )


async def find_transaction(connection: Connection, user_guid: str, guid: str) -> Transaction:
    """The user's transaction with this guid.

    Raises:
        NotFound: the user has no such transaction.
    """
    transaction = await fetch_one(
        connection,
        Transaction,
        f"SELECT {columns(Transaction)} FROM {SOURCE} WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {"user_guid": user_guid, "guid": guid},
    )
    if transaction is None:
        raise NotFound
    return transaction
