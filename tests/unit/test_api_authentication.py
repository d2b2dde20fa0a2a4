"""The Authorization header: whatever it contains, the answer is a refusal and never a failure of ours."""

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.api.authentication import basic, bearer
from coatcheck.errors import InvalidClient, Refusal
from coatcheck.grants.secrets import Kind

LATIN_1 = st.text(st.characters(max_codepoint=255))
"""What a server reads from a header's bytes."""


@pytest.mark.parametrize("encoded", ["\xff", "Zm9v\xff", "=", "a", "Zm9v", b64encode(b"\xff:\xff").decode()])
def test_credentials_that_cannot_be_decoded_are_refused(encoded: str) -> None:
    with pytest.raises(InvalidClient):
        basic([f"Basic {encoded}"], Kind.CLIENT_KEY)


@given(
    st.lists(st.one_of(LATIN_1, LATIN_1.map("Basic {}".format), LATIN_1.map("Bearer {}".format)), max_size=2)
)
def test_any_header_is_read_or_refused(headers: list[str]) -> None:
    for read in (lambda: basic(headers, Kind.CLIENT_KEY), lambda: bearer(headers, b"")):
        with suppress(Refusal):
            read()
