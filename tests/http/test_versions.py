"""Which dialect answers whom."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.api.versions import JSON, NEWER, OLDER, VENDOR, choose
from coatcheck.errors import UnknownVersion


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "application/*",
        "Application/JSON; charset=utf-8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html, application/json;q=0.1",
    ],
)
def test_whoever_takes_json_and_names_no_version_speaks_the_older_dialect(accept: str | None) -> None:
    assert choose(accept, None) == (OLDER, JSON)
    assert choose(accept, "v20111101") == (OLDER, JSON)


@pytest.mark.parametrize("accept", [VENDOR, VENDOR.upper(), f"{VENDOR}, */*", f"text/html,{VENDOR};q=0.5"])
def test_the_vendor_type_is_answered_with_the_vendor_type(accept: str) -> None:
    assert choose(accept, None) == (OLDER, VENDOR)


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", VENDOR])
def test_accept_version_decides_whatever_json_is_accepted(accept: str | None) -> None:
    assert choose(accept, "v20250224") == (NEWER, JSON)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "json", "application/vnd.mx.api.v2+json", "image/*"]
)
@pytest.mark.parametrize("version", [None, "v20111101", "v20250224"])
def test_an_accept_without_json_is_refused(accept: str, version: str | None) -> None:
    with pytest.raises(UnknownVersion):
        choose(accept, version)


@pytest.mark.parametrize("version", ["", "v20260430", "V20250224", "v1", "v20250224 "])
def test_an_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(UnknownVersion):
        choose("application/json", version)


@pytest.mark.parametrize("accept", ["application/vnd.mx.api.v1+pdf", "application/pdf"])
def test_the_client_that_reads_a_pdf_is_told_in_json_what_goes_wrong(accept: str) -> None:
    assert choose(accept, None) == (OLDER, JSON)
    assert choose(accept, "v20250224") == (NEWER, JSON)


@given(st.text(), st.none() | st.text())
def test_any_pair_of_headers_is_answered_or_refused(accept: str, version: str | None) -> None:
    try:
        presenter, media_type = choose(accept, version)
    except UnknownVersion:
        return
    assert (presenter, media_type) in set(product((OLDER, NEWER), (JSON, VENDOR)))
