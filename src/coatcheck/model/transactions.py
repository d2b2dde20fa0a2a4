"""Transactions. Every look-up starts from their user.

A user can have millions of them. A list finds a page and its total by the number of transactions on each day
(`transaction_week`, which triggers keep):

    days    the number of transactions on each day
    start   the key of the first row of the page: the days say on which one it is
    page    the rows from this key on

Days do not serve filters by anything but dates and accounts. Then `start` is counted from the newest transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.db.fragments import PagedRows
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, fetch_rows

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
        names = (*CONDITIONS, *ACCOUNT_CONDITIONS)
        return {name: value for name in names if (value := getattr(self, name)) not in (None, [])}


CONDITIONS = {
    "from_date": "n.date >= %(from_date)s",
    "to_date": "n.date <= %(to_date)s",
    "from_created_at": "n.created_at >= %(from_created_at)s",
    "to_created_at": "n.created_at <= %(to_created_at)s",
    "from_updated_at": "n.updated_at >= %(from_updated_at)s",
    "to_updated_at": "n.updated_at <= %(to_updated_at)s",
    "category_guids": "n.category_guid = ANY (%(category_guids)s)",
    "top_level_category_guids": "n.top_level_category_guid = ANY (%(top_level_category_guids)s)",
    "use_case": """EXISTS (SELECT FROM member m WHERE m.user_guid = n.user_guid AND m.guid = n.member_guid
                           AND %(use_case)s = ANY (m.use_cases))""",
    "status": "n.status = %(status)s",
}
"""Over a transaction `n`."""
ACCOUNT_CONDITIONS = {
    "member_guid": "a.member_guid = %(member_guid)s",
    "account_guid": "a.guid = %(account_guid)s",
}
"""Over an account `a`."""
DAYS = frozenset({"from_date", "to_date"})
"""The conditions that the weeks serve."""
ORDER = ("date DESC", "guid DESC")
NEWEST_FIRST = ", ".join(f"n.{each}" for each in ORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionsOf:
    """Whose transactions a statement reads. Every value is SQL."""

    user: str
    account: str | None = None
    """None: the accounts of the user that satisfy `ACCOUNT_CONDITIONS`."""
    first_day: str | None = None
    """No transaction before this date is read."""
    conditions: Sequence[str] = ()
    """Over a transaction `n`."""


def transaction_rows(
    of: TransactionsOf, filters: frozenset[str], *, is_first_page: bool
) -> PagedRows[Transaction]:
    """A fragment: transactions, newest first.

    Args:
        of: whose.
        filters: names of `CONDITIONS` and `ACCOUNT_CONDITIONS`. Their parameters are those of
            `TransactionFilter.values`.
        is_first_page: whether `offset` is 0. Then nothing has to be skipped.
    """
    accounts = _accounts(of, filters)
    is_of_account = f"n.user_guid = {of.user} AND n.account_guid = {of.account or 'a.guid'}"
    others = [*of.conditions, *(each for name, each in CONDITIONS.items() if name in filters - DAYS)]
    since = [
        *([f"n.date >= {of.first_day}"] if of.first_day else []),
        *(CONDITIONS[name] for name in ("from_date",) if name in filters),
    ]
    until = [CONDITIONS[name] for name in ("to_date",) if name in filters]
    where = " AND ".join([is_of_account, *since, *until, *others])
    days = None if others else _days(of, filters, accounts)
    if is_first_page:
        page = _page(of, accounts, where)
    else:
        # Without `until`: of two upper bounds of the date, PostgreSQL would begin to read the index at that one.
        from_start = " AND ".join(
            [is_of_account, *since, "(n.date, n.guid) <= (start.date, start.guid)", *others]
        )
        page = f"""SELECT n.* FROM ({_start(accounts, where, days)}) AS start
                   CROSS JOIN LATERAL ({_page(of, accounts, from_start)}) AS n"""
    number = (
        f"SELECT coalesce(sum(number), 0)::bigint FROM ({days}) AS days"
        if days
        else f"SELECT count(*) FROM {accounts} CROSS JOIN LATERAL (SELECT FROM transaction n WHERE {where}) AS n"
    )
    return PagedRows(Transaction, page, number, ORDER, is_number_quick=days is not None)


def _accounts(of: TransactionsOf, filters: frozenset[str]) -> str:
    """The accounts, as `a`, for FROM. One row without columns for an account that is given."""
    if of.account is not None:
        return "(SELECT) AS a"
    conditions = [each for name, each in ACCOUNT_CONDITIONS.items() if name in filters]
    return (
        f"(SELECT a.guid FROM account a WHERE {' AND '.join([f'a.user_guid = {of.user}', *conditions])}) AS a"
    )


def _days(of: TransactionsOf, filters: frozenset[str], accounts: str) -> str:
    """The number of transactions of each account on each day."""
    first = latest(
        [
            *([of.first_day] if of.first_day else []),
            *(["%(from_date)s::date"] if "from_date" in filters else []),
        ]
    )
    last = "%(to_date)s::date" if "to_date" in filters else "'infinity'::date"
    # `week` is a Monday: the week in which `first` is began up to six days before it.
    return f"""
        SELECT w.week + day AS date, w.numbers[day + 1] AS number
        FROM {accounts} CROSS JOIN transaction_week w CROSS JOIN generate_series(0, 6) AS day
        WHERE w.user_guid = {of.user} AND w.account_guid = {of.account or "a.guid"}
          AND w.week > {first} - 7 AND w.week + day BETWEEN {first} AND {last}"""


def latest(days: Sequence[str]) -> str:
    """The latest of several dates, SQL."""
    return f"greatest({', '.join(days)})" if len(days) > 1 else (days or ["'-infinity'::date"])[0]


def _start(accounts: str, where: str, days: str | None) -> str:
    """The key of the first row of the page: no other rows than those of one day are skipped."""
    day, before, is_of_day = "(SELECT) AS day", "0", ""
    if days is not None:
        day = f"""(SELECT date, before FROM (
                       SELECT date, (sum(number) OVER (ORDER BY date DESC) - number)::bigint AS before
                       FROM (SELECT date, sum(number) AS number FROM ({days}) AS days GROUP BY date) AS days) AS days
                   WHERE before <= %(offset)s ORDER BY date LIMIT 1) AS day"""
        before, is_of_day = "day.before", "AND n.date = day.date"
    return f"""
        SELECT first.* FROM {day} CROSS JOIN LATERAL (
            SELECT n.* FROM {accounts} CROSS JOIN LATERAL (
                SELECT n.date, n.guid FROM transaction n WHERE {where} {is_of_day}
                ORDER BY {NEWEST_FIRST} LIMIT %(offset)s - {before} + 1) AS n
            ORDER BY {NEWEST_FIRST} OFFSET %(offset)s - {before} LIMIT 1) AS first"""


def _page(of: TransactionsOf, accounts: str, where: str) -> str:
    if of.account is not None:
        # The `id` of the user and of the account are read once: joins would read them again for each row.
        return f"""
            SELECT n.*, (SELECT id FROM end_user WHERE guid = {of.user}) AS user_id,
                   (SELECT id FROM account WHERE user_guid = {of.user} AND guid = {of.account}) AS account_id
            FROM transaction n WHERE {where} ORDER BY {NEWEST_FIRST} LIMIT %(size)s"""
    return f"""
        SELECT t.*, u.id AS user_id, a.id AS account_id
        FROM (SELECT n.* FROM {accounts} CROSS JOIN LATERAL (
                  SELECT n.date, n.guid FROM transaction n WHERE {where}
                  ORDER BY {NEWEST_FIRST} LIMIT %(size)s) AS n
              ORDER BY {NEWEST_FIRST} LIMIT %(size)s) AS n
        JOIN transaction t ON t.user_guid = {of.user} AND t.guid = n.guid
        JOIN end_user u ON u.guid = t.user_guid
        JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
        ORDER BY t.date DESC, t.guid DESC"""


async def list_transactions(
    connection: Connection, user_guid: str, page: PageRequest, filters: TransactionFilter
) -> Page[Transaction]:
    """The user's transactions that satisfy the filter, newest first."""
    values = filters.values
    rows = transaction_rows(
        TransactionsOf(user="%(user_guid)s"), frozenset(values), is_first_page=page.offset == 0
    )
    return await fetch_rows(connection, rows, {"user_guid": user_guid, **values}, page)


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
