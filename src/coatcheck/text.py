"""Canonical forms of text input. Only the canonical form is stored, hashed or compared.

A value has many spellings: full-width digits, a no-break space, a decomposed letter. Each function returns the one
canonical spelling, or raises InvalidRequest without quoting the value.
"""

import re
import unicodedata

from stdnum.us import rtn
from stdnum.util import clean, isdigits

from coatcheck.errors import InvalidRequest

ACCOUNT_NUMBER_DIGITS = range(4, 18)
"""The lengths of account numbers in ACH entries (Nacha: DFI account number, 17 characters)."""
MAX_NAME_CHARACTERS = 1000
STORABLE = r"^[^\x00]*$"
"""A pattern for text that PostgreSQL can store: without the NUL character."""
ROUTING_PREFIXES = frozenset({*range(13), *range(21, 33), *range(61, 73), 80})
"""The first two digits: the Government and the Federal Reserve districts, thrifts, electronic transactions, and
traveller's cheques (ABA routing number policy)."""
EMAIL = re.compile(r"[!-~]+")
JOINERS = frozenset("\u200c\u200d")
"""Invisible characters that Persian and Indic names, and emoji, need."""


def routing_number(text: str) -> str:
    """The nine digits of an ABA routing number. `is_possible_routing_number` says whether a bank can have it.

    Raises:
        InvalidRequest: it is not nine digits.
    """
    # stdnum maps the digits and spaces of other scripts to ASCII, so its result must replace the text.
    number = clean(text, " \t\r\n")
    if not isdigits(number) or len(number) != 9:
        raise InvalidRequest("The routing_number must have 9 digits.")
    return number


def is_possible_routing_number(routing_number: str) -> bool:
    """Whether a bank can have this canonical routing number, by its first two digits and its check digit."""
    # The check digit alone accepts 999999992. Of nine zeros it is right too.
    return (
        rtn.is_valid(routing_number)
        and int(routing_number[:2]) in ROUTING_PREFIXES
        and routing_number != "000000000"
    )


def account_number(text: str) -> str:
    """The digits of an account number, with leading zeros.

    Digits of other scripts are refused: no check digit would reveal a wrong conversion.

    Raises:
        InvalidRequest: it is not 4 to 17 ASCII digits.
    """
    number = text.strip()
    if not (number.isascii() and number.isdecimal()) or len(number) not in ACCOUNT_NUMBER_DIGITS:
        raise InvalidRequest("The account_number must have 4 to 17 digits.")
    return number


def name(text: str, field: str = "name") -> str:
    """A name on one line: NFC, ASCII digits, single spaces, none around it. Empty text stays empty.

    Args:
        text: what was entered.
        field: the name of the field in the error message.

    Raises:
        InvalidRequest: it contains control or formatting characters, or over 1,000 characters.
    """
    normalized = " ".join(unicodedata.normalize("NFC", text).split())
    if len(normalized) > MAX_NAME_CHARACTERS or not all(_is_visible(character) for character in normalized):
        raise InvalidRequest(f"The {field} is too long, or contains characters that are not allowed.")
    return "".join(_ascii_digit(character) for character in normalized)


def cleaned(text: str) -> str:
    """Like `name`, but removes the characters that `name` refuses. For data that the caller cannot correct."""
    normalized = " ".join(unicodedata.normalize("NFC", text).split())
    visible = "".join(character for character in normalized if _is_visible(character))
    return "".join(_ascii_digit(character) for character in visible)[:MAX_NAME_CHARACTERS].strip()


def identifier(text: str) -> str:
    """An identifier that a client chooses and uses in URL paths: NFC.

    Raises:
        InvalidRequest: it contains a space, an invisible character, a digit of another script, or a character that
            has a meaning in a URL.
    """
    normalized = unicodedata.normalize("NFC", text)
    if any(
        character in "/?#%\\"
        or character.isspace()
        or not character.isprintable()
        or (character.isdecimal() and not character.isascii())
        for character in normalized
    ):
        raise InvalidRequest("An id must not contain spaces, invisible characters, or any of / ? # % \\.")
    return normalized


def email(text: str) -> str:
    """An e-mail address: NFKC, without spaces around it. Addresses are ASCII (RFC 5321, without RFC 6531).

    MX does not require an `@`, so neither does this function.

    Raises:
        InvalidRequest: it contains spaces, control characters or characters that are not ASCII.
    """
    address = unicodedata.normalize("NFKC", text).strip()
    if not EMAIL.fullmatch(address):
        raise InvalidRequest("The email must contain only visible ASCII characters.")
    return address


def login(text: str) -> str:
    """A user name for an institution: NFC, without spaces around it.

    Raises:
        InvalidRequest: it contains control characters.
    """
    return unicodedata.normalize("NFC", secret(text)).strip()


def secret(text: str) -> str:
    """A password or an answer, unchanged, because any normalization could change the secret.

    Raises:
        InvalidRequest: it contains control characters, which no institution accepts and PostgreSQL cannot store.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise InvalidRequest("A credential or an answer contains control characters.")
    return text


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _is_visible(character: str) -> bool:
    return character.isprintable() or character == " " or character in JOINERS
