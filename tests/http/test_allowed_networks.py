"""The networks from which the keys of a client, and the keys and tokens of a processor, are accepted."""

import json
from dataclasses import dataclass

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.errors import InvalidRequest
from coatcheck.server import create_app
from tests.api_client import HEADERS, V1
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_token, make_user

OFFICE, ELSEWHERE = "203.0.113.7", "198.51.100.9"
NETWORKS = ["203.0.113.0/24", "2001:db8::/48"]


@dataclass(frozen=True)
class World:
    services: Services
    client: Keyed
    processor: Keyed

    async def limit(self, owner: Keyed, networks: list[str] | None = NETWORKS) -> None:
        directory = self.services.clients if owner is self.client else self.services.processors
        async with self.services.db.transaction() as connection:
            await directory.set_allowed_networks(connection, owner.guid, networks, actor="operator")

    async def list_users(self, address: str) -> httpx.Response:
        async with self.client_at(address) as http:
            return await http.get("/users", auth=self.client.auth)

    async def exchange(self, address: str, code: str) -> httpx.Response:
        async with self.client_at(address) as http:
            return await http.post(
                f"/token?grant_type=authorization_code&code={code}", auth=self.processor.auth
            )

    async def read(self, address: str, token: str) -> httpx.Response:
        async with self.client_at(address) as http:
            return await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})

    async def code(self) -> str:
        account = await make_account(self.services, await make_user(self.services, self.client))
        return await make_code(self.services, account)

    async def token(self) -> str:
        account = await make_account(self.services, await make_user(self.services, self.client))
        return await make_token(self.services, account, self.processor)

    def client_at(self, address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(create_app(self.services), client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=HEADERS[V1])


@pytest.fixture
async def world(services: Services) -> World:
    client = await make_client(services)
    return World(services, client, await make_processor(services, client))


async def test_without_a_list_a_key_is_accepted_from_everywhere(world: World) -> None:
    assert (await world.list_users(ELSEWHERE)).status_code == 200


@pytest.mark.parametrize("address", [OFFICE, "203.0.113.255", "2001:db8::1", "::ffff:203.0.113.7"])
async def test_a_key_of_a_client_is_accepted_from_an_allowed_network(world: World, address: str) -> None:
    await world.limit(world.client)
    assert (await world.list_users(address)).status_code == 200


@pytest.mark.parametrize(
    "address", [ELSEWHERE, "203.0.112.255", "203.0.114.0", "2001:db9::1", "::1", "unknown", "", "\0"]
)
async def test_a_key_of_a_client_from_another_address_is_answered_like_a_wrong_key(
    world: World, address: str
) -> None:
    await world.limit(world.client)
    refused = await world.list_users(address)
    async with world.client_at(OFFICE) as http:
        wrong = await http.get("/users", auth=(world.client.guid, "wrong"))
    assert (refused.status_code, refused.json()) == (401, wrong.json())


async def test_a_code_that_is_presented_from_another_address_stays_unredeemed(world: World) -> None:
    await world.limit(world.processor)
    code = await world.code()
    assert (await world.exchange(ELSEWHERE, code)).status_code == 401
    assert (await world.exchange(OFFICE, code)).status_code == 200


async def test_a_token_reads_from_an_allowed_network_only(world: World) -> None:
    token = await world.token()
    assert (await world.read(ELSEWHERE, token)).status_code == 200
    await world.limit(world.processor)
    assert (await world.read(OFFICE, token)).status_code == 200
    refused = await world.read(ELSEWHERE, token)
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_token")


async def test_from_another_network_a_token_that_was_revoked_is_like_one_that_does_not_exist(
    world: World,
) -> None:
    revoked, valid = await world.token(), await world.token()
    async with world.services.db.connection() as connection:
        await connection.execute(
            """UPDATE access_token SET revoked_at = now()
               WHERE guid = (SELECT min(guid) FROM access_token WHERE processor_guid = %s)""",
            (world.processor.guid,),
        )
    await world.limit(world.processor)
    assert (await world.read(OFFICE, revoked)).json()["error"]["type"] == "token_revoked"
    answers = [await world.read(ELSEWHERE, token) for token in (revoked, valid)]
    assert [each.status_code for each in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["www-authenticate"] == answers[1].headers["www-authenticate"]


async def test_after_the_list_is_removed_a_key_is_accepted_from_everywhere_again(world: World) -> None:
    await world.limit(world.client)
    await world.limit(world.client, None)
    assert (await world.list_users(ELSEWHERE)).status_code == 200


@pytest.mark.parametrize(
    ("networks", "why"),
    [
        ([], "Give 1 to 50 networks"),
        ([f"10.0.{n}.0/24" for n in range(51)], "Give 1 to 50 networks"),
        (["203.0.113.7/24"], r"203\.0\.113\.7/24 is an address in 203\.0\.113\.0/24"),
        (["office"], "office is not an address or a network"),
        (["203.0.113.0/33"], "is not an address or a network"),
        (["\u0661.2.3.4"], "is not an address or a network"),
        ([" 203.0.113.7"], "is not an address or a network"),
    ],
)
async def test_a_list_that_is_not_one_of_networks_is_refused_and_changes_nothing(
    world: World, networks: list[str], why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why):
        await world.limit(world.client, networks)
    assert (await world.list_users(ELSEWHERE)).status_code == 200


@pytest.mark.parametrize("noun", ["client", "processor"])
def test_the_command_shows_sets_and_removes_the_networks(operator, noun: str) -> None:
    added = json.loads(operator(noun, "add", "Acme", "--json").out)
    guid = added[f"{noun}_id"]
    assert json.loads(operator(noun, "networks", guid, "--json").out)["allowed_networks"] is None
    assert "everywhere" in operator(noun, "networks", guid).out
    shown = json.loads(operator(noun, "networks", guid, "203.0.113.7", "2001:DB8::/32", "--json").out)
    assert shown == {f"{noun}_id": guid, "allowed_networks": ["203.0.113.7/32", "2001:db8::/32"]}
    assert json.loads(operator(noun, "networks", guid, "--json").out) == shown
    assert operator(noun, "networks", guid, "10.0.0.1/8").code == ExitCode.USAGE
    assert operator(noun, "networks", guid, "10.0.0.0/8", "--remove").code == ExitCode.USAGE
    assert json.loads(operator(noun, "networks", guid, "--json").out) == shown
    removed = json.loads(operator(noun, "networks", guid, "--remove", "--json").out)
    assert removed["allowed_networks"] is None
