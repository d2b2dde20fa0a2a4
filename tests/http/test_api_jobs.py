"""Jobs that are read by their guid, and the aggregation of all members of a user."""

import httpx
import pytest

from coatcheck.app import Services
from tests.api_client import HEADERS, V1, V2, Api
from tests.factories import Keyed


@pytest.fixture
def newer(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, V2)


async def last_job(newer: Api, user: str, member: str) -> str:
    answer = await newer.get(f"/users/{user}/members/{member}")
    return str(answer.json()["member"]["most_recent_job_guid"])


async def test_a_job_is_read_by_its_guid_before_and_after_it_ends(newer: Api, user: str) -> None:
    member = await newer.connect(user)
    guid = await last_job(newer, user, member)
    job = (await newer.get(f"/users/{user}/jobs/{guid}")).json()["job"]
    assert (job["status"], job["connection_status"], job["finished_at"]) == ("QUEUED", None, None)
    assert (job["job_type"], job["member_guid"]) == ("AGGREGATION", member)
    await newer.work()
    job = (await newer.get(f"/users/{user}/jobs/{guid}")).json()["job"]
    assert (job["status"], job["connection_status"]) == ("ENDED", "CONNECTED")
    assert job["is_authenticated"]
    assert job["has_processed_accounts"]
    assert job["started_at"] <= job["finished_at"]


async def test_a_job_of_another_user_is_not_found(newer: Api, user: str) -> None:
    guid = await last_job(newer, user, await newer.connect(user))
    other = await newer.create_user()
    assert (await newer.get(f"/users/{other}/jobs/{guid}")).status_code == 404


async def test_the_newer_operations_are_not_in_v20111101(newer: Api, user: str) -> None:
    guid = await last_job(newer, user, await newer.connect(user))
    for method, path in (
        ("GET", f"/users/{user}/jobs/{guid}"),
        ("POST", f"/users/{user}/members/aggregate_all"),
    ):
        assert (await newer(method, path, headers={"Accept-Version": V1})).status_code == 404
        assert HEADERS[V2]["Accept-Version"] == V2


async def test_all_members_that_can_be_read_are_aggregated_in_one_call(newer: Api, user: str) -> None:
    idle = [await newer.connect(user, login=login, skip_aggregation=True) for login in ("ann", "bob")]
    asked = await newer.connect(user, login="challenged", password="challenge")
    await newer.work()
    manual = {"account": {"name": "Jar", "account_type": "CASH"}}
    await newer.post(f"/users/{user}/accounts", json=manual)
    answer = await newer.post(f"/users/{user}/members/aggregate_all")
    assert answer.status_code == 202
    members = {each["guid"]: each for each in answer.json()["members"]}
    assert [members[guid]["is_being_aggregated"] for guid in idle] == [True, True]
    assert members[asked]["connection_status"] == "CHALLENGED"
    assert len(members) == 4
    await newer.work()
    again = (await newer.get(f"/users/{user}/members")).json()["members"]
    assert {each["connection_status"] for each in again if each["guid"] in idle} == {"CONNECTED"}


async def test_members_of_a_disabled_user_are_not_aggregated(newer: Api, user: str) -> None:
    await newer.connect(user, skip_aggregation=True)
    await newer.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    assert (await newer.post(f"/users/{user}/members/aggregate_all")).status_code == 403
