"""Identifiers on the wire: a three-letter prefix, a dash and a lower-case UUID.

An identifier never authorises anything. Secrets come from `grants.secrets` only (ASVS 11.5.1).
"""

from uuid_utils import uuid7

from coatcheck.seeding import seeded_guid

__all__ = ["new", "timed"]


def new(prefix: str) -> str:
    """A new guid such as `USR-0197...`. Guids have the order of their creation, which keeps index pages in cache.

    In a sandbox with a seed it follows from the seed.
    """
    return seeded_guid(prefix) or timed(prefix)


def timed(prefix: str) -> str:
    """A new guid that begins with the time of its creation (RFC 9562 5.7)."""
    return f"{prefix}-{uuid7()}"
