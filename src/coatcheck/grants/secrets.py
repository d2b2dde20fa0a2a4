"""Bearer secrets: how they are generated, what they look like, and how a presented one is parsed.

    cct_  0  2hQ  <43 characters: 256 random bits>  <6 characters: CRC-32 of everything before>
    kind  |  the day or week of expiry, so that one partition is searched
          the digit of the cell that made it

A secret that was made before there were cells has no digit, and is one character shorter. The prefix lets scanners find
a leaked secret. The checksum lets the server refuse a typing error without a query. Only an HMAC-SHA-256 under the
keyring's hash key is stored; it includes the kind, so the hash of one kind never matches another.
"""

import secrets
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from coatcheck.cell_digit import DIGITS, FIRST, current_digit
from coatcheck.crypto import keyed_hash
from coatcheck.seeding import random_bytes

PAIRS = [first + second for first in DIGITS for second in DIGITS]
"""The digits of base 3844: two of base 62 at once, which halves the divisions of large numbers."""
BASE = len(PAIRS)
VALUES = {character: value for value, character in enumerate(DIGITS)}
SECRET_CHARACTERS = 43
"""256 bits: 62 ** 43 > 2 ** 256."""
UNNUMBERED = 4 + 3 + SECRET_CHARACTERS + 6
"""The length of a secret without the digit of a cell."""
LENGTHS = (UNNUMBERED, UNNUMBERED + 1)
# The period has three digits: 238,328 days last until the year 2622.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


class Kind(StrEnum):
    CLIENT_KEY = "cck"
    PROCESSOR_KEY = "ccp"
    CODE = "cca"
    RENEWAL_CODE = "ccr"
    """A code whose token supersedes another."""
    TOKEN = "cct"  # noqa: S105 (a prefix, not a secret)
    LINK = "ccl"
    WIDGET_SESSION = "cws"
    PORTAL_SESSION = "ccs"
    SETUP_TOKEN = "ccf"  # noqa: S105 (a prefix, not a secret)
    """In the claim URL of a SimpleFIN setup token."""
    APP_KEY = "ccu"
    """In a SimpleFIN access URL."""
    STAFF_INVITATION = "csi"
    STAFF_SIGN_IN = "csg"
    """A sign-in that was begun."""
    STAFF_SESSION = "css"


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A new secret. `text` is returned to the caller once and not stored."""

    text: str
    hash: bytes
    period: int

    def __repr__(self) -> str:
        return f"GeneratedSecret({self.text[:4]}...)"


@dataclass(frozen=True, slots=True)
class PresentedSecret:
    """A well-formed secret that a caller presented. It is not authenticated yet."""

    hash: bytes = field(repr=False)
    period: int


def _base62(number: int, width: int) -> str:
    text = ""
    for _ in range(0, width, 2):
        number, pair = divmod(number, BASE)
        text = PAIRS[pair] + text
    return text[-width:]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def week_of(moment: datetime) -> int:
    """Weeks since 1970: the partition of an access token that expires at `moment`."""
    return (moment - EPOCH) // WEEK


def day_of(moment: datetime) -> int:
    """Days since 1970: the partition of a code, a link or a session that expires at `moment`."""
    return (moment - EPOCH) // DAY


def generate(kind: Kind, hash_key: bytes, *, period: int = 0, entropy: int | None = None) -> GeneratedSecret:
    """A new secret of 256 random bits.

    Args:
        kind: what it is for.
        hash_key: the key of the stored hash.
        period: the week or day of expiry, which the text contains.
        entropy: 256 bits to use instead of random ones, for a sandbox with a seed.
    """
    number = int.from_bytes(random_bytes(32, kind)) if entropy is None else entropy
    body = f"{kind}_{current_digit()}{_base62(period, 3)}{_base62(number, SECRET_CHARACTERS)}"
    text = body + _checksum(body)
    return GeneratedSecret(text, keyed_hash(hash_key, kind, text), period)


def digit_of_secret(text: str) -> str:
    """The digit of the cell that made a well-formed secret."""
    return text[4] if len(text) > UNNUMBERED else FIRST


def parse_secret(kind: Kind, text: str, hash_key: bytes) -> PresentedSecret | None:
    """The hash to search for, or None if the text cannot be a secret of this kind. It does not query the database."""
    # The length first: a long text is neither hashed nor searched.
    if len(text) not in LENGTHS or not text.startswith(f"{kind}_"):
        return None
    # `isalnum` alone would accept letters and digits of other scripts.
    if not (text.isascii() and text[4:].isalnum()):
        return None
    # In constant time, although the checksum is no secret: nothing here depends on how much of a text is right.
    if not secrets.compare_digest(_checksum(text[:-6]), text[-6:]):
        return None
    # Not authenticated yet: a forged period leads to a partition in which the hash is not.
    start = len(text) - UNNUMBERED + 4
    period = (VALUES[text[start]] * 62 + VALUES[text[start + 1]]) * 62 + VALUES[text[start + 2]]
    return PresentedSecret(keyed_hash(hash_key, kind, text), period)
