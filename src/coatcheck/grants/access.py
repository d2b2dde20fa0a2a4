"""Reads with an access token. No other module reads data for a token.

One statement authenticates the token, enforces its restrictions, reads, and writes the disclosure. Reads that arrive
together are coalesced: the statement has a row for each.

    asked     what each read presents
    reader    its live token, and which restriction refuses this kind of read          (grants)
    admitted  the same row, if none does; restrictions that count, count here          (grants)
    page      the rows of the account in `admitted`                                    (vault, model)
    disclosed one disclosure, with the number of rows in `page`                        (vault)

A statement that counts is never coalesced: two reads with one token would count as one. So a read begins with a
statement that does not count. For a token whose reads are counted, that one reads nothing, and a second statement
counts and reads.

A read that is answered writes exactly one disclosure, even for an empty page: the reader learns that there are no
rows. A read that is refused writes none.

No other statement refers to `disclosed`. PostgreSQL executes a CTE that modifies data exactly once all the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeVar

from coatcheck import metrics
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.coalescing import Asked, CoalescedStatement, Coalescer, Rows
from coatcheck.db.database import Connection, Database, Joined, Parameters, columns, fetch_one, joined
from coatcheck.db.fragments import PagedRows, compact
from coatcheck.errors import InvalidDPoPProof, InvalidToken, TokenExpired, TokenRevoked, UnconfirmedToken
from coatcheck.grants.api_keys import is_allowed
from coatcheck.grants.confirmations import UNBOUND, PresentedToken
from coatcheck.grants.refusals import RecordingLimit
from coatcheck.grants.restrictions import RESTRICTIONS, ReadKind, Restriction
from coatcheck.grants.secrets import Kind, parse_secret
from coatcheck.grants.used_jtis import BoundToken, UsedJtis
from coatcheck.model.accounts import Account, account_row
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import LiveToken
from coatcheck.model.transactions import Transaction, TransactionFilter, account_source, transaction_rows
from coatcheck.vault.vault import (
    AccountNumbers,
    AccountOwner,
    Vault,
    disclosure,
    disclosure_parameters,
    number_rows,
    owner_rows,
)

Item = TypeVar("Item")
Restrictions = tuple[type[Restriction], ...]

FIRST_PAGE = PageRequest()
PAGE_OF_CALL = "page WHERE page.caller = r.caller"
UNCONFIRMED = "The token is bound to a key or certificate that the request does not show."
NO_FILTERS: Parameters = MappingProxyType({})
ADMITTED_USER, ADMITTED_ACCOUNT = "admitted.user_guid", "admitted.account_guid"
BALANCES_AND_NUMBERS = "BALANCES_AND_ACCOUNT_NUMBERS"
"""The kind of data in the disclosure when a payment account is read with its full numbers."""


@dataclass(frozen=True, slots=True)
class Disclosed(Page[Item]):
    """A page that was read for a token, and the token."""

    token: LiveToken


@dataclass(frozen=True, slots=True)
class PaymentAccount:
    """An account with its balances, and its full numbers if the token may read them and the vault has them."""

    account: Account
    numbers: AccountNumbers | None


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


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that reads with tokens. Its records begin with `LiveToken` and `_Outcome`."""

    uncounted: CoalescedStatement
    """For tokens whose reads are not counted. For the others the outcome is `COUNTED`."""
    counting: CoalescedStatement
    """For all tokens. Not for several at once."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    refused_by: int | None
    """Index of the restriction that refuses the read, or `COUNTED`."""
    total: int


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a token does not read. None of these: an object in its scope is deleted or disabled."""

    is_confirmed: bool
    """The request shows what the token is bound to."""
    guid: str
    client_guid: str
    processor_guid: str
    is_revoked: bool
    is_expired: bool


def _is_confirmed(token: str) -> str:
    """A condition over a token: the request shows what it is bound to; for a bearer token, nothing."""
    # Passed as one text: psycopg converts a list in Python, which takes as long as a quarter of the whole statement.
    return f"coalesce({token}.confirmation, '{UNBOUND}') = ANY(string_to_array(%(confirmations)s, ' '))"


def _reader(kind: ReadKind, restrictions: Restrictions, *, counts: bool, more_columns: str = "") -> str:
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
    token = f"""
        SELECT {columns(LiveToken, "token.")}{stored}{more_columns}, {refused_by} AS refused_by
        FROM live_token token
        -- The week is the partition key: without it the search visits every partition.
        WHERE token.expires_week = %(expires_week)s AND token.expires_week BETWEEN %(first)s AND %(last)s
          AND token.token_hash = %(token_hash)s
          AND token.expires_at > %(now)s AND {is_allowed("token")} AND {_is_confirmed("token")}
        LIMIT 1"""
    # LATERAL and LIMIT: PostgreSQL plans it for one token, by the indexes, however many are asked for.
    return f"{ASKED.cte}, reader AS (SELECT * FROM asked CROSS JOIN LATERAL ({ASKED.of('asked', token)}) AS token)"


def _admitted(restrictions: Restrictions, *, counts: bool, unless: str = "false") -> str:
    """The CTE `admitted`, after those of the restrictions that count. `unless` is a condition over `reader`."""
    source = "permitted"
    ctes = [f"permitted AS (SELECT * FROM reader WHERE refused_by IS NULL AND NOT {unless})"]
    for number, each in enumerate(restrictions):
        if counts and (step := each.admits(source, f"admitted_{number}")):
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
    return f"coalesce(r.refused_by, CASE{''.join(steps)} END)" if steps else "r.refused_by"


def _readable_rows(kind: ReadKind, restrictions: Restrictions) -> str:
    """A condition over `n`: the row belongs to the account of `admitted`, and no restriction hides it."""
    narrowed = (condition for each in restrictions if (condition := each.narrows(kind)))
    return " AND ".join(
        [
            f"n.user_guid = {ADMITTED_USER}",
            f"n.account_guid = {ADMITTED_ACCOUNT}",
            *(f"({each})" for each in narrowed),
        ]
    )


def _page(rows: PagedRows[Any]) -> str:
    """The CTE `page`: the rows of each call."""
    of_call = ASKED.of("admitted", rows.page)
    return f"page AS (SELECT admitted.caller, n.* FROM admitted CROSS JOIN LATERAL ({of_call}) AS n)"


def _disclosed(what: str, count: str) -> str:
    """The CTE `disclosed`; the arguments are SQL over `r`, a row of `admitted`."""
    written = disclosure(
        "admitted",
        reader_guid="r.processor_guid",
        record_guid="r.account_guid",
        what=what,
        count=count,
        grant_guid="r.guid",
    )
    return f"disclosed AS ({ASKED.of('r', written)})"


def _statement(sql: Callable[[bool], str], *records: type) -> Statement:
    """Both statements, from a function that gives the SQL with or without counting."""
    uncounted, counting = (
        CoalescedStatement(
            ASKED, compact(sql(counts)), (LiveToken, _Outcome, *records), partition_key="expires_week"
        )
        for counts in (False, True)
    )
    return Statement(uncounted, counting)


def page_statement(
    kind: ReadKind, rows: PagedRows[Any], restrictions: Restrictions, *, unless: str = "false"
) -> Statement:
    """Reads a page of rows of the account in `admitted` and discloses it."""
    total = ASKED.of("admitted", rows.total_of(PAGE_OF_CALL))
    count = f"(SELECT count(*) FROM {PAGE_OF_CALL})"

    # The LEFT JOIN gives one row for an empty page and for a refused read: the caller needs the token and the outcome.
    def sql(counts: bool) -> str:
        return f"""WITH {_reader(kind, restrictions, counts=counts)},
            {_admitted(restrictions, counts=counts, unless=unless)},
            {_page(rows)}, {_disclosed(f"'{kind}'", count)}
            SELECT r.caller, {columns(LiveToken, "r.")}, {_refused_by(restrictions, counts=counts)} AS refused_by,
                   {total} AS total, {rows.columns}
            FROM reader r LEFT JOIN admitted USING (caller) LEFT JOIN page p USING (caller)
            ORDER BY {rows.final_order}"""

    return _statement(sql, rows.record)


def numbers_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads a page of the full account numbers."""
    rows = number_rows(_readable_rows(ReadKind.NUMBERS, restrictions))
    return page_statement(ReadKind.NUMBERS, rows, restrictions)


def owners_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads a page of the owners."""
    return page_statement(
        ReadKind.OWNERS, owner_rows(_readable_rows(ReadKind.OWNERS, restrictions)), restrictions
    )


@lru_cache(maxsize=64)
def transactions_statement(
    conditions: tuple[str, ...] = (), restrictions: Restrictions = RESTRICTIONS
) -> Statement:
    """Reads a page of the transactions; none for a processor that reads owners in their place.

    Args:
        conditions: names of the filters that are set.
        restrictions: those of the tokens.
    """
    rows = transaction_rows(
        account_source(ADMITTED_USER, ADMITTED_ACCOUNT),
        _readable_rows(ReadKind.TRANSACTIONS, restrictions),
        conditions,
    )
    return page_statement(ReadKind.TRANSACTIONS, rows, restrictions, unless="owners_at_transactions")


def payment_account_statement(restrictions: Restrictions = RESTRICTIONS) -> Statement:
    """Reads the account with its balances, and its first numbers if every restriction permits numbers too."""
    permitted = [f"({each})" for kind in restrictions if (each := kind.permits(ReadKind.NUMBERS))]
    # IS TRUE: a condition that is NULL must not read the numbers.
    reads_numbers = f", ({' AND '.join(permitted) or 'true'}) IS TRUE AS reads_numbers"
    where = _readable_rows(ReadKind.NUMBERS, restrictions)
    numbers = number_rows(f"{where} AND admitted.reads_numbers")
    has_numbers = f"EXISTS (SELECT FROM {PAGE_OF_CALL})"
    what = f"CASE WHEN {has_numbers} THEN '{BALANCES_AND_NUMBERS}' ELSE '{ReadKind.BALANCES}' END"
    account = account_row(f"user_guid = {ADMITTED_USER} AND guid = {ADMITTED_ACCOUNT}")

    def sql(counts: bool) -> str:
        return f"""WITH {_reader(ReadKind.BALANCES, restrictions, counts=counts, more_columns=reads_numbers)},
            {_admitted(restrictions, counts=counts)},
            account_row AS (SELECT admitted.caller, a.* FROM admitted CROSS JOIN LATERAL ({account}) AS a),
            {_page(numbers)}, {_disclosed(what, "1")}
            SELECT r.caller, {columns(LiveToken, "r.")}, {_refused_by(restrictions, counts=counts)} AS refused_by,
                   1 AS total, {columns(Account, "a.")}, {numbers.columns}
            FROM reader r LEFT JOIN account_row a USING (caller) LEFT JOIN page p USING (caller)"""

    return _statement(sql, Account, numbers.record)


@lru_cache
def authorize_statement(kind: ReadKind, restrictions: Restrictions = RESTRICTIONS) -> CoalescedStatement:
    """Reads nothing but the token."""
    sql = f"""WITH {_reader(kind, restrictions, counts=True)}
        SELECT r.caller, {columns(LiveToken, "r.")}, r.refused_by, 0 AS total FROM reader r"""
    return CoalescedStatement(ASKED, compact(sql), (LiveToken, _Outcome), partition_key="expires_week")


@dataclass(frozen=True, slots=True)
class _Read:
    """A kind of read."""

    statement: Statement
    coalescer: Coalescer | None = None
    """None: its rows take longer than the round trip, so every read is a statement of its own."""

    @classmethod
    def coalesced(cls, db: Database, statement: Statement) -> Self:
        return cls(statement, Coalescer(db, statement.uncounted))


class Access:
    """Authorises and performs the reads of tokens.

    Every method but `parse_token` raises `InvalidToken` for a token that is unknown or that names something deleted or
    disabled, `TokenRevoked` or `TokenExpired` for one that has ended; and the `refusal` of the first restriction that
    does not permit the read.
    """

    def __init__(
        self,
        clock: Clock,
        db: Database,
        hash_key: bytes,
        vault: Vault,
        journal: Journal,
        restrictions: Restrictions = RESTRICTIONS,
    ) -> None:
        self._clock = clock
        self._db = db
        self._hash_key = hash_key
        self._vault = vault
        self._journal = journal
        self._limit = RecordingLimit(clock)
        self._used_jtis = UsedJtis(hash_key)
        self._restrictions = restrictions
        self._numbers = _Read.coalesced(db, numbers_statement(restrictions))
        self._owners = _Read.coalesced(db, owners_statement(restrictions))
        self._payment_account = _Read.coalesced(db, payment_account_statement(restrictions))

    def parse_token(self, secret: str) -> PresentedToken:
        """The hash of a token that a caller presents. It does not query the database.

        Raises:
            InvalidToken: the text cannot be an access token.
        """
        presented = parse_secret(Kind.TOKEN, secret, self._hash_key)
        if presented is None:
            raise InvalidToken
        return PresentedToken(presented.hash, presented.period)

    async def authorize(self, connection: Connection, presented: PresentedToken, kind: ReadKind) -> LiveToken:
        """The token, if it may read this kind of data. It reads no data, so nothing is counted or disclosed.

        For requests that start something, such as a balance check.
        """
        await self._mark_proof(connection, presented)
        statement = authorize_statement(kind, self._restrictions)
        found = _joined(statement, await statement.alone(connection, self._asked(presented, FIRST_PAGE)))
        if found is None:
            await self._raise_invalid(connection, presented)
        token: LiveToken
        (token, outcome), _ = found
        self._raise_if_refused(outcome, kind)
        return token

    async def numbers(
        self, presented: PresentedToken, page: PageRequest = FIRST_PAGE
    ) -> Disclosed[AccountNumbers]:
        """The full account numbers.

        Raises:
            SealBroken: a row was altered or moved.
        """
        token, outcome, rows = await self._read(presented, self._numbers, page)
        self._raise_if_refused(outcome, ReadKind.NUMBERS)
        numbers = self._vault.open_numbers(token.user_guid, _records_of(rows))
        return Disclosed(numbers, outcome.total, page, token)

    async def owners(
        self, presented: PresentedToken, page: PageRequest = FIRST_PAGE
    ) -> Disclosed[AccountOwner]:
        """The owners of the account.

        Raises:
            SealBroken: a row was altered or moved.
        """
        token, outcome, rows = await self._read(presented, self._owners, page)
        self._raise_if_refused(outcome, ReadKind.OWNERS)
        owners = self._vault.open_owners(token.user_guid, _records_of(rows))
        return Disclosed(owners, outcome.total, page, token)

    async def transactions(
        self,
        presented: PresentedToken,
        filters: TransactionFilter,
        page: PageRequest = FIRST_PAGE,
    ) -> Disclosed[Transaction] | None:
        """The transactions of the account that satisfy the filter, newest first.

        None for a processor that is registered to read owners in their place: nothing was read or disclosed.
        """
        values = filters.values
        read = _Read(transactions_statement(tuple(values), self._restrictions))
        token, outcome, rows = await self._read(presented, read, page, values)
        # Before the check: this processor reads owners instead, and that read has its own restrictions.
        if token.owners_at_transactions:
            return None
        self._raise_if_refused(outcome, ReadKind.TRANSACTIONS)
        return Disclosed(_records_of(rows), outcome.total, page, token)

    async def payment_account(self, presented: PresentedToken) -> PaymentAccount:
        """The account with its balances, and its first full numbers if the token may read numbers.

        The one disclosure names `BALANCES`, or `BALANCES_AND_ACCOUNT_NUMBERS` if there are numbers in the answer.

        Raises:
            SealBroken: the numbers were altered or moved.
        """
        token, outcome, rows = await self._read(presented, self._payment_account, PageRequest(size=1))
        self._raise_if_refused(outcome, ReadKind.BALANCES)
        account = rows[0][0]
        numbers = self._vault.open_numbers(token.user_guid, _records_of([row[1:] for row in rows]))
        return PaymentAccount(account, numbers[0] if numbers else None)

    async def _read(
        self,
        presented: PresentedToken,
        read: _Read,
        page: PageRequest,
        filters: Parameters = NO_FILTERS,
    ) -> tuple[LiveToken, _Outcome, Sequence[tuple[Any, ...]]]:
        """The token, the outcome, and each row's records."""
        if presented.proof_use is not None:
            async with self._db.connection() as connection:
                await self._mark_proof(connection, presented)
        asked = {**self._asked(presented, page), **filters}
        if read.coalescer is not None:
            found = _joined(read.statement.uncounted, await read.coalescer(asked))
        else:
            found = await self._read_alone(read.statement.uncounted, asked)
        if found is not None and found[0][1].refused_by == COUNTED:
            found = await self._read_alone(read.statement.counting, asked)
        if found is None:
            async with self._db.connection() as connection:
                await self._raise_invalid(connection, presented)
        (token, outcome), rows = found
        return token, outcome, rows

    async def _read_alone(self, statement: CoalescedStatement, asked: Parameters) -> Joined | None:
        async with self._db.connection() as connection:
            return _joined(statement, await statement.alone(connection, asked))

    def _asked(self, presented: PresentedToken, page: PageRequest) -> dict[str, object]:
        return {
            "expires_week": presented.period,
            "token_hash": presented.hash,
            "confirmations": " ".join(presented.confirmations),
            **disclosure_parameters(self._clock.instant()),
            "size": page.size,
            "offset": page.offset,
        }

    async def _mark_proof(self, connection: Connection, presented: PresentedToken) -> None:
        """Marks the DPoP proof of the request as used, once for all reads of the request.

        Raises:
            InvalidDPoPProof: another request used it.
        """
        use = presented.proof_use
        if use is None or use.is_marked:
            return
        reused = await self._used_jtis.use_proof_with_token(connection, use.proof, presented)
        if reused is not None:
            await self._record_refused(connection, reused, "proof_used_before")
            raise InvalidDPoPProof(detail="The DPoP proof was used before.")
        use.is_marked = True

    async def _raise_invalid(self, connection: Connection, presented: PresentedToken) -> NoReturn:
        """Tells the holder of a token that has ended why. To everyone else no token exists.

        A token that is presented without what it is bound to may be stolen: the audit log records it.
        """
        ended = await fetch_one(
            connection,
            _Ended,
            f"""SELECT {_is_confirmed("t")} AS is_confirmed, t.guid, t.client_guid, t.processor_guid,
                       t.revoked_at IS NOT NULL AS is_revoked, t.expires_at <= %(now)s AS is_expired
                FROM access_token t JOIN processor p ON p.guid = t.processor_guid
                WHERE t.expires_week = %(expires_week)s AND t.token_hash = %(token_hash)s AND {is_allowed("p")}""",
            {
                "expires_week": presented.period,
                "token_hash": presented.hash,
                "confirmations": " ".join(presented.confirmations),
                **disclosure_parameters(self._clock.instant()),
            },
        )
        match ended:
            case _Ended(is_confirmed=False):
                await self._record_refused(connection, ended, "unconfirmed")
                raise UnconfirmedToken(detail=UNCONFIRMED)
            case _Ended(is_revoked=True):
                raise TokenRevoked
            case _Ended(is_expired=True):
                raise TokenExpired
            case _:
                raise InvalidToken

    async def _record_refused(self, connection: Connection, token: _Ended | BoundToken, reason: str) -> None:
        detail = self._limit.admit(token.processor_guid)
        if detail is not None:
            await self._journal.record(
                connection,
                Entry(
                    client_guid=token.client_guid,
                    actor=token.processor_guid,
                    action="token.refused",
                    subject=token.guid,
                    detail={"reason": reason, **detail},
                ),
            )

    def _raise_if_refused(self, outcome: _Outcome, kind: ReadKind) -> None:
        if outcome.refused_by is not None:
            restriction = self._restrictions[outcome.refused_by]
            metrics.REFUSED_READS.labels(restriction.atom or "connection").inc()
            raise restriction.refuse(kind)


def _joined(statement: CoalescedStatement, rows: Rows) -> Joined | None:
    """The token and the outcome, and the other records of each row."""
    return joined(statement.records[:2], statement.records[2:], rows)


def _records_of(rows: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
    """The only record of each row. For an empty page, the one row has the token and a record of NULLs."""
    return [record for (record,) in rows if record.guid is not None]
