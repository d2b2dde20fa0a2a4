"""Statement files through the widget's API."""

import json
from typing import Any

import httpx
import pytest

from tests.api_client import Api
from tests.widget_client import Page, open_page

CSV = b"Date,Description,Amount\n10/25/2026,CORNER AND CO,-42.17\n10/26/2026,PAYROLL,1800.00\n"
UNKNOWN_HEADERS = b"Wann,Was,Wieviel\n25.10.2026,BACKEREI,-4.20\n"


async def send_file(page: Page, data: bytes, *, dry_run: bool = False, **mapping: Any) -> httpx.Response:
    fields = {"mapping": json.dumps(mapping)} if mapping else {}
    path = f"/statement_files?dry_run={str(dry_run).lower()}"
    return await page("POST", path, files={"file": ("file", data)}, data=fields)


async def test_a_statement_file_is_previewed_and_then_imported(api: Api, user: str) -> None:
    page = await open_page(api, user)
    preview = (await send_file(page, CSV, dry_run=True)).json()["statement_file"]
    assert (preview["guid"], preview["format"], preview["columns"]) == (
        None,
        "CSV",
        ["Date", "Description", "Amount"],
    )
    assert preview["mapping"]["columns"] == {"date": "Date", "amount": "Amount", "description": "Description"}
    assert [(each["date"], each["description"], each["amount"]) for each in preview["rows"]] == [
        ("2026-10-25", "CORNER AND CO", "-42.17"),
        ("2026-10-26", "PAYROLL", "1800.00"),
    ]
    assert (await page.get("/members"))["members"] == []
    imported = (await send_file(page, CSV)).json()["statement_file"]
    assert imported["accounts"][0]["added"] == 2
    member = (await api.get(f"/users/{user}/members/{imported['member_guid']}")).json()["member"]
    assert member["connection_status"] == "IMPORTED"
    again = (await send_file(page, CSV, dry_run=True)).json()["statement_file"]
    assert (again["accounts"][0]["added"], again["accounts"][0]["already_known"]) == (0, 2)


async def test_a_table_that_is_not_understood_is_refused_with_its_columns_and_read_with_a_mapping(
    api: Api, user: str
) -> None:
    page = await open_page(api, user)
    refused = await send_file(page, UNKNOWN_HEADERS, dry_run=True)
    assert refused.status_code == 422
    assert refused.json() | {"error": None} == {
        "error": None,
        "line": 1,
        "element": "columns",
        "columns": ["Wann", "Was", "Wieviel"],
    }
    columns = {"date": "Wann", "description": "Was", "amount": "Wieviel"}
    read = (await send_file(page, UNKNOWN_HEADERS, dry_run=True, columns=columns)).json()["statement_file"]
    assert [each["amount"] for each in read["rows"]] == ["-4.20"]


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (b"Date,Amount\n10/25/2026,1.00\n10/26/2026,abc\n", 422, {"line": 3, "element": "amount"}),
        (b"<OFX><STMTTRN></OFX>", 422, {}),
        (b"nothing of the kind", 422, {"line": 1}),
        (b"", 422, {"line": 1}),
    ],
    ids=["a wrong amount", "OFX that is cut off", "not a table", "empty"],
)
async def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_imported(
    api: Api, user: str, data: bytes, status: int, problem: dict[str, Any]
) -> None:
    page = await open_page(api, user)
    refused = await send_file(page, data)
    assert refused.status_code == status
    assert refused.json()["error"]["type"] == "unreadable_file"
    assert problem.items() <= refused.json().items()
    assert (await api.get(f"/users/{user}/members")).json()["members"] == []


async def test_a_statement_file_needs_the_consent_and_a_session_for_transactions(api: Api, user: str) -> None:
    without_consent = await open_page(api, user, consented=False)
    assert (await send_file(without_consent, CSV)).json()["error"]["type"] == "consent_required"
    for_numbers = await open_page(api, user, mode="verification", include_transactions=False)
    assert for_numbers.boot["start"]["statement_files_enabled"] is False
    assert (await send_file(for_numbers, CSV)).json()["error"]["type"] == "job_not_supported"


async def test_a_statement_file_that_is_too_large_or_in_no_form_is_refused(api: Api, user: str) -> None:
    page = await open_page(api, user)
    assert (await send_file(page, b"x" * (20 * 1024 * 1024 + 1))).status_code == 413
    assert (await page("POST", "/statement_files", content=CSV)).status_code == 400
    assert (await send_file(page, CSV, columns={"date": "Date"})).status_code == 400
