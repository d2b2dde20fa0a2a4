"""A client's lists as CSV files: what is in them, who may have them, and what the audit log keeps."""

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import psycopg
import pytest

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from coatcheck.staff.roles import CLIENT_ROLES, Role
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user
from tests.portal_client import text_of
from tests.staff import Window, signed_in

NUMBER = "1234567890"
EXPORTERS = (Role.CLIENT_ADMIN, Role.CLIENT_SUPPORT, Role.CLIENT_AUDITOR)
MANY = 1001
"""More than two batches."""


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient, client: Keyed) -> Window:
    return await signed_in(services, http, Role.CLIENT_ADMIN, client, name="Sam Supporter")


@pytest.fixture
async def user(services: Services, client: Keyed) -> User:
    return await make_user(services, client, id="ann-7", email="Ann@example.com")


@pytest.fixture
async def account(services: Services, user: User) -> Account:
    return await make_account(services, user, account_number=NUMBER)


async def rows(window: Window, path: str) -> list[dict[str, str]]:
    answer = await window.get(f"/dashboard/exports{path}")
    assert answer.status_code == 200, answer.text
    return read(answer)


def read(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return list(csv.DictReader(StringIO(answer.text)))


async def exports(services: Services, client: Keyed) -> list[dict[str, str]]:
    """The actions of the client's exports, each with its details."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body FROM audit_entry
               WHERE client_guid = %s AND body::json ->> 'action' LIKE 'export.%%' ORDER BY number""",
            (client.guid,),
        )
        entries = [json.loads(body) for (body,) in await cursor.fetchall()]
    assert {each["subject"][:4] for each in entries} <= {"EXP-"}
    return [{"recorded": each["action"], **each["detail"]} for each in entries]


async def read_numbers(http: httpx.AsyncClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert (await http.get("/account/account_numbers", headers=headers)).status_code == 200


async def test_an_export_has_what_its_list_shows(
    services: Services, window: Window, client: Keyed, user: User
) -> None:
    other = await make_user(services, client, id="bob", is_disabled=True)
    await make_user(services, await make_client(services), id="another")
    for query, found in (
        ("", [user.guid, other.guid]),
        ("?search=ann%40EXAMPLE", [user.guid]),
        ("?status=disabled&page=7", [other.guid]),
        ("?search=nobody", []),
    ):
        assert [each["guid"] for each in await rows(window, f"/users{query}")] == found, query
    (row,) = await rows(window, "/users?search=ann")
    assert (row["id"], row["email"], row["is_disabled"]) == ("ann-7", "Ann@example.com", "False")


async def test_both_entries_of_an_export_have_the_name_of_the_person_and_no_search_text(
    services: Services, window: Window, client: Keyed, user: User
) -> None:
    await make_user(services, client, is_disabled=True)
    await rows(window, "/users?status=enabled&search=ann")
    started, finished = await exports(services, client)
    assert started == {
        "recorded": "export.started",
        "list": "users",
        "status": "enabled",
        "search": "not recorded",
        "actor_name": "Sam Supporter",
    }
    assert finished == {
        "recorded": "export.finished",
        "list": "users",
        "records": "1",
        "actor_name": "Sam Supporter",
    }


async def test_a_long_list_is_exported_whole(
    services: Services,
    http: httpx.AsyncClient,
    window: Window,
    client: Keyed,
    account: Account,
    processor: Keyed,
) -> None:
    token = await make_token(services, account, processor)
    await read_numbers(http, token)
    async with services.db.transaction() as connection:
        await connection.execute(
            """INSERT INTO end_user (guid, client_guid, created_at)
               SELECT 'USR-' || %(client)s || n, %(client)s, now() FROM generate_series(2, %(many)s) AS n""",
            {"client": client.guid, "many": MANY},
        )
        await connection.execute(
            """INSERT INTO access_token SELECT (jsonb_populate_record(t, jsonb_build_object(
                   'guid', left(t.guid, 28) || lpad(n::text, 12, '0'),
                   'token_hash', '\\x' || encode(int4send(n), 'hex')))).*
               FROM access_token t, generate_series(2, %(many)s) AS n WHERE client_guid = %(client)s""",
            {"client": client.guid, "many": MANY},
        )
        await connection.execute(
            """INSERT INTO disclosure SELECT (jsonb_populate_record(d, jsonb_build_object('number', -n))).*
               FROM disclosure d, generate_series(2, %(many)s) AS n
               WHERE d.client_guid = %(client)s AND d.token_guid IS NOT NULL""",
            {"client": client.guid, "many": MANY},
        )
        await connection.execute(
            """INSERT INTO audit_event (at, guid, client_guid, actor, action, subject)
               SELECT now(), gen_random_uuid(), %(client)s, 'PPR-1', 'account.read', ''
               FROM generate_series(1, %(many)s)""",
            {"client": client.guid, "many": MANY},
        )
    lists = {"/users": "guid", "/grants": "guid", "/reads": "", "/audit?action=account.read": "guid"}
    for path, name in lists.items():
        found = await rows(window, path)
        assert len(found) == MANY, path
        assert not name or len({each[name] for each in found}) == MANY, path
    assert [each["records"] for each in await exports(services, client) if "records" in each] == [
        str(MANY)
    ] * len(lists)


async def test_grants_and_their_reads_are_exported_by_the_filters_of_the_list(
    services: Services,
    http: httpx.AsyncClient,
    window: Window,
    client: Keyed,
    account: Account,
    processor: Keyed,
) -> None:
    other = await make_processor(services, client, name="Ledger Books")
    for each in (processor, other):
        await read_numbers(http, await make_token(services, account, each))
    grants = await rows(window, f"/grants?status=active&user={account.user_guid}")
    assert [each["processor_name"] for each in grants] == ["Ledger Books", "Test processor"]
    assert grants[0]["permissions"] == "balances numbers owners transactions"
    assert {each["reader_guid"] for each in await rows(window, "/reads")} == {processor.guid, other.guid}
    for query in (f"?processor={other.guid}", f"?grant={grants[0]['guid']}"):
        (row,) = await rows(window, f"/reads{query}")
        assert (row["reader_guid"], row["what"], row["shown"]) == (other.guid, "ACCOUNT_NUMBERS", "1")
    assert await rows(window, "/grants?status=revoked") == []
    assert (await exports(services, client))[0] | {"actor_name": ""} == {
        "recorded": "export.started",
        "list": "grants",
        "status": "active",
        "user": account.user_guid,
        "actor_name": "",
    }


async def test_an_export_of_reads_takes_no_statement_for_each_grant(
    services: Services,
    window: Window,
    client: Keyed,
    account: Account,
    processor: Keyed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await make_token(services, account, processor)
    executed: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def recording(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        executed.append(str(query))
        return await execute(self, query, *args, **options)

    async def statements() -> int:
        """How many statements an export takes."""
        executed.clear()
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.AsyncCursor, "execute", recording)
            await rows(window, "/reads")
        return len(executed)

    before = await statements()
    async with services.db.transaction() as connection:
        await connection.execute(
            """INSERT INTO access_token SELECT (jsonb_populate_record(t, jsonb_build_object(
                   'guid', left(t.guid, 28) || lpad(n::text, 12, '0'),
                   'token_hash', '\\xee' || encode(int4send(n), 'hex')))).*
               FROM access_token t, generate_series(2, 100) AS n WHERE client_guid = %(client)s""",
            {"client": client.guid},
        )
        await connection.execute(
            """INSERT INTO disclosure (at, client_guid, reader_guid, user_guid, record_guid, what, shown, token_guid)
               SELECT created_at, client_guid, processor_guid, user_guid, account_guid, 'ACCOUNT_NUMBERS', 1, guid
               FROM access_token WHERE client_guid = %(client)s""",
            {"client": client.guid},
        )
    # The use of the session can be noted between the two.
    assert await statements() < before + 20
    assert len(await rows(window, "/reads")) == 100


async def test_broken_connections_are_exported_by_bank(
    services: Services, window: Window, account: Account
) -> None:
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = 'CLOSED', name = '=1+1' WHERE guid = %s",
            (account.member_guid,),
        )
    (row,) = await rows(window, "/members?institution=mxbank")
    # A spreadsheet would take it for a formula.
    assert (row["guid"], row["connection_status"], row["name"]) == (account.member_guid, "CLOSED", "'=1+1")
    assert await rows(window, "/members?institution=other") == []


async def test_the_audit_log_is_exported_by_the_filters_of_the_search(
    services: Services, window: Window, client: Keyed
) -> None:
    for action, owner in (("token.revoked", client), ("token.revoked", await make_client(services))):
        entry = Entry(
            client_guid=owner.guid, actor="USR-1", action=action, subject="TKN-1", detail={"a": "b"}
        )
        async with services.db.transaction() as connection:
            await services.journal.record(connection, entry)
    (row,) = await rows(window, "/audit?action=token.*&actor=USR-1")
    assert (row["action"], row["subject"], json.loads(row["detail"])) == (
        "token.revoked",
        "TKN-1",
        {"a": "b"},
    )
    until = (services.clock.now() - timedelta(days=1)).date()
    assert await rows(window, f"/audit?until={until}") == []
    started = (await exports(services, client))[0]
    assert (started["recorded"], started["action"], started["actor"]) == (
        "export.started",
        "token.*",
        "USR-1",
    )
    assert started["since"] < started["until"]


async def test_numbers_are_masked_in_the_export_of_accounts(
    services: Services, window: Window, user: User, account: Account
) -> None:
    (row,) = await rows(window, f"/users/{user.guid}/accounts")
    assert row["guid"] == account.guid
    assert NUMBER not in row.values()


async def test_full_numbers_are_exported_for_a_reason_with_a_disclosure_of_each_account(
    services: Services, window: Window, client: Keyed, user: User, account: Account
) -> None:
    second = await make_account(services, user, account_number="000555")
    path = f"/dashboard/exports/users/{user.guid}/numbers"
    answer = await window.post(path, reason=" ")
    assert (answer.status_code, "Give a reason" in text_of(answer)) == (400, True)
    assert await exports(services, client) == []
    found = read(await window.post(path, reason="Case 4711"))
    assert {each["account_guid"]: each["account_number"] for each in found} == {
        account.guid: NUMBER,
        second.guid: "000555",
    }
    started, finished = await exports(services, client)
    assert (started["reason"], started["user"], finished["records"]) == ("Case 4711", user.guid, "2")
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT record_guid, left(reader_guid, 4) FROM disclosure WHERE user_guid = %s", (user.guid,)
        )
        disclosed = await cursor.fetchall()
        cursor = await connection.execute(
            """SELECT body::json ->> 'subject', body::json -> 'detail' ->> 'reason' FROM audit_entry
               WHERE client_guid = %s AND body::json ->> 'action' = 'account_numbers.revealed'""",
            (client.guid,),
        )
        revealed = await cursor.fetchall()
    assert sorted(disclosed) == sorted([(account.guid, "STF-"), (second.guid, "STF-")])
    assert sorted(revealed) == sorted([(account.guid, "Case 4711"), (second.guid, "Case 4711")])


async def test_full_numbers_need_the_passkey_again(
    services: Services, window: Window, client: Keyed, user: User, account: Account
) -> None:
    path = f"/dashboard/exports/users/{user.guid}/numbers"
    await window.get(path)
    services.clock.advance(timedelta(minutes=6))
    answer = await window.post(path, on="/dashboard/users", reason="x")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/dashboard/confirm")
    assert await exports(services, client) == []


@pytest.mark.parametrize("role", CLIENT_ROLES)
async def test_a_list_links_its_export_for_those_who_may_have_it(
    services: Services,
    http: httpx.AsyncClient,
    client: Keyed,
    account: Account,
    processor: Keyed,
    role: Role,
) -> None:
    await read_numbers(http, await make_token(services, account, processor))
    window = await signed_in(services, http, role, client)
    (grant,) = (await http.get("/coatcheck/grants", auth=client.auth)).json()["grants"]
    for path, link in (
        ("/users?status=enabled", "/exports/users?status=enabled"),
        ("/grants?status=active", "/exports/grants?status=active"),
        ("/grants?status=active", "/exports/reads?status=active"),
        (f"/grants/{grant['guid']}", f"/exports/reads?grant={grant['guid']}"),
        (f"/users/{account.user_guid}", f"/exports/users/{account.user_guid}/accounts"),
    ):
        page = (await window.get(f"/dashboard{path}")).text
        assert (f'href="/dashboard{link}' in page) is (role in EXPORTERS), path
    may_reveal = role in (Role.CLIENT_ADMIN, Role.CLIENT_SUPPORT)
    assert (f"/exports/users/{account.user_guid}/numbers" in page) is may_reveal


async def test_an_export_of_another_client_has_nothing(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, processor: Keyed
) -> None:
    await read_numbers(http, await make_token(services, account, processor))
    stranger = await signed_in(services, http, Role.CLIENT_ADMIN, await make_client(services))
    (grant,) = (await http.get("/coatcheck/grants", auth=client.auth)).json()["grants"]
    for path in ("/users", "/members", "/grants", "/reads", f"/reads?grant={grant['guid']}"):
        assert await rows(stranger, path) == [], path
    for path in ("accounts", "numbers"):
        found = await stranger.get(f"/dashboard/exports/users/{account.user_guid}/{path}")
        assert found.status_code == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "grants?status=king",
        "users?status=king",
        "users?search=%00",
        "grants?user=%00",
        "members?institution=%00",
        "audit?since=x",
    ],
)
async def test_a_filter_that_cannot_be_is_refused_before_anything_is_recorded(
    services: Services, window: Window, client: Keyed, path: str
) -> None:
    assert (await window.get(f"/dashboard/exports/{path}")).status_code == 400
    assert (await window.get(f"/dashboard/{path}")).status_code == 400
    assert await exports(services, client) == []
