"""Content negotiation: what a request's Accept, Accept-Encoding or Accept-Language asks for."""

from functools import lru_cache

LEAST = 0.001
"""The smallest weight above 0 (RFC 9110 12.4.2: three digits)."""


@lru_cache(maxsize=1024)
def accepted(header: str | None) -> tuple[str, ...]:
    """The values of the header in lower case, best first; those with a weight of 0 are refusals and left out.

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
        return name, LEAST
    return name, number if 0 <= number <= 1 else LEAST
