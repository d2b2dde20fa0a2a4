"""Users over HTTP."""

import asyncio

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.vault.vault import SecretKind, WorkerReader
from tests.api_client import V2, Api, refusal
from tests.factories import make_account, make_client, make_processor, make_statement, make_token, make_user


async def test_a_user_has_the_fields_of_the_request(api: Api) -> None:
    sent = {"id": "ann_1-x", "email": "ann@example.com", "is_disabled": False, "metadata": '{"name":"Ann"}'}
    created = await api.post("/users", json={"user": {**sent, "unheard_of": [1]}})
    assert created.status_code == 200
    user = created.json()["user"]
    assert {name: user[name] for name in sent} == sent
    assert user["guid"].startswith("USR-")
    for identifier in (user["guid"], "ann_1-x"):
        assert (await api.get(f"/users/{identifier}")).json() == {"user": user}


@pytest.mark.parametrize(
    "body",
    [
        {"user": {}},
        {"user": None},
        {},
        [],
        {"user": {"metadata": {"name": "Ann"}}},
        {"user": {"id": ""}},
        {"user": {"id": "ann@example.com"}},
        {"user": {"id": "a b"}},
        {"user": {"id": "a/b"}},
        {"user": {"id": "ä"}},
        {"user": {"id": "ann\n"}},
        {"user": {"id": 7}},
        {"user": {"is_disabled": "no"}},
        {"user": {"email": "a\0b"}},
        {"user": {"unheard_of": 1}},
    ],
)
async def test_an_empty_or_malformed_user_is_refused(api: Api, body: object) -> None:
    assert refusal(await api.post("/users", json=body)) == (400, "invalid_request")
    guid = await api.create_user()
    assert refusal(await api.put(f"/users/{guid}", json=body)) == (400, "invalid_request")


async def test_a_body_that_is_not_json_is_refused(api: Api) -> None:
    for content in (b"", b"{", b"\xff", b'{"user":{"id":"\\ud800"}}', b"NaN"):
        assert refusal(await api.post("/users", content=content)) == (400, "invalid_request")


async def test_an_id_is_unique_among_the_users_of_a_client(api: Api, services: Services) -> None:
    await api.create_user(id="ann")
    other = await api.create_user(id="bob")
    assert refusal(await api.post("/users", json={"user": {"id": "ann"}})) == (409, "conflict_error")
    assert refusal(await api.put(f"/users/{other}", json={"user": {"id": "ann"}})) == (409, "conflict_error")
    assert (await api.get(f"/users/{other}")).json()["user"]["id"] == "bob"
    other_client = Api(api.http, services, await make_client(services))
    await other_client.create_user(id="ann")


async def test_users_are_paginated_and_filtered_by_id_email_and_is_disabled(api: Api) -> None:
    guids = [await api.create_user(id=f"user-{number}", email="a@example.com") for number in range(12)]
    await api.put(f"/users/{guids[0]}", json={"user": {"is_disabled": True, "email": "b@example.com"}})

    async def found(**query: object) -> list[str]:
        return [user["guid"] for user in (await api.get("/users", params=query)).json()["users"]]

    assert await found() == guids
    assert await found(records_per_page=10, page=2) == guids[10:]
    assert await found(id="user-3") == [guids[3]]
    assert await found(id="unknown") == []
    assert await found(email="b@example.com") == guids[:1]
    assert await found(is_disabled="True") == guids[:1]
    assert await found(is_disabled="false") == guids[1:]
    assert refusal(await api.get("/users", params={"is_disabled": "perhaps"})) == (400, "invalid_request")
    assert (await api.get("/users", params={"records_per_page": 10})).json()["pagination"] == {
        "current_page": 1,
        "per_page": 10,
        "total_entries": 12,
        "total_pages": 2,
    }


async def test_an_update_changes_only_the_given_fields(api: Api) -> None:
    guid = await api.create_user(id="ann", email="ann@example.com", metadata="x")
    user = (await api.put(f"/users/{guid}", json={"user": {"metadata": None}})).json()["user"]
    assert (user["id"], user["email"], user["metadata"]) == ("ann", "ann@example.com", None)


async def test_simultaneous_updates_of_different_fields_are_all_kept(api: Api) -> None:
    guid = await api.create_user()
    fields = {"is_disabled": True, "email": "a@example.com", "metadata": "m", "id": "ann"}
    answers = await asyncio.gather(
        *(api.put(f"/users/{guid}", json={"user": {name: value}}) for name, value in fields.items())
    )
    assert {answer.status_code for answer in answers} == {200}
    user = (await api.get(f"/users/{guid}")).json()["user"]
    assert {name: user[name] for name in fields} == fields


async def test_one_of_many_simultaneous_users_with_the_same_id_is_created(api: Api) -> None:
    answers = await asyncio.gather(*(api.post("/users", json={"user": {"id": "ann"}}) for _ in range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 15


async def test_the_data_of_a_disabled_user_cannot_be_read_until_it_is_enabled(
    api: Api, services: Services
) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user)
    processor = await make_processor(services, api.caller)
    token = {"Authorization": f"Bearer {await make_token(services, account, processor)}"}
    path = f"/users/{user.guid}"
    reads = [
        f"{path}/accounts",
        f"{path}/members/{account.member_guid}/account_numbers",
        f"{path}/transactions",
    ]
    await api.put(path, json={"user": {"is_disabled": True}})
    for read in reads:
        assert refusal(await api.get(read)) == (403, "forbidden_error")
    assert (await api.http.get("/payment_account", headers=token)).status_code == 401
    assert (await api.get(path)).json()["user"]["is_disabled"] is True
    await api.put(path, json={"user": {"is_disabled": False}})
    for read in reads:
        assert (await api.get(read)).status_code == 200
    assert (await api.http.get("/payment_account", headers=token)).status_code == 200


async def test_deleting_a_user_revokes_its_tokens_and_deletes_its_data_and_key(
    api: Api, services: Services
) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user)
    statement = await make_statement(services, account)
    processor = await make_processor(services, api.caller)
    token = {"Authorization": f"Bearer {await make_token(services, account, processor)}"}
    assert (await api.http.get("/account/account_numbers", headers=token)).status_code == 200

    deleted = await api.delete(f"/users/{user.guid}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers

    assert (await api.http.get("/account/account_numbers", headers=token)).status_code == 401
    assert refusal(await api.get(f"/users/{user.guid}")) == (404, "not_found_error")
    assert refusal(await api.delete(f"/users/{user.guid}")) == (404, "not_found_error")
    async with services.db.connection() as connection:
        sealed = await services.vault.disclose_secret(
            connection,
            owner_guid=user.guid,
            record_guid=statement,
            kind=SecretKind.STATEMENT,
            reader=WorkerReader("JOB-test"),
        )
        cursor = await connection.execute(
            """SELECT (SELECT count(*) FROM data_key WHERE owner_guid = %(guid)s)
                    + (SELECT count(*) FROM account WHERE user_guid = %(guid)s)
                    + (SELECT count(*) FROM account_number WHERE user_guid = %(guid)s)""",
            {"guid": user.guid},
        )
        assert await cursor.fetchone() == (0,)
    assert sealed is None


async def test_changes_of_a_user_are_audited_and_published(api: Api, services: Services) -> None:
    guid = await api.create_user()
    await api.put(f"/users/{guid}", json={"user": {"metadata": "y"}})
    await api.delete(f"/users/{guid}")
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body::json ->> 'action' FROM audit_entry WHERE client_guid = %s ORDER BY guid",
            (api.caller.guid,),
        )
        audited = [action for (action,) in await cursor.fetchall()]
        cursor = await connection.execute(
            """SELECT payload::json ->> 'action', (payload::json #>> '{user,revision}')::int FROM event
               WHERE owner_guid = %s AND type = 'USER' ORDER BY position""",
            (api.caller.guid,),
        )
        events = await cursor.fetchall()
    assert audited == ["api_key.issued", "user.created", "user.updated", "user.deleted"]
    # The clock stands: changes in one second have different revisions.
    assert events == [("created", 1), ("updated", 2), ("deleted", 3)]


@pytest.mark.parametrize(
    ("headers", "fields", "deliveries"),
    [
        ({}, {}, 1),
        ({"MX-Skip-Webhook": "true"}, {}, 0),
        ({"MX-Skip-Webhook": "false"}, {}, 1),
        ({}, {"skip_webhook": True}, 0),
        ({}, {"skip_webhook": False}, 1),
    ],
)
async def test_skip_webhook_suppresses_the_event_of_a_change(
    http: httpx.AsyncClient,
    services: Services,
    headers: dict[str, str],
    fields: dict[str, bool],
    deliveries: int,
) -> None:
    api = Api(http, services, await make_client(services, webhook_url="https://hooks.example.com/mx"), V2)
    await api.post("/users", json={"user": {"metadata": "x", **fields}}, headers=headers)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT count(*) FROM delivery d JOIN event e ON e.guid = d.event_guid
               WHERE e.owner_guid = %s""",
            (api.caller.guid,),
        )
        assert await cursor.fetchone() == (deliveries,)
