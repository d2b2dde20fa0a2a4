"""60 spellings of every text that a surface validates: each is refused, or stored and returned in canonical form."""

import json
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.errors import InvalidRequest
from coatcheck.model.accounts import Account
from tests.api_client import LOGIN, PASSWORD, Api
from tests.factories import make_code, make_processor, make_transaction
from tests.spellings import SPELLINGS, spelled
from tests.widget_client import DEPOSIT, Page, open_page

NUMBERS = frozenset({"account_number", "routing_number"})
JSON = {"Content-Type": "application/json"}


def spellings(value: str) -> Iterator[str]:
    yield from (spelled(value, spelling) for spelling in SPELLINGS)


def in_url(value: str) -> str:
    return quote(value, safe="", errors="surrogatepass")


def is_canonical(text: str) -> bool:
    """NFC, ASCII digits, no controls and no invisible characters, and no spaces but single ones within."""
    return (
        text == unicodedata.normalize("NFC", text) == " ".join(text.split())
        and all(each.isascii() for each in text if each.isdecimal())
        and not any(unicodedata.category(each) in {"Cc", "Cs", "Cn", "Zl", "Zp"} for each in text)
        and not set(text) & set("\u200b\u200e\u200f\u2060\ufeff\u00ad\u202e")
    )


async def send(api: Api, method: str, path: str, body: Any) -> httpx.Response:
    """With every character escaped, because a lone surrogate cannot be sent otherwise."""
    return await api(method, path, content=json.dumps(body), headers=JSON)


def value_of(answer: httpx.Response, *path: str | int) -> Any:
    """The value at this path of a successful answer; None of a refusal."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        return None
    value = answer.json()
    for step in path:
        value = value[step]
    return value


async def test_a_users_id_and_email_are_canonical(api: Api) -> None:
    for number, email in enumerate(spellings("ann1@example.com")):
        answer = await send(api, "POST", "/users", {"user": {"id": f"user-{number}", "email": email}})
        stored = value_of(answer, "user", "email")
        assert stored is None or (stored.isascii() and is_canonical(stored)), ascii(email)
    for id in spellings("user-1234"):
        stored = value_of(await send(api, "POST", "/users", {"user": {"id": id}}), "user", "id")
        assert stored is None or stored.isascii(), ascii(id)


@pytest.mark.parametrize("key", ["name", "nickname", "account_subtype"])
async def test_the_names_of_a_manual_account_are_canonical(api: Api, user: str, key: str) -> None:
    answered_key = {"account_subtype": "subtype"}.get(key, key)
    for value in spellings("Account 12345"):
        body = {"account": {"name": "Jar", "account_type": "CASH", key: value}}
        stored = value_of(await send(api, "POST", f"/users/{user}/accounts", body), "account", answered_key)
        assert stored is None or is_canonical(stored), ascii(value)


async def test_the_description_of_a_transaction_is_canonical(
    api: Api, services: Services, account: Account
) -> None:
    transaction = await make_transaction(services, account)
    path = f"/users/{account.user_guid}/transactions/{transaction}"
    for value in spellings("Rent 2026"):
        answer = await send(api, "PUT", path, {"transaction": {"description": value}})
        stored = value_of(answer, "transaction", "description")
        assert stored is None or is_canonical(stored), ascii(value)


async def test_a_members_id_is_canonical(api: Api, user: str) -> None:
    for number, id in enumerate(spellings("member-1234")):
        credentials = [{"guid": LOGIN, "value": f"user-{number}"}, {"guid": PASSWORD, "value": "x"}]
        member = {
            "institution_code": "mxbank",
            "credentials": credentials,
            "id": id,
            "skip_aggregation": True,
        }
        answer = await send(api, "POST", f"/users/{user}/members", {"member": member})
        stored = value_of(answer, "member", "id")
        assert stored is None or is_canonical(stored), ascii(id)
        if answer.status_code == 200:
            await api.delete(f"/users/{user}/members/{answer.json()['member']['guid']}")
    for login in spellings("login1"):
        credentials = [{"guid": LOGIN, "value": login}, {"guid": PASSWORD, "value": login}]
        member = {"institution_code": "mxbank", "credentials": credentials, "skip_aggregation": True}
        answer = await send(api, "POST", f"/users/{user}/members", {"member": member})
        assert answer.status_code < 500, ascii(login)
        if answer.status_code == 200:
            await api.delete(f"/users/{user}/members/{answer.json()['member']['guid']}")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["account_number"], "3333567842"),
        (["routing_number"], "091000019"),
        (["email"], "ann1@example.com"),
        (["account_name", "first_name", "last_name"], "Ann 2nd"),
    ],
)
async def test_the_fields_of_micro_deposits_are_canonical(
    api: Api, user: str, keys: list[str], value: str
) -> None:
    accepted = 0
    for spelling in spellings(value):
        body = {**DEPOSIT, "account_type": "CHECKING", **dict.fromkeys(keys, spelling)}
        answer = await send(api, "POST", f"/users/{user}/micro_deposits", {"micro_deposit": body})
        stored = value_of(answer, "micro_deposit", 0)
        if stored is None:
            continue
        accepted += 1
        for key in keys:
            assert is_canonical(stored[key]), ascii(spelling)
            assert key not in NUMBERS or stored[key] == value, ascii(spelling)
        deleted = await api.delete(f"/users/{user}/micro_deposits/{stored['guid']}")
        assert deleted.status_code == 204
    assert accepted


async def test_no_spelling_of_a_wrong_amount_verifies(api: Api, user: str) -> None:
    made = await api.post(
        f"/users/{user}/micro_deposits", json={"micro_deposit": {**DEPOSIT, "account_type": "CHECKING"}}
    )
    guid = made.json()["micro_deposit"][0]["guid"]
    await api.work()
    for amount in spellings("0.07"):
        body = {"micro_deposit": {"deposit_amount_1": amount, "deposit_amount_2": amount}}
        answer = await send(api, "PUT", f"/micro_deposits/{guid}/verify", body)
        assert value_of(answer, "micro_deposit", 0, "status") in {None, "DENIED", "PREVENTED"}, ascii(amount)


async def test_guids_in_paths_and_bodies_name_one_object_or_none(api: Api, account: Account) -> None:
    for guid in spellings(account.guid):
        answer = await api.get(f"/users/{account.user_guid}/accounts/{in_url(guid)}")
        assert answer.status_code in {400, 404}, ascii(guid)
        scope = f"user-guid:{account.user_guid} member-guid:{account.member_guid} account-guid:{guid}"
        answer = await send(api, "POST", "/authorization_code", {"authorization_code": {"scope": scope}})
        # The scope is a list separated by spaces, so that a space behind it says nothing (RFC 6749 3.3).
        assert answer.status_code in ({200} if guid.strip(" ") == account.guid else {400, 404}), ascii(guid)


async def test_no_other_spelling_of_a_code_is_accepted(
    api: Api, services: Services, account: Account
) -> None:
    processor = await make_processor(services, api.caller)
    code = await make_code(services, account)
    for spelling in spellings(code):
        answer = await api.http.post(
            f"/token?grant_type=authorization_code&code={in_url(spelling)}", auth=processor.auth
        )
        assert answer.status_code == 400, ascii(spelling)
    answer = await api.http.post(
        "/token", params={"grant_type": "authorization_code", "code": code}, auth=processor.auth
    )
    assert answer.status_code == 200, "no spelling of the code has used it up"


async def test_dates_and_numbers_in_queries_are_read_or_refused(api: Api, user: str) -> None:
    for name, value in (
        ("from_date", "2026-11-01"),
        ("to_date", "1793491200"),
        ("page", "1"),
        ("records_per_page", "10"),
    ):
        for spelling in spellings(value):
            answer = await api.get(f"/users/{user}/transactions?{name}={in_url(spelling)}")
            assert answer.status_code in {200, 400}, (name, ascii(spelling))


@pytest.mark.parametrize("key", ["account_number", "routing_number", "email", "account_name"])
async def test_the_fields_of_micro_deposits_in_the_widget_are_canonical(
    api: Api, services: Services, user: str, key: str
) -> None:
    page, accepted = await open_page(api, user, mode="verification"), 0
    for spelling in spellings(DEPOSIT[key] if key != "account_name" else "Everyday 1"):
        answer = await send_in_widget(page, "POST", "/micro_deposits", {**DEPOSIT, key: spelling})
        guid = value_of(answer, "micro_deposit", "guid")
        if guid is None:
            continue
        stored = (await api.get(f"/users/{user}/micro_deposits/{guid}")).json()["micro_deposit"][0]
        assert is_canonical(stored[key]), ascii(spelling)
        assert key not in NUMBERS or stored[key] == DEPOSIT[key], ascii(spelling)
        accepted += 1
        await api.delete(f"/users/{user}/micro_deposits/{guid}")
    assert accepted


async def test_numbers_and_credentials_in_the_widget_are_read_or_refused(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    full_width = in_url(spelled("091000019", "full-width digits"))
    assert await page.get(f"/routing_numbers/{full_width}") == {}
    for spelling in spellings("091000019"):
        answer = await page("GET", f"/routing_numbers/{in_url(spelling)}")
        assert answer.status_code in {200, 400, 404}, ascii(spelling)
        answer = await page("GET", f"/institutions?routing_number={in_url(spelling)}&page=1")
        assert answer.status_code in {200, 400}, ascii(spelling)
    institution = api.services.registry.find("mxbank").guid
    for spelling in spellings("login1"):
        credentials = [{"guid": LOGIN, "value": spelling}, {"guid": PASSWORD, "value": spelling}]
        body = {"institution_guid": institution, "credentials": credentials}
        answer = await send_in_widget(page, "POST", "/members", body)
        assert answer.status_code in {201, 400, 409}, ascii(spelling)
        if answer.status_code == 201:
            await api.delete(f"/users/{user}/members/{answer.json()['member']['guid']}")


async def test_the_names_of_clients_and_processors_are_canonical(services: Services) -> None:
    adds: list[Callable[..., Any]] = [services.clients.add, services.processors.add]
    for name in spellings("Acme 123"):
        async with services.db.transaction() as connection:
            for add in adds:
                try:
                    await add(connection, name, actor="operator")
                except InvalidRequest:
                    continue
        async with services.db.connection() as connection:
            cursor = await connection.execute("SELECT name FROM client UNION SELECT name FROM processor")
            stored = [each for (each,) in await cursor.fetchall()]
            assert [each for each in stored if not is_canonical(each)] == [], ascii(name)


async def send_in_widget(page: Page, method: str, path: str, body: Any) -> httpx.Response:
    headers = {"X-Widget-Session": page.boot["session_token"], **JSON}
    return await page.api.http.request(method, f"/md/api{path}", headers=headers, content=json.dumps(body))
