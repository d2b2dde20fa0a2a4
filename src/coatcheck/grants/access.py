"""Reads with an access token. No other module reads data for a token.

A read that is answered writes exactly one disclosure, even for an empty page: the reader learns that there are no
rows. A read that is refused writes none. `access_statements` has the statements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeVar

from coatcheck import metrics
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.coalescing import MAX_ROWS, CoalescedStatement, Coalescer, Rows
from coatcheck.db.database import Connection, Database, Joined, Parameters, fetch_one, joined
from coatcheck.errors import InvalidDPoPProof, InvalidToken, TokenExpired, TokenRevoked, UnconfirmedToken
from coatcheck.grants.access_statements import (
    COUNTED,
    Outcome,
    Restrictions,
    Statement,
    account_with_transactions_statement,
    authorize_statement,
    balance_statement,
    is_confirmed,
    numbers_statement,
    owners_statement,
    payment_account_statement,
    transactions_statement,
)
from coatcheck.grants.api_keys import is_allowed
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.refusals import RecordingLimit
from coatcheck.grants.restrictions import RESTRICTIONS, ReadKind
from coatcheck.grants.secrets import Kind, parse_secret
from coatcheck.grants.used_jtis import BoundToken, UsedJtis
from coatcheck.model.accounts import Account
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import LiveToken
from coatcheck.model.transactions import DAYS, Transaction, TransactionFilter
from coatcheck.vault.vault import (
    AccountNumbers,
    AccountOwner,
    Vault,
    disclosure_parameters,
)

Item = TypeVar("Item")

FIRST_PAGE = PageRequest()
MAX_PAGES = 4
"""Of transactions in one statement. Each has up to 1,000 rows, which are in memory at once, for each connection."""
UNCONFIRMED = "The token is bound to a key or certificate that the request does not show."
NO_FILTERS: Parameters = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Disclosed(Page[Item]):
    """A page that was read for a token, and the token."""

    token: LiveToken


@dataclass(frozen=True, slots=True)
class PaymentAccount:
    """An account with its balances, and its full numbers if the token may read them and the vault has them."""

    account: Account
    numbers: AccountNumbers | None


@dataclass(frozen=True, slots=True)
class AccountWithTransactions:
    account: Account
    transactions: Sequence[Transaction]
    """Newest first. Empty if the token may not read transactions, or none were asked for."""


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


@dataclass(frozen=True, slots=True)
class _Read:
    """A kind of read."""

    statement: Statement
    coalescer: Coalescer | None = None
    """None: it may read many rows to find those that it returns, so every read is a statement of its own."""

    @classmethod
    def coalesced(cls, db: Database, statement: Statement, *, most: int = MAX_ROWS) -> Self:
        return cls(statement, Coalescer(db, statement.uncounted, most=most))


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
        # Built once: only calls of the same `Coalescer` share a statement.
        self._numbers = _Read.coalesced(db, numbers_statement(restrictions))
        self._owners = _Read.coalesced(db, owners_statement(restrictions))
        self._payment_account = _Read.coalesced(db, payment_account_statement(restrictions))
        self._pages = {
            is_first: _Read.coalesced(
                db, transactions_statement(DAYS, restrictions, is_first_page=is_first), most=MAX_PAGES
            )
            for is_first in (True, False)
        }
        self._balance = _Read.coalesced(db, balance_statement(restrictions))

    def parse_token(self, secret: str) -> PresentedToken:
        """The hash of a token that a caller presents. It does not query the database.

        Raises:
            InvalidToken: the text cannot be an access token.
        """
        presented = parse_secret(Kind.TOKEN, secret, self._hash_key)
        if presented is None:
            raise InvalidToken
        return PresentedToken(presented.hash, presented.period)

    async def mark_proof(self, presented: PresentedToken) -> None:
        """Marks the DPoP proof of the request as used, once for all that the request does.

        Call it outside of any transaction: a refusal that rolled the mark back would let the proof be used again.

        Raises:
            InvalidDPoPProof: another request used it.
        """
        use = presented.proof_use
        # A request with `max_age` authorizes before it reads. Its one proof must not count as used twice.
        if use is None or use.is_marked:
            return
        async with self._db.connection() as connection:
            reused = await self._used_jtis.use_proof_with_token(connection, use.proof, presented)
            if reused is not None:
                await self._record_refused(connection, reused, "proof_used_before")
                raise InvalidDPoPProof(detail="The DPoP proof was used before.")
        use.is_marked = True

    async def authorize(self, connection: Connection, presented: PresentedToken, kind: ReadKind) -> LiveToken:
        """The token, if it may read this kind of data. It reads no data, so nothing is counted or disclosed.

        For requests that start something, such as a balance check. `mark_proof` comes before the caller's transaction.
        """
        use = presented.proof_use
        assert use is None or use.is_marked, "a proof is marked before it counts"
        # On the connection of the caller, whose transaction starts what the token permits. So it is not coalesced.
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
        numbers = await self._vault.open_numbers(token.user_guid, _records_of(rows))
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
        owners = await self._vault.open_owners(token.user_guid, _records_of(rows))
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
        is_first_page = page.offset == 0
        if values.keys() == DAYS:
            read = self._pages[is_first_page]
        else:
            statement = transactions_statement(
                frozenset(values), self._restrictions, is_first_page=is_first_page
            )
            read = _Read(statement)
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
        # One set of numbers: MX's payment account has no list.
        token, outcome, rows = await self._read(presented, self._payment_account, PageRequest(size=1))
        self._raise_if_refused(outcome, ReadKind.BALANCES)
        # It exists: `live_token` joins the account, and the statement reads both in one snapshot.
        account = rows[0][0]
        numbers = await self._vault.open_numbers(token.user_guid, _records_of([row[1:] for row in rows]))
        return PaymentAccount(account, numbers[0] if numbers else None)

    async def account(
        self, presented: PresentedToken, filters: TransactionFilter | None, *, most: int = 0
    ) -> AccountWithTransactions:
        """The account with its balances, and its newest transactions if the token may read transactions.

        The one disclosure names `BALANCES`, or `BALANCES_AND_TRANSACTIONS` if the token may read both.

        Args:
            presented: the token.
            filters: of the transactions. None: none are read.
            most: how many transactions are read at most.
        """
        values = {} if filters is None else filters.values
        read = (
            self._balance
            if filters is None
            else _Read(account_with_transactions_statement(frozenset(values), self._restrictions))
        )
        _, outcome, rows = await self._read(presented, read, PageRequest(size=most), values)
        self._raise_if_refused(outcome, ReadKind.BALANCES)
        return AccountWithTransactions(rows[0][0], _records_of([row[1:] for row in rows]))

    async def _read(
        self,
        presented: PresentedToken,
        read: _Read,
        page: PageRequest,
        filters: Parameters = NO_FILTERS,
    ) -> tuple[LiveToken, Outcome, Sequence[tuple[Any, ...]]]:
        """The token, the outcome, and each row's records."""
        # Before the read: of two requests with one proof, the second must read nothing.
        await self.mark_proof(presented)
        asked = {**self._asked(presented, page), **filters}
        if read.coalescer is not None:
            found = _joined(read.statement.uncounted, await read.coalescer(asked))
        else:
            found = await self._read_alone(read.statement.uncounted, asked)
        # Rare: most grants have no limit of reads, and reads that are counted cannot share a statement.
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

    async def _raise_invalid(self, connection: Connection, presented: PresentedToken) -> NoReturn:
        """Tells the holder of a token that has ended why. To everyone else no token exists.

        A token that is presented without what it is bound to may be stolen: the audit log records it.
        """
        # With the processor's networks: from elsewhere, a token that has ended is like one that never existed.
        ended = await fetch_one(
            connection,
            _Ended,
            f"""SELECT {is_confirmed("t")} AS is_confirmed, t.guid, t.client_guid, t.processor_guid,
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
            # First: a thief must not learn whether the token was revoked or has expired.
            case _Ended(is_confirmed=False):
                await self._record_refused(connection, ended, "unconfirmed")
                raise UnconfirmedToken(detail=UNCONFIRMED)
            case _Ended(is_revoked=True):
                raise TokenRevoked
            case _Ended(is_expired=True):
                raise TokenExpired
            # Unknown, or something in its scope is deleted or disabled. Both look alike.
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

    def _raise_if_refused(self, outcome: Outcome, kind: ReadKind) -> None:
        if outcome.refused_by is not None:
            restriction = self._restrictions[outcome.refused_by]
            metrics.REFUSED_READS.labels(restriction.atom or "connection").inc()
            raise restriction.refuse(kind)


def _joined(statement: CoalescedStatement, rows: Rows) -> Joined | None:
    """The token and the outcome, which the last row has, and the other records of each row."""
    return joined(statement.records[:2], statement.records[2:], rows)


def _records_of(rows: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
    """The only record of each row. A row that has the token has no record, but NULLs."""
    return [record for (record,) in rows if record.guid is not None]
