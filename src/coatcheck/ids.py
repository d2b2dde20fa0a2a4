"""The names things have on the wire: a three-letter prefix, a dash and a lower-case UUID.

They name; they never authorise. Secrets come from `tokens.minting` alone (ASVS 11.5.1).
"""

from uuid_utils import uuid7

__all__ = ["new"]


def new(prefix: str) -> str:
    """A fresh guid such as `USR-0197...`; time-ordered, so that index pages stay warm."""
    return f"{prefix}-{uuid7()}"
