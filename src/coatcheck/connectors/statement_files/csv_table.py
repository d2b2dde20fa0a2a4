"""CSV: a table whose columns a mapping explains. The fallback for banks that offer nothing better."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from coatcheck.connectors.statement_files import values
from coatcheck.connectors.statement_files.csv_mapping import (
    DIRECTIONS,
    MOST_PREAMBLE_ROWS,
    CsvMapping,
    folded,
    guess_columns,
    guess_date_format,
    guess_decimal_mark,
    guess_delimiter,
    parse_date,
)
from coatcheck.connectors.statement_files.statement import (
    MAX_TRANSACTIONS,
    NO_CURRENCY,
    TOO_MANY,
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
    Statement,
)
from coatcheck.errors import UnreadableFile

AMBIGUOUS_DATES = (
    "The dates can be read in two ways: check them, and send `date_format` in `mapping` if they are wrong."
)
NO_ACCOUNT = (
    "The file names no account. Send `account` in `mapping`, or all such files are imported into one account."
)
LONGEST_AMOUNT = 100
"""Characters of a cell with an amount, with its currency and spaces. `CODE` takes the square of them."""
NOT_ZERO = re.compile("[1-9]")
SIGNED = re.compile(r"[-\u2212(]")
CODE = re.compile(r"^(?:[A-Z]{3}|[$€£¥])\s*|\s*(?:[A-Z]{3}|[$€£¥])$")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Table:
    rows: Sequence[_Row]
    positions: Mapping[str, int]

    def cell(self, row: _Row, column: str) -> str:
        """The text of a column; empty if the file does not have the column."""
        position = self.positions.get(column)
        return "" if position is None or position >= len(row.cells) else row.cells[position].strip()


def header_of(text: str) -> Sequence[str]:
    """The row by which a mapping is remembered: the header, or the longest row if no header is recognised.

    Raises:
        UnreadableFile: the file is not a table.
    """
    return _header(_rows(text, guess_delimiter(text)))


def read_csv(text: str, given: CsvMapping | None = None) -> tuple[Statement, CsvMapping]:
    """Reads the file, and returns the mapping by which it was read.

    Args:
        text: the file.
        given: how to read it. None: guessed.

    Raises:
        UnreadableFile: it is not a table, the columns are not recognised or not there, or a value cannot be read.
            If it is a table, the error has its headers.
    """
    delimiter = given.delimiter if given else guess_delimiter(text)
    rows = _rows(text, delimiter)
    try:
        return _read(rows, delimiter, given)
    except UnreadableFile as error:
        # Whoever is asked for a mapping is shown these to choose from.
        error.columns = _header(rows)
        raise


def _header(rows: Sequence[_Row]) -> Sequence[str]:
    first = rows[:MOST_PREAMBLE_ROWS]
    longest = max(first, key=lambda row: len(row.cells))
    header = next((row for row in first if guess_columns(row.cells)), longest)
    return tuple(cell.strip() for cell in header.cells)


def _read(rows: Sequence[_Row], delimiter: str, given: CsvMapping | None) -> tuple[Statement, CsvMapping]:
    table, columns = _mapped(rows, given) if given else _guessed(rows)
    mapping = replace(given or CsvMapping({}, delimiter), columns=columns)
    if not table.rows:
        raise UnreadableFile("The file has no transaction.", line=rows[-1].line, element="date")
    warnings: list[str] = []
    if mapping.decimal_mark is None:
        names = ("amount", "debit", "credit", "balance")
        amounts = {text for row in table.rows for name in names if (text := table.cell(row, name))}
        mapping = replace(mapping, decimal_mark=guess_decimal_mark(amounts))
    if mapping.date_format is None:
        dates: dict[str, int] = {}
        for row in table.rows:
            if text := table.cell(row, "date"):
                dates.setdefault(text, row.line)
        form, is_ambiguous = guess_date_format(dates, day_first=mapping.decimal_mark == ",")
        mapping = replace(mapping, date_format=form)
        warnings += [AMBIGUOUS_DATES] if is_ambiguous else []
    accounts = tuple(_accounts(table, mapping))
    if not any(each.number or each.name for each in accounts):
        warnings.append(NO_ACCOUNT)
    return Statement(FileFormat.CSV, accounts, warnings), mapping


def _rows(text: str, delimiter: str) -> Sequence[_Row]:
    """The rows that are not empty.

    Raises:
        UnreadableFile: the file is not a table, or a quotation mark is missing.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        # `line_num` counts lines, not rows: a quoted cell can have several.
        rows = [_Row(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UnreadableFile(f"The table cannot be read: {error}.", line=reader.line_num) from None
    if len(rows) > MAX_TRANSACTIONS + MOST_PREAMBLE_ROWS:
        raise UnreadableFile(TOO_MANY, line=1)
    if max((len(row.cells) for row in rows), default=0) < 2:
        raise UnreadableFile("The file is in none of the formats OFX, CAMT, MT940, BAI2 and CSV.", line=1)
    return rows


def _guessed(rows: Sequence[_Row]) -> tuple[_Table, Mapping[str, str]]:
    for index, row in enumerate(rows[:MOST_PREAMBLE_ROWS]):
        if columns := guess_columns(row.cells):
            table = _table(row, rows[index + 1 :], columns)
            if "direction" in columns and not _says_directions(table):
                columns = {name: header for name, header in columns.items() if name != "direction"}
                table = _table(row, rows[index + 1 :], columns)
            return table, columns
    raise UnreadableFile(
        "The columns of the table were not recognised: send `mapping`.", line=rows[0].line, element="columns"
    )


def _says_directions(table: _Table) -> bool:
    """Whether the column that was taken for the direction has one for each amount.

    Raises:
        UnreadableFile: a direction contradicts its sign in a file with signs, or some amounts have neither.
    """
    rows = [row for row in table.rows if NOT_ZERO.search(table.cell(row, "amount"))]
    directions = [_direction(table, row) for row in rows]
    signs = [-1 if SIGNED.search(table.cell(row, "amount")) else 1 for row in rows]
    if not any(directions):
        return False
    has_signs = -1 in signs
    for row, direction, sign in zip(rows, directions, signs, strict=True):
        if direction not in {None, sign} if has_signs else direction is None:
            problem = "The amount is not clear: send `mapping`, without `direction` if the signs of the amounts say it."
            raise UnreadableFile(problem, line=row.line, element="direction")
    return None not in directions


def _direction(table: _Table, row: _Row) -> int | None:
    return DIRECTIONS.get(folded(table.cell(row, "direction")[:LONGEST_AMOUNT]))


def _mapped(rows: Sequence[_Row], mapping: CsvMapping) -> tuple[_Table, Mapping[str, str]]:
    if not mapping.has_header:
        return _Table(
            rows, {name: int(number) - 1 for name, number in mapping.columns.items()}
        ), mapping.columns
    # The header is searched for: banks write the account and the period above it.
    wanted = {header.strip() for header in mapping.columns.values()}
    for index, row in enumerate(rows[:MOST_PREAMBLE_ROWS]):
        if wanted <= {cell.strip() for cell in row.cells}:
            return _table(row, rows[index + 1 :], mapping.columns), mapping.columns
    raise UnreadableFile(
        "The file has no row with every header of `mapping`.", line=rows[0].line, element="columns"
    )


def _table(header: _Row, rows: Sequence[_Row], columns: Mapping[str, str]) -> _Table:
    names = [cell.strip() for cell in header.cells]
    return _Table(rows, {name: names.index(text.strip()) for name, text in columns.items()})


def _accounts(table: _Table, mapping: CsvMapping) -> Iterator[FileAccount]:
    """One account for each account number in the table."""
    by_number: dict[str, list[_Row]] = {}
    for row in table.rows:
        by_number.setdefault(table.cell(row, "account_number"), []).append(row)
    described = mapping.account
    for number, rows in by_number.items():
        transactions = tuple(each for row in rows if (each := _transaction(table, row, mapping)))
        currency = described.currency_code or next((t.currency_code for t in transactions), NO_CURRENCY)
        yield FileAccount(
            number=(number or described.number or "").replace(" ", "") or None,
            routing_number=described.routing_number,
            name=described.name,
            type=described.type or "CHECKING",
            currency_code=currency,
            closing=_closing(table, rows, mapping),
            transactions=transactions,
        )


def _transaction(table: _Table, row: _Row, mapping: CsvMapping) -> FileTransaction | None:
    """None for a row without a date and without an amount, such as a total."""
    amount = _signed(table, row, mapping)
    if amount is None and not table.cell(row, "date"):
        return None
    if amount is None:
        raise UnreadableFile("The row has no amount.", line=row.line, element="amount")
    currency = values.currency(table.cell(row, "currency")) or mapping.account.currency_code or NO_CURRENCY
    memo = values.one_line(table.cell(row, "memo"))
    return FileTransaction(
        date=_date(table, row, mapping),
        amount=amount,
        description=values.one_line(table.cell(row, "description")) or memo or "Transaction",
        currency_code=currency,
        bank_id=table.cell(row, "id") or None,
        memo=memo or None,
    )


def _signed(table: _Table, row: _Row, mapping: CsvMapping) -> Decimal | None:
    sign = -1 if mapping.is_inverted else 1
    if (amount := _amount(table, row, "amount", mapping)) is not None:
        if "direction" not in table.positions:
            return amount * sign
        if (direction := _direction(table, row)) is None:
            raise UnreadableFile(
                "The direction is neither debit nor credit.", line=row.line, element="direction"
            )
        return abs(amount) * direction * sign
    credit, debit = (_amount(table, row, name, mapping) for name in ("credit", "debit"))
    if credit is None and debit is None:
        return None
    # Banks write money out in its own column with and without a sign.
    return (abs(credit or Decimal(0)) - abs(debit or Decimal(0))) * sign


def _amount(table: _Table, row: _Row, column: str, mapping: CsvMapping) -> Decimal | None:
    cell = table.cell(row, column)
    if len(cell) > LONGEST_AMOUNT:
        raise UnreadableFile("An amount is too long.", line=row.line, element=column)
    text = CODE.sub("", cell)
    if not text:
        return None
    is_negative = (text.startswith("(") and text.endswith(")")) or text.endswith("-")
    text = CODE.sub("", text.strip("()").rstrip("-"))
    if text.startswith("-$"):
        text = f"-{text[2:]}"
    try:
        amount = values.amount(text, mapping.decimal_mark)
    except ValueError as error:
        raise UnreadableFile(f"An amount cannot be read: {error}.", line=row.line, element=column) from None
    return -amount if is_negative else amount


def _date(table: _Table, row: _Row, mapping: CsvMapping) -> date:
    try:
        return parse_date(table.cell(row, "date"), mapping.date_format or "%Y-%m-%d")
    except ValueError:
        raise UnreadableFile("A date cannot be read.", line=row.line, element="date") from None


def _closing(table: _Table, rows: Sequence[_Row], mapping: CsvMapping) -> FileBalance | None:
    """The balance of the newest day: of its last row, or of its first if the newest rows are first."""
    known = [row for row in rows if table.cell(row, "balance") and table.cell(row, "date")]
    if not known:
        return None
    days = [_date(table, row, mapping) for row in known]
    newest = 0 if days[0] > days[-1] else len(known) - 1
    amount = _amount(table, known[newest], "balance", mapping)
    return None if amount is None else FileBalance(amount, days[newest])
