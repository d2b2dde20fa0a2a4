"""The clock of a sandbox."""

import re
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.clock import MovableClock
from coatcheck.emulator.clock import Ran
from coatcheck.http.decoding import ALLOWED, StrictSchema
from coatcheck.http.doc import doc
from coatcheck.http.encoding import Timestamp

UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION = r"^(?:[0-9]{1,9}[wdhms])+$"


class ClockMoveRequest(StrictSchema, frozen=True, kw_only=True):
    """Exactly one of the two."""

    advance: (
        Annotated[
            str,
            Meta(
                pattern=DURATION,
                max_length=50,
                description="How far: numbers with `w`, `d`, `h`, `m` or `s`.",
                examples=["61d", "1d12h", "90s"],
                extra={ALLOWED: "a duration in w, d, h, m and s, such as 61d or 1d12h"},
            ),
        ]
        | None
    ) = None
    set: (
        Annotated[
            datetime,
            Meta(tz=True, description="To which instant.", examples=["2027-02-01T00:00:00Z"]),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.advance is None) is (self.set is None):
            raise ValueError("it must contain either advance or set")

    @property
    def duration(self) -> timedelta:
        """What `advance` says. The emulator refuses a duration of more than ten years."""
        assert self.advance is not None
        given = re.findall(r"([0-9]+)([wdhms])", self.advance)
        try:
            return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in given), timedelta())
        except OverflowError:
            return timedelta.max


class ClockMoveRequestBody(StrictSchema, frozen=True, kw_only=True):
    clock: Annotated[ClockMoveRequest, doc("How far to move it.", {"advance": "61d"})]


class ClockResponse(Struct, frozen=True):
    now: Annotated[Timestamp, doc("The instant of the clock.", "2027-01-26T09:40:00Z")]
    offset_seconds: Annotated[
        int, Meta(description="How far it is ahead of the machine's clock.", examples=[5270400])
    ]


class ClockResponseBody(Struct, frozen=True):
    clock: Annotated[ClockResponse, doc("The clock.")]


class RanResponse(Struct, frozen=True):
    jobs: Annotated[int, Meta(description="Jobs that ended on the way.", examples=[12])]
    events: Annotated[int, Meta(description="Events that happened on the way.", examples=[40])]
    expired_tokens: Annotated[int, Meta(description="Tokens that expired on the way.", examples=[3])]


class MovedClockResponseBody(Struct, frozen=True):
    clock: Annotated[ClockResponse, doc("The clock after the move.")]
    ran: Annotated[RanResponse, doc("What fell due on the way.")]


def clock_body(clock: MovableClock) -> ClockResponseBody:
    return ClockResponseBody(_clock(clock))


def moved_clock_body(clock: MovableClock, ran: Ran) -> MovedClockResponseBody:
    return MovedClockResponseBody(_clock(clock), RanResponse(ran.jobs, ran.events, ran.expired_tokens))


def _clock(clock: MovableClock) -> ClockResponse:
    return ClockResponse(clock.now(), round(clock.offset.total_seconds()))
