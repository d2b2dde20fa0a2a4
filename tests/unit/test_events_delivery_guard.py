"""Through what a webhook's connection is made: the guard against inward addresses, and no proxy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.directory.clients import Clients
from coatcheck.errors import InvalidRequest
from coatcheck.events import ssrf
from coatcheck.events.delivery import Deliverer
from coatcheck.events.mx_events import Event
from tests.factories import Keyed, make_client
from tests.webhook_urls import REFUSED

PUBLIC = "93.184.216.34"


@dataclass
class Listener:
    """A server on this machine that counts its connections and answers each with 204."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(await reader.read(65_536))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    yield listener
    server.close()
    await server.wait_closed()


async def client_at(services: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Keyed:
    """A client whose webhooks go to a name, at the listener's port."""
    monkeypatch.setattr(ssrf, "PORTS", {listener.port})
    return await make_client(services, webhook_url=f"https://hooks.example.com:{listener.port}/")


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Makes every name resolve to the addresses in turn, the last for good; returns the names asked for."""
    left, names = list(addresses), []

    async def getaddrinfo(host: Any, port: Any, **_options: Any) -> list[Any]:
        names.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return names


async def deliver(services: Services, client: Keyed, *, allow_private: bool) -> tuple[bool, str]:
    """Publishes an event of the client and makes its one attempt: whether it arrived, and the answer."""
    async with services.db.transaction() as connection:
        await services.publisher.publish(connection, client_guid=client.guid, event=Event("BALANCE", "{}"))
    settings = replace(services.settings, webhook_allow_private=allow_private)
    deliverer = Deliverer(settings, services.clock, services.db, services.vault)
    (attempt,) = [each for each in await deliverer.claim(100) if each.owner_guid == client.guid]
    await deliverer.deliver(attempt)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT status = 'delivered', coalesce(last_error, last_status::text) FROM delivery WHERE event_guid = %s",
            (attempt.event_guid,),
        )
        row = await cursor.fetchone()
    assert row is not None
    return row


async def test_a_name_that_turns_inward_after_the_look_up_is_sent_nothing(
    services: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_at(services, listener, monkeypatch)
    names = resolve_to(monkeypatch, PUBLIC, "127.0.0.1")
    is_delivered, answer = await deliver(services, client, allow_private=False)
    # As of a closed port: else the client would learn which ports are open inside.
    assert (is_delivered, answer) == (False, "ConnectError")
    assert len(names) == 2
    assert b"".join(listener.received) == b""


async def test_where_private_addresses_are_allowed_the_same_name_gets_it(
    services: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above would see a connection."""
    client = await client_at(services, listener, monkeypatch)
    resolve_to(monkeypatch, "127.0.0.1")
    await deliver(services, client, allow_private=True)
    assert len(listener.received) == 1


async def test_a_name_that_is_inward_at_once_is_refused_before_any_connection(
    services: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_at(services, listener, monkeypatch)
    resolve_to(monkeypatch, "127.0.0.1")
    is_delivered, answer = await deliver(services, client, allow_private=False)
    assert (is_delivered, answer.startswith("The webhook")) == (False, True)
    assert listener.received == []


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
)
async def test_a_delivery_ignores_proxy_variables(
    services: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    proxy = Listener()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    monkeypatch.setenv(name, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for unproxied in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(unproxied, raising=False)
    scheme = "https" if "https" in name.lower() else "http"
    client = await make_client(services, webhook_url=f"{scheme}://127.0.0.1:{listener.port}/hooks")
    await deliver(services, client, allow_private=True)
    server.close()
    await server.wait_closed()
    assert proxy.received == []
    assert len(listener.received) == 1


@pytest.mark.parametrize("refused", REFUSED)
async def test_a_url_is_refused_at_its_registration_and_at_the_delivery_alike(
    services: Services, refused: str
) -> None:
    client = await make_client(services)
    settings = replace(services.settings, webhook_allow_private=False)
    clients = Clients(settings, services.clock, services.vault, services.journal, services.api_keys)
    async with services.db.transaction() as connection:
        with pytest.raises(InvalidRequest) as refusal:
            await clients.set_webhook_url(connection, client.guid, refused, actor="operator")
    stored = await make_client(services, webhook_url=refused)
    assert await deliver(services, stored, allow_private=False) == (False, refusal.value.problem)
