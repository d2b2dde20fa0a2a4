"""The one mint for bearer secrets, and the one way they are recognised.

    cct_  2hQ  <43 characters: 256 random bits>  <6 characters: CRC-32 of all before>
    kind  when it expires, so that one partition is touched

The prefix lets scanners find a leaked secret and the checksum lets us refuse a typo or garbage without asking
the database. At rest there is only HMAC-SHA-256 under the keyring's hash key, with the kind in the message, so
that a hash of one kind never answers for another.
"""

import hmac
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
VALUES = {character: value for value, character in enumerate(ALPHABET)}
SECRET_CHARACTERS = 43
"""256 bits: 62 ** 43 > 2 ** 256."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    CLIENT_KEY = "cck"
    PROCESSOR_KEY = "ccp"
    CODE = "cca"
    TOKEN = "cct"  # noqa: S105 (a prefix, not a secret)
    LINK = "ccl"
    WIDGET_SESSION = "cws"


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A new secret. `text` is shown once and kept nowhere."""

    text: str
    hash: bytes
    period: int

    def __repr__(self) -> str:
        return f"Minted({self.text[:4]}...)"


@dataclass(frozen=True, slots=True)
class PresentedSecret:
    """What a stranger showed, recognised as well formed; nothing is said yet of whether it is good."""

    hash: bytes
    period: int


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def _hash(kind: Kind, text: str, hash_key: bytes) -> bytes:
    return hmac.digest(hash_key, f"{kind}|{text}".encode(), "sha256")


def week_of(moment: datetime) -> int:
    """Weeks since 1970; the partition of an access token that expires at `moment`."""
    return (moment - EPOCH) // timedelta(weeks=1)


def day_of(moment: datetime) -> int:
    """Days since 1970; the partition of a code, a link or a session that expires at `moment`."""
    return (moment - EPOCH) // timedelta(days=1)


def generate(kind: Kind, hash_key: bytes, *, period: int = 0, entropy: int | None = None) -> GeneratedSecret:
    """A new secret of 256 random bits.

    Args:
        kind: what it opens.
        hash_key: the keyring's.
        period: the week or day of expiry, carried inside.
        entropy: 256 bits from elsewhere; for a sandbox with a seed, never in production.
    """
    number = secrets.randbits(256) if entropy is None else entropy
    body = f"{kind}_{_base62(period, 3)}{_base62(number, SECRET_CHARACTERS)}"
    text = body + _checksum(body)
    return GeneratedSecret(text, _hash(kind, text, hash_key), period)


def parse_secret(kind: Kind, text: str, hash_key: bytes) -> PresentedSecret | None:
    """The hash to look for, or None where the text cannot be a secret of this kind. Asks no database."""
    if len(text) != 4 + 3 + SECRET_CHARACTERS + 6 or not text.startswith(f"{kind}_"):
        return None
    if not (text.isascii() and text[4:].isalnum()):
        return None
    if not hmac.compare_digest(_checksum(text[:-6]), text[-6:]):
        return None
    period = (VALUES[text[4]] * 62 + VALUES[text[5]]) * 62 + VALUES[text[6]]
    return PresentedSecret(_hash(kind, text, hash_key), period)
