"""CAMT.052 and CAMT.053: reports and statements of ISO 20022, in any version.

Document / BkToCstmrStmt / Stmt / Acct, Bal, Ntry       and the same with BkToCstmrAcctRpt / Rpt
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
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
from coatcheck.connectors.statement_files.xml_tree import Element, parse_xml
from coatcheck.errors import UnreadableFile

STATEMENTS = ("BkToCstmrStmt/Stmt", "BkToCstmrAcctRpt/Rpt")
OPENING, CLOSING, AVAILABLE = ("OPBD", "PRCD"), ("CLBD",), ("CLAV", "ITAV")
INTERIM = "ITBD"
"""A balance during the day: the first of two is the opening one, the last the closing one."""
NO_REFERENCE = frozenset({"NOTPROVIDED", "NONREF", "NOREF", "UNKNOWN"})
DIRECTIONS: Mapping[str, int] = MappingProxyType({"CRDT": 1, "DBIT": -1})
PENDING = frozenset({"PDNG", "FUTR"})
DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
"""What a decimal of XML Schema can be written as."""


def read_camt(data: bytes) -> Statement:
    """Reads the file.

    Raises:
        UnreadableFile: it is not a statement or a report, or a part that is needed is missing or unusable.
    """
    root = parse_xml(data)
    statements = list(chain.from_iterable(root.find_all(path) for path in STATEMENTS))
    if not statements:
        raise root.refused("The file is no statement of an account: use CAMT.053 or CAMT.052.")
    return Statement(FileFormat.CAMT, tuple(_account(each) for each in statements))


def _account(statement: Element) -> FileAccount:
    account = _required(statement, "Acct")
    balances = _balances(statement)
    dated = sorted(balances.get(INTERIM, ()), key=lambda each: each.on)
    opening = _first(balances, OPENING) or (dated[0] if len(dated) > 1 else None)
    currency = values.currency(account.value("Ccy")) or _currency_of_amounts(statement)
    return FileAccount(
        number=account.value("Id/Othr/Id", "Id/PrtryAcct/Id", "Id/BBAN"),
        iban=account.value("Id/IBAN"),
        routing_number=account.value("Svcr/FinInstnId/ClrSysMmbId/MmbId"),
        bank=account.value("Svcr/FinInstnId/BICFI", "Svcr/FinInstnId/BIC", "Svcr/FinInstnId/Nm"),
        owner_name=account.value("Ownr/Nm", "Ownr/Pty/Nm"),
        name=account.value("Nm", "Tp/Prtry"),
        currency_code=currency,
        opening=opening,
        closing=_first(balances, CLOSING) or (dated[-1] if dated else None),
        available=_first(balances, AVAILABLE),
        transactions=tuple(_transactions(statement)),
    )


def _balances(statement: Element) -> Mapping[str, list[FileBalance]]:
    found: dict[str, list[FileBalance]] = {}
    for each in statement.find_all("Bal"):
        code = each.value("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry") or ""
        found.setdefault(code, []).append(FileBalance(_amount(each), _date(each, "Dt")))
    return found


def _first(balances: Mapping[str, list[FileBalance]], codes: tuple[str, ...]) -> FileBalance | None:
    return next((each for code in codes for each in balances.get(code, ())), None)


def _currency_of_amounts(statement: Element) -> str:
    amounts = chain(statement.find_all("Bal/Amt"), statement.find_all("Ntry/Amt"))
    return next(filter(None, (values.currency(each.attributes.get("Ccy")) for each in amounts)), NO_CURRENCY)


def _transactions(statement: Element) -> Iterator[FileTransaction]:
    for entry in statement.find_all("Ntry"):
        status = entry.value("Sts/Cd", "Sts/Prtry", "Sts") or "BOOK"
        if status == "INFO":  # not booked, and never will be
            continue
        detail = entry.find("NtryDtls/TxDtls")
        amount = _amount(entry)
        # Both are optional, and a pending entry is not booked yet.
        booked = "BookgDt" if entry.find("BookgDt") else "ValDt"
        reference = entry.value("AcctSvcrRef", "NtryRef")
        yield FileTransaction(
            date=_date(entry, booked),
            amount=amount,
            description=_description(entry, detail, amount),
            currency_code=values.currency(_required(entry, "Amt").attributes.get("Ccy")) or NO_CURRENCY,
            # Not `NtryRef`, which can be the position in the statement.
            bank_id=_given(entry.value("AcctSvcrRef")),
            reference=_given(reference) or _given(detail.value("Refs/EndToEndId") if detail else None),
            is_pending=status in PENDING,
            posted_at=_instant(entry.value(f"{booked}/DtTm")),
            memo=values.one_line(*(each.text for each in entry.find_all("NtryDtls/TxDtls/RmtInf/Ustrd")))
            or None,
            kind=_kind(entry),
        )


def _description(entry: Element, detail: Element | None, amount: Decimal) -> str:
    """The other party and what it wrote; else what the bank wrote; else the bank's code."""
    other = "Dbtr" if amount > 0 else "Cdtr"
    parts: list[str | None] = []
    if detail is not None:
        parts += [detail.value(f"RltdPties/{other}/Nm", f"RltdPties/{other}/Pty/Nm")]
        parts += [each.text for each in detail.find_all("RmtInf/Ustrd")]
        parts += [detail.value("RmtInf/Strd/CdtrRefInf/Ref")] if len(parts) == 1 else []
    own = entry.value("AddtlNtryInf", "NtryDtls/TxDtls/AddtlTxInf")
    return values.one_line(*parts) or values.one_line(own, None if own else _kind(entry)) or "Transaction"


def _kind(entry: Element) -> str | None:
    return entry.value("BkTxCd/Prtry/Cd", "BkTxCd/Domn/Fmly/SubFmlyCd")


def _given(reference: str | None) -> str | None:
    """The reference, unless it says that there is none."""
    return (
        reference if reference and reference.upper() not in NO_REFERENCE and reference.strip("0 ") else None
    )


def _amount(element: Element) -> Decimal:
    """The signed amount of an entry or a balance."""
    amount = _required(element, "Amt")
    direction = _required(element, "CdtDbtInd")
    if not DECIMAL.fullmatch(amount.text.strip()):
        raise amount.refused(
            "An amount cannot be read: it has another mark than a point before its decimals."
        )
    try:
        unsigned = values.amount(amount.text, ".")
    except ValueError as error:
        raise amount.refused(f"An amount cannot be read: {error}.") from None
    if direction.text.strip() not in DIRECTIONS:
        raise direction.refused("The direction must be CRDT or DBIT.")
    return unsigned * DIRECTIONS[direction.text.strip()]


def _date(element: Element, name: str) -> date:
    """The day, in the bank's zone: the date as it is written, whatever offset follows."""
    given = _required(element, name)
    try:
        return date.fromisoformat((given.value("Dt", "DtTm") or given.text.strip())[:10])
    except ValueError:
        raise given.refused("A date cannot be read.") from None


def _instant(text: str | None) -> datetime | None:
    """The instant, if the bank says its offset."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else None


def _required(element: Element, name: str) -> Element:
    found = element.find(name)
    if found is None:
        raise UnreadableFile(
            f"An element {name} is missing.", line=element.line, element=f"{element.path}/{name}"
        )
    return found
