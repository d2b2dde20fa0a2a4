"""Several cells behind one address: where a request is answered, and what a move changes for callers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from coatcheck.app import Services
from coatcheck.cell_digit import digit_of_guid, in_cell
from coatcheck.cells.cell import find_user
from coatcheck.cells.move import Step
from coatcheck.errors import UserMoving
from coatcheck.grants.secrets import Kind, digit_of_secret, generate
from coatcheck.http.cell_routing import CellRouting, ServedCell
from coatcheck.ids import new
from coatcheck.model.accounts import Account
from coatcheck.server import create_app, open_app
from coatcheck.vault.keys import read_keyring
from coatcheck.vault.master_keys import MasterKeys
from tests.databases import execute
from tests.disclosures import disclosures
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_token,
    make_user,
)
from tests.two_cells import Cells, Died, add_transactions


@pytest.fixture(scope="module")
async def http(cells: Cells) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the one address."""
    async with open_app(cells.first) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=cells.first.settings.base_url) as http:
            yield http


@pytest.fixture
async def client(cells: Cells) -> Keyed:
    return await make_client(cells.first)


@pytest.fixture
async def processor(cells: Cells, client: Keyed) -> Keyed:
    return await cells.make_processor(client)


@pytest.fixture
async def account(cells: Cells, client: Keyed) -> Account:
    return await cells.make_account(client)


async def disclosed(services: Services, user_guid: str) -> int:
    return len(await disclosures(services, user_guid))


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_tokens_read_without_an_error_while_their_user_moves(
    cells: Cells, http: httpx.AsyncClient, processor: Keyed, account: Account, count: int
) -> None:
    await add_transactions(cells.first, account, count)
    tokens = [
        await make_token(cells.first, account, processor, atoms=atoms) for atoms in ("", "max-reads:100000")
    ]
    statuses: Counter[int] = Counter()
    has_moved = asyncio.Event()

    async def read(token: str, path: str) -> None:
        while not has_moved.is_set() or statuses.total() % 20:
            answer = await http.get(path, headers=bearer(token))
            statuses[answer.status_code] += 1

    async with asyncio.TaskGroup() as group:
        for token in tokens:
            group.create_task(read(token, "/account/account_numbers"))
            group.create_task(read(token, "/account/transactions"))
        await cells.move(account.user_guid)
        has_moved.set()
    assert statuses.keys() == {200}
    written = [await disclosed(each, account.user_guid) for each in cells.all]
    assert sum(written) == statuses.total()
    assert all(written)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_the_users_of_a_client_are_created_in_its_cell(cells: Cells, http: httpx.AsyncClient) -> None:
    with in_cell("1"):
        client = await make_client(cells.first)
    await cells.copy_directory()
    answer = await http.post("/users", json={"user": {"metadata": "a"}}, auth=client.auth)
    assert answer.status_code == 200, answer.text
    guid = answer.json()["user"]["guid"]
    assert digit_of_guid(guid) == "1"
    assert (await find_user(cells.by_digit, guid)).digit == "1"
    assert (await http.get(f"/users/{guid}", auth=client.auth)).status_code == 200


async def test_after_a_move_every_way_to_name_the_user_leads_to_the_new_cell(
    cells: Cells, http: httpx.AsyncClient, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(cells.first, account, processor)
    code = await make_code(cells.first, account)
    other_code = await make_code(cells.first, account)
    user = f"/users/{account.user_guid}"
    opened = await http.post(
        f"{user}/widget_urls",
        json={"widget_url": {"widget_type": "connect_widget"}},
        headers={"Accept-Version": "v20250224"},
        auth=client.auth,
    )
    widget = opened.json()["widget_url"]["url"]
    await cells.move(account.user_guid)

    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 200
    assert (await http.get(f"{user}/accounts/{account.guid}", auth=client.auth)).status_code == 200
    assert (await http.get(widget)).status_code in {200, 303}
    query = {"code": code, "grant_type": "authorization_code"}
    assert (await http.post("/token", params=query, auth=processor.auth)).status_code == 200
    form = {"code": other_code, "grant_type": "authorization_code"}
    issued = await http.post("/oauth/token", data=form, auth=processor.auth)
    assert issued.status_code == 200, issued.text
    new_token = issued.json()["access_token"]
    assert digit_of_secret(new_token) == "1"
    asked = await http.post("/oauth/introspect", data={"token": token}, auth=processor.auth)
    assert asked.json()["active"] is True
    guids = f"user-guid:{account.user_guid} member-guid:{account.member_guid} account-guid:{account.guid}"
    issue = await http.post(
        "/authorization_code", json={"authorization_code": {"scope": guids}}, auth=client.auth
    )
    assert issue.status_code == 200, issue.text
    assert (await http.post("/oauth/revoke", data={"token": token}, auth=processor.auth)).status_code == 200
    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 401
    assert (await http.get("/account/account_numbers", headers=bearer(new_token))).status_code == 200


async def test_changes_of_a_moving_user_are_answered_with_503_and_reads_are_answered(
    cells: Cells, http: httpx.AsyncClient, client: Keyed, processor: Keyed, account: Account
) -> None:
    token = await make_token(cells.first, account, processor, atoms="max-reads:2")
    with pytest.raises(Died):
        await cells.move(account.user_guid, dies_before=Step.SWITCH)
    change = {"user": {"metadata": "new"}}
    refused = await http.put(f"/users/{account.user_guid}", json=change, auth=client.auth)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert (await http.get(f"/users/{account.user_guid}", auth=client.auth)).status_code == 200
    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 200
    await cells.move(account.user_guid)
    # The limit counts the reads in both cells.
    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 200
    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 403
    changed = await http.put(f"/users/{account.user_guid}", json=change, auth=client.auth)
    assert changed.status_code == 200


async def test_a_read_that_the_switch_overtakes_is_answered_by_the_new_cell(
    cells: Cells, processor: Keyed, account: Account, master_key: str
) -> None:
    token = await make_token(cells.first, account, processor)

    async def overtaken(scope: Scope, receive: Receive, send: Send) -> None:
        await cells.move(account.user_guid)
        raise UserMoving

    async with cells.first.db.connection() as connection:
        keyring = await read_keyring(connection, MasterKeys.load(cells.first.settings))
    apps = (overtaken, create_app(cells.second))
    served = {
        digit: ServedCell(cell, app) for (digit, cell), app in zip(cells.by_digit.items(), apps, strict=True)
    }
    app = CellRouting(served, keyring.hash_key, body_seconds=1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://coatcheck.test"
    ) as http:
        answer = await http.get("/account/account_numbers", headers=bearer(token))
    assert answer.status_code == 200
    assert [await disclosed(each, account.user_guid) for each in cells.all] == [0, 1]


async def test_a_change_of_the_directory_is_in_every_cell_before_it_is_answered(
    cells: Cells, http: httpx.AsyncClient
) -> None:
    with in_cell("1"):
        client = await make_client(cells.first)
    await cells.copy_directory()
    answer = await http.post(
        "/coatcheck/webhook_endpoints",
        json={"webhook_endpoint": {"url": "https://acme.example/hook"}},
        auth=client.auth,
    )
    assert answer.status_code == 201, answer.text
    for services in cells.all:
        async with services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM webhook_endpoint WHERE owner_guid = %s", (client.guid,)
            )
            assert await cursor.fetchone() == (1,)


@pytest.mark.parametrize("digit", ["z", "1"])
async def test_a_made_up_digit_opens_nothing(
    cells: Cells, http: httpx.AsyncClient, client: Keyed, processor: Keyed, account: Account, digit: str
) -> None:
    with in_cell(digit):
        token = generate(Kind.TOKEN, b"k" * 32, period=2970).text
        guid = new("USR")
    assert (await http.get("/account/account_numbers", headers=bearer(token))).status_code == 401
    assert (await http.get(f"/users/{guid}", auth=client.auth)).status_code == 404


@pytest.mark.slow
async def test_a_cell_that_is_away_takes_only_its_own_users_with_it(
    cells: Cells,
    http: httpx.AsyncClient,
    client: Keyed,
    processor: Keyed,
    account: Account,
    server_url: str,
    second_url: str,
) -> None:
    neighbour = await make_account(cells.first, await make_user(cells.first, client))
    tokens = [await make_token(cells.first, each, processor) for each in (account, neighbour)]
    await cells.move(account.user_guid)
    name = urlsplit(second_url).path.removeprefix("/")
    execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        execute(
            server_url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        answers = [
            (await http.get("/account/account_numbers", headers=bearer(token))).status_code
            for token in tokens
        ]
    finally:
        execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert answers == [503, 200]
