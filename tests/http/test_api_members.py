"""Members and their jobs over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.ids import new
from tests.api_client import HEADERS, LOGIN, PASSWORD, V2, Api, connecting, refusal
from tests.factories import Keyed, make_client
from tests.widget_client import open_page


@pytest.fixture
async def client(services: Services) -> Keyed:
    return await make_client(services, webhook_url="https://hooks.example.com/mx")


async def status_of(api: Api, user: str, member: str) -> dict[str, Any]:
    answer = await api.get(f"/users/{user}/members/{member}/status")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()["member"]
    return found


async def events_of(api: Api, kind: str) -> list[tuple[str, str | None, bool]]:
    """The events of a kind, oldest first: action, callback payload, whether they are to be sent."""
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT e.payload::json ->> 'action', e.callback_payload, d.event_guid IS NOT NULL
               FROM event e LEFT JOIN delivery d ON d.event_guid = e.guid
               WHERE e.owner_guid = %s AND e.type = %s ORDER BY e.position""",
            (api.caller.guid, kind),
        )
        return list(await cursor.fetchall())


async def test_creating_a_member_starts_an_aggregation_and_returns_202(api: Api, user: str) -> None:
    body = connecting(id="checking", metadata="m", use_cases=["PFM"])
    created = await api.post(f"/users/{user}/members", json=body)
    assert created.status_code == 202
    member = created.json()["member"]
    assert (member["id"], member["metadata"], member["use_cases"]) == ("checking", "m", ["PFM"])
    assert (member["user_guid"], member["user_id"]) == (user, "ann")
    assert (member["connection_status"], member["is_being_aggregated"]) == ("CREATED", True)
    await api.work()
    status = await status_of(api, user, member["guid"])
    assert (status["connection_status"], status["is_being_aggregated"]) == ("CONNECTED", False)
    assert status["has_processed_accounts"] is status["has_processed_transactions"] is True
    by_id = await api.get("/users/ann/members/checking")
    assert by_id.json()["member"]["guid"] == member["guid"]
    assert by_id.json()["member"]["connection_status_message"]


async def test_creating_a_member_without_a_job_returns_200(api: Api, user: str) -> None:
    created = await api.post(f"/users/{user}/members", json=connecting(skip_aggregation=True))
    assert created.status_code == 200
    assert created.json()["member"]["is_being_aggregated"] is False


@pytest.mark.parametrize("version", ["v20111101", V2])
async def test_data_request_products_select_the_jobs_in_both_versions(
    api: Api, user: str, version: str
) -> None:
    api = Api(api.http, api.services, api.caller, version)
    data_request = {"data_request": {"products": ["account_verification", "identity_verification"]}}
    created = await api.post(f"/users/{user}/members", json=connecting() | data_request)
    assert created.status_code == 202
    await api.work()
    path = f"/users/{user}/members/{created.json()['member']['guid']}"
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"]
    assert (await api.get(f"{path}/account_owners")).json()["account_owners"]
    assert (await api.get(f"{path}/transactions")).json()["transactions"] == []


async def test_unsupported_products_start_no_job(api: Api, user: str) -> None:
    """The SDKs of v20111101 do not know the status 201."""
    newer = Api(api.http, api.services, api.caller, V2)
    data_request = {"data_request": {"products": ["rewards", "investments"]}}
    assert (await api.post(f"/users/{user}/members", json=connecting() | data_request)).status_code == 200
    answer = await newer.post(f"/users/{user}/members", json=connecting("another") | data_request)
    assert answer.status_code == 201
    assert answer.json()["error"]["error_message"] == "No institution supports rewards."
    assert answer.json()["member"]["is_being_aggregated"] is False


async def test_a_second_member_with_the_same_login_is_a_conflict(api: Api, user: str) -> None:
    await api.connect(user)
    again = await api.post(f"/users/{user}/members", json=connecting(password="another"))
    assert refusal(again) == (409, "conflict_error")
    await api.connect(user, login="another-login")
    other = await api.create_user()
    await api.connect(other)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"member": {}},
        {"member": {"institution_code": "mxbank"}},
        {"member": {"institution_code": "mxbank", "credentials": []}},
        {"member": {"institution_code": "mxbank", "credentials": [{"guid": LOGIN, "value": "x"}]}},
        {"member": {"institution_code": "mxbank", "credentials": [{"guid": LOGIN}]}},
        {"member": {"institution_code": "mxbank", "credentials": "mxuser"}},
        {"member": {"institution_code": "mxbank", "credentials": [{"guid": "CRD-1", "value": "x"}]}},
        {"member": {"institution_code": "mxbank", "credentials": [], "is_oauth": True}},
        {"member": {"institution_code": "mxcu_oauth", "credentials": []}},
        connecting(use_cases=["GAMBLING"]),
        connecting(id="a b"),
        connecting() | {"data_request": {"products": ["gold"]}},
        connecting() | {"referral_source": "MAIL"},
        connecting() | {"client_redirect_url": "javascript:alert(1)"},
        connecting() | {"ui_message_webview_url_scheme": "javascript"},
    ],
)
async def test_a_malformed_member_is_refused_and_not_stored(
    api: Api, user: str, body: dict[str, Any]
) -> None:
    assert refusal(await api.post(f"/users/{user}/members", json=body)) == (400, "invalid_request")
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


async def test_an_error_message_never_contains_a_credential(api: Api, user: str) -> None:
    body = connecting(password="hunter2", use_cases=["hunter2"])
    answer = await api.post(f"/users/{user}/members", json=body)
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


async def test_an_unknown_institution_is_404(api: Api, user: str) -> None:
    body = connecting(institution_code="nobank")
    assert refusal(await api.post(f"/users/{user}/members", json=body)) == (404, "not_found_error")


async def test_a_challenge_is_listed_until_it_is_answered(api: Api, user: str) -> None:
    member = await api.connect(user, password="challenge")
    path = f"/users/{user}/members/{member}"
    before = await api.get(f"{path}/challenges")
    assert (before.status_code, before.content) == (204, b"")
    await api.work()

    status = await status_of(api, user, member)
    assert status["connection_status"] == "CHALLENGED"
    (challenge,) = status["challenges"]
    assert (challenge["type"], challenge["label"]) == ("TEXT", "What city were you born in?")
    listed = (await api.get(f"{path}/challenges")).json()
    assert listed["challenges"] == [challenge]
    assert listed["pagination"]["total_entries"] == 1

    answer = {"member": {"challenges": [{"guid": challenge["guid"], "value": "correct"}]}}
    resumed = await api.put(f"{path}/resume", json=answer)
    assert resumed.status_code == 202
    assert resumed.json()["member"]["connection_status"] == "RESUMED"
    await api.work()
    status = await status_of(api, user, member)
    assert (status["connection_status"], status["challenges"]) == ("CONNECTED", [])
    assert (await api.get(f"{path}/challenges")).status_code == 204
    assert refusal(await api.put(f"{path}/resume", json=answer)) == (405, "method_not_allowed_error")


@pytest.mark.parametrize(("password", "key"), [("options", "options"), ("image_options", "image_options")])
async def test_an_option_is_selected_by_guid_or_by_value(
    api: Api, user: str, password: str, key: str
) -> None:
    for number, by in enumerate(("guid", "value")):
        member = await api.connect(user, login=f"user{number}", password=password)
        await api.work()
        (challenge,) = (await status_of(api, user, member))["challenges"]
        right = next(each for each in challenge[key] if each["value"] == "correct")
        answer = {"member": {"challenges": [{"guid": challenge["guid"], "value": right[by]}]}}
        await api.put(f"/users/{user}/members/{member}/resume", json=answer)
        await api.work()
        assert (await status_of(api, user, member))["connection_status"] == "CONNECTED"


@pytest.mark.parametrize(
    "challenges", [None, [], [{"guid": "CRD-1", "value": "x"}], [{"guid": "CRD-1"}], "correct"]
)
async def test_an_answer_to_an_unknown_challenge_is_refused_and_the_challenge_remains(
    api: Api, user: str, challenges: Any
) -> None:
    member = await api.connect(user, password="challenge")
    await api.work()
    answer = await api.put(
        f"/users/{user}/members/{member}/resume", json={"member": {"challenges": challenges}}
    )
    assert refusal(answer) == (400, "invalid_request")
    assert (await status_of(api, user, member))["connection_status"] == "CHALLENGED"


async def test_new_credentials_start_an_aggregation(api: Api, user: str) -> None:
    member = await api.connect(user, password="INVALID")
    await api.work()
    path = f"/users/{user}/members/{member}"
    assert (await status_of(api, user, member))["connection_status"] == "DENIED"
    credentials = [{"guid": PASSWORD, "value": "right this time"}]
    updated = await api.put(path, json={"member": {"credentials": credentials}})
    assert updated.status_code == 200
    assert updated.json()["member"]["connection_status"] == "UPDATED"
    assert updated.json()["member"]["is_being_aggregated"] is True
    await api.work()
    assert (await status_of(api, user, member))["connection_status"] == "CONNECTED"


async def test_an_update_without_credentials_changes_the_given_fields_and_starts_no_job(
    api: Api, user: str
) -> None:
    member = await api.connect(user, id="a", metadata="m")
    await api.work()
    path = f"/users/{user}/members/{member}"
    change = {"background_aggregation_is_disabled": True, "use_cases": ["MONEY_MOVEMENT"]}
    updated = (await api.put(path, json={"member": change})).json()["member"]
    assert {name: updated[name] for name in change} == change
    assert (updated["id"], updated["metadata"], updated["is_being_aggregated"]) == ("a", "m", False)
    assert refusal(await api.put(path, json={"member": {}})) == (400, "invalid_request")
    await api.connect(user, login="second", id="b")
    assert refusal(await api.put(path, json={"member": {"id": "b"}})) == (409, "conflict_error")


async def test_simultaneous_updates_of_different_fields_are_all_kept(api: Api, user: str) -> None:
    member = await api.connect(user)
    path = f"/users/{user}/members/{member}"
    fields = {
        "id": "a",
        "metadata": "m",
        "background_aggregation_is_disabled": True,
        "use_cases": ["PFM"],
    }
    await asyncio.gather(*(api.put(path, json={"member": {name: value}}) for name, value in fields.items()))
    found = (await api.get(path)).json()["member"]
    assert {name: found[name] for name in fields} == fields


async def test_members_are_listed_and_filtered_by_use_case(api: Api, user: str) -> None:
    first = await api.connect(user, login="one", use_cases=["PFM"])
    second = await api.connect(user, login="two")

    async def found(**query: str) -> list[str]:
        answer = await api.get(f"/users/{user}/members", params=query)
        return [each["guid"] for each in answer.json()["members"]]

    assert await found() == [first, second]
    assert await found(use_case="PFM") == [first]
    assert await found(use_case="MONEY_MOVEMENT") == []


async def test_a_members_credentials_are_the_fields_of_its_institution_without_values(
    api: Api, user: str
) -> None:
    member = await api.connect(user, password="hunter2")
    answer = await api.get(f"/users/{user}/members/{member}/credentials")
    assert [each["guid"] for each in answer.json()["credentials"]] == [LOGIN, PASSWORD]
    assert "hunter2" not in answer.text


async def test_deleting_a_member_deletes_its_accounts_and_revokes_its_tokens(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    path = f"/users/{user}/members/{member}"
    assert (await api.get(f"/users/{user}/accounts")).json()["accounts"]
    deleted = await api.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert refusal(await api.get(path)) == (404, "not_found_error")
    assert refusal(await api.delete(path)) == (404, "not_found_error")
    assert (await api.get(f"/users/{user}/accounts")).json()["accounts"] == []
    await api.connect(user)


async def test_a_disabled_users_member_can_only_be_deleted(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    path = f"/users/{user}/members/{member}"
    refused = [
        await api.get(path),
        await api.put(path, json={"member": {"metadata": "x"}}),
        await api.post(f"{path}/aggregate"),
        await api.post(f"/users/{user}/members", json=connecting("another")),
        await api.post(f"/users/{user}/widget_urls", json={"widget_url": {"widget_type": "connect_widget"}}),
    ]
    assert [refusal(answer) for answer in refused] == [(403, "forbidden_error")] * len(refused)
    assert (await api.delete(path)).status_code == 204


JOBS = {
    "aggregate": 202,
    "verify": 200,
    "identify": 202,
    "check_balance": 202,
    "extend_history": 202,
    "fetch_statements": 202,
}


@pytest.mark.parametrize(("job", "status"), JOBS.items())
async def test_repeating_a_running_job_gets_the_same_status_and_another_kind_is_a_conflict(
    api: Api, user: str, job: str, status: int
) -> None:
    member = await api.connect(user, skip_aggregation=True)
    path = f"/users/{user}/members/{member}"
    started = await api.post(f"{path}/{job}")
    assert started.status_code == status
    assert started.json()["member"]["is_being_aggregated"] is True
    assert (await api.post(f"{path}/{job}")).status_code == status
    for other in JOBS.keys() - {job}:
        assert refusal(await api.post(f"{path}/{other}")) == (409, "conflict_error")
    await api.work()
    assert (await status_of(api, user, member))["connection_status"] == "CONNECTED"
    async with api.services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM member_job WHERE member_guid = %s", (member,))
        assert await cursor.fetchone() == (1,)


async def test_a_job_that_the_institution_does_not_support_is_400(api: Api, user: str) -> None:
    (institution,) = (await api.get("/institutions", params={"name": "Whistlestop"})).json()["institutions"]
    fields = (await api.get(f"/institutions/{institution['code']}/credentials")).json()["credentials"]
    body = {
        "member": {
            "institution_code": institution["code"],
            "credentials": [{"guid": field["guid"], "value": "x"} for field in fields],
            "skip_aggregation": True,
        }
    }
    member = (await api.post(f"/users/{user}/members", json=body)).json()["member"]["guid"]
    path = f"/users/{user}/members/{member}"
    for job in ("verify", "identify", "extend_history", "fetch_statements"):
        assert refusal(await api.post(f"{path}/{job}")) == (400, "invalid_request")


async def test_an_aggregation_without_transactions_reads_accounts_only(api: Api, user: str) -> None:
    member = await api.connect(user, skip_aggregation=True)
    path = f"/users/{user}/members/{member}"
    await api.post(f"{path}/aggregate", params={"include_transactions": "False", "include_holdings": "true"})
    await api.work()
    assert (await api.get(f"{path}/accounts")).json()["accounts"]
    assert (await api.get(f"{path}/transactions")).json()["transactions"] == []
    await api.post(f"{path}/aggregate")
    await api.work()
    assert (await api.get(f"{path}/transactions")).json()["transactions"]


async def test_balances_can_be_checked_five_times_in_two_hours(
    api: Api, user: str, clock: MovableClock
) -> None:
    (institution,) = (await api.get("/institutions", params={"name": "Lanternfish"})).json()["institutions"]
    fields = (await api.get(f"/institutions/{institution['code']}/credentials")).json()["credentials"]
    body = {
        "member": {
            "institution_code": institution["code"],
            "credentials": [{"guid": field["guid"], "value": "x"} for field in fields],
            "skip_aggregation": True,
        }
    }
    member = (await api.post(f"/users/{user}/members", json=body)).json()["member"]["guid"]
    path = f"/users/{user}/members/{member}/check_balance"
    for _ in range(5):
        assert (await api.post(path)).status_code == 202
        await api.work()
    refused = await api.post(path)
    assert refusal(refused) == (429, "too_many_requests_error")
    assert 0 < int(refused.headers["retry-after"]) <= 7200
    clock.advance(timedelta(hours=2, seconds=1))
    assert (await api.post(path)).status_code == 202


async def test_a_callback_payload_is_repeated_by_the_webhooks_of_the_request(api: Api, user: str) -> None:
    headers = {"X-CALLBACK-PAYLOAD": "Zm9v"}
    created = await api.post(f"/users/{user}/members", json=connecting(), headers=headers)
    await api.work()
    assert [payload for _, payload, _ in await events_of(api, "MEMBER")] == ["Zm9v"]
    assert [payload for _, payload, _ in await events_of(api, "AGGREGATION")] == ["Zm9v"]
    path = f"/users/{user}/members/{created.json()['member']['guid']}"
    await api.post(f"{path}/verify", headers={"X-CALLBACK-PAYLOAD": "YmFy"})
    await api.work()
    assert [payload for _, payload, _ in await events_of(api, "VERIFICATION")] == ["YmFy"]
    long = await api.post(f"{path}/verify", headers={"X-CALLBACK-PAYLOAD": "x" * 1025})
    assert refusal(long) == (400, "invalid_request")


async def test_skip_webhook_suppresses_the_member_event_but_not_the_job_event(api: Api, user: str) -> None:
    path = f"/users/{user}/members"
    skip = {"MX-Skip-Webhook": "true"}
    created = await api.post(path, json=connecting(), headers=skip)
    member = f"{path}/{created.json()['member']['guid']}"
    await api.put(member, json={"member": {"metadata": "x", "skip_webhook": True}})
    await api.put(member, json={"member": {"metadata": "y"}})
    await api.work()
    await api.delete(member, headers=skip)
    assert [(action, is_sent) for action, _, is_sent in await events_of(api, "MEMBER")] == [
        ("created", False),
        ("updated", False),
        ("updated", True),
        ("deleted", False),
    ]
    assert [is_sent for _, _, is_sent in await events_of(api, "AGGREGATION")] == [True]


async def test_the_first_data_of_a_member_of_v20250224_is_announced_once(api: Api, user: str) -> None:
    path = f"/users/{user}/members"
    await api.post(path, json=connecting("of-the-older-version"))
    await api.work()
    assert await events_of(api, "INITIAL_DATA_READY") == []
    headers = {**HEADERS[V2], "X-CALLBACK-PAYLOAD": "Zm9v"}
    created = await api.post(path, json=connecting(), headers=headers)
    await api.work()
    assert await events_of(api, "INITIAL_DATA_READY") == [(None, "Zm9v", True)]
    for job in ("verify", "identify", "check_balance"):
        await api.post(f"{path}/{created.json()['member']['guid']}/{job}")
        await api.work()
    assert len(await events_of(api, "INITIAL_DATA_READY")) == 1
    page = await open_page(Api(api.http, api.services, api.caller, V2), user)
    await page.connect("in-the-widget")
    assert len(await events_of(api, "INITIAL_DATA_READY")) == 2


async def test_the_revision_of_a_member_increases_with_each_of_its_webhooks(api: Api, user: str) -> None:
    path = f"/users/{user}/members"
    member = f"{path}/{(await api.post(path, json=connecting())).json()['member']['guid']}"
    # The clock stands: two changes in one second have two revisions.
    changes = [api.put(member, json={"member": {"metadata": text}}) for text in ("x", "y")]
    assert [each.status_code for each in await asyncio.gather(*changes)] == [200, 200]
    await api.delete(member)
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT (payload::json #>> '{member,revision}')::int FROM event
               WHERE owner_guid = %s AND type = 'MEMBER' ORDER BY position""",
            (api.caller.guid,),
        )
        sent = [revision for (revision,) in await cursor.fetchall()]
    assert sent == [1, 2, 3, 4]


async def test_a_path_with_a_nul_character_is_refused(api: Api, user: str) -> None:
    for path in (f"/users/{user}%00", f"/users/{user}/members/%00", "/institutions/%00"):
        assert (await api.get(path)).status_code in {400, 404}
    assert refusal(await api.get(f"/users/{new('USR')}/members")) == (404, "not_found_error")
