"""The deadline of a request: it limits every wait, and is only ever shortened."""

from datetime import timedelta

import pytest

from coatcheck.deadline import remaining, seconds_left, within

SHORT, LONG = timedelta(seconds=5), timedelta(seconds=50)


def test_without_a_deadline_only_the_own_limit_counts() -> None:
    assert seconds_left() is None
    assert remaining(30) == 30


def test_a_wait_ends_at_the_deadline_or_at_its_own_limit() -> None:
    with within(SHORT):
        assert 4 < remaining(30) <= 5
        assert remaining(1) == 1
    assert remaining(30) == 30


def test_an_inner_deadline_shortens_and_never_extends() -> None:
    with within(SHORT):
        with within(LONG):
            assert remaining(100) <= 5
        with within(timedelta(seconds=1)):
            assert remaining(100) <= 1
        assert remaining(100) > 4


def test_none_lifts_the_deadline_for_the_block() -> None:
    with within(SHORT):
        with within(None):
            assert remaining(100) == 100
        assert remaining(100) <= 5


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_deadline_that_is_over_leaves_no_time(seconds: int) -> None:
    with within(timedelta(seconds=seconds)):
        assert remaining(100) == seconds_left() == 0
