"""Under which id and secret a request counts."""

from base64 import b64encode

import pytest
from starlette.datastructures import Headers

from coatcheck.errors import CoatcheckError, InvalidClient, NotFound
from coatcheck.http.throttling import credentials, credentials_of, throttled


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (basic("CLT-1:cck_k"), ("CLT-1", "cck_k")),
        (basic("CLT-1:a:b"), ("CLT-1", "a:b")),
        (basic("CLT%2D1:cck%5Fk+x"), ("CLT-1", "cck_k x")),
        (basic("CLT-1:cck_k").replace("Basic ", "bASIC   "), ("CLT-1", "cck_k")),
        (basic("CLT-1"), ("CLT-1", "")),
        ("Basic no base64!", ("", "no base64!")),
        ("Basic /w==", ("", "/w==")),
        ("Bearer  cct_x ", ("", "cct_x")),
        ("DPoP cct_x", ("", "cct_x")),
        ("Basic", ("", "")),
        ("", ("", "")),
    ],
)
def test_every_spelling_of_the_same_credentials_counts_as_one(
    authorization: str, expected: tuple[str, str]
) -> None:
    assert credentials_of(authorization) == expected
    assert credentials(Headers({"authorization": authorization})) == expected


def test_a_widget_session_counts_as_a_secret_if_there_is_no_other() -> None:
    session = {"x-widget-session": "cws_x"}
    assert credentials(Headers(session)) == ("", "cws_x")
    assert credentials(Headers({**session, "authorization": "Bearer cct_x"})) == ("", "cct_x")
    assert credentials(Headers({})) == ("", "")


@pytest.mark.parametrize("error", [InvalidClient(), NotFound()])
async def test_where_nothing_is_counted_an_error_stays_what_it_is(error: CoatcheckError) -> None:
    assert await throttled(error, {"type": "http", "headers": []}) is error
