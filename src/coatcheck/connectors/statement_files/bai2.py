"""BAI2: the statements of banks in the United States (Cash Management Balance Reporting, version 2).

    01 file / 02 group / 03 account / 16 transaction / 49 end of account / 98 end of group / 99 end of file
    88 continues the record above it; a record ends with `/`

The library `bai2` refuses a file with a bank's own type codes, and names no line, so that the records are read here.
It knows what the type codes mean.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType

from bai2.constants import TypeCodes, TypeCodeTransaction

from coatcheck.connectors.statement_files import values
from coatcheck.connectors.statement_files.statement import (
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
    Statement,
)
from coatcheck.errors import UnreadableFile

DEFAULT_CURRENCY = "USD"  # of a group that names none
DECIMALS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
        **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    }
)
"""The decimals of an amount, which has no point, where they are not 2 (ISO 4217)."""
OPENING_LEDGER, CLOSING_LEDGER, CURRENT_LEDGER, CLOSING_AVAILABLE = "010", "015", "030", "045"
NUMBER = re.compile(rf"[+-]?\d{{1,{values.MAX_DIGITS}}}", re.ASCII)
UNREADABLE = "A number of the record cannot be read."
RECORDS = frozenset({"01", "02", "03", "16", "49", "88", "98", "99"})


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    code: str
    rows: Sequence[str]
    """The lines of the file that it takes, without their codes."""
    fields: Sequence[str]

    def refused(self, problem: str) -> UnreadableFile:
        return UnreadableFile(problem, line=self.line, element=self.code)

    def text(self, index: int) -> str:
        return self.fields[index].strip() if index < len(self.fields) else ""

    def number(self, index: int) -> int:
        """A whole number; 0 if the field is empty.

        Raises:
            UnreadableFile: it is not a number.
        """
        text = self.text(index) or "0"
        if not NUMBER.fullmatch(text):
            raise self.refused(UNREADABLE)
        return int(text)


@dataclass(slots=True)
class _Account:
    record: _Record
    currency: str
    on: date
    bank: str
    total: int = 0
    rows: int = 0
    balances: dict[str, Decimal] = field(default_factory=dict)
    transactions: list[FileTransaction] = field(default_factory=list)


def read_bai2(text: str) -> Statement:
    """Reads the file, and checks the totals and the numbers of records that it states.

    Raises:
        UnreadableFile: a record is unknown, unusable or missing, or a total is not that of the records.
    """
    records = list(_records(text))
    accounts: list[FileAccount] = []
    position, groups, total = 1, 0, 0
    while position < len(records) and records[position].code == "02":
        found, position, group_total = _group(records, position)
        accounts += found
        groups, total = groups + 1, total + group_total
    if position >= len(records) or records[position].code != "99":
        last = records[min(position, len(records) - 1)]
        raise last.refused("The end of the file, a record 99, is missing: the file may be cut off.")
    end = records[position]
    _check_total(end, total)
    if end.number(1) != groups or (end.text(2) and end.number(2) != sum(len(each.rows) for each in records)):
        raise end.refused("The file has another number of groups or records than it states.")
    if not accounts:
        raise end.refused("The file has no account.")
    return Statement(FileFormat.BAI2, tuple(accounts))


def _records(text: str) -> Iterator[_Record]:
    """The records with the lines that continue them."""
    first, code, rows = 0, "", list[str]()
    for number, raw in enumerate(text.split("\n"), 1):
        row = raw.strip()
        if not row:
            continue
        begun, _, rest = row.partition(",")
        if begun not in RECORDS or (not rows) != (begun == "01"):
            raise UnreadableFile("The line is no record of BAI2.", line=number, element=begun[:2])
        if begun != "88":
            if rows:
                yield _Record(first, code, rows, _fields(rows))
            first, code, rows = number, begun, []
        rows.append(rest)
    if rows:
        yield _Record(first, code, rows, _fields(rows))


def _fields(rows: Sequence[str]) -> Sequence[str]:
    """A line that ends with `/` ends a field. Any other goes on in the next line, and is text."""
    text = "".join(f"{row[:-1]}," if row.endswith("/") else f"{row} " for row in rows)
    return text[:-1].split(",")


def _group(records: Sequence[_Record], position: int) -> tuple[list[FileAccount], int, int]:
    """The accounts of the group at the position, the position after it, and its total."""
    begin = records[position]
    try:
        on = datetime.strptime(begin.text(3), "%y%m%d").date()  # noqa: DTZ007 (a day, without a time)
    except ValueError:
        raise begin.refused("The date of the group cannot be read.") from None
    currency = values.currency(begin.text(5)) or DEFAULT_CURRENCY
    accounts: list[FileAccount] = []
    total, first, position = 0, position, position + 1
    while position < len(records) and records[position].code == "03":
        account = _open_account(records[position], currency, on, begin.text(1))
        position += 1
        while position < len(records) and records[position].code == "16":
            _add_transaction(account, records[position])
            position += 1
        _close_account(account, records, position)
        accounts.append(_finished(account))
        total += account.total
        position += 1
    if position >= len(records) or records[position].code != "98":
        raise records[min(position, len(records) - 1)].refused(
            "The end of the group, a record 98, is missing."
        )
    end = records[position]
    _check_total(end, total)
    rows = sum(len(each.rows) for each in records[first : position + 1])
    if end.number(1) != len(accounts) or (end.text(2) and end.number(2) != rows):
        raise end.refused("The group has another number of accounts or records than it states.")
    return accounts, position + 1, total


def _open_account(record: _Record, currency: str, on: date, bank: str) -> _Account:
    if not record.text(0):
        raise record.refused("The number of the account is missing.")
    account = _Account(record, values.currency(record.text(1)) or currency, on, bank, rows=len(record.rows))
    # By line: some banks write a comma at the end of a line, and some do not.
    for index, row in enumerate(record.rows):
        line = replace(record, fields=row.removesuffix("/").split(","))
        position = 0 if index else 2
        end = max((place for place, each in enumerate(line.fields, 1) if each), default=0)
        while position < end:
            code, amount = line.text(position), line.number(position + 1)
            account.balances[code] = _decimal(amount, account.currency)
            account.total += amount
            position = _after_availability(line, position + 3)
    return account


def _after_availability(record: _Record, position: int) -> int:
    """The position after the kind of availability at the position and what that kind adds."""
    match record.text(position).upper():
        case "S":
            return position + 4
        case "V":
            return position + 3
        case "D":
            count = record.number(position + 1)
            # With a negative number the reader would go back, and never come to the end of the record.
            if count < 0:
                raise record.refused(UNREADABLE)
            return position + 2 + 2 * count
    return position + 1


def _add_transaction(account: _Account, record: _Record) -> None:
    code = record.text(0)
    amount = record.number(1)
    account.total += amount
    account.rows += len(record.rows)
    direction = _direction(code)
    if direction is None:  # no money moves, such as 890
        return
    rest = _after_availability(record, 2)
    # The text is the last field and is not quoted: its commas have split it.
    text = values.one_line(",".join(record.fields[rest + 2 :]))
    known = TypeCodes.get(code)
    references = (record.text(rest), record.text(rest + 1))
    account.transactions.append(
        FileTransaction(
            date=account.on,
            amount=_decimal(amount, account.currency) * direction,
            description=text or (known.description if known else "Transaction"),
            currency_code=account.currency,
            reference="//".join(filter(None, references)) or None,
            kind=code,
        )
    )


def _direction(code: str) -> int | None:
    """1 for money into the account, -1 for money out of it, None for neither. Codes from 900 are the bank's own."""
    known = TypeCodes.get(code)
    if known and known.transaction in {TypeCodeTransaction.credit, TypeCodeTransaction.debit}:
        return 1 if known.transaction is TypeCodeTransaction.credit else -1
    # BAI2 reserves these ranges for credits and the next for debits, so that a bank's own code still has a direction.
    if not known and (("100" <= code <= "399") or ("920" <= code <= "959")):
        return 1
    if not known and (("400" <= code <= "699") or ("960" <= code <= "999")):
        return -1
    return None


def _close_account(account: _Account, records: Sequence[_Record], position: int) -> None:
    if position >= len(records) or records[position].code != "49":
        last = records[min(position, len(records) - 1)]
        raise last.refused("The end of the account, a record 49, is missing: the file may be cut off.")
    end = records[position]
    account.rows += len(end.rows)
    _check_total(end, account.total)
    if end.text(1) and end.number(1) != account.rows:
        raise end.refused("The account has another number of records than it states.")


def _check_total(end: _Record, total: int) -> None:
    if end.text(0) and end.number(0) != total:
        raise end.refused("The total is not that of the records: the file was changed, or is cut off.")


def _finished(account: _Account) -> FileAccount:
    def balance(*codes: str) -> FileBalance | None:
        found = next((account.balances[code] for code in codes if code in account.balances), None)
        return None if found is None else FileBalance(found, account.on)

    return FileAccount(
        number=account.record.text(0).replace(" ", ""),
        routing_number=account.bank or None,
        bank=account.bank or None,
        currency_code=account.currency,
        opening=balance(OPENING_LEDGER),
        closing=balance(CLOSING_LEDGER, CURRENT_LEDGER),
        available=balance(CLOSING_AVAILABLE),
        transactions=tuple(account.transactions),
    )


def _decimal(amount: int, currency: str) -> Decimal:
    return Decimal(amount).scaleb(-DECIMALS.get(currency, 2))
