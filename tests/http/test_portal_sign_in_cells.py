"""End users of several cells open the portal with the operator's identity provider."""

from collections.abc import AsyncIterator

import pytest

from coatcheck.cell_digit import digit_of_guid
from coatcheck.cells.move import Step
from coatcheck.http.cell_routing import CellRouting, ServedCell
from coatcheck.model.users import User
from coatcheck.server import create_app
from coatcheck.vault.keys import read_keyring
from coatcheck.vault.master_keys import MasterKeys
from tests.factories import Keyed, make_client, make_user
from tests.identity_provider import Provider
from tests.portal_client import Portal, text_of
from tests.portal_sign_in import UNKNOWN, comes_back, window_of, with_claim
from tests.staff import Window
from tests.two_cells import Cells, Died


@pytest.fixture
async def client(cells: Cells) -> Keyed:
    client = await make_client(cells.first)
    await cells.copy_directory()
    return client


@pytest.fixture
def upstream(cells: Cells) -> Provider:
    return Provider(cells.clock)


@pytest.fixture
async def window(cells: Cells, client: Keyed, upstream: Provider) -> AsyncIterator[Window]:
    """A browser at the one address of both cells, whose users sign in with the provider."""
    of_cells = {"0": with_claim(cells.first, client, upstream, "sub"), "1": cells.second}
    async with cells.first.db.connection() as connection:
        keyring = await read_keyring(connection, MasterKeys.load(cells.first.settings))
    served = {
        digit: ServedCell(cells.by_digit[digit], create_app(each, of_cells))
        for digit, each in of_cells.items()
    }
    window = window_of(of_cells["0"], CellRouting(served, keyring.hash_key, body_seconds=5))
    async with window.http:
        yield window


async def make_ann(cells: Cells, client: Keyed, digit: str = "0") -> User:
    """The user whom the provider names, in a cell."""
    user = await make_user(cells.first, client, id="ann")
    if digit != "0":
        await cells.move(user.guid, target=digit)
    return user


@pytest.mark.parametrize("digit", ["0", "1"])
async def test_a_user_of_any_cell_signs_in_and_the_session_is_in_the_cell_of_the_user(
    cells: Cells, window: Window, client: Keyed, upstream: Provider, digit: str
) -> None:
    user = await make_ann(cells, client, digit)
    answer = await comes_back(window, upstream)
    assert answer.status_code == 303, answer.text
    home = answer.headers["location"]
    assert digit_of_guid(home.rpartition("/")[2]) == digit
    cookie = answer.headers.get_list("set-cookie")[0].partition(";")[0]
    portal = Portal(window.http, home, cookie)
    assert "Your connected accounts" in text_of(await portal.get())
    for services in cells.all:
        async with services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM portal_session WHERE user_guid = %s", (user.guid,)
            )
            assert await cursor.fetchone() == (int(services.settings.cell == digit),)


async def test_a_user_whose_rows_are_in_two_cells_during_a_move_is_one_user(
    cells: Cells, window: Window, client: Keyed, upstream: Provider
) -> None:
    user = await make_user(cells.first, client, id="ann")
    with pytest.raises(Died):
        await cells.move(user.guid, dies_before=Step.DELETE)
    answer = await comes_back(window, upstream)
    assert digit_of_guid(answer.headers["location"].rpartition("/")[2]) == "1"


async def test_an_id_that_two_users_in_different_cells_have_signs_nobody_in(
    cells: Cells, window: Window, client: Keyed, upstream: Provider
) -> None:
    await make_ann(cells, client, "1")
    await make_ann(cells, client)
    answer = await comes_back(window, upstream)
    assert (answer.status_code, UNKNOWN in text_of(answer)) == (401, True)


async def test_an_id_that_no_cell_has_signs_nobody_in(
    cells: Cells, window: Window, upstream: Provider
) -> None:
    await make_ann(cells, await make_client(cells.first))
    assert (await comes_back(window, upstream)).status_code == 401
