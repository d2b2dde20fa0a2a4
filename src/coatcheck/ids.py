"""Identifiers on the wire: a three-letter prefix, a dash and a lower-case UUID.

An identifier never authorises anything. Secrets come from `grants.secrets` only (ASVS 11.5.1).
"""

from hashlib import sha256
from uuid import UUID

from uuid_utils import uuid7

from coatcheck.cell_digit import FIRST, current_digit, with_digit
from coatcheck.seeding import seeded_guid

__all__ = ["derived", "new", "timed"]


def new(prefix: str) -> str:
    """A new guid such as `USR-0197...`. Guids have the order of their creation, which keeps index pages in cache.

    In a sandbox with a seed it follows from the seed.
    """
    return seeded_guid(prefix) or timed(prefix)


def timed(prefix: str) -> str:
    """A new guid that begins with the time of its creation (RFC 9562 5.7) and names the present cell."""
    digit = current_digit()
    return f"{prefix}-{uuid7() if digit == FIRST else with_digit(uuid7().int, digit)}"


def derived(prefix: str, *parts: str) -> str:
    """The guid that follows from the parts: the same in every cell. It names the first, which has the directory."""
    value = UUID(bytes=sha256("\0".join(parts).encode()).digest()[:16], version=5).int
    return f"{prefix}-{with_digit(value, FIRST)}"
