"""MT940 and MT942: statements and interim reports of SWIFT, read by the library `mt-940`.

The library reads one message at a time here, so that an error names a line and two accounts are not mixed.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import mt940
from mt940.models import Amount, Balance, Transactions

from coatcheck.connectors.statement_files import values
from coatcheck.connectors.statement_files.statement import (
    NO_CURRENCY,
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
    Statement,
)
from coatcheck.errors import UnreadableFile

# The library logs what it cannot read, which may be an account number.
logging.getLogger("mt940").setLevel(logging.CRITICAL)

BANK = re.compile(r"\{1:F\d\d([A-Z]{6}[A-Z0-9]{2})", re.ASCII)
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", re.ASCII)
ACCOUNT = re.compile(
    r"/?(?:(?P<bank>[^/]+)/)?(?P<number>[^/]*\d[^/]*?)(?:/?(?P<currency>(?<=[\d/])[A-Z]{3}))?", re.ASCII
)
"""`:25:`: the number or IBAN, which can have a bank code before it and a currency after it."""
NO_REFERENCE = frozenset({"", "NONREF", "NOREF"})
FORMS = (mt940.tags.Statement(), mt940.tags.StatementASNB(), mt940.tags.StatementGLS())
"""The forms of `:61:`: that of SWIFT, and those of banks with longer references."""
CUT = re.compile(r"^:\n(?=(?:\d\d[A-Z]?|NS):)", re.ASCII | re.MULTILINE)
"""The first colon of a field, where a bank that cuts its lines to a width leaves it on the line before."""
BALANCE = re.compile(r"^(:6[0-5][FM]?:[CD]\d{6})([A-Z]{3})?(?=\d)", re.ASCII | re.MULTILINE)
"""A balance up to its currency, which some files leave out."""
FIELD = re.compile(r"^:6(?:[0245][FM]?|1):", re.MULTILINE)
"""A balance or a transaction."""
AMOUNT = re.compile(
    r"(:6(?:[0245][FM]?:[CD]\d{6}[A-Z]{3}|(1):\d{6}(?:\d{4}|\s{4})?[A-Z]?[CD][A-Z]?[\n ]?))([\d,]+)"
    r"[ \t]*(?(2)(?=[A-Za-z]|$)|$)",
    re.ASCII | re.MULTILINE,
)
"""Such a field up to its amount, and the amount. Only a transaction has more, which begins with a letter."""
KIND = re.compile(r"[A-Z][A-Z0-9 ]{3}", re.ASCII | re.IGNORECASE)
ANY_KIND = "NMSC"
"""SWIFT's code of a transaction of any other kind."""
LEADING_ZEROS = re.compile(r"^0+(?=\d)", re.ASCII)
MAX_AMOUNT = 15  # characters
FIRST_YEAR = 1980
"""SWIFT has two digits for a year: 80 is 1980, and 79 is 2079."""
OPENING = ("final_opening_balance", "intermediate_opening_balance", "opening_balance")
CLOSING = ("final_closing_balance", "intermediate_closing_balance", "closing_balance")


@dataclass(frozen=True, slots=True)
class _Message:
    """One message: from `:20:` to the line with its end."""

    line: int
    text: str
    bank: str | None

    def line_of(self, part: str) -> int:
        """The line of the file on which the first line of a part stands."""
        index = self.text.find(part.strip().partition("\n")[0])
        return self.line + self.text.count("\n", 0, max(index, 0))

    def refused(self, problem: str, tag: str) -> UnreadableFile:
        return UnreadableFile(problem, line=self.line_of(f":{tag}"), element=f":{tag}:")


def read_mt940(text: str) -> Statement:
    """Reads the file.

    Raises:
        UnreadableFile: it has no message, or a part that is needed is missing or unusable.
    """
    messages = tuple(_messages(CUT.sub(r"\n:", text)))
    if not messages:
        raise UnreadableFile("The file has no message that begins with :20:.", line=1, element=":20:")
    return Statement(FileFormat.MT940, tuple(_account(each) for each in messages))


def _messages(text: str) -> Iterator[_Message]:
    first, lines, bank = 0, list[str](), None
    for number, line in enumerate(text.split("\n"), 1):
        begins, ends = line.startswith(":20:"), line.strip() in {"-", "-}"} or line.startswith("-}")
        if lines and (begins or ends):
            yield _Message(first, "\n".join(lines), bank)
            lines = []
        if match := BANK.search(line):
            bank = match[1]
        if begins or (lines and not ends):
            first = number if begins else first
            lines.append(line)
    if lines:
        yield _Message(first, "\n".join(lines), bank)


def _account(message: _Message) -> FileAccount:
    parsed = _parse(message)
    data: Mapping[str, Any] = parsed.data
    account = ACCOUNT.fullmatch((data.get("account_identification") or "").strip())
    if account is None:
        raise message.refused("The account is missing.", "25")
    opening, closing = _balance(data, OPENING), _balance(data, CLOSING)
    if opening and closing is None:
        raise message.refused("The closing balance is missing: the file may be cut off.", "62F")
    if opening is None and not len(parsed):
        raise message.refused("The message has neither a balance nor a transaction.", "60F")
    number = account["number"].replace(" ", "")
    currency = values.currency(parsed.currency) or values.currency(account["currency"]) or NO_CURRENCY
    return FileAccount(
        number=None if IBAN.fullmatch(number) else number,
        iban=number if IBAN.fullmatch(number) else None,
        bank=account["bank"] or message.bank,
        currency_code=currency,
        opening=opening,
        closing=closing,
        available=_balance(data, ("available_balance",)),
        transactions=tuple(_transaction(each.data, currency, message) for each in parsed),
    )


def _parse(message: _Message) -> Transactions:
    """The message as the library reads it, with the first form of `:61:` that fits."""
    text = _with_whole_amounts(message)
    unread: list[RuntimeError] = []
    for form in FORMS:
        try:
            return _parse_as(message, text, form)
        except RuntimeError as error:
            unread.append(error)
            # Only another form of `:61:` can help. An error in any other field is the same with every form.
            if _tag(error) != form.id:
                break
    # The library gives its message, the tag and the value that it could not read.
    raise UnreadableFile(
        "A field of the message cannot be read.",
        line=message.line_of(str(unread[0].args[-1])),
        element=f":{_tag(unread[0])}:",
    )


def _with_whole_amounts(message: _Message) -> str:
    """The text as the library reads it whole: of `1.500,00` it would read 1, and of many zeros the first sixteen.

    It would also put a transaction in the place of the one before, if that has no code of its kind.

    Raises:
        UnreadableFile: an amount has another mark than the comma before its decimals, or too many digits.
    """
    text, parts, end = _with_currencies(message.text), list[str](), 0
    for field in FIELD.finditer(text):
        match = AMOUNT.match(text, field.start())
        amount = LEADING_ZEROS.sub("", match[3]) if match else ""
        if match is None or len(amount) > MAX_AMOUNT or amount.count(",") > 1:
            line = message.line + text.count("\n", 0, field.start())
            problem = "An amount cannot be read: its decimals are after a comma, and it has no other mark."
            raise UnreadableFile(problem, line=line, element=field[0])
        kind = ANY_KIND if match[2] and not KIND.match(text, match.end()) else ""
        parts += [text[end : match.start(3)], amount, kind]
        end = match.end()
    return "".join([*parts, text[end:]])


def _parse_as(message: _Message, text: str, form: mt940.tags.Statement) -> Transactions:
    # Not mt940.parse(): given text that names a file of this machine, it reads that file.
    transactions = Transactions(tags={form.id: form}, options=mt940.Options.all())
    try:
        transactions.parse(text)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise UnreadableFile(
            "A date or an amount of the message cannot be read.", line=message.line
        ) from None
    return transactions


def _with_currencies(text: str) -> str:
    """The text with the currency of the message's first balance where a balance has none.

    The library would take the first three digits of the amount for the currency.
    """
    known = next((match[2] for match in BALANCE.finditer(text) if match[2]), NO_CURRENCY)
    return BALANCE.sub(lambda match: f"{match[1]}{match[2] or known}", text)


def _tag(error: RuntimeError) -> str | int:
    return error.args[1].id if len(error.args) > 1 else ""


def _balance(data: Mapping[str, Any], names: tuple[str, ...]) -> FileBalance | None:
    found = next((data[name] for name in names if name in data), None)
    if not (isinstance(found, Balance) and isinstance(found.amount, Amount) and found.date):
        return None
    return FileBalance(_decimal(found.amount), _day(found.date))


def _transaction(data: Mapping[str, Any], currency: str, message: _Message) -> FileTransaction:
    amount, booked = data.get("amount"), data.get("entry_date") or data.get("date")
    if not isinstance(amount, Amount) or not isinstance(booked, date):
        raise message.refused("A transaction has no amount or no date.", "61")
    references = (data.get("customer_reference"), data.get("bank_reference"))
    details = values.one_line(data.get("transaction_details"))
    return FileTransaction(
        date=_day(booked),
        amount=_decimal(amount),
        description=values.one_line(data.get("applicant_name"), data.get("purpose"))
        or details
        or values.one_line(data.get("extra_details"))
        or values.one_line(data.get("posting_text"))
        or "Transaction",
        currency_code=values.currency(amount.currency) or currency,
        reference="//".join(each for each in references if (each or "").strip() not in NO_REFERENCE and each)
        or None,
        memo=details or None,
        kind=data.get("id"),
    )


def _decimal(amount: Amount) -> Decimal:
    return Decimal(amount.amount)


def _day(day: date) -> date:
    """A plain date in place of the library's own kind, for which every year is one of this century."""
    return date(day.year - 100 if day.year >= FIRST_YEAR + 100 else day.year, day.month, day.day)
