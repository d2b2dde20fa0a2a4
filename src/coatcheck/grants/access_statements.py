"""The statements that read with tokens.

One statement authenticates the token, enforces its restrictions, reads, and writes the disclosure. Reads that arrive
together are coalesced: the statement has a row for each.

    asked     what each read presents
    reader    its live token, and which restriction refuses this kind of read          (grants)
    admitted  the same row, if none does; restrictions that count, count here          (grants)
    page      the rows of the account in `admitted`                                    (vault, model)
    counted   `admitted`, and how many rows are on the page and in all
    disclosed one disclosure, with the number of rows in `page`                        (vault)

A statement that counts is never coalesced: two reads with one token would count as one. So a read begins with a
statement that does not count. For a token whose reads are counted, that one reads nothing, and a second statement
counts and reads.

No other statement refers to `disclosed`. PostgreSQL executes a CTE that modifies data exactly once all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import columns, nulls
from coatcheck.db.fragments import PagedRows, compact
from coatcheck.grants.api_keys import is_allowed
from coatcheck.grants.confirmations import UNBOUND
from coatcheck.grants.restrictions import RESTRICTIONS, ReadKind, Restriction
from coatcheck.model.accounts import Account, account_row
from coatcheck.model.tokens import LiveToken
from coatcheck.model.transactions import DAYS, Transaction, TransactionsOf, latest, transaction_rows
from coatcheck.vault.vault import disclosure, number_rows, owner_rows

Restrictions = tuple[type[Restriction], ...]

PAGE_OF_CALL = "page WHERE page.caller = r.caller"
ADMITTED_USER, ADMITTED_ACCOUNT = "admitted.user_guid", "admitted.account_guid"
BALANCES_AND_NUMBERS = "BALANCES_AND_ACCOUNT_NUMBERS"
"""The kind of data in the disclosure when a payment account is read with its full numbers."""
BALANCES_AND_TRANSACTIONS = "BALANCES_AND_TRANSACTIONS"
"""The kind of data in the disclosure when an account is read with its transactions."""
ADMITTED_TO_MORE = "admitted.reads_more"
ADMITTED_FIRST_DAY = "admitted.first_day"

NO_FILTERS: frozenset[str] = frozenset()

COUNTED = -1
"""In place of the index of a restriction: the statement that counts must be used."""


ASKED = Asked(
    {
        "expires_week": "integer",
        "token_hash": "bytea",
        "confirmations": "text",
        "now": "timestamptz",
        "request_id": "text",
        "address": "text",
        "size": "integer",
        "offset": "bigint",
    }
)


ASKED_FOR_DAYS = Asked({**ASKED.types, **dict.fromkeys(sorted(DAYS), "date")})
"""With the bounds of the days that each reads."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that reads with tokens. Its records begin with `LiveToken` and `Outcome`."""

    uncounted: CoalescedStatement
    """For tokens whose reads are not counted. For the others the outcome is `COUNTED`."""
    counting: CoalescedStatement
    """For all tokens. Not for several at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    refused_by: int | None
    """Index of the restriction that refuses the read, or `COUNTED`."""
    total: int


def is_confirmed(token: str) -> str:
    """A condition over a token: the request shows what it is bound to; for a bearer token, nothing."""
    # Passed as one text: psycopg converts a list in Python, which takes as long as a quarter of the whole statement.
    return f"coalesce({token}.confirmation, '{UNBOUND}') = ANY(string_to_array(%(confirmations)s, ' '))"


def _reader(
    kind: ReadKind, restrictions: Restrictions, *, counts: bool, more_columns: str = "", asked: Asked = ASKED
) -> str:
    """The CTEs `asked` and `reader`: each live token, and the index of the first restriction that refuses the read.

    `more_columns` is SQL over `token` that begins with a comma.
    """
    conditions = [(number, each.permits(kind)) for number, each in enumerate(restrictions)]
    if not counts:
        conditions += [(COUNTED, f"NOT ({each.counts})") for each in restrictions if each.admits("", "")]
    # IS NOT TRUE instead of NOT: a condition that is NULL must refuse the read.
    cases = "".join(
        f" WHEN ({condition}) IS NOT TRUE THEN {number}" for number, condition in conditions if condition
    )
    refused_by = f"CASE{cases} END" if cases else "NULL::integer"
    stored = "".join(f", token.{column}" for each in restrictions for column in each.columns)
    # The week is the partition key: without it the search visits every partition. The expiry is compared here, because
    # the view does not know the clock, which a sandbox moves.
    token = f"""
        SELECT {columns(LiveToken, "token.")}{stored}{more_columns}, {refused_by} AS refused_by
        FROM live_token token
        WHERE token.expires_week = %(expires_week)s AND token.expires_week BETWEEN %(first)s AND %(last)s
          AND token.token_hash = %(token_hash)s
          AND token.expires_at > %(now)s AND {is_allowed("token")} AND {is_confirmed("token")}
        LIMIT 1"""
    # LATERAL and LIMIT: PostgreSQL plans it for one token, by the indexes, however many are asked for.
    return f"{asked.cte}, reader AS (SELECT * FROM asked CROSS JOIN LATERAL ({ASKED.of('asked', token)}) AS token)"


def _admitted(restrictions: Restrictions, *, counts: bool, unless: str = "false") -> str:
    """The CTE `admitted`, after those of the restrictions that count. `unless` is a condition over `reader`."""
    permitted = f"(SELECT * FROM reader WHERE refused_by IS NULL AND NOT {unless})"
    if not counts:
        return f"admitted AS {permitted}"
    # A chain: each restriction that counts sees only what those before it admitted.
    source = "permitted"
    ctes = [f"permitted AS {permitted}"]
    for number, each in enumerate(restrictions):
        if step := each.admits(source, f"admitted_{number}"):
            source = f"admitted_{number}"
            ctes.append(step)
    return ", ".join([*ctes, f"admitted AS (SELECT * FROM {source})"])


def _refused_by(restrictions: Restrictions, *, counts: bool) -> str:
    """The index of the restriction that refuses the read, over the alias `r` of `reader`."""
    steps = [
        f" WHEN NOT EXISTS (SELECT FROM admitted_{number}) THEN {number}"
        for number, each in enumerate(restrictions)
        if counts and each.admits("", "")
    ]
    # The conditions of `reader` first: nothing was counted for a read that they refuse.
    return f"coalesce(r.refused_by, CASE{''.join(steps)} END)" if steps else "r.refused_by"


def _readable_rows(kind: ReadKind, restrictions: Restrictions) -> str:
    """A condition over `n`: the row belongs to the account of `admitted`, and no restriction hides it."""
    return " AND ".join(
        [
            f"n.user_guid = {ADMITTED_USER}",
            f"n.account_guid = {ADMITTED_ACCOUNT}",
            *_narrowed(kind, restrictions),
        ]
    )


def _first_day(restrictions: Restrictions) -> str:
    """A column of `reader`: the day of the oldest transactions that it reads."""
    return f", {latest([day for each in restrictions if (day := each.first_day())])} AS first_day"


def _narrowed(kind: ReadKind, restrictions: Restrictions) -> list[str]:
    """The conditions over `n` of the restrictions that hide rows."""
    return [f"({condition})" for each in restrictions if (condition := each.narrows(kind))]


def _readable_transactions(
    filters: frozenset[str], restrictions: Restrictions, *more: str, is_first_page: bool = True
) -> PagedRows[Transaction]:
    """The transactions of the account in `admitted` that no restriction hides."""
    return transaction_rows(
        TransactionsOf(
            user=ADMITTED_USER,
            account=ADMITTED_ACCOUNT,
            first_day=ADMITTED_FIRST_DAY,
            conditions=[*_narrowed(ReadKind.TRANSACTIONS, restrictions), *more],
        ),
        filters,
        is_first_page=is_first_page,
    )


def _page(rows: PagedRows[Any], asked: Asked = ASKED) -> str:
    """The CTE `page`: the rows of each call."""
    of_call = asked.of("admitted", rows.page)
    return f"page AS (SELECT admitted.caller, n.* FROM admitted CROSS JOIN LATERAL ({of_call}) AS n)"


def _counted(rows: PagedRows[Any], asked: Asked) -> str:
    """The CTE `counted`: `admitted` with the numbers of rows on the page and on all pages."""
    of_call = asked.of("admitted", rows.counted("page WHERE page.caller = admitted.caller"))
    return f"counted AS (SELECT admitted.*, n.* FROM admitted CROSS JOIN LATERAL ({of_call}) AS n)"


def _disclosed(readers: str, what: str, count: str) -> str:
    """The CTE `disclosed`; `what` and `count` are SQL over `r`, a row of `readers`."""
    written = disclosure(
        readers,
        reader_guid="r.processor_guid",
        record_guid="r.account_guid",
        what=what,
        count=count,
        grant_guid="r.guid",
    )
    return f"disclosed AS ({ASKED.of('r', written)})"


def _statement(sql: Callable[[bool], str], *records: type, asked: Asked = ASKED) -> Statement:
    """Both statements, from a function that gives the SQL with or without counting."""
    uncounted, counting = (
        CoalescedStatement(
            asked,
            compact(sql(counts)),
            (LiveToken, Outcome, *records),
            partition_keys=("expires_week", "expires_week"),
        )
        for counts in (False, True)
    )
    return Statement(uncounted, counting)


def page_statement(
    kind: ReadKind,
    rows: PagedRows[Any],
    restrictions: Restrictions,
    *,
    unless: str = "false",
    asked: Asked = ASKED,
) -> Statement:
    """Reads a page of rows of the account in `admitted` and discloses it."""
    # The last row has the token and the outcome, also for an empty page or a refused read. The rows of the page come
    # before: a join would copy each of them again, and sort them, which takes an eighth of the whole time. PostgreSQL
    # reads both parts one after the other, and `page` is sorted.
    more_columns = _first_day(restrictions) if kind is ReadKind.TRANSACTIONS else ""

    def sql(counts: bool) -> str:
        return f"""WITH {_reader(kind, restrictions, counts=counts, more_columns=more_columns, asked=asked)},
            {_admitted(restrictions, counts=counts, unless=unless)},
            {_page(rows, asked)}, {_counted(rows, asked)}, {_disclosed("counted", f"'{kind}'", "r.shown")}
            SELECT caller, {nulls(LiveToken)}, {nulls(Outcome)}, {columns(rows.record)} FROM page
            UNION ALL
            SELECT r.caller, {columns(LiveToken, "r.")}, {_refused_by(restrictions, counts=counts)}, counted.total,
                   {", ".join(["NULL"] * len(fields(rows.record)))}
            FROM reader r LEFT JOIN counted USING (caller)"""

    return _statement(sql, rows.record, asked=asked)


def numbers_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads a page of the full account numbers."""
    rows = number_rows(_readable_rows(ReadKind.NUMBERS, restrictions))
    return page_statement(ReadKind.NUMBERS, rows, restrictions)


def owners_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads a page of the owners."""
    return page_statement(
        ReadKind.OWNERS, owner_rows(_readable_rows(ReadKind.OWNERS, restrictions)), restrictions
    )


# Bounded, because callers choose which filters they set. The key has the names of the filters, not their values.
@lru_cache(maxsize=64)
def transactions_statement(
    filters: frozenset[str] = NO_FILTERS,
    restrictions: Restrictions = RESTRICTIONS,
    *,
    is_first_page: bool = True,
) -> Statement:
    """Reads a page of the transactions; none for a processor that reads owners in their place.

    Args:
        filters: names of those that are set.
        restrictions: those of the tokens.
        is_first_page: whether `offset` is 0.
    """
    rows = _readable_transactions(filters, restrictions, is_first_page=is_first_page)
    return page_statement(
        ReadKind.TRANSACTIONS,
        rows,
        restrictions,
        unless="owners_at_transactions",
        # Filters that may read the whole list are not coalesced. They stay parameters.
        asked=ASKED_FOR_DAYS if filters == DAYS else ASKED,
    )


def payment_account_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads the account with its balances, and its first numbers if every restriction permits numbers too."""
    has_numbers = f"EXISTS (SELECT FROM {PAGE_OF_CALL})"
    return _account_statement(
        number_rows(f"{_readable_rows(ReadKind.NUMBERS, restrictions)} AND {ADMITTED_TO_MORE}"),
        restrictions,
        more=_permits(ReadKind.NUMBERS, restrictions),
        what=f"CASE WHEN {has_numbers} THEN '{BALANCES_AND_NUMBERS}' ELSE '{ReadKind.BALANCES}' END",
        count="1",
    )


@lru_cache(maxsize=64)
def account_with_transactions_statement(
    filters: frozenset[str] = NO_FILTERS, restrictions: Restrictions = RESTRICTIONS
) -> Statement:
    """Reads the account with its balances, and a page of its transactions if every restriction permits them too.

    Args:
        filters: names of those that are set.
        restrictions: those of the tokens.
    """
    return _account_statement(
        _readable_transactions(filters, restrictions, ADMITTED_TO_MORE),
        restrictions,
        more=_permits(ReadKind.TRANSACTIONS, restrictions),
        more_columns=_first_day(restrictions),
        what=f"CASE WHEN r.reads_more THEN '{BALANCES_AND_TRANSACTIONS}' ELSE '{ReadKind.BALANCES}' END",
        count=f"1 + (SELECT count(*) FROM {PAGE_OF_CALL})",
    )


def balance_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads the account with its balances."""
    return _account_statement(
        # No row, but the columns of the other statements on an account, so that all are read in the same way.
        number_rows("false"),
        restrictions,
        more="false",
        what=f"'{ReadKind.BALANCES}'",
        count="1",
    )


def _permits(kind: ReadKind, restrictions: Restrictions) -> str:
    """A condition over `token`: every restriction permits this kind too."""
    permitted = [f"({each})" for restriction in restrictions if (each := restriction.permits(kind))]
    # IS TRUE: a condition that is NULL permits nothing.
    return f"({' AND '.join(permitted) or 'true'}) IS TRUE"


def _account_statement(
    rows: PagedRows[Any],
    restrictions: Restrictions,
    *,
    more: str,
    what: str,
    count: str,
    more_columns: str = "",
) -> Statement:
    """Reads the account with its balances and, if the token permits `more`, a page of rows.

    Args:
        rows: those of the page.
        restrictions: those of the tokens.
        more: SQL over `token`.
        what: the kind of data in the disclosure, SQL over `r`, a row of `admitted`.
        count: how many records are read, SQL over `r`.
        more_columns: of `reader`, as those of `_reader`.
    """
    # The user is the first column of the index, and keeps an account of another user out whatever the token names.
    account = account_row(f"user_guid = {ADMITTED_USER} AND guid = {ADMITTED_ACCOUNT}")

    def sql(counts: bool) -> str:
        reader = _reader(
            ReadKind.BALANCES,
            restrictions,
            counts=counts,
            more_columns=f", {more} AS reads_more{more_columns}",
        )
        return f"""WITH {reader}, {_admitted(restrictions, counts=counts)},
            account_row AS (SELECT admitted.caller, a.* FROM admitted CROSS JOIN LATERAL ({account}) AS a),
            {_page(rows)}, {_disclosed("admitted", what, count)}
            SELECT r.caller, {columns(LiveToken, "r.")}, {_refused_by(restrictions, counts=counts)} AS refused_by,
                   1 AS total, {columns(Account, "a.")}, {rows.columns}
            FROM reader r LEFT JOIN account_row a USING (caller) LEFT JOIN page p USING (caller)
            ORDER BY {rows.final_order}"""

    return _statement(sql, Account, rows.record)


@lru_cache
def authorize_statement(kind: ReadKind, restrictions: Restrictions = RESTRICTIONS) -> CoalescedStatement:
    """Reads nothing but the token."""
    # `counts`: otherwise a token whose reads are counted gets the outcome `COUNTED`, and nothing is counted here.
    sql = f"""WITH {_reader(kind, restrictions, counts=True)}
        SELECT r.caller, {columns(LiveToken, "r.")}, r.refused_by, 0 AS total FROM reader r"""
    return CoalescedStatement(
        ASKED, compact(sql), (LiveToken, Outcome), partition_keys=("expires_week", "expires_week")
    )
