"""The statuses of institutions over HTTP, and what each refuses."""

from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.members.institutions import ClientAt
from coatcheck.model.institution_statuses import BLOCKED, ClientStatus, InstitutionStatus
from tests.api_client import LOGIN, PASSWORD, V1, V2, Api, connecting, refusal
from tests.factories import Keyed, make_client
from tests.widget_client import open_page

BANK = "mxbank"


@pytest.fixture
def api(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, V2)


@pytest.fixture
def older(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, V1)


async def restrict(api: Api, status: ClientStatus, institution: str = BANK) -> None:
    await api.services.institutions.set_client_status(
        ClientAt(api.caller.guid, institution), status, actor="operator"
    )


async def set_status(api: Api, status: InstitutionStatus) -> None:
    async with api.services.db.transaction() as connection:
        await api.services.institutions.set_status(connection, BANK, status, actor="operator")


async def read(api: Api, code: str = BANK) -> dict[str, Any]:
    institution: dict[str, Any] = (await api.get(f"/institutions/{code}")).json()["institution"]
    return institution


async def codes(api: Api, path: str = "/institutions", **query: Any) -> list[str]:
    answer = await api.get(path, params={"records_per_page": 100, **query})
    return [each["code"] for each in answer.json()["institutions"]]


async def test_an_institution_is_operational_and_available_unless_the_operator_says_otherwise(
    api: Api,
) -> None:
    found = await read(api)
    assert (found["status"], found["client_status"]) == ("OPERATIONAL", "AVAILABLE")
    assert found["is_disabled_by_client"] is False


@pytest.mark.own_database
@pytest.mark.parametrize("status", InstitutionStatus)
async def test_the_status_is_the_same_for_every_client(api: Api, status: InstitutionStatus) -> None:
    await set_status(api, status)
    other = Api(api.http, api.services, await make_client(api.services), V2)
    for each in (api, other):
        assert (await read(each))["status"] == status
    listed = (await api.get("/institutions", params={"name": "mx bank"})).json()["institutions"]
    assert {each["code"]: each["status"] for each in listed}[BANK] == status


@pytest.mark.parametrize("status", ClientStatus)
async def test_the_client_status_is_that_of_the_client(api: Api, status: ClientStatus) -> None:
    await restrict(api, status)
    other = Api(api.http, api.services, await make_client(api.services), V2)
    found = await read(api)
    assert (found["client_status"], found["is_disabled_by_client"]) == (status, status in BLOCKED)
    assert (await read(other))["client_status"] == "AVAILABLE"


@pytest.mark.parametrize("status", ClientStatus)
async def test_blocked_institutions_are_listed_on_request_only(
    api: Api, older: Api, status: ClientStatus
) -> None:
    await restrict(api, status)
    is_listed = status not in BLOCKED
    for each in (api, older):
        assert (BANK in await codes(each)) is is_listed
        assert (BANK in await codes(each, path="/institutions/favorites")) is is_listed
        assert BANK in await codes(each, include_blocked_institutions="true")
        assert (BANK in await codes(each, include_blocked_institutions="false")) is is_listed


async def test_the_older_version_has_neither_field(older: Api) -> None:
    await restrict(older, ClientStatus.PREVENT_NEW)
    found = await read(older)
    assert "status" not in found
    assert "client_status" not in found
    assert found["is_disabled_by_client"] is True


NEW_MEMBER = {
    ClientStatus.PREVENT_ALL: "institution_prevented_error",
    ClientStatus.PREVENT_ALL_AND_DISCONNECT: "institution_prevented_error",
    ClientStatus.PREVENT_NEW: "institution_prevent_new_error",
}


@pytest.mark.parametrize(("status", "type_"), NEW_MEMBER.items())
async def test_no_member_is_created_at_a_blocked_institution(
    api: Api, older: Api, user: str, status: ClientStatus, type_: str
) -> None:
    await restrict(api, status)
    for each in (api, older):
        assert refusal(await each.post(f"/users/{user}/members", json=connecting())) == (400, type_)
    data_request = {"data_request": {"products": ["transactions"]}}
    answer = await api.post(f"/users/{user}/members", json=connecting() | data_request)
    assert refusal(answer) == (400, type_)
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


JOBS = ("aggregate", "verify", "identify", "check_balance", "extend_history", "fetch_statements")


@pytest.mark.parametrize("job", JOBS)
async def test_no_job_starts_at_a_prevented_institution(api: Api, user: str, job: str) -> None:
    member = await api.connect(user)
    await api.work()
    await restrict(api, ClientStatus.PREVENT_ALL)
    answer = await api.post(f"/users/{user}/members/{member}/{job}")
    assert refusal(answer) == (400, "institution_prevented_error")
    assert (await api.get(f"/users/{user}/members/{member}/accounts")).json()["accounts"]


async def test_prevent_verification_refuses_verify_alone(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    await restrict(api, ClientStatus.PREVENT_VERIFICATION)
    answer = await api.post(f"/users/{user}/members/{member}/verify")
    assert refusal(answer) == (400, "institution_prevent_verification_error")
    assert (await api.post(f"/users/{user}/members/{member}/identify")).status_code == 202


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (InstitutionStatus.MAINTENANCE, "institution_maintenance_error"),
        (InstitutionStatus.UNAVAILABLE, "institution_unavailable_error"),
    ],
)
async def test_an_institution_that_does_not_work_takes_no_request(
    api: Api, user: str, status: InstitutionStatus, type_: str
) -> None:
    member = await api.connect(user)
    await api.work()
    await set_status(api, status)
    for job in JOBS:
        assert refusal(await api.post(f"/users/{user}/members/{member}/{job}")) == (400, type_)
    answer = await api.post(f"/users/{user}/members", json=connecting("another"))
    assert refusal(answer) == (400, type_)


async def test_aggregating_all_members_passes_over_those_at_prevented_institutions(
    api: Api, user: str
) -> None:
    member = await api.connect(user, skip_aggregation=True)
    await restrict(api, ClientStatus.PREVENT_ALL)
    answer = await api.post(f"/users/{user}/members/aggregate_all")
    assert answer.status_code == 202
    (found,) = answer.json()["members"]
    assert (found["guid"], found["is_being_aggregated"]) == (member, False)


async def test_a_product_that_is_refused_is_told_with_the_new_member(api: Api, older: Api, user: str) -> None:
    """v20250224 answers 201; the SDKs of v20111101 do not know that status."""
    await restrict(api, ClientStatus.PREVENT_VERIFICATION)
    data_request = {"data_request": {"products": ["account_verification", "identity_verification"]}}
    body = connecting() | data_request
    answer = await older.post(f"/users/{user}/members", json=body)
    assert refusal(answer) == (400, "institution_prevent_verification_error")
    answer = await api.post(f"/users/{user}/members", json=body)
    assert answer.status_code == 201
    created = answer.json()
    assert created["member"]["is_being_aggregated"] is True
    assert created["error"] == {
        "error_code": 1002,
        "error_message": "No account numbers may be read from this institution.",
        "error_type": "MEMBER",
        "user_message": "Some of the requested data is not available from this institution.",
    }
    await api.work()
    path = f"/users/{user}/members/{created['member']['guid']}"
    assert (await api.get(path)).json()["member"]["connection_status"] == "CONNECTED"
    assert (await api.get(f"{path}/account_owners")).json()["account_owners"]
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"] == []


@pytest.mark.parametrize("status", ClientStatus)
async def test_the_widget_offers_no_bank_to_which_the_client_can_make_no_new_connection(
    api: Api, user: str, status: ClientStatus
) -> None:
    page = await open_page(api, user, mode="verification")
    await restrict(api, status)
    found = (await page.get("/institutions?search_name=mx%20bank"))["institutions"]
    is_offered = status not in BLOCKED
    assert (BANK in [each["code"] for each in found]) is is_offered
    assert ("institution" in await page.get("/routing_numbers/111111111")) is is_offered


async def test_the_widget_names_the_reason_where_a_bank_is_refused(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification")
    await restrict(api, ClientStatus.PREVENT_ALL)
    credentials = [{"guid": LOGIN, "value": "ann"}, {"guid": PASSWORD, "value": "correct"}]
    body = {"institution_guid": BANK, "credentials": credentials}
    assert await page.refused("POST", "/members", body) == (400, "institution_refused")
