"""Routing and account numbers: which are valid, and how the sandbox makes its own."""

import hashlib
import random

_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7, 1)
_PREFIXES = frozenset((*range(13), *range(21, 33), *range(61, 73), 80))
"""The first two digits a routing number can have (ABA: government, Federal Reserve districts, thrifts,
electronic, traveller's cheques). The check digit alone would also pass 000000000 and 999999992."""

INT32_MAX = 2_147_483_647


def seeded(*parts: object) -> random.Random:
    """A generator that depends on nothing but `parts`, in any process and on any version of Python.

    Only its `random()` may be drawn from: that is the one method Python promises never to change.
    """
    words = "|".join(map(str, parts))
    return random.Random(int.from_bytes(hashlib.sha256(words.encode()).digest()))  # noqa: S311 (invented data)


def digits(rng: random.Random, count: int) -> str:
    return "".join(str(int(rng.random() * 10)) for _ in range(count))


def is_routing_number(number: str) -> bool:
    """Nine digits, an assigned prefix, and a right check digit (ABA routing number policy)."""
    if len(number) != 9 or not number.isascii() or not number.isdecimal() or number == "000000000":
        return False
    weighed = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=True))
    return int(number[:2]) in _PREFIXES and weighed % 10 == 0


def routing_number(first_eight: str) -> str:
    """Completes eight digits with their check digit."""
    weighed = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_eight, strict=False))
    return f"{first_eight}{-weighed % 10}"


def account_number(rng: random.Random) -> str:
    """Ten digits that fit a signed 32-bit integer, no leading zero: they survive JSON in every MX SDK."""
    return str(1_000_000_000 + int(rng.random() * (INT32_MAX - 1_000_000_000)))
