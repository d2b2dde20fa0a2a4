"""Statement files over HTTP: imports, previews, what is refused, and taking an import back."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.imports.imports import MAX_FILE_BYTES
from coatcheck.model.accounts import find_account
from tests.api_client import V2, Api
from tests.factories import make_client, make_processor, make_token
from tests.hostile_statement_files import HOSTILE
from tests.statement_samples import BY_NAME, CSV, MT940, OFX

OLDER_OFX = (
    OFX.replace(b"20261031", b"20260930")
    .replace(b"202610", b"202609")
    .replace(b"2357.83", b"900.00")
    .replace(b"FITID>A", b"FITID>B")
)

DEPOSITABLE = OFX.replace(b"1234567890", b"3333000042").replace(b"011000015", b"091000019")
"""Of an account at which the sandbox bank's deposits arrive at once."""


async def send(api: Api, user: str, data: bytes, **fields: str) -> httpx.Response:
    return await api.post(
        f"/coatcheck/users/{user}/statement_files", files={"file": ("statement.txt", data)}, data=fields
    )


async def imported(api: Api, user: str, data: bytes, **fields: str) -> dict[str, Any]:
    answer = await send(api, user, data, **fields)
    assert answer.status_code == 201, answer.text
    one: dict[str, Any] = answer.json()["import"]
    return one


async def ledger(api: Api, user: str) -> list[tuple[str, str, float, str]]:
    answer = await api.get(
        f"/users/{user}/transactions", params={"records_per_page": 1000, "from_date": "2020-01-01"}
    )
    return sorted(
        (each["date"], each["type"], each["amount"], each["description"])
        for each in answer.json()["transactions"]
    )


async def accounts(api: Api, user: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(f"/users/{user}/accounts")).json()["accounts"]
    return found


async def test_a_file_is_imported_and_the_answer_says_what_it_brought(api: Api, user: str) -> None:
    one = await imported(api, user, OFX)
    assert one["guid"].startswith("IMP-")
    assert (one["format"], one["user_guid"], one["warnings"]) == ("OFX", user, [])
    (account,) = await accounts(api, user)
    assert one["accounts"] == [
        {
            "account_guid": account["guid"],
            "name": "Checking 7890",
            "added": 3,
            "already_known": 0,
            "balance": 2357.83,
        }
    ]
    assert (
        account["member_guid"],
        account["balance"],
        account["available_balance"],
        account["currency_code"],
    ) == (
        one["member_guid"],
        2357.83,
        2300,
        "USD",
    )
    assert await ledger(api, user) == [
        ("2026-10-03", "DEBIT", 42.17, "CORNER & CO"),
        ("2026-10-15", "CREDIT", 1500, "PAYROLL"),
        ("2026-10-20", "DEBIT", 100, "CHECK 1042"),
    ]


async def test_the_member_of_files_is_imported_and_no_job_can_start_on_it(api: Api, user: str) -> None:
    one = await imported(api, user, OFX)
    member = (await api.get(f"/users/{user}/members/{one['member_guid']}")).json()["member"]
    assert (member["name"], member["connection_status"], member["institution_code"]) == (
        "Statement files",
        "IMPORTED",
        "statement_file",
    )
    answer = await api.post(f"/users/{user}/members/{one['member_guid']}/aggregate")
    assert answer.status_code == 405


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_file_of_each_format_is_imported_once(api: Api, user: str, name: str) -> None:
    first = await imported(api, user, BY_NAME[name])
    before = await ledger(api, user)
    again = await imported(api, user, BY_NAME[name])
    assert [each["added"] for each in again["accounts"]] == [0]
    assert [each["already_known"] for each in again["accounts"]] == [first["accounts"][0]["added"]]
    assert await ledger(api, user) == before


async def test_files_of_all_formats_belong_to_one_member(api: Api, user: str) -> None:
    members = {(await imported(api, user, data))["member_guid"] for data in BY_NAME.values()}
    assert len(members) == 1


async def test_an_older_file_adds_its_transactions_and_leaves_the_balance(api: Api, user: str) -> None:
    await imported(api, user, OFX)
    one = await imported(api, user, OLDER_OFX)
    assert one["accounts"][0]["added"] == 3
    assert [each["balance"] for each in await accounts(api, user)] == [2357.83]


async def test_numbers_of_a_file_are_not_validated_until_micro_deposits_agree(api: Api, user: str) -> None:
    one = await imported(api, user, DEPOSITABLE)
    path = f"/users/{user}/members/{one['member_guid']}/account_numbers"
    (numbers,) = (await api.get(path)).json()["account_numbers"]
    assert (numbers["account_number"], numbers["routing_number"], numbers["passed_validation"]) == (
        "3333000042",
        "091000019",
        False,
    )
    await verify_by_micro_deposits(api, user)
    (numbers,) = (await api.get(path)).json()["account_numbers"]
    assert numbers["passed_validation"] is True


async def test_numbers_that_micro_deposits_verified_before_are_validated(api: Api, user: str) -> None:
    await verify_by_micro_deposits(api, user)
    one = await imported(api, user, DEPOSITABLE)
    path = f"/users/{user}/members/{one['member_guid']}/account_numbers"
    assert [each["passed_validation"] for each in (await api.get(path)).json()["account_numbers"]] == [True]


async def test_micro_deposits_to_the_same_number_at_another_bank_validate_nothing(
    api: Api, user: str
) -> None:
    one = await imported(api, user, DEPOSITABLE.replace(b"091000019", b"011000015"))
    await verify_by_micro_deposits(api, user)
    path = f"/users/{user}/members/{one['member_guid']}/account_numbers"
    assert [each["passed_validation"] for each in (await api.get(path)).json()["account_numbers"]] == [False]


async def verify_by_micro_deposits(api: Api, user: str) -> None:
    account = {"account_number": "3333000042", "account_type": "CHECKING", "routing_number": "091000019"}
    created = await api.post(f"/users/{user}/micro_deposits", json={"micro_deposit": account})
    await api.work()
    path = f"/micro_deposits/{created.json()['micro_deposit'][0]['guid']}/verify"
    amounts = {"deposit_amount_1": 0.03, "deposit_amount_2": 0.15}
    answer = await api.put(path, json={"micro_deposit": amounts})
    assert answer.json()["micro_deposit"][0]["status"] == "VERIFIED", answer.text


async def test_the_owner_in_a_file_is_an_owner_of_the_account(api: Api, user: str) -> None:
    one = await imported(api, user, BY_NAME["camt"])
    answer = await api.get(f"/users/{user}/members/{one['member_guid']}/account_owners")
    assert [each["owner_name"] for each in answer.json()["account_owners"]] == ["Erika Mustermann"]


async def test_a_preview_says_what_would_be_imported_and_imports_nothing(api: Api, user: str) -> None:
    answer = await send(api, user, OFX, dry_run="true")
    assert answer.status_code == 200
    one = answer.json()["import"]
    assert (one["guid"], one["member_guid"], one["accounts"][0]["account_guid"]) == (None, None, None)
    assert (one["accounts"][0]["added"], one["accounts"][0]["balance"]) == (3, 2357.83)
    assert await accounts(api, user) == []
    assert (await api.get("/coatcheck/imports")).json()["imports"] == []
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


async def test_a_preview_is_asked_for_in_the_query_too(api: Api, user: str) -> None:
    answer = await api.post(
        f"/coatcheck/users/{user}/statement_files?dry_run=true", files={"file": ("statement.ofx", OFX)}
    )
    assert (answer.status_code, answer.json()["import"]["guid"]) == (200, None)


async def test_the_mapping_of_a_csv_file_is_guessed_returned_and_can_be_corrected(
    api: Api, user: str
) -> None:
    data = b"Date,Description,Amount\n03/04/2026,x,1.00\n"
    guessed = (await send(api, user, data, dry_run="true")).json()["import"]["mapping"]
    assert guessed["date_format"] == "%m/%d/%Y"
    await imported(api, user, data, mapping=json.dumps(guessed | {"date_format": "%d/%m/%Y"}))
    assert [day for day, *_ in await ledger(api, user)] == ["2026-04-03"]


async def test_the_mapping_of_a_csv_file_is_remembered_for_its_header(api: Api, user: str) -> None:
    columns = {"date": "When", "amount": "How much", "description": "What"}
    mapping = {
        "columns": columns,
        "date_format": "%d/%m/%Y",
        "account": {"name": "Household", "number": "99887766"},
    }
    await imported(api, user, b"When,What,How much\n03/04/2026,x,1.00\n", mapping=json.dumps(mapping))
    one = await imported(api, user, b"When,What,How much\n04/04/2026,y,2.00\n")
    assert [each["name"] for each in one["accounts"]] == ["Household"]
    assert [day for day, *_ in await ledger(api, user)] == ["2026-04-03", "2026-04-04"]
    large = b"When,What,How much\n" + b"\n".join(b'05/04/2026,"' + b"x" * 900 + b'",3.00' for _ in range(100))
    one = await imported(api, user, large)
    assert [(each["name"], each["added"]) for each in one["accounts"]] == [("Household", 100)]


@pytest.mark.parametrize(
    "mapping",
    [
        "nonsense",
        "[]",
        json.dumps({"columns": {"date": "Date"}}),
        json.dumps({"columns": {"date": "Date", "amount": "Amount", "colour": "x"}}),
        json.dumps({"columns": {"date": "Date", "amount": "Amount"}, "has_header": False}),
        json.dumps({"columns": {"date": "Date", "amount": "Amount"}, "delimiter": "::"}),
    ],
)
async def test_a_mapping_that_is_not_valid_is_refused(api: Api, user: str, mapping: str) -> None:
    assert (await send(api, user, CSV, mapping=mapping)).status_code == 400


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_is_422_with_its_place_and_nothing_is_imported(
    api: Api, user: str, name: str
) -> None:
    hostile = HOSTILE[name]
    answer = await send(api, user, hostile.data)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert (error["status"], error["type"]) == ("unprocessable_entity", "unprocessable_entity_error")
    assert error.get("line") == hostile.line
    if hostile.element:
        assert error["element"] == hostile.element
    assert (await api.get("/coatcheck/imports")).json()["imports"] == []
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


@pytest.mark.parametrize("size", [MAX_FILE_BYTES + 1, 100_000_000])
async def test_a_file_of_more_than_20_megabytes_is_too_large(api: Api, user: str, size: int) -> None:
    answer = await send(api, user, b"0" * size)
    assert answer.status_code == 413


async def test_a_file_of_20_megabytes_is_read(api: Api, user: str) -> None:
    data = OFX + b"\n" * (MAX_FILE_BYTES - len(OFX))
    assert (await send(api, user, data)).status_code == 201


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"json": {"file": "x"}}, "The body must be multipart/form-data, with the file in the part `file`."),
        ({"files": {"document": ("x", b"x")}}, "The field `document` is unknown. The fields are file, "),
        ({"data": {"mapping": "x"}, "files": {"mapping": (None, "x")}}, "A field is repeated."),
        ({"files": {"mapping": (None, "x")}}, "The file is missing: send it in the part `file`."),
        ({"files": [("file", ("a", OFX)), ("file", ("b", OFX))]}, "A field is repeated."),
        ({"files": {"file": ("a", OFX)}, "data": {"colour": "red"}}, "The field `colour` is unknown. "),
        (
            {"files": {"file": ("a", OFX)}, "data": {"dry_run": "yes"}},
            "The field `dry_run` must be true or false.",
        ),
        ({"files": {"file": ("a", OFX)}, "data": {"mapping": "x" * 40_000}}, "A field is too long."),
        ({"files": {"file": ("a", OFX), "mapping": (None, b"\xff")}}, "A field is not UTF-8."),
        (
            {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            "The file is missing",
        ),
        (
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            "The body is not valid multipart/form-data.",
        ),
    ],
)
async def test_the_refusal_of_a_form_that_is_not_as_documented_says_what_is_wrong(
    api: Api, user: str, request_: dict[str, Any], reason: str
) -> None:
    answer = await api.post(f"/coatcheck/users/{user}/statement_files", **request_)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith(reason)


async def test_text_that_is_a_formula_stays_text(api: Api, user: str) -> None:
    await imported(api, user, CSV)
    assert '=HYPERLINK("http://evil.example";"x")' in [text for *_, text in await ledger(api, user)]


async def test_imports_are_listed_newest_first_and_read(api: Api, user: str) -> None:
    first, second = await imported(api, user, OFX), await imported(api, user, MT940)
    answer = (await api.get("/coatcheck/imports")).json()
    assert [each["guid"] for each in answer["imports"]] == [second["guid"], first["guid"]]
    assert answer["pagination"]["total_entries"] == 2
    assert (await api.get(f"/coatcheck/imports/{first['guid']}")).json() == {"import": first}
    other = await api.create_user()
    assert (await api.get("/coatcheck/imports", params={"user_guid": other})).json()["imports"] == []


async def test_deleting_an_import_takes_back_exactly_its_rows(api: Api, user: str) -> None:
    older = await imported(api, user, OLDER_OFX)
    before, balance = await ledger(api, user), [each["balance"] for each in await accounts(api, user)]
    newer = await imported(api, user, OFX)
    assert len(await ledger(api, user)) == 6
    assert (await api.delete(f"/coatcheck/imports/{newer['guid']}")).status_code == 204
    assert await ledger(api, user) == before
    assert [each["balance"] for each in await accounts(api, user)] == balance
    assert (await api.delete(f"/coatcheck/imports/{older['guid']}")).status_code == 204
    assert await ledger(api, user) == []
    assert await accounts(api, user) == []
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


async def test_a_transaction_that_another_import_lists_remains(api: Api, user: str) -> None:
    first, second = await imported(api, user, OFX), await imported(api, user, OFX)
    await api.delete(f"/coatcheck/imports/{first['guid']}")
    assert len(await ledger(api, user)) == 3
    await api.delete(f"/coatcheck/imports/{second['guid']}")
    assert await ledger(api, user) == []


async def test_a_deleted_import_is_gone(api: Api, user: str) -> None:
    one = await imported(api, user, OFX)
    await api.delete(f"/coatcheck/imports/{one['guid']}")
    assert (await api.get(f"/coatcheck/imports/{one['guid']}")).status_code == 404
    assert (await api.delete(f"/coatcheck/imports/{one['guid']}")).status_code == 404


async def test_a_processor_may_not_import(api: Api, services: Services, user: str) -> None:
    processor = await make_processor(services, api.caller)
    answer = await Api(api.http, services, processor).post(
        f"/coatcheck/users/{user}/statement_files", files={"file": ("a", OFX)}
    )
    assert answer.status_code == 401


async def test_the_imports_and_users_of_another_client_do_not_exist(
    api: Api, services: Services, user: str
) -> None:
    one = await imported(api, user, OFX)
    other = Api(api.http, services, await make_client(services))
    assert (await send(other, user, OFX)).status_code == 404
    assert (await other.get("/coatcheck/imports")).json()["imports"] == []
    assert (await other.get(f"/coatcheck/imports/{one['guid']}")).status_code == 404
    assert (await other.delete(f"/coatcheck/imports/{one['guid']}")).status_code == 404
    assert len(await ledger(api, user)) == 3


async def test_nothing_is_imported_for_a_disabled_user(api: Api, user: str) -> None:
    await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    assert (await send(api, user, OFX)).status_code == 403


async def test_a_balance_that_only_the_deleted_import_stated_goes_with_it(
    api: Api, services: Services, clock: MovableClock, user: str
) -> None:
    without = OLDER_OFX.replace(b"<LEDGERBAL><BALAMT>900.00<DTASOF>20260930</LEDGERBAL>\n", b"").replace(
        b"<AVAILBAL><BALAMT>2300.00<DTASOF>20260930</AVAILBAL>\n", b""
    )
    assert b"BALAMT" not in without
    await imported(api, user, without)
    (before,) = await accounts(api, user)
    clock.advance(timedelta(days=1))
    newer = await imported(api, user, OFX)
    assert (await accounts(api, user))[0]["balance"] == 2357.83
    assert (await api.delete(f"/coatcheck/imports/{newer['guid']}")).status_code == 204
    (after,) = await accounts(api, user)
    assert (after["balance"], after["available_balance"]) == (None, None)
    assert after["imported_at"] == before["imported_at"]


async def test_the_tokens_of_an_account_end_with_its_last_import(
    api: Api, services: Services, user: str
) -> None:
    one = await imported(api, user, OFX)
    processor = await make_processor(services, api.caller)
    async with services.db.connection() as connection:
        account = await find_account(connection, user, one["accounts"][0]["account_guid"])
    token = await make_token(services, account, processor)
    bearer = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.mx.api.v1+json"}
    assert (await api.http.get("/account/transactions", headers=bearer)).status_code == 200
    await api.delete(f"/coatcheck/imports/{one['guid']}")
    assert (await api.http.get("/account/transactions", headers=bearer)).status_code == 401


async def test_the_provenance_of_an_account_says_that_the_user_supplied_it(
    api: Api, services: Services, user: str
) -> None:
    await imported(api, user, OFX)
    newer = Api(api.http, services, api.caller, V2)
    (account,) = await accounts(newer, user)
    assert account["provenance"] == {
        "source": "statement_file",
        "fetched_at": account["imported_at"],
        "is_user_supplied": True,
    }
    assert "provenance" not in (await accounts(api, user))[0]


async def test_the_provenance_of_other_accounts_is_the_institution_or_the_user(
    api: Api, services: Services, user: str
) -> None:
    newer = Api(api.http, services, api.caller, V2)
    await newer.connect(user)
    await newer.work()
    await newer.post(f"/users/{user}/accounts", json={"account": {"name": "Jar", "account_type": "CASH"}})
    found = [each["provenance"] for each in await accounts(newer, user)]
    sources = {each["source"]: each for each in found}
    assert sources.keys() == {"institution", "user"}
    assert sources["institution"]["fetched_at"] is not None
    assert sources["institution"]["is_user_supplied"] is False
    assert sources["user"] == {"source": "user", "fetched_at": None, "is_user_supplied": True}
