"""The version and the media type of an answer."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.api.routes.table import ROUTES
from coatcheck.api.versions import VENDOR, Version, choose
from coatcheck.errors import UnknownVersion
from coatcheck.http.encoding import JSON
from tests.api_client import Api


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
def test_a_request_without_a_version_gets_v20111101(accept: str | None) -> None:
    assert choose(accept, None) == (Version.V20111101, JSON)
    assert choose(accept, "v20111101") == (Version.V20111101, JSON)


@pytest.mark.parametrize("accept", [VENDOR, VENDOR.upper(), f"{VENDOR}, */*", f"text/html,{VENDOR};q=0.5"])
def test_a_request_for_the_vendor_type_gets_the_vendor_type(accept: str) -> None:
    assert choose(accept, None) == (Version.V20111101, VENDOR)


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", VENDOR])
def test_accept_version_decides_for_every_json_media_type(accept: str | None) -> None:
    assert choose(accept, "v20250224") == (Version.V20250224, JSON)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "json", "application/vnd.mx.api.v3+json", "image/*"]
)
@pytest.mark.parametrize("version", [None, "v20111101", "v20250224"])
def test_an_accept_without_json_is_refused(accept: str, version: str | None) -> None:
    with pytest.raises(UnknownVersion):
        choose(accept, version)


@pytest.mark.parametrize("accept", ["application/vnd.mx.api.v2beta+json", "application/vnd.mx.api.v2+json"])
def test_the_media_types_of_mxs_beta_are_json(accept: str) -> None:
    assert choose(accept, None) == (Version.V20111101, JSON)
    assert choose(accept, "v20250224") == (Version.V20250224, JSON)


@pytest.mark.parametrize("version", ["", "v20260430", "V20250224", "v1", "v2025 0224"])
def test_an_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(UnknownVersion):
        choose("application/json", version)


@pytest.mark.parametrize("accept", ["application/vnd.mx.api.v1+pdf", "application/pdf"])
def test_a_client_that_accepts_only_pdf_gets_errors_in_json(accept: str) -> None:
    assert choose(accept, None) == (Version.V20111101, JSON)
    assert choose(accept, "v20250224") == (Version.V20250224, JSON)


@given(st.text(), st.none() | st.text())
def test_any_pair_of_headers_gets_a_version_or_is_refused(accept: str, version: str | None) -> None:
    try:
        chosen, media_type = choose(accept, version)
    except UnknownVersion:
        return
    assert (chosen, media_type) in set(product(Version, (JSON, VENDOR)))


async def test_head_of_every_route_that_has_get_is_answered_with_the_status_of_get(api: Api) -> None:
    for route in ROUTES:
        if route.method != "GET" or "{" in route.path:
            continue
        get, head = await api.get(route.path), await api("HEAD", route.path)
        assert (head.status_code, head.content) == (get.status_code, b""), route.path
