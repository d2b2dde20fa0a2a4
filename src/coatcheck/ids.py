"""Identifiers on the wire: a three-letter prefix, a dash and a lower-case UUID.

An identifier never authorises anything. Secrets come from `grants.secrets` only (ASVS 11.5.1).
"""

from uuid_utils import uuid7

__all__ = ["new"]


def new(prefix: str) -> str:
    """A new guid such as `USR-0197...`. Guids are ordered by time, which keeps index pages in cache."""
    return f"{prefix}-{uuid7()}"
