"""Webhooks are sent to public addresses only, however a client writes its URL."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
from httpx_secure import SSRFProtectionError

from coatcheck.errors import InvalidRequest
from coatcheck.events.ssrf import check_url, is_public, public_only, resolve
from tests.webhook_urls import ADDRESSES, LOCAL_NAMES, MALFORMED, REFUSED


def test_the_table_has_80_addresses() -> None:
    assert len(ADDRESSES) >= 80
    assert len(set(REFUSED)) == len(REFUSED)


@pytest.mark.parametrize("url", [*ADDRESSES, *LOCAL_NAMES])
def test_a_private_address_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url)


@pytest.mark.parametrize("url", ADDRESSES)
async def test_a_name_may_not_resolve_to_it_either(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return
    with pytest.raises(InvalidRequest):
        await resolve(parsed)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_url_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/mx?x=1",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:443/",
        "https://hooks.example.com./",
        "https://bücher.example/",
        "https://93.184.216.34/",
        "https://[2606:4700::1111]/",
    ],
)
def test_a_plain_https_url_is_accepted(url: str) -> None:
    assert check_url(url).scheme == "https"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::a00:1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:808:808::", False),
        ("::808:808", False),
        ("fec0::1", False),
        ("192.88.99.1", False),
    ],
)
def test_an_ipv4_address_inside_an_ipv6_address_is_checked(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


Answer = Callable[[str], list[str]]


@pytest.fixture
async def private_server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on this machine: its port, and what it received."""
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65_536))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], received
    server.close()
    await server.wait_closed()


def resolve_to(monkeypatch: pytest.MonkeyPatch, port: int, *answers: list[str]) -> None:
    """The resolver gives the answers one after the other, and repeats the last one."""
    left = list(answers)

    async def getaddrinfo(*_args: Any, **_named: Any) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    url = check_url("https://hooks.example.com/")
    resolve_to(monkeypatch, 443, ["93.184.216.34", "2606:4700::1111"])
    await resolve(url)
    for addresses in (["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"], ["fe80::1%eth0"], []):
        resolve_to(monkeypatch, 443, addresses)
        with pytest.raises(InvalidRequest):
            await resolve(url)


async def test_nothing_is_sent_if_a_name_resolves_to_a_private_address_at_the_connection(
    monkeypatch: pytest.MonkeyPatch, private_server: tuple[int, list[bytes]]
) -> None:
    port, received = private_server
    async with public_only(httpx.AsyncClient(trust_env=False)) as client:
        for url in (f"https://hooks.example.com:{port}/", f"http://hooks.example.com:{port}/"):
            resolve_to(monkeypatch, port, ["93.184.216.34"], ["127.0.0.1"])
            with pytest.raises(SSRFProtectionError):
                await client.post(url, content=b"payload")
    assert b"".join(received) == b""
    async with httpx.AsyncClient(trust_env=False) as unguarded:
        with pytest.raises(httpx.RemoteProtocolError):
            await unguarded.post(f"http://hooks.example.com:{port}/", content=b"payload")
    assert b"payload" in b"".join(received)
