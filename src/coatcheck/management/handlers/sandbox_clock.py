"""The clock of a sandbox."""

from coatcheck.clock import MovableClock
from coatcheck.emulator import clock as emulator_clock
from coatcheck.http.decoding import parse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_clock import (
    ClockMoveRequestBody,
    ClockResponseBody,
    MovedClockResponseBody,
    clock_body,
    moved_clock_body,
)


async def read_clock(request: ManagementRequest) -> ClockResponseBody:
    return clock_body(_clock(request))


async def move_clock(request: ManagementRequest) -> MovedClockResponseBody:
    clock = _clock(request)
    move = parse(request.body, ClockMoveRequestBody).clock
    if move.set is not None:
        ran = await emulator_clock.move_to(request.services, move.set)
    else:
        ran = await emulator_clock.advance(request.services, move.duration)
    return moved_clock_body(clock, ran)


def _clock(request: ManagementRequest) -> MovableClock:
    clock = request.services.clock
    assert isinstance(clock, MovableClock), "the route exists in a sandbox only"
    return clock
