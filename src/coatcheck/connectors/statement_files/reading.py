"""Reads a statement file of any format: the format is found in the content, whatever the file is called."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from coatcheck.connectors.statement_files.bai2 import read_bai2
from coatcheck.connectors.statement_files.camt import read_camt
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.connectors.statement_files.csv_table import header_of, read_csv
from coatcheck.connectors.statement_files.encoding import EXPORTS, text_of
from coatcheck.connectors.statement_files.mt940 import read_mt940
from coatcheck.connectors.statement_files.ofx import read_ofx
from coatcheck.connectors.statement_files.statement import (
    MAX_ACCOUNTS,
    MAX_TRANSACTIONS,
    TOO_MANY,
    FileAccount,
    FileBalance,
    FileFormat,
    Statement,
)
from coatcheck.errors import UnreadableFile

HEAD = 4096
"""The bytes or characters in which a format must show itself."""
XML_HEAD = re.compile(rb"^\s*(?:(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)\s*)?<\s*[?!\w]")
OFX_HEAD = re.compile(r"<OFX>|OFXHEADER", re.IGNORECASE)
MT940_HEAD = re.compile(r"^(?::20:|\{1:F)", re.MULTILINE)
BAI2_HEAD = re.compile(r"\A\s*01,")
QIF_HEAD = re.compile(r"\A\s*!(?:Type|Account|Option|Clear)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReadFile:
    statement: Statement
    mapping: CsvMapping | None = None
    """How a CSV file was read."""
    header: Sequence[str] = ()
    """The header of a CSV file, by which its mapping is remembered."""


def read_statement_file(data: bytes, mapping: CsvMapping | None = None) -> ReadFile:
    """Reads the whole file.

    Args:
        data: the file. Its caller limits its size.
        mapping: how to read a CSV file. Ignored for any other format.

    Raises:
        UnreadableFile: it is in none of the formats, or cannot be read to its end.
    """
    if not data.strip():
        raise UnreadableFile("The file is empty.", line=1)
    # Before the text: an XML document names its own character set.
    if _is_camt(data):
        return ReadFile(_checked(read_camt(data)))
    text, warning = text_of(data)
    head = text[:HEAD]
    used: CsvMapping | None = None
    header: Sequence[str] = ()
    if OFX_HEAD.search(head):
        statement = read_ofx(text)
    elif MT940_HEAD.search(head):
        statement = read_mt940(text)
    elif BAI2_HEAD.search(head):
        statement = read_bai2(text)
    elif QIF_HEAD.search(head):
        raise UnreadableFile(f"The file is QIF. Export the statement as {EXPORTS} instead.", line=1)
    else:
        # The last: nearly any text is a table of some kind.
        statement, used = read_csv(text, mapping)
        header = header_of(text) if used.has_header else ()
    if warning:
        statement = replace(statement, warnings=[*statement.warnings, warning])
    return ReadFile(_checked(statement), used, header)


def csv_header(data: bytes) -> Sequence[str]:
    """The header of a CSV file; empty for any other file, and for one that cannot be read."""
    with suppress(UnreadableFile):
        if data.strip() and not _is_camt(data):
            # The whole file: a part of it can end within a character or a quoted cell.
            text, _ = text_of(data)
            if not any(mark.search(text[:HEAD]) for mark in (OFX_HEAD, MT940_HEAD, BAI2_HEAD, QIF_HEAD)):
                return header_of(text)
    return ()


def _is_camt(data: bytes) -> bool:
    """Whether it is XML, but not OFX."""
    head = data[:HEAD].replace(b"\0", b"")  # of UTF-16
    return bool(XML_HEAD.match(head)) and not OFX_HEAD.search(head.decode("latin-1"))


def _checked(statement: Statement) -> Statement:
    """The statement with one record for each account, and a warning for balances that do not add up."""
    if sum(len(each.transactions) for each in statement.accounts) > MAX_TRANSACTIONS:
        raise UnreadableFile(TOO_MANY, line=1)
    accounts = tuple(_merged(statement.accounts))
    if len(accounts) > MAX_ACCOUNTS:
        raise UnreadableFile(f"The file has more than {MAX_ACCOUNTS:,} accounts. Split it.", line=1)
    missed = [*_missed(statement)]
    return replace(statement, accounts=accounts, warnings=[*statement.warnings, *missed])


def _missed(statement: Statement) -> Iterator[str]:
    count = sum(1 for each in statement.accounts if each.difference != Decimal(0))
    if count and statement.format is not FileFormat.CSV:
        yield (
            f"In {count} of {len(statement.accounts)} statements the transactions do not add up to the balances: "
            "the bank left some out, or the file was changed."
        )


def _merged(accounts: Sequence[FileAccount]) -> Iterator[FileAccount]:
    """The accounts, each once. A file can have a statement for each day of an account."""
    by_key: dict[tuple[str, str], list[FileAccount]] = {}
    for each in accounts:
        by_key.setdefault(each.identity, []).append(each)
    for statements in by_key.values():
        once = _without_copies(statements)
        yield once[0] if len(once) == 1 else _one(once)


def _without_copies(statements: Sequence[FileAccount]) -> Sequence[FileAccount]:
    """The statements without copies of one. A balance that a statement changes is not what it was before."""
    found, seen = list[FileAccount](), set[FileAccount]()
    for each in statements:
        changes = each.opening and each.closing and each.opening.amount != each.closing.amount
        if not changes or each not in seen:
            found.append(each)
        seen.add(each)
    return found


def _one(statements: Sequence[FileAccount]) -> FileAccount:
    return replace(
        statements[-1],
        opening=min((each.opening for each in statements if each.opening), key=_day, default=None),
        # The last of the newest day: a statement of several pages states a balance at the end of each.
        closing=max((each.closing for each in reversed(statements) if each.closing), key=_day, default=None),
        available=max(
            (each.available for each in reversed(statements) if each.available), key=_day, default=None
        ),
        transactions=tuple(each for one in statements for each in one.transactions),
    )


def _day(balance: FileBalance) -> date:
    return balance.on
