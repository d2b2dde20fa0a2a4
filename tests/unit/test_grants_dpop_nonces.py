"""Nonces for DPoP proofs: how long each is valid, and for which installation."""

import re
from datetime import UTC, datetime

import pytest

from coatcheck.grants.dpop_nonces import PERIOD, DPoPNonces

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""The first instant of a period."""
NONCES = DPoPNonces(b"k" * 32)


@pytest.mark.parametrize(
    ("periods", "is_valid"),
    [(-1, False), (0, True), (0.99, True), (1, True), (1.99, True), (2, False), (9, False)],
)
def test_a_nonce_is_valid_in_its_period_and_in_the_next(periods: float, is_valid: bool) -> None:
    nonce = NONCES.current(START)
    assert NONCES.is_valid(nonce, START + periods * PERIOD) is is_valid


def test_each_period_and_each_installation_has_a_nonce_of_its_own() -> None:
    nonce = NONCES.current(START)
    assert NONCES.current(START + 0.99 * PERIOD) == nonce
    assert NONCES.current(START + PERIOD) != nonce
    assert not DPoPNonces(b"o" * 32).is_valid(nonce, START)


@pytest.mark.parametrize("text", ["", "guess", "é"])
def test_another_text_is_not_a_nonce(text: str) -> None:
    assert not NONCES.is_valid(text, START)


def test_a_nonce_is_43_characters_of_base64url_without_padding() -> None:
    assert all(re.fullmatch(r"[\w-]{43}", NONCES.current(START + n * PERIOD), re.ASCII) for n in range(100))
