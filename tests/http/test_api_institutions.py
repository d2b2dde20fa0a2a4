"""Institutions, categories and merchants over HTTP."""

from typing import Any

import pytest

from tests.api_client import LOGIN, PASSWORD, V1, V2, VERSIONS, Api, refusal


@pytest.fixture
async def newer(api: Api) -> Api:
    return Api(api.http, api.services, api.caller, V2)


async def codes(api: Api, **query: Any) -> list[str]:
    answer = await api.get("/institutions", params={"records_per_page": 100, **query})
    assert answer.status_code == 200, answer.text
    return [each["code"] for each in answer.json()["institutions"]]


async def test_institutions_are_searched_by_part_of_their_name(api: Api) -> None:
    assert "mxbank" in await codes(api, name="mX bA")
    assert await codes(api, name="penaluz") == ["banco_penaluz"]
    assert await codes(api, name="no bank has this name") == []


async def test_institutions_are_filtered_by_any_of_several_countries(api: Api) -> None:
    canadian = await codes(api, iso_country_code="CA")
    assert "caisse_erabliere" in canadian
    assert "mxbank" not in canadian
    assert await codes(api, iso_country_code=["CA", "US"]) == await codes(api)
    assert await codes(api, **{"iso_country_code[]": "ca"}) == canadian
    assert await codes(api, iso_country_code="MX") == []


FLAGS = {
    "supports_account_identification": "identity_verification",
    "supports_account_statement": "statements",
    "supports_account_verification": "account_verification",
    "supports_transaction_history": "transaction_history",
}


@pytest.mark.parametrize(("flag", "product"), FLAGS.items())
async def test_flags_and_products_find_the_same_institutions(
    api: Api, newer: Api, flag: str, product: str
) -> None:
    flagged = await codes(api, **{flag: "true"})
    assert 0 < len(flagged) < len(await codes(api))
    assert await codes(api, **{flag: "false"}) == await codes(api)
    for name in ("supported_products", "supported_products[]"):
        assert await codes(newer, **{name: product}) == flagged
    found = (await api.get("/institutions", params={flag: "True"})).json()["institutions"]
    assert all(each[flag] is True for each in found)
    found = (await newer.get("/institutions", params={"supported_products": product})).json()["institutions"]
    assert all(product in each["supported_products"] for each in found)


async def test_several_products_are_all_required_and_both_names_of_history_work(newer: Api) -> None:
    assert await codes(newer, supported_products="history") == await codes(
        newer, supported_products="transaction_history"
    )
    both = await codes(newer, supported_products="statements,identity_verification")
    assert both == await codes(newer, supported_products=["statements", "identity_verification"])
    assert set(both) < set(await codes(newer, supported_products="statements"))
    assert await codes(newer, supported_products="rewards") == []
    answer = await newer.get("/institutions", params={"supported_products": "gold"})
    assert refusal(answer) == (400, "invalid_request")


async def test_a_page_of_institutions_has_at_most_1000_items(api: Api) -> None:
    for size, expected in ((10, 10), (1000, 1000), (1001, 25), (9, 25), (None, 25)):
        query = {} if size is None else {"records_per_page": size}
        body = (await api.get("/institutions", params=query)).json()
        assert body["pagination"]["per_page"] == expected
        assert len(body["institutions"]) == min(expected, body["pagination"]["total_entries"])


async def test_an_institution_is_read_by_code_and_by_guid(api: Api, newer: Api) -> None:
    institution = (await newer.get("/institutions/mxbank")).json()["institution"]
    assert institution["name"] == "MX Bank"
    assert institution["guid"].startswith("INS-")
    assert (await newer.get(f"/institutions/{institution['guid']}")).json()["institution"] == institution
    assert "guid" not in (await api.get(f"/institutions/{institution['guid']}")).json()["institution"]
    assert refusal(await api.get("/institutions/nobank")) == (404, "not_found_error")


async def test_logos_are_data_urls(api: Api) -> None:
    for institution in (await api.get("/institutions")).json()["institutions"]:
        for size in ("small", "medium"):
            assert institution[f"{size}_logo_url"].startswith("data:image/svg+xml;base64,")


async def test_favorites_are_popular_institutions_filtered_by_country(api: Api) -> None:
    favorites = (await api.get("/institutions/favorites")).json()["institutions"]
    assert favorites[0]["code"] == "mxbank"
    answer = await api.get("/institutions/favorites", params={"iso_country_code": "CA"})
    assert {each["iso_country_code"] for each in answer.json()["institutions"]} == {"CA"}


async def test_credentials_are_the_fields_of_the_sign_in_form(api: Api) -> None:
    body = (await api.get("/institutions/mxbank/credentials")).json()
    assert [(each["guid"], each["field_name"], each["field_type"]) for each in body["credentials"]] == [
        (LOGIN, "LOGIN", "TEXT"),
        (PASSWORD, "PASSWORD", "PASSWORD"),
    ]
    assert (await api.get("/institutions/mxcu_oauth/credentials")).json()["credentials"] == []
    assert refusal(await api.get("/institutions/nobank/credentials")) == (404, "not_found_error")


@pytest.mark.parametrize("version", VERSIONS)
async def test_categories_form_a_tree_and_are_the_same_for_every_user(api: Api, version: str) -> None:
    api = Api(api.http, api.services, api.caller, version)
    user = await api.create_user()
    paths = ("/categories/default", f"/users/{user}/categories/default", f"/users/{user}/categories")
    first, *others = [(await api.get(path, params={"records_per_page": 1000})).json() for path in paths]
    assert others == [first, first]
    by_guid = {each["guid"]: each for each in first["categories"]}
    groceries = next(each for each in first["categories"] if each["name"] == "Groceries")
    assert by_guid[groceries["parent_guid"]]["name"] == "Food & Dining"
    for path in (f"/categories/{groceries['guid']}", f"/users/{user}/categories/{groceries['guid']}"):
        assert (await api.get(path)).json() == {"category": groceries}
    for path in ("/categories/CAT-1", f"/users/{user}/categories/CAT-1", "/users/USR-1/categories"):
        assert refusal(await api.get(path)) == (404, "not_found_error")


async def test_merchants_are_searched_and_read_with_their_location(api: Api) -> None:
    page = (await api.get("/merchants", params={"records_per_page": 1000})).json()["merchants"]
    merchant = page[0]
    part = merchant["name"][1:5].upper()
    found = (await api.get("/merchants", params={"name": part})).json()["merchants"]
    assert merchant in found
    assert all(part.lower() in each["name"].lower() for each in found)
    assert (await api.get(f"/merchants/{merchant['guid']}")).json() == {"merchant": merchant}
    location_guid = next(
        each.location_guid for each in api.services.registry.merchants() if each.guid == merchant["guid"]
    )
    location = (await api.get(f"/merchant_locations/{location_guid}")).json()["merchant_location"]
    assert location["merchant_guid"] == merchant["guid"]


async def test_guids_of_merchants_and_locations_are_not_interchangeable(api: Api) -> None:
    merchant = api.services.registry.merchants()[0]
    for path in (
        f"/merchants/{merchant.location_guid}",
        f"/merchant_locations/{merchant.guid}",
        "/merchants/MCH-1",
        "/merchant_locations/MCL-1",
    ):
        assert refusal(await api.get(path)) == (404, "not_found_error")


async def test_the_default_version_is_v20111101(api: Api) -> None:
    plain = await api.http.get("/institutions/mxbank", auth=api.caller.auth)
    assert plain.headers["content-type"] == "application/json; charset=utf-8"
    vendor = await Api(api.http, api.services, api.caller, V1).get("/institutions/mxbank")
    assert vendor.headers["content-type"] == "application/vnd.mx.api.v1+json"
    assert plain.content == vendor.content
