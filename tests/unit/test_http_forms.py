"""Forms of our pages: who may send them, and what is read of them."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck.crypto import masked
from coatcheck.errors import InvalidRequest, WrongBrowser
from coatcheck.http.forms import FORM_TOKEN, number, optional_number, read_form, read_form_with_token

TOKEN = masked(b"t" * 32)
MANY = "&".join(f"f{number}=1" for number in range(300))


async def _read(request: Request) -> Response:
    try:
        form = await (
            read_form_with_token(request, TOKEN) if "token" in request.query_params else read_form(request)
        )
    except (InvalidRequest, WrongBrowser) as error:
        return Response(type(error).__name__, 400)
    return JSONResponse(dict(form))


async def send(body: str | bytes, *, token: bool = False, **headers: str) -> httpx.Response:
    app = Starlette(routes=[Route("/", _read, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post("/?token" if token else "/", content=body, headers=sent)


async def test_the_values_of_each_field_are_read_in_their_order() -> None:
    assert (await send("a=1&b=x%20y&a=2&c=%C3%A9")).json() == {"a": ["1", "2"], "b": ["x y"], "c": ["é"]}


@pytest.mark.parametrize("body", [b"a=\xff", "a=%FF", f"{MANY}&more=1"])
async def test_what_is_not_a_form_of_ours_is_refused(body: str | bytes) -> None:
    assert (await send(body)).text == "InvalidRequest"


async def test_a_form_has_up_to_300_fields() -> None:
    assert len((await send(MANY)).json()) == 300


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_form_that_another_site_sends_is_refused(site: str) -> None:
    assert (await send("a=1", sec_fetch_site=site)).text == "WrongBrowser"
    assert (await send("a=1", sec_fetch_site="same-origin")).json() == {"a": ["1"]}


async def test_a_form_with_the_token_of_its_page_is_read_and_without_it_refused() -> None:
    masked_again = masked(b"t" * 32)
    assert (await send(f"a=1&{FORM_TOKEN}={masked_again}", token=True)).json()["a"] == ["1"]
    for wrong in ("", f"&{FORM_TOKEN}=", f"&{FORM_TOKEN}={masked(b'u' * 32)}", f"&{FORM_TOKEN}=%C3%A9"):
        assert (await send(f"a=1{wrong}", token=True)).text == "WrongBrowser", wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("999999999", 999_999_999), ("007", 7)]
    + [(text, None) for text in ("0", "1000000000", "-1", "1.5", "²", "٣", "x", " 1")],
)
def test_a_number_is_positive_and_has_at_most_nine_digits(text: str, expected: int | None) -> None:
    assert number(text) == expected
    if expected is None:
        with pytest.raises(InvalidRequest):
            optional_number(text)
    else:
        assert optional_number(text) == expected


def test_an_empty_field_has_no_number() -> None:
    assert number(None) is None
    assert number("") is None
    assert optional_number("") is None
