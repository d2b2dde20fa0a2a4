"""Form, credentials and certificate of an OAuth request: whatever they contain, they are read or refused."""

from base64 import b64encode
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from coatcheck.errors import InvalidClient, InvalidRequest, Refusal
from coatcheck.grants.client_certificates import read_certificate
from coatcheck.grants.processor_authentication import PresentedCertificate, PresentedKey
from coatcheck.http.client_certificates import ClientCertificates, client_certificate, parse_networks
from coatcheck.oauth_server.client_authentication import read_presented
from coatcheck.oauth_server.request import FORM, PARAMETERS, read_form
from tests.certificates import make_certificate

LATIN_1 = st.text(st.characters(max_codepoint=255))
NAMES = st.sampled_from(sorted(PARAMETERS)) | st.text(max_size=8)
CERTIFICATE = make_certificate()


def request(query: bytes = b"", content_type: str = FORM) -> Request:
    headers = [(b"content-type", content_type.encode("latin-1"))]
    return Request({"type": "http", "method": "POST", "query_string": query, "headers": headers})


@given(st.binary(max_size=200), st.binary(max_size=60), LATIN_1)
def test_any_body_query_and_content_type_are_read_or_refused(body: bytes, query: bytes, kind: str) -> None:
    for content_type in (FORM, kind):
        with suppress(InvalidRequest):
            read_form(request(query, content_type), body)


@given(st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=6))
def test_a_form_has_each_parameter_once_and_none_that_is_empty(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    body = urlencode(pairs).encode()
    if len(set(names)) < len(names):
        with pytest.raises(InvalidRequest):
            read_form(request(), body)
    else:
        assert read_form(request(), body) == {name: value for name, value in pairs if value}


@given(st.lists(LATIN_1 | LATIN_1.map("Basic {}".format), max_size=2), st.dictionaries(NAMES, LATIN_1))
def test_any_credentials_are_read_or_refused(authorization: list[str], form: dict[str, str]) -> None:
    certificate = read_certificate(CERTIFICATE.pem.decode())
    for given_certificate in (None, certificate):
        with suppress(Refusal):
            read_presented(authorization, form, given_certificate)


def test_a_certificate_authenticates_only_where_nothing_else_does() -> None:
    certificate = read_certificate(CERTIFICATE.pem.decode())
    assert certificate is not None
    named = {"client_id": "PPR-1"}
    assert read_presented([], named, certificate) == PresentedCertificate("PPR-1", certificate)
    with_secret = {**named, "client_secret": "ccp_k"}
    assert read_presented([], with_secret, certificate) == PresentedKey("PPR-1", "ccp_k")
    for form, given_certificate in (({}, certificate), (named, None)):
        with pytest.raises(InvalidClient):
            read_presented([], form, given_certificate)


async def seen(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The certificate that the application behind a trusted proxy sees."""
    found: list[str | None] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        assert "client-cert" not in dict(scope["headers"])
        found.append(client_certificate(scope))

    scope = {"type": "http", "headers": headers, "client": ("127.0.0.1", 1)}
    await ClientCertificates(application, parse_networks("127.0.0.1"))(scope, None, None)  # type: ignore[arg-type]
    return found[0]


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b":%b:".__mod__))
async def test_any_client_cert_header_is_no_certificate_and_no_failure(value: bytes) -> None:
    pem = await seen([(b"client-cert", value)])
    assert pem is None or read_certificate(pem) is None


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # what the library says about some of them
def test_a_certificate_with_a_changed_byte_is_no_failure() -> None:
    original = read_certificate(CERTIFICATE.pem.decode())
    assert original is not None
    for position, byte in enumerate(CERTIFICATE.der):
        for changed in {byte ^ 1, byte ^ 3, 0x7F, 0xFF} - {byte}:
            der = CERTIFICATE.der[:position] + bytes([changed]) + CERTIFICATE.der[position + 1 :]
            pem = f"-----BEGIN CERTIFICATE-----\n{b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
            found = read_certificate(pem)
            assert found is None or found.thumbprint != original.thumbprint


async def test_a_certificate_of_more_than_32_kb_is_ignored() -> None:
    assert await seen([(b"client-cert", b":" + b"A" * 40_000 + b":")]) is None
    assert await seen([(b"client-cert", CERTIFICATE.header.encode())]) is not None
