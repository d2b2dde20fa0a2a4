"""Transactions and statements over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.model.accounts import Account
from coatcheck.model.categories import BY_NAME
from tests.api_client import V1, V2, VERSIONS, Api, refusal
from tests.factories import PDF, make_account, make_statement, make_transaction, make_user


async def found(api: Api, path: str, **query: Any) -> list[str]:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [each["guid"] for each in answer.json()["transactions"]]


def list_paths(account: Account) -> list[str]:
    """The paths of all lists that contain the account's transactions."""
    user = f"/users/{account.user_guid}"
    return [
        f"{user}/transactions",
        f"{user}/members/{account.member_guid}/transactions",
        f"{user}/accounts/{account.guid}/transactions",
        f"{user}/members/{account.member_guid}/accounts/{account.guid}/transactions",
    ]


async def test_the_default_range_of_a_list_is_120_days_ago_to_5_days_ahead(
    api: Api, services: Services, account: Account
) -> None:
    today = services.clock.now().date()
    guids = {
        days: await make_transaction(services, account, date=today + timedelta(days=days))
        for days in (6, 5, 0, -120, -121)
    }
    (path, *_) = list_paths(account)
    assert await found(api, path) == [guids[5], guids[0], guids[-120]]
    assert await found(api, path, from_date=today.isoformat()) == [guids[5], guids[0]]
    assert await found(api, path, to_date=(today - timedelta(days=1)).isoformat()) == [guids[-120]]
    all_dates = {"from_date": "2001-01-01", "to_date": "2101-01-01"}
    assert await found(api, path, **all_dates) == list(guids.values())


async def test_the_default_range_follows_the_clock(
    api: Api, services: Services, account: Account, clock: MovableClock
) -> None:
    guid = await make_transaction(services, account)
    (path, *_) = list_paths(account)
    clock.advance(timedelta(days=121))
    assert await found(api, path) == []
    assert await found(api, path, from_date="2001-01-01") == [guid]


async def test_a_date_can_be_unix_seconds(api: Api, services: Services, account: Account) -> None:
    now = services.clock.now()
    guid = await make_transaction(services, account)
    (path, *_) = list_paths(account)
    assert await found(api, path, from_date=int(now.timestamp())) == [guid]
    assert await found(api, path, from_date=int((now + timedelta(days=1)).timestamp())) == []
    for nonsense in ("yesterday", "2020-13-01", "9" * 30):
        assert refusal(await api.get(path, params={"from_date": nonsense})) == (400, "invalid_request")


async def test_transactions_are_filtered_by_creation_and_update_time(
    api: Api, services: Services, account: Account
) -> None:
    now = services.clock.now()
    old = now - timedelta(days=10)
    first = await make_transaction(services, account, created_at=old, updated_at=old)
    second = await make_transaction(services, account, created_at=old, updated_at=now)
    (path, *_) = list_paths(account)
    day, yesterday = old.date().isoformat(), (now - timedelta(days=1)).date().isoformat()
    assert set(await found(api, path, from_created_at=day, to_created_at=day)) == {first, second}
    assert await found(api, path, from_created_at=yesterday) == []
    seconds = int((now - timedelta(days=1)).timestamp())
    assert await found(api, path, from_timestamp=seconds) == []
    assert set(await found(api, path, to_timestamp=seconds)) == {first, second}
    assert await found(api, path, from_updated_at=yesterday) == [second]
    assert await found(api, path, to_updated_at=yesterday) == [first]


async def test_transactions_are_filtered_by_category_in_both_spellings(
    api: Api, services: Services, account: Account
) -> None:
    today = services.clock.now().date()
    guids = {
        name: await make_transaction(services, account, category=name, date=today - timedelta(days=number))
        for number, name in enumerate(("Groceries", "Restaurants", "Gas"))
    }
    category = {name: BY_NAME[name].guid for name in (*guids, "Food & Dining")}
    (path, *_) = list_paths(account)
    assert await found(api, path, category_guid=category["Gas"]) == [guids["Gas"]]
    several = {"category_guid[]": [category["Gas"], category["Groceries"]]}
    assert await found(api, path, **several) == [guids["Groceries"], guids["Gas"]]
    for spelling in ("top_level_category_guid", "top_level_category_guid[]"):
        food = await found(api, path, **{spelling: category["Food & Dining"]})
        assert food == [guids["Groceries"], guids["Restaurants"]]
    assert await found(api, path, category_guid="CAT-none") == []


async def test_transactions_are_filtered_by_the_use_case_of_their_member(api: Api) -> None:
    user = await api.create_user()
    member = await api.connect(user, use_cases=["PFM"])
    await api.work()
    path = f"/users/{user}/transactions"
    assert await found(api, path, use_case="PFM") == await found(
        api, f"/users/{user}/members/{member}/transactions"
    )
    assert await found(api, path, use_case="MONEY_MOVEMENT") == []


async def test_each_list_contains_only_transactions_of_its_user_member_or_account(
    api: Api, services: Services
) -> None:
    api = Api(api.http, services, api.caller, V2)
    user = await make_user(services, api.caller)
    one, two = await make_account(services, user), await make_account(services, user)
    first, second = await make_transaction(services, one), await make_transaction(services, two)
    whole, *narrower = list_paths(one)
    assert set(await found(api, whole)) == {first, second}
    for path in narrower:
        assert await found(api, path) == [first]
    mismatched = f"/users/{user.guid}/members/{one.member_guid}/accounts/{two.guid}"
    for path in (f"{mismatched}/transactions", f"{mismatched}/transactions/{second}"):
        assert refusal(await api.get(path)) == (404, "not_found_error")
    matching = f"/users/{user.guid}/members/{one.member_guid}/accounts/{one.guid}/transactions"
    assert refusal(await api.get(f"{matching}/{second}")) == (404, "not_found_error")
    changed = await api.put(f"{matching}/{second}", json={"transaction": {"description": "x"}})
    assert refusal(changed) == (404, "not_found_error")


async def test_pages_have_no_gap_and_no_overlap(api: Api, services: Services, account: Account) -> None:
    guids = {await make_transaction(services, account) for _ in range(23)}
    (path, *_) = list_paths(account)
    pages = [await found(api, path, page=number, records_per_page=10) for number in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [10, 10, 3, 0]
    assert {guid for page in pages for guid in page} == guids


@pytest.mark.parametrize("version", VERSIONS)
async def test_includes_add_only_the_requested_objects(api: Api, version: str) -> None:
    api = Api(api.http, api.services, api.caller, version)
    user = await api.create_user()
    await api.connect(user)
    await api.work()
    path = f"/users/{user}/transactions"
    keys = {"merchant", "classification", "geolocation", "repeating_transaction"}

    async def listed(**query: str) -> list[dict[str, Any]]:
        body: list[dict[str, Any]] = (await api.get(path, params=query)).json()["transactions"]
        return body

    assert not any(keys & each.keys() for each in await listed())
    some = await listed(includes="merchants")
    assert all(keys & each.keys() == {"merchant"} for each in some)
    with_merchant = next(each for each in some if each["merchant"])
    assert with_merchant["merchant"]["guid"] == with_merchant["merchant_guid"]
    all_includes = "repeating_transactions,merchants,classifications,geolocations"
    assert all(keys <= each.keys() for each in await listed(includes=all_includes))
    assert refusal(await api.get(path, params={"includes": "gossip"})) == (400, "invalid_request")


async def test_one_transaction_is_read_as_a_list_of_one(
    api: Api, services: Services, account: Account
) -> None:
    guid = await make_transaction(services, account)
    body = (await api.get(f"/users/{account.user_guid}/transactions/{guid}")).json()
    assert [each["guid"] for each in body["transactions"]] == [guid]
    assert body["pagination"]["total_entries"] == 1


async def test_updating_the_description_keeps_the_original_description(
    api: Api, services: Services, account: Account
) -> None:
    guid = await make_transaction(services, account)
    (path, *_, nested) = list_paths(account)
    for number, prefix in enumerate((path, nested)):
        answer = await api.put(f"{prefix}/{guid}", json={"transaction": {"description": f"mine {number}"}})
        assert answer.status_code == 200
        changed = answer.json()["transaction"]
        assert (changed["description"], changed["original_description"]) == (
            f"mine {number}",
            "CORNER SHOP 0042",
        )
    bodies: list[dict[str, Any]] = [{}, {"transaction": {}}, {"transaction": {"description": None}}]
    for body in bodies:
        assert refusal(await api.put(f"{path}/{guid}", json=body)) == (400, "invalid_request")


# --- statements -------------------------------------------------------------------------------------------


async def test_the_uri_of_a_statement_returns_its_pdf(api: Api) -> None:
    user = await api.create_user()
    member = await api.connect(user, skip_aggregation=True)
    path = f"/users/{user}/members/{member}"
    await api.post(f"{path}/fetch_statements")
    await api.work()
    statements = (await api.get(f"{path}/statements")).json()["statements"]
    assert statements
    for statement in statements[:1]:
        assert (await api.get(f"{path}/statements/{statement['guid']}")).json() == {"statement": statement}
        pdf = await api.get(statement["uri"])
        assert pdf.status_code == 200
        assert pdf.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/vnd.mx.api.v1+pdf", "application/vnd.mx.api.v1+pdf"),
        ("application/vnd.mx.api.v1+json", "application/vnd.mx.api.v1+pdf"),
        ("*/*", "application/vnd.mx.api.v1+pdf"),
        ("application/pdf", "application/pdf"),
    ],
)
async def test_a_pdf_has_the_requested_media_type(
    api: Api, services: Services, account: Account, accept: str, media_type: str
) -> None:
    statement = await make_statement(services, account)
    path = f"/users/{account.user_guid}/members/{account.member_guid}/statements/{statement}.pdf"
    answer = await api.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{statement}.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_statement_of_another_member_is_not_found(
    api: Api, services: Services, account: Account
) -> None:
    user = await make_user(services, api.caller)
    one, two = await make_account(services, user), await make_account(services, user)
    statement = await make_statement(services, one)
    mismatched = f"/users/{user.guid}/members/{two.member_guid}/statements/{statement}"
    for path in (mismatched, f"{mismatched}.pdf"):
        assert refusal(await api.get(path)) == (404, "not_found_error")
    assert (await api.get(f"/users/{user.guid}/members/{two.member_guid}/statements")).json()[
        "statements"
    ] == []


async def test_a_download_of_a_statement_is_recorded_as_a_disclosure(
    api: Api, services: Services, account: Account
) -> None:
    statement = await make_statement(services, account)
    path = f"/users/{account.user_guid}/members/{account.member_guid}/statements/{statement}.pdf"
    await Api(api.http, services, api.caller, V1).get(path)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT reader_guid, what FROM disclosure WHERE record_guid = %s", (statement,)
        )
        assert await cursor.fetchall() == [(api.caller.guid, "STATEMENT")]
