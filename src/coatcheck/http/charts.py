"""Bar charts that the server draws as SVG: the height of each bar. The templates draw it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: int
    height: int
    """Per cent of the highest."""


def bars(values: Iterable[tuple[str, int]]) -> Sequence[Bar]:
    """A bar for each label and value, in their order."""
    given = [*values]
    highest = max((value for _, value in given), default=0) or 1
    return [Bar(label, value, round(100 * value / highest)) for label, value in given]
