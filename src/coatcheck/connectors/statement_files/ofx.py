"""OFX and QFX: version 1, which is SGML, and version 2, which is XML, by one tolerant reading.

In version 1, elements with a value need no closing tag. Banks mix both versions, so that a strict reader of either
refuses files that every other program reads. Of SGML and XML only tags, text and the predefined entities are read.
"""

import html
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

from coatcheck.connectors.statement_files import values
from coatcheck.connectors.statement_files.statement import (
    NO_CURRENCY,
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
    Statement,
)
from coatcheck.connectors.statement_files.xml_tree import MAX_DEPTH, MAX_ELEMENTS, Element
from coatcheck.errors import UnreadableFile

TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)\s*(/?)>([^<]*)")
CDATA, CDATA_END = "<![CDATA[", "]]>"
DATE_TIME = re.compile(
    r"(\d{8})(\d{6})(?:\.\d{1,6})?\s*\[([+-]?\d{1,2})(?:\.(\d{1,2}))?(?::[^\]]*)?\]", re.ASCII
)

ACCOUNT_TYPES: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "CHECKING": ("CHECKING", None),
        "SAVINGS": ("SAVINGS", None),
        "MONEYMRKT": ("SAVINGS", "MONEY_MARKET"),
        "CREDITLINE": ("LINE_OF_CREDIT", None),
        "CD": ("SAVINGS", "CERTIFICATE_OF_DEPOSIT"),
    }
)
"""MX's type and subtype for each ACCTTYPE."""
STATEMENTS: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "STMTRS": ("BANKACCTFROM", None),
        "CCSTMTRS": ("CCACCTFROM", "CREDIT_CARD"),
        "INVSTMTRS": ("INVACCTFROM", "INVESTMENT"),
    }
)
"""The element of the account in each kind of statement, and the account's type if the kind says it."""


def read_ofx(text: str) -> Statement:
    """Reads the file.

    Raises:
        UnreadableFile: it has no statement, or a part that is needed is missing or unusable.
    """
    root = _parse(text)
    bank = next((each.value("ORG", "FID") for each in _named(root, {"FI"})), None)
    statements = list(_named(root, set(STATEMENTS)))
    if not statements:
        raise root.refused("The file has no statement of an account.")
    accounts = tuple(_account(each, bank) for each in statements)
    warnings = (
        ["The file does not say its currency."]
        if any(a.currency_code == NO_CURRENCY for a in accounts)
        else []
    )
    return Statement(FileFormat.OFX, accounts, warnings)


def _parse(text: str) -> Element:
    """The element OFX.

    Raises:
        UnreadableFile: the elements do not fit together, are cut off, or there are too many of them.
    """
    body = _without_cdata(text)
    breaks = [match.start() for match in re.finditer("\n", body)]
    if declared := re.search(r"<!\s*(DOCTYPE|ENTITY)", body, re.IGNORECASE):
        raise UnreadableFile(
            "The file has a document type or entities, which a statement never has.",
            line=bisect_left(breaks, declared.start()) + 1,
            element=declared[1].upper(),
        )
    begin = re.search(r"<OFX>", body, re.IGNORECASE)
    if begin is None:
        raise UnreadableFile("The file has no element OFX.", line=1, element="OFX")
    tree = _Tree()
    for match in TAG.finditer(body, begin.start()):
        tree.add(match, bisect_left(breaks, match.start()) + 1)
    return tree.finished()


def _without_cdata(text: str) -> str:
    """The text with the content of each CDATA section escaped."""
    # Not by a regular expression: it would look for the end of each section that has none in all that follows.
    first, *others = text.split(CDATA)
    parts = [first]
    for each in others:
        content, end, rest = each.partition(CDATA_END)
        parts += [html.escape(content), rest] if end else [CDATA, each]
    return "".join(parts)


class _Tree:
    """Builds the tree from the tags of the file."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._root: Element | None = None
        self._count = 0
        self._line = 1

    def add(self, match: re.Match[str], line: int) -> None:
        closes, name, is_empty = match[1], match[2].upper(), match[3]
        self._line = line
        if closes:
            self._close(name, line)
            return
        if self._root is not None and not self._open:
            return  # what follows the end of OFX
        try:
            value = html.unescape(match[4]).strip()
        except ValueError:  # Python converts no number of thousands of digits
            raise UnreadableFile("A character reference is too long.", line=line, element=name) from None
        self._count += 1
        parent = self._open[-1] if self._open else None
        element = Element(name, line, parent, text=value)
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise UnreadableFile("The file has too many elements. Split it.", line=line, element=name)
        if parent is None:
            self._root = element
        else:
            parent.children.append(element)
        if not value and not is_empty:
            self._open.append(element)

    def _close(self, name: str, line: int) -> None:
        """Closes an element, and those in it that have no closing tag: they have no value, and no children."""
        if not any(each.name == name for each in self._open):
            if not self._open or not self._open[-1].children or self._open[-1].children[-1].name != name:
                raise UnreadableFile("An element is closed that is not open.", line=line, element=name)
            return  # the closing tag of an element with a value
        # An element without a value and a closing tag was taken for the parent of what follows it.
        while (element := self._open.pop()).name != name:
            for child in element.children:
                child.parent = element.parent
            self._open[-1].children += element.children
            element.children = []

    def finished(self) -> Element:
        if self._open or self._root is None:
            element = self._open[-1] if self._open else None
            raise UnreadableFile(
                "The file is cut off: an element is not closed.",
                line=self._line,
                element=element.path if element else "OFX",
            )
        return self._root


def _named(element: Element, names: set[str]) -> Iterator[Element]:
    """The elements with one of the names, anywhere below this one, in the order of the file."""
    waiting = [element]
    while waiting:
        each = waiting.pop()
        if each.name in names:
            yield each
        else:
            waiting += reversed(each.children)


def _account(statement: Element, bank: str | None) -> FileAccount:
    place, fixed_type = STATEMENTS[statement.name]
    account = statement.find(place)
    number = account.value("ACCTID") if account else None
    if account is None or number is None:
        missing = account or statement
        raise UnreadableFile(
            "The number of the account is missing.", line=missing.line, element=f"{missing.path}/ACCTID"
        )
    kind, subtype = ACCOUNT_TYPES.get((account.value("ACCTTYPE") or "").upper(), ("CHECKING", None))
    currency = values.currency(statement.value("CURDEF")) or NO_CURRENCY
    routing = account.value("BANKID")
    return FileAccount(
        number=number,
        routing_number=routing,
        bank=bank or routing or account.value("BROKERID"),
        currency_code=currency,
        type=fixed_type or kind,
        subtype=None if fixed_type else subtype,
        closing=_balance(statement, "LEDGERBAL"),
        available=_balance(statement, "AVAILBAL"),
        transactions=tuple(_transaction(each, currency) for each in _named(statement, {"STMTTRN"})),
    )


def _balance(statement: Element, name: str) -> FileBalance | None:
    balance = statement.find(name)
    if balance is None or balance.value("BALAMT") is None:
        return None
    day = _needed(balance, "DTASOF")
    if not day.text.strip("0"):  # some banks write no date so
        return None
    try:
        return FileBalance(_amount(balance, "BALAMT"), values.compact_date(day.text))
    except ValueError:
        raise day.refused("A date cannot be read.") from None


def _transaction(entry: Element, currency: str) -> FileTransaction:
    posted = _needed(entry, "DTPOSTED")
    try:
        day = values.compact_date(posted.text)
    except ValueError:
        raise posted.refused("A date cannot be read.") from None
    name, memo = entry.value("NAME", "PAYEE/NAME"), entry.value("MEMO")
    return FileTransaction(
        date=day,
        amount=_amount(entry, "TRNAMT"),
        description=values.one_line(name)
        or values.one_line(memo)
        or (entry.value("TRNTYPE") or "Transaction"),
        currency_code=values.currency(entry.value("CURRENCY/CURSYM")) or currency,
        bank_id=entry.value("FITID"),
        reference=entry.value("REFNUM"),
        posted_at=_instant(posted.text),
        transacted_at=_instant(entry.value("DTUSER") or ""),
        memo=memo,
        check_number=entry.value("CHECKNUM", "CHKNUM"),
        kind=(entry.value("TRNTYPE") or "").upper() or None,
    )


def _amount(element: Element, name: str) -> Decimal:
    given = _needed(element, name)
    try:
        return values.amount(given.text)
    except ValueError as error:
        raise given.refused(f"An amount cannot be read: {error}.") from None


def _instant(text: str) -> datetime | None:
    """The instant, if the bank says its offset: `20261126120000.000[-5:EST]`."""
    match = DATE_TIME.match(text)
    if match is None:
        return None
    minutes = _minutes(match[4] or "")
    offset = timedelta(hours=int(match[3]), minutes=-minutes if match[3].startswith("-") else minutes)
    try:
        return datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S").replace(tzinfo=timezone(offset))
    except ValueError:
        return None


def _minutes(fraction: str) -> int:
    """Minutes of the fraction of an hour: `5` and `50` are half of one (OFX 2.3, 3.2.8.2). Some banks write minutes."""
    if len(fraction) == 1 or fraction in {"25", "50", "75"}:
        return int(fraction.ljust(2, "0")) * 60 // 100
    return int(fraction or 0)


def _needed(element: Element, name: str) -> Element:
    found = element.find(name)
    if found is None or not found.text:
        raise UnreadableFile(
            f"An element {name} is missing or empty.", line=element.line, element=f"{element.path}/{name}"
        )
    return found
