"""Parsing of Accept, Accept-Encoding and Accept-Language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.http.negotiation import accepted


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (None, ()),
        ("", ()),
        (" , ;q=1", ()),
        ("gzip", ("gzip",)),
        ("GZIP", ("gzip",)),
        ("br;q=0.9, gzip", ("gzip", "br")),
        ("fr-CA, fr;q=0.9, en;q=0.8, es;q=0.95", ("fr-ca", "es", "fr", "en")),
        ("text/html;level=1;q=0.3, text/plain", ("text/plain", "text/html")),
        ("a; q = 0.2 , b;q=0.2", ("a", "b")),
    ],
)
def test_values_are_sorted_by_weight(header: str | None, values: tuple[str, ...]) -> None:
    assert accepted(header) == values


@pytest.mark.parametrize("weight", ["0", "0.0", "0.000", "00"])
def test_a_weight_of_zero_is_a_refusal(weight: str) -> None:
    assert accepted(f"gzip;q={weight}") == ()


@pytest.mark.parametrize("weight", ["", "x", "-1", "1.001", "nan", "inf", "1e999"])
def test_an_invalid_weight_counts_as_the_smallest(weight: str) -> None:
    assert accepted(f"a;q={weight}, b;q=0.01") == ("b", "a")


@given(st.text())
def test_any_header_can_be_parsed(header: str) -> None:
    assert all(value and value == value.strip().lower() for value in accepted(header))
