"""Random values that are the same everywhere, and the sandbox's routing and account numbers."""

import hashlib
import random

_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7, 1)

INT32_MAX = 2_147_483_647


def seeded(*parts: object) -> random.Random:
    """A generator that depends on `parts` alone, in any process and on any version of Python.

    Use only its `random()`, the one method whose sequence Python guarantees.
    """
    words = "|".join(map(str, parts))
    return random.Random(int.from_bytes(hashlib.sha256(words.encode()).digest()))  # noqa: S311 (invented data)


def digits(rng: random.Random, count: int) -> str:
    return "".join(str(int(rng.random() * 10)) for _ in range(count))


def routing_number(first_eight: str) -> str:
    """The eight digits with their check digit (ABA routing number policy)."""
    weighed = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_eight, strict=False))
    return f"{first_eight}{-weighed % 10}"


def account_number(rng: random.Random) -> str:
    """Ten digits without a leading zero that fit a signed 32-bit integer, as MX's SDKs need in JSON."""
    return str(1_000_000_000 + int(rng.random() * (INT32_MAX - 1_000_000_000)))
