"""Amounts, dates and codes as banks write them."""

import re
from datetime import date
from decimal import Decimal

AMOUNT = re.compile(r"[+-]?\d[\d.,' ]*|[+-]?[.,]\d+", re.ASCII)
WHOLE = re.compile(r"[+-]?(?:\d*|(?!0[.,' ])\d{1,3}(?:[.,' ]\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3})", re.ASCII)
"""The digits before the decimals: without marks, in groups of three, or in the groups of India, as in 1,50,000."""
MAX_DIGITS, MAX_DECIMALS = 15, 8
CURRENCY = re.compile(r"[A-Z]{3}")


def amount(text: str, decimal_mark: str | None = None) -> Decimal:
    """A signed amount, with or without marks between thousands.

    Args:
        text: the amount as the bank wrote it.
        decimal_mark: what stands before the decimals. None: the last point or comma, if there is only one such mark.

    Raises:
        ValueError: it is not an amount. The message does not quote it.
    """
    plain = text.strip().replace("\u2212", "-").replace("\u00a0", " ").replace("\u202f", " ")
    plain = re.sub(r"^([+-])\s+", r"\1", plain)
    if not AMOUNT.fullmatch(plain):
        raise ValueError("it is not an amount")
    mark = decimal_mark or max(".,", key=plain.rfind)
    whole, _, decimals = plain.partition(mark) if plain.count(mark) == 1 else (plain, "", "")
    has_both = "." in plain and "," in plain
    if not re.fullmatch(r"\d*", decimals) or ((has_both or decimal_mark) and plain.count(mark) > 1):
        raise ValueError("its decimals are not clear")
    if not WHOLE.fullmatch(whole):
        # The mark is not one between thousands: without it, 1.5 would be 15.
        raise ValueError("its groups of digits are not clear")
    digits = re.sub(r"[.,' ]", "", whole)
    if len(digits.lstrip("+-")) > MAX_DIGITS or len(decimals) > MAX_DECIMALS:
        raise ValueError("it has too many digits")
    return Decimal(f"{digits}.{decimals}" if decimals else digits)


def compact_date(text: str) -> date:
    """The day of `20261126...`, whatever time follows.

    Raises:
        ValueError: there is no such day.
    """
    if not re.match(r"\d{8}", text, re.ASCII):
        raise ValueError("it is not a date")
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def currency(text: str | None) -> str | None:
    """The ISO 4217 code in capital letters; None if the text is not one."""
    code = (text or "").strip().upper()
    return code if CURRENCY.fullmatch(code) else None


def one_line(*parts: str | None) -> str:
    """The parts that are not empty, in one line with single spaces."""
    return " ".join(" ".join(part.split()) for part in parts if part and part.strip())
