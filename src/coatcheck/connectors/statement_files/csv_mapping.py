"""How the columns of a CSV file are to be read: given by the caller, or guessed from the header and the values."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType

from coatcheck.errors import UnreadableFile

COLUMN_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "date": (
            "booking date", "posting date", "posted date", "post date", "transaction date", "date posted",
            "completed date", "buchungstag", "buchungsdatum", "boekdatum", "fecha operacion",
            "date operation", "date de comptabilisation", "date", "datum", "fecha", "data",
        ),
        "amount": ("amount", "transaction amount", "betrag", "umsatz", "montant", "importe", "bedrag", "valor"),
        "debit": ("debit", "debit amount", "withdrawal", "withdrawals", "money out", "paid out", "soll", "cargo"),
        "credit": ("credit", "credit amount", "deposit", "deposits", "money in", "paid in", "haben", "abono"),
        "description": (
            "description", "transaction description", "details", "narrative", "payee", "name", "merchant",
            "verwendungszweck", "buchungstext", "libelle", "concepto", "descripcion", "omschrijving",
        ),
        "direction": (
            "credit debit indicator", "credit debit", "debit credit", "dr cr", "cr dr", "af bij", "soll haben",
            "transaction type", "type",
        ),
        "memo": ("memo", "notes", "note", "additional information", "mededelingen"),
        "balance": ("balance", "running balance", "saldo", "kontostand", "solde"),
        "currency": ("currency", "ccy", "wahrung", "devise", "moneda", "valuta"),
        "id": ("transaction id", "id", "reference id", "fitid", "unique id"),
        "account_number": ("account number", "account", "iban", "kontonummer", "auftragskonto", "rekening", "cuenta"),
    }
)  # fmt: skip
"""The headers of each column, from the most to the least exact, without case and accents."""
DIRECTIONS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(
            ("debit", "dr", "d", "dbit", "withdrawal", "money out", "af", "soll", "s", "cargo"), -1
        ),
        **dict.fromkeys(
            ("credit", "cr", "c", "crdt", "deposit", "money in", "bij", "haben", "h", "abono"), 1
        ),
    }
)
"""What a column says beside amounts without a sign: -1 for money out of the account."""
TIME = re.compile(
    r",?(?:T| +)\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[ap]\.?m\.?)?(?: ?(?:[A-Z]{1,4}|[+-]\d{2}:?\d{2}))?\Z",
    re.ASCII | re.IGNORECASE,
)
"""A time after a date. The day is that of the bank, whatever offset follows."""
DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y",
    "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y",
)  # fmt: skip
LONGEST_DATE = 100
"""Characters. The dates that were read are kept."""
MARKS: Mapping[str, str] = MappingProxyType({".": ",", ",": "."})
"""The marks of an amount, each with the one before the decimals where it separates thousands."""
NUMBER = re.compile(r"[.,]?\d(?:[\d.,' \u00a0\u202f]*[\d.,])?", re.ASCII)
TWO_WAYS = re.compile(r"(?!0[.,])\d{1,3}(?:[' \u00a0\u202f]\d{3})*[.,]\d{3}", re.ASCII)
"""A number whose only mark is followed by three digits, unless that mark cannot separate thousands, as in 0.250."""
DELIMITERS = ",;\t|"
MOST_PREAMBLE_ROWS = 30


@dataclass(frozen=True, slots=True)
class MappedAccount:
    """What the user says of an account that the file does not describe."""

    name: str | None = None
    number: str | None = field(default=None, repr=False)
    routing_number: str | None = None
    currency_code: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """How a CSV file is read. `columns` has the header of each column, or its number from 1 in a file without."""

    columns: Mapping[str, str]
    delimiter: str = ","
    decimal_mark: str | None = None
    """None: found in the amounts and balances of the file."""
    date_format: str | None = None
    """As Python's `strptime` reads it. None: guessed from the values."""
    has_header: bool = True
    is_inverted: bool = False
    """Whether a positive amount is money out, as in the files of some card issuers."""
    account: MappedAccount = field(default_factory=MappedAccount)


def folded(text: str) -> str:
    """The text in lower case, without accents and with single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(
        re.sub(r"[^\w\s]|_", " ", "".join(c for c in plain if not unicodedata.combining(c))).split()
    )


def guess_columns(header: Sequence[str]) -> Mapping[str, str]:
    """The headers of the columns that are recognised; empty unless there is a date and an amount."""
    # Reversed, so that of two equal headers the first one counts.
    by_word = {folded(name): name for name in reversed(header) if name.strip()}
    found = {
        column: by_word[word]
        for column, words in COLUMN_WORDS.items()
        if (word := next((each for each in words if each in by_word), None)) is not None
    }
    has_amount = "amount" in found or {"debit", "credit"} & found.keys()
    return found if "date" in found and has_amount else {}


def guess_delimiter(text: str) -> str:
    """The delimiter that the first lines have most often."""
    head = "\n".join(text.split("\n")[:MOST_PREAMBLE_ROWS])
    return max(DELIMITERS, key=head.count)


def guess_date_format(lines: Mapping[str, int], *, day_first: bool) -> tuple[str, bool]:
    """The format of every date, and whether another one fits too.

    Args:
        lines: the dates as they are written, each with the first line that has it.
        day_first: what 03/04 means if the values do not show it.

    Raises:
        UnreadableFile: no format fits every value.
    """
    fitting = [each for each in DATE_FORMATS if all(_fits(value, each) for value in lines)]
    if not fitting:
        # One bad date among good ones is the usual case: its line is named. Of two, the first one counts as good.
        fits = {form: [_fits(value, form) for value in lines] for form in DATE_FORMATS}
        nearest = max(DATE_FORMATS, key=lambda each: (sum(fits[each]), fits[each][0]))
        raise UnreadableFile(
            "The dates have no format that we know: send `date_format` in `mapping`.",
            line=next(line for line, good in zip(lines.values(), fits[nearest], strict=True) if not good),
            element="date",
        )
    if len(fitting) == 1:
        return fitting[0], False
    preferred = [each for each in fitting if each.startswith("%d") == day_first] or fitting
    return preferred[0], True


def guess_decimal_mark(amounts: Collection[str]) -> str | None:
    """The mark before the decimals, if the amounts show it; None if they have no mark.

    Args:
        amounts: every amount of the file. An amount without a mark shows nothing: beside 2, 1.500 can be 1.5 dinars or
            1500 euros.

    Raises:
        UnreadableFile: every amount that has a mark can be read in two ways, or the amounts contradict each other.
    """
    numbers = {match[0] for text in amounts if (match := NUMBER.search(text))}
    marked = [number for number in numbers if MARKS.keys() & set(number)]
    if not marked:
        return None
    shown = {mark for number in marked if (mark := _decimal_mark(number))}
    if len(shown) != 1:
        raise UnreadableFile(
            "The amounts can be read in two ways: send `decimal_mark` in `mapping`.",
            line=1,
            element="decimal_mark",
        )
    return shown.pop()


def _decimal_mark(number: str) -> str | None:
    """The mark before the decimals that a number with a mark shows; None if its mark can be either one."""
    last = max(MARKS, key=number.rfind)
    if MARKS[last] in number:
        return last
    if number.count(last) > 1:
        return MARKS[last]
    return None if TWO_WAYS.fullmatch(number) else last


@lru_cache(maxsize=4096)  # a file has few days, and strptime is slow
def parse_date(text: str, form: str) -> date:
    """The day.

    Raises:
        ValueError: it is not a date in this format.
    """
    if len(text) > LONGEST_DATE:
        raise ValueError("it is too long for a date")
    try:
        return datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 (a day, without a time)
    except re.error:
        raise ValueError("the format has a directive twice") from None
    except ValueError:
        day = TIME.sub("", text.strip()) if ":" in text else text
        if day in {text, text.strip()}:
            raise
    return parse_date(day, form)


def _fits(value: str, form: str) -> bool:
    try:
        parse_date(value, form)
    except ValueError:
        return False
    return True
