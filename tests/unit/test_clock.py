"""The two resolutions of the clock, and that nothing expires early."""

import asyncio
from datetime import datetime, timedelta

import pytest

from coatcheck import sandbox_clock
from coatcheck.app import Services
from coatcheck.clock import MovableClock, SystemClock, whole_second
from coatcheck.errors import InvalidGrant, InvalidToken
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_code, make_token
from tests.member_setup import PATIENCE

ALMOST = timedelta(milliseconds=400)


class Fixed(MovableClock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self._at = SystemClock().instant().replace(microsecond=900_000)

    def instant(self) -> datetime:
        return self._at

    def advance(self, duration: timedelta) -> None:
        self._at += duration


@pytest.fixture
def clock() -> Fixed:
    return Fixed()


def test_now_is_the_second_of_the_instant() -> None:
    clock = Fixed()
    instant = clock.instant()
    assert instant.microsecond == 900_000
    now = clock.now()
    assert now == whole_second(instant)


async def test_a_code_works_until_the_instant_of_its_expiry_and_not_longer(
    services: Services, clock: Fixed, account: Account, processor: Keyed
) -> None:
    codes = [await make_code(services, account) for _ in range(2)]
    clock.advance(services.settings.code_ttl - ALMOST)
    caller = {"processor_guid": processor.guid, "api_key": processor.api_key}
    await services.exchange.redeem(**caller, code=codes[0])
    clock.advance(ALMOST)
    with pytest.raises(InvalidGrant):
        await services.exchange.redeem(**caller, code=codes[1])


async def test_a_token_reads_until_the_instant_of_its_expiry_and_not_longer(
    services: Services, clock: Fixed, account: Account, processor: Keyed
) -> None:
    token = services.access.parse_token(await make_token(services, account, processor))
    clock.advance(services.settings.token_ttl - ALMOST)
    await services.access.numbers(token)
    clock.advance(ALMOST)
    with pytest.raises(InvalidToken):
        await services.access.numbers(token)


async def test_a_process_stops_following_the_clock_of_a_sandbox_at_any_moment(
    services: Services, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_clock, "FOLLOW", timedelta())
    for turns in range(400):
        async with asyncio.timeout(PATIENCE), sandbox_clock.following(services.db, clock):
            for _ in range(turns % 40):
                await asyncio.sleep(0)
