"""Content negotiation: the values of Accept, Accept-Encoding and Accept-Language."""

from functools import lru_cache

MIN_WEIGHT = 0.001
"""The smallest weight above 0 (RFC 9110 12.4.2: three digits)."""


# Bounded, because callers choose the header.
@lru_cache(maxsize=1024)
def accepted(header: str | None) -> tuple[str, ...]:
    """The values of the header in lower case, best first. Values with a weight of 0 are refused, and omitted.

    Values of equal weight keep their order. Parameters other than `q` are dropped. A weight that is not a number from
    0 to 1 counts as the smallest (RFC 9110 12.4.2, 12.5).
    """
    weighted = [_weighted(value) for value in (header or "").split(",")]
    ordered = sorted(weighted, key=lambda each: each[1], reverse=True)
    return tuple(name for name, weight in ordered if name and weight > 0)


def _weighted(value: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in value.split(";"))
    weight = next(
        (text for key, _, text in (each.partition("=") for each in parameters) if key.strip() == "q"), "1"
    )
    try:
        number = float(weight)
    except ValueError:
        return name, MIN_WEIGHT
    return name, number if 0 <= number <= 1 else MIN_WEIGHT
