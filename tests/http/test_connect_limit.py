"""How often one user connects in an hour: exact, on the API and in the widget, and not reset by deleting a member."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from tests.api_client import LOGIN, PASSWORD, VERSIONS, Api, connecting, refusal
from tests.factories import Keyed
from tests.member_setup import make_end_user
from tests.widget_client import Page, open_page, signing_in

TOO_MANY = (429, "too_many_requests_error")
HOUR = 3600
"""Seconds."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, limit_connects_of_user="2/hour")


@pytest.fixture(params=VERSIONS)
def api(request: pytest.FixtureRequest, services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, request.param)


async def connect(api: Api, user: str, login: str) -> httpx.Response:
    return await api.post(f"/users/{user}/members", json=connecting(login))


async def connect_twice(api: Api, user: str) -> list[str]:
    return [await api.connect(user, login=login) for login in ("first", "second")]


async def test_one_connect_more_than_the_setting_allows_is_429_until_the_hour_is_over(
    api: Api, clock: MovableClock
) -> None:
    user = await api.create_user()
    await api.connect(user, login="first")
    clock.advance(timedelta(minutes=10))
    await api.connect(user, login="second")
    refused = await connect(api, user, "third")
    assert refusal(refused) == TOO_MANY
    assert int(refused.headers["Retry-After"]) == HOUR - 600
    assert len((await api.get(f"/users/{user}/members")).json()["members"]) == 2
    clock.advance(timedelta(seconds=HOUR - 601))
    assert refusal(await connect(api, user, "third")) == TOO_MANY
    clock.advance(timedelta(seconds=1))
    for login in ("third", "fourth"):
        await api.connect(user, login=login)
    assert refusal(await connect(api, user, "fifth")) == TOO_MANY


async def test_without_a_limit_a_user_connects_as_often_as_it_has_members(
    settings: Settings, clock: MovableClock
) -> None:
    async with build(replace(settings, limit_connects_of_user=""), clock) as services:
        end_user = await make_end_user(services)
        for number in range(5):
            await end_user.connect(f"login {number}")
        async with services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM rate_limit WHERE key LIKE %(key)s", {"key": f"%{end_user.user.guid}"}
            )
            assert await cursor.fetchone() == (0,)


async def test_the_limit_of_one_user_is_not_used_up_by_another(api: Api) -> None:
    user, other = await api.create_user(), await api.create_user()
    await connect_twice(api, user)
    await connect_twice(api, other)


async def test_deleting_a_member_gives_no_further_connect(api: Api) -> None:
    user = await api.create_user()
    for guid in await connect_twice(api, user):
        assert (await api.delete(f"/users/{user}/members/{guid}")).status_code == 204
    assert refusal(await connect(api, user, "third")) == TOO_MANY


async def test_a_connect_that_is_refused_is_not_counted(api: Api) -> None:
    user = await api.create_user()
    await api.connect(user, login="first")
    for _ in range(3):
        assert refusal(await connect(api, user, "first"))[0] == 409
    await api.connect(user, login="second")


async def test_replaced_credentials_count_as_a_connect_and_other_changes_do_not(api: Api) -> None:
    user = await api.create_user()
    guid = await api.connect(user, login="first")
    path = f"/users/{user}/members/{guid}"
    for metadata in ("a", "b", "c"):
        changed = await api.put(path, json={"member": {"metadata": metadata}})
        assert changed.status_code == 200

    async def replace_password(password: str) -> httpx.Response:
        credentials = [{"guid": LOGIN, "value": "first"}, {"guid": PASSWORD, "value": password}]
        return await api.put(path, json={"member": {"credentials": credentials}})

    assert (await replace_password("second try")).status_code == 200
    assert refusal(await replace_password("third try")) == TOO_MANY
    assert refusal(await connect(api, user, "second")) == TOO_MANY


async def test_of_many_simultaneous_connects_exactly_the_allowed_number_succeeds(api: Api) -> None:
    user = await api.create_user()
    answers = await asyncio.gather(*(connect(api, user, f"login {number}") for number in range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [202, 202] + [429] * 6


async def test_nothing_is_kept_of_the_count_of_a_deleted_user(api: Api, services: Services) -> None:
    user = await api.create_user()
    await connect_twice(api, user)
    assert (await api.delete(f"/users/{user}")).status_code == 204
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM rate_limit WHERE key LIKE '%%' || %(user)s", {"user": user}
        )
        assert await cursor.fetchone() == (0,)


# --- in the widget, by the script of its page ---------------------------------------------------------------


async def start(page: Page, login: str) -> httpx.Response:
    return await page("POST", "/members", json=signing_in(page.api, login, "correct"))


async def test_in_the_widget_one_connect_more_is_429_also_in_another_window(
    api: Api, clock: MovableClock
) -> None:
    user = await api.create_user()
    page = await open_page(api, user)
    for login in ("first", "second"):
        assert (await start(page, login)).status_code == 201
    for window in (page, await open_page(api, user)):
        refused = await start(window, "third")
        assert refusal(refused) == (429, "too_many_requests")
        assert HOUR - 60 < int(refused.headers["Retry-After"]) <= HOUR
    clock.advance(timedelta(hours=1))
    assert (await start(await open_page(api, user), "third")).status_code == 201


async def test_in_the_widget_passwords_of_one_member_cannot_be_tried_without_end(api: Api) -> None:
    user = await api.create_user()
    page = await open_page(api, user)
    guid = (await page.send("POST", "/members", signing_in(api, "first", "INVALID")))["member"]["guid"]

    async def try_password(password: str) -> httpx.Response:
        return await page("PUT", f"/members/{guid}", json=signing_in(api, "first", password))

    assert (await try_password("guess 1")).status_code == 200
    assert refusal(await try_password("guess 2")) == (429, "too_many_requests")
