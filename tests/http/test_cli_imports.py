"""`coatcheck import`: an operator imports a statement file."""

import asyncio
import json

import pytest

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.imports.imports import MAX_FILE_BYTES
from tests.statement_samples import CSV, OFX


@pytest.fixture
def statement(tmp_path):
    file = tmp_path / "statement.ofx"
    file.write_bytes(OFX)
    return file


async def added(run_in_thread, statement, user, *options):
    one = await run_in_thread("import", str(statement), "--user", user, *options)
    return one["guid"], [each["added"] for each in one["accounts"]]


async def test_a_file_is_imported_once(run_in_thread, api, user, statement):
    guid, counts = await added(run_in_thread, statement, user)
    assert counts == [3]
    assert (await api.get(f"/coatcheck/imports/{guid}")).json()["import"]["format"] == "OFX"
    assert (await added(run_in_thread, statement, user))[1] == [0]


async def test_a_dry_run_imports_nothing(run_in_thread, api, user, statement):
    assert await added(run_in_thread, statement, user, "--dry-run") == (None, [3])
    assert (await api.get("/coatcheck/imports")).json()["imports"] == []


async def test_an_import_is_printed_as_a_table(operator, user, statement):
    answer = await asyncio.to_thread(operator, "import", str(statement), "--user", user)
    assert answer.code == ExitCode.OK
    assert "Checking 7890" in answer.out
    assert "2357.83" in answer.out


async def test_the_audit_log_names_the_operator(run_in_thread, services, user, statement):
    guid, _ = await added(run_in_thread, statement, user)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body FROM audit_entry WHERE body LIKE %(part)s", {"part": f"%{guid}%"}
        )
        ((body,),) = await cursor.fetchall()
    assert '"actor":"operator"' in body
    assert '"statement_file.imported"' in body


async def test_a_file_that_cannot_be_read_names_the_line(operator, user, statement):
    statement.write_bytes(OFX.replace(b"1500.00", b"NaN"))
    answer = await asyncio.to_thread(operator, "import", str(statement), "--user", user)
    assert answer.code == ExitCode.REFUSED
    assert "statement.ofx, line 20, OFX/" in answer.err


async def test_a_file_of_more_than_20_megabytes_is_refused(operator, user, statement):
    statement.write_bytes(b"0" * (MAX_FILE_BYTES + 1))
    answer = await asyncio.to_thread(operator, "import", str(statement), "--user", user)
    assert (answer.code, "20 MB" in answer.err) == (ExitCode.REFUSED, True)


async def test_an_unknown_user_is_not_found(operator, statement):
    answer = await asyncio.to_thread(operator, "import", str(statement), "--user", "USR-unknown")
    assert (answer.code, "USR-unknown" in answer.err) == (ExitCode.NOT_FOUND, True)


def test_a_missing_file_is_a_wrong_use(operator):
    assert operator("import", "no-such-file", "--user", "USR-1").code == ExitCode.USAGE


async def test_a_csv_file_is_read_as_a_mapping_says(run_in_thread, api, user, statement, tmp_path):
    statement.write_bytes(CSV)
    mapping = tmp_path / "mapping.json"
    columns = {"date": "Date", "amount": "Amount", "description": "Description"}
    mapping.write_text(json.dumps({"columns": columns, "account": {"name": "Household", "type": "SAVINGS"}}))
    one = await run_in_thread("import", str(statement), "--user", user, "--mapping", str(mapping))
    assert [(each["name"], each["added"]) for each in one["accounts"]] == [("Household", 2)]
    # It is remembered for the next file with this header.
    again = await run_in_thread("import", str(statement), "--user", user)
    assert [each["name"] for each in again["accounts"]] == ["Household"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("no JSON", "mapping.json: "), ("{}", "columns"), ('{"columns": {"date": "A"}, "colour": 1}', "colour")],
)
async def test_a_mapping_that_is_none_is_refused_by_name(
    operator, user, statement, tmp_path, content, message
):
    statement.write_bytes(CSV)
    mapping = tmp_path / "mapping.json"
    mapping.write_text(content)
    command = ("import", str(statement), "--user", user, "--mapping", str(mapping))
    answer = await asyncio.to_thread(operator, *command)
    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert message in answer.err
