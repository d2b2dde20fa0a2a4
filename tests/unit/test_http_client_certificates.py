"""The certificate of a client, as a proxy that terminates TLS sends it."""

from base64 import b64encode
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from coatcheck.errors import ConfigurationError
from coatcheck.http.client_certificates import ClientCertificates, client_certificate, parse_networks

PROXY = "10.0.0.5"
DER = b64encode(b"certificate").decode()
PEM = f"-----BEGIN CERTIFICATE-----\n{DER}\n-----END CERTIFICATE-----\n"
ENCODED_PEM = PEM.replace(" ", "%20").replace("\n", "%0A")
RFC_9440 = f":{DER}:"


async def passed_on(*values: str, client: tuple[Any, ...] | None = (PROXY, 1), **more: Any) -> Scope:
    """What the application behind the middleware gets."""
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is sent")

    headers = [(b"host", b"x"), *((b"client-cert", value.encode("latin-1")) for value in values)]
    middleware = ClientCertificates(app, parse_networks("10.0.0.0/24,fd00::1"))
    await middleware({"type": "http", "headers": headers, "client": client, **more}, receive, send)
    [scope] = seen
    assert scope["headers"] == [(b"host", b"x")]
    return scope


@pytest.mark.parametrize("value", [RFC_9440, f" {RFC_9440} ", ENCODED_PEM])
async def test_the_certificate_that_a_trusted_proxy_sends_is_that_of_the_connection(value: str) -> None:
    assert client_certificate(await passed_on(value)) == PEM
    assert client_certificate(await passed_on(value, client=("fd00::1", 1))) == PEM


@pytest.mark.parametrize("client", [("10.0.1.5", 1), ("fd00::2", 1), ("unix", 0), (None, 0), None])
async def test_nobody_else_can_send_a_certificate(client: tuple[Any, ...] | None) -> None:
    assert client_certificate(await passed_on(RFC_9440, client=client)) is None


async def test_of_two_certificates_none_is_believed() -> None:
    assert client_certificate(await passed_on(RFC_9440, RFC_9440)) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":",
        "::",
        DER,
        f":{DER}",
        f"{DER}:",
        ":no base64:",
        ":\xff:",
        "-----BEGIN CERTIFICATE-----",
        f":{'A' * 32_768}:",
    ],
)
async def test_what_is_no_certificate_is_not_passed_on(value: str) -> None:
    assert client_certificate(await passed_on(value)) is None


async def test_a_certificate_of_32_kilobytes_is_passed_on() -> None:
    longest = "A" * (32 * 1024 - 4)
    assert longest in (client_certificate(await passed_on(f":{longest}:")) or "")


async def test_other_extensions_of_the_connection_are_kept() -> None:
    scope = await passed_on(RFC_9440, extensions={"http.response.push": {}})
    assert scope["extensions"] == {"http.response.push": {}, "tls": {"client_cert_chain": [PEM]}}


async def test_a_request_without_the_header_is_passed_on_unchanged() -> None:
    scope = await passed_on()
    assert "extensions" not in scope
    assert client_certificate(scope) is None


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"extensions": {}},
        {"extensions": {"tls": {}}},
        {"extensions": {"tls": {"client_cert_chain": None}}},
    ],
)
def test_a_connection_without_a_certificate_has_none(scope: Scope) -> None:
    assert client_certificate(scope) is None


def test_the_first_certificate_of_a_chain_is_that_of_the_client() -> None:
    assert client_certificate({"extensions": {"tls": {"client_cert_chain": [PEM, "issuer"]}}}) == PEM


def test_addresses_and_networks_are_separated_by_commas() -> None:
    assert [str(each) for each in parse_networks(" 10.0.0.5, 10.1.2.3/16 ,,::1")] == [
        "10.0.0.5/32",
        "10.1.0.0/16",
        "::1/128",
    ]
    assert [str(each) for each in parse_networks(" * ")] == ["0.0.0.0/0", "::/0"]
    assert list(parse_networks("")) == []


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.5/33", "*,10.0.0.5"])
def test_another_name_of_a_proxy_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_networks(text)
    assert "--trusted-proxies must be addresses or networks separated by commas" in str(refused.value)
