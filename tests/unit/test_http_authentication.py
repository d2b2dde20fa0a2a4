"""The Authorization header: whatever it contains, the answer is a refusal and never a failure of ours."""

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import InvalidClient, InvalidRequest, Refusal
from coatcheck.grants.secrets import Kind
from coatcheck.http.authentication import access_token, basic

LATIN_1 = st.text(st.characters(max_codepoint=255))
"""What a server reads from a header's bytes."""


@pytest.mark.parametrize(
    "encoded",
    [
        "\xff",
        "Zm9v\xff",
        "=",
        "a",
        "Zm9v",
        "Q0xU!LTE6eA==",
        b64encode(b"\xff:\xff").decode(),
        b64encode(b"PPR%FF:x").decode(),
        b64encode(b"PPR%00:x").decode(),
    ],
)
def test_credentials_that_cannot_be_decoded_are_refused(encoded: str) -> None:
    with pytest.raises(InvalidClient):
        basic([f"Basic {encoded}"], Kind.CLIENT_KEY)


def test_a_request_without_credentials_is_told_which_to_send() -> None:
    with pytest.raises(InvalidClient) as refused:
        basic([], Kind.CLIENT_KEY)
    assert refused.value.problem == "Send the id and the API key with HTTP Basic."


@pytest.mark.parametrize("sent", ["PPR-1:ccp_k", "PPR%2D1:ccp%5Fk", "%50PR-1:ccp_%6b"])
def test_credentials_are_read_with_and_without_the_encoding_of_rfc_6749(sent: str) -> None:
    credentials = basic([f"Basic {b64encode(sent.encode()).decode()}"], Kind.PROCESSOR_KEY)
    assert (credentials.id, credentials.api_key) == ("PPR-1", "ccp_k")


def test_more_than_one_space_may_stand_before_the_credentials() -> None:
    """As RFC 9110 11.4 has it: the scheme, one or more spaces, and the credentials."""
    credentials = basic([f"Basic   {b64encode(b'PPR-1:ccp_k').decode()}"], Kind.PROCESSOR_KEY)
    assert (credentials.id, credentials.api_key) == ("PPR-1", "ccp_k")
    assert access_token(["Bearer  cct_x"], b"").secret == "cct_x"


def test_an_encoded_key_of_the_other_kind_is_refused() -> None:
    with pytest.raises(InvalidClient) as refused:
        basic([f"Basic {b64encode(b'CLT%2D1:ccp%5Fk').decode()}"], Kind.CLIENT_KEY)
    assert "ccp_ key" in (refused.value.detail or "")


def test_a_token_in_the_url_is_refused_with_the_place_where_it_belongs() -> None:
    with pytest.raises(InvalidRequest) as refused:
        access_token(["Bearer cct_x"], b"page=1&access_token=cct_x")
    assert refused.value.problem == "Send the access token in the Authorization header, not in the URL."


@given(
    st.lists(st.one_of(LATIN_1, LATIN_1.map("Basic {}".format), LATIN_1.map("Bearer {}".format)), max_size=2)
)
def test_any_header_is_read_or_refused(headers: list[str]) -> None:
    for read in (lambda: basic(headers, Kind.CLIENT_KEY), lambda: access_token(headers, b"")):
        with suppress(Refusal):
            read()
