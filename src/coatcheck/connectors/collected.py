"""The data that a run has read so far, in bounded memory.

The last transactions, up to `BATCH`, are kept as rows, and all others as compressed batches. A million transactions
take tens of megabytes instead of a gigabyte, and a run with few transactions compresses nothing. ADR 0010 gives the
reason why nothing is written before the run has finished.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from coatcheck.connectors.records import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
)
from coatcheck.connectors.rows import UnusableRow, checked
from coatcheck.errors import BankDataUnusable

BATCH = 5_000
"""Transactions that are compressed, and later written, together."""
MAX_ROWS = 20_000
"""Accounts, numbers, owners, statements or removed transactions of one run, each."""
MAX_BYTES = 128 * 1024 * 1024
"""Compressed transactions and statement PDFs of one run, together."""
_COMPRESSION = 1  # the fastest level: the compression blocks the event loop

Skippable = TypeVar("Skippable", BankStatement, BankTransaction)
Required = TypeVar("Required", BankNumbers, BankOwner)
AnyRow = TypeVar("AnyRow", BankAccount, BankNumbers, BankOwner)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[BankTransaction])


class CollectedData:
    """Checks every row that is added, and keeps it until the run is saved or discarded.

    An account, a set of numbers or an owner that cannot be stored ends the run. Without its row, an account would be
    closed and stored numbers would be deleted. A transaction or statement that cannot be stored is left out and counted
    in `skipped`.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, BankAccount] = {}
        self._numbers: list[BankNumbers] = []
        self._owners: list[BankOwner] = []
        self._statements: dict[tuple[str, str], BankStatement] = {}
        self._rows: list[BankTransaction] = []
        self._batches: list[bytes] = []
        self._removed: dict[tuple[str, str], None] = {}
        self._bytes = 0
        self._skipped: Counter[tuple[str, str]] = Counter()

    @property
    def accounts(self) -> tuple[BankAccount, ...]:
        """The accounts, one for each id. Of two accounts with the same id it is the last."""
        return tuple(self._accounts.values())

    @property
    def numbers(self) -> tuple[BankNumbers, ...]:
        return tuple(self._numbers)

    @property
    def owners(self) -> tuple[BankOwner, ...]:
        return tuple(self._owners)

    @property
    def statements(self) -> tuple[BankStatement, ...]:
        return tuple(self._statements.values())

    @property
    def removed_transactions(self) -> tuple[tuple[str, str], ...]:
        """Account id and transaction id of each."""
        return tuple(self._removed)

    @property
    def skipped(self) -> Mapping[tuple[str, str], int]:
        """How many rows were left out, by record and field."""
        return dict(self._skipped)

    def transaction_batches(self) -> Iterator[list[BankTransaction]]:
        """All transactions in the order they were added, at most `BATCH` at a time."""
        for batch in self._batches:
            yield _decoder.decode(zlib.decompress(batch))
        if self._rows:
            yield self._rows

    def add_accounts(self, accounts: Iterable[BankAccount]) -> None:
        for account in accounts:
            usable = _required(account)
            self._accounts[usable.id] = usable
        _limit(len(self._accounts))

    def add_numbers(self, numbers: Iterable[BankNumbers]) -> None:
        self._numbers += [self._of_known_account(_required(each)) for each in numbers]
        _limit(len(self._numbers))

    def add_owners(self, owners: Iterable[BankOwner]) -> None:
        self._owners += [self._of_known_account(_required(each)) for each in owners]
        _limit(len(self._owners))

    def add_statements(self, statements: Iterable[BankStatement]) -> None:
        for statement in statements:
            if (usable := self._usable(statement)) is not None:
                self._statements[usable.account_id, usable.id] = usable
                self._count_bytes(len(usable.pdf))
        _limit(len(self._statements))

    def add_transactions(self, transactions: Iterable[BankTransaction]) -> None:
        for transaction in transactions:
            if (usable := self._usable(transaction)) is not None:
                self._rows.append(usable)
                if len(self._rows) == BATCH:
                    self._compress()

    def remove_transactions(self, account_id: str, ids: Iterable[str]) -> None:
        for id in ids:
            self._removed[account_id, id] = None
        _limit(len(self._removed))

    def _compress(self) -> None:
        batch = zlib.compress(_encoder.encode(self._rows), _COMPRESSION)
        self._count_bytes(len(batch))
        self._batches.append(batch)
        self._rows = []

    def _count_bytes(self, number: int) -> None:
        self._bytes += number
        if self._bytes > MAX_BYTES:
            raise BankDataUnusable("The institution sent more data than one run may hold.")

    def _usable(self, row: Skippable) -> Skippable | None:
        """The checked row, or None if it cannot be stored."""
        try:
            usable = checked(row)
            if usable.account_id not in self._accounts:
                raise UnusableRow("account_id")
        except UnusableRow as error:
            self._skipped[type(row).__name__, error.field] += 1
            return None
        return usable

    def _of_known_account(self, row: Required) -> Required:
        if row.account_id not in self._accounts:
            raise BankDataUnusable(
                f"The institution sent a {type(row).__name__} of an account it did not list."
            )
        return row


def _required(row: AnyRow) -> AnyRow:
    try:
        return checked(row)
    except UnusableRow as error:
        raise BankDataUnusable(
            f"The institution sent a {type(row).__name__} whose {error.field} cannot be stored."
        ) from None


def _limit(rows: int) -> None:
    if rows > MAX_ROWS:
        raise BankDataUnusable("The institution sent more rows than one run may hold.")
