"""`coatcheck institution`: looking changes nothing, and a status takes effect at once."""

import json
from uuid import uuid4

import psycopg
import pytest

from coatcheck.cli.exit_codes import ExitCode

pytestmark = pytest.mark.own_database

MEMBER = """
INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name, created_at, updated_at)
VALUES (%s, %s, %s, %s, 'INS-1', 'Bank', now(), now())
"""
JOB = """
INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state, attempt, requested_by,
                        created_at, queued_at, ended_at)
VALUES (%s, %s, %s, %s, %s, 'AGGREGATION', %s, %s, %s, now(), now(), now() - make_interval(hours => %s))
"""


@pytest.fixture
def client(operator):
    return printed(operator, "client", "add", "Acme Bank")["client_id"]


@pytest.fixture
def own_job(url, client):
    """Adds a job, each to a member of its own."""

    def add(code, requested_by, *, attempt=1, hours_ago=1, state="ended"):
        user, member, job = (f"{prefix}-{uuid4()}" for prefix in ("USR", "MBR", "JOB"))
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO end_user (guid, client_guid, created_at) VALUES (%s, %s, now())", [user, client]
            )
            connection.execute(MEMBER, [user, member, client, code])
            values = [user, job, client, member, code, state, attempt, requested_by, hours_ago]
            connection.execute(JOB, values)

    return add


def printed(operator, *arguments):
    answer = operator(*arguments, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_an_institution_shows_its_status_and_looking_changes_nothing(operator):
    shown = {"institution_code": "mxbank", "name": "MX Bank", "status": "OPERATIONAL", "clients": []}
    for _ in range(2):
        assert printed(operator, "institution", "status", "mxbank") == shown
    assert "all AVAILABLE" in operator("institution", "status", "mxbank").out


def test_a_status_is_set_and_shown_in_the_list(operator):
    shown = printed(operator, "institution", "status", "mxbank", "MAINTENANCE")
    assert shown["status"] == "MAINTENANCE"
    assert printed(operator, "institution", "status", "mxbank") == shown
    rows = {row["institution_code"]: row for row in printed(operator, "institution", "list")}
    assert rows["mxbank"]["status"] == "MAINTENANCE"
    assert rows["rooksbridge_bank"]["status"] == "OPERATIONAL"
    assert printed(operator, "institution", "status", "mxbank", "OPERATIONAL")["status"] == "OPERATIONAL"


def test_the_list_is_searched_by_a_part_of_the_name(operator):
    codes = [row["institution_code"] for row in printed(operator, "institution", "list", "mx bank")]
    assert "mxbank" in codes
    assert "rooksbridge_bank" not in codes
    assert operator("institution", "list", "no bank has this name").out == "No institution has this name.\n"


def test_a_client_status_is_set_for_one_client(operator, client):
    other = printed(operator, "client", "add", "Other")["client_id"]
    row = {"client_id": client, "client_status": "PREVENT_NEW"}
    shown = printed(operator, "institution", "status", "mxbank", "PREVENT_NEW", "--client", client)
    assert shown["clients"] == [row]
    assert printed(operator, "institution", "status", "mxbank")["clients"] == [row]
    assert printed(operator, "institution", "status", "mxbank", "--client", other)["clients"] == []
    assert f"{client} PREVENT_NEW" in operator("institution", "status", "mxbank").out
    (listed,) = [
        row for row in printed(operator, "institution", "list") if row["institution_code"] == "mxbank"
    ]
    assert listed["restricted_clients"] == 1
    again = printed(operator, "institution", "status", "mxbank", "AVAILABLE", "--client", client)
    assert again["clients"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mxbank", "BROKEN"], ExitCode.USAGE, "STATUS must be one of OPERATIONAL"),
        (
            ["mxbank", "PREVENT_NEW"],
            ExitCode.USAGE,
            "PREVENT_NEW is set for a client. Name it: --client CLT-",
        ),
        (["nowhere"], ExitCode.NOT_FOUND, "There is no institution nowhere. `coatcheck institution list`"),
        (["nowhere", "DEGRADED"], ExitCode.NOT_FOUND, "There is no institution nowhere."),
        (["mxbank", "--client", "CLT-none"], ExitCode.NOT_FOUND, "There is no client CLT-none."),
        (
            ["mxbank", "PREVENT_ALL", "--client", "CLT-none"],
            ExitCode.NOT_FOUND,
            "There is no client CLT-none.",
        ),
        (
            ["mxbank", "MAINTENANCE", "--client", "CLT-none"],
            ExitCode.USAGE,
            "STATUS of a client must be one of",
        ),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_allowed(operator, arguments, code, message):
    answer = operator("institution", "status", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
    assert printed(operator, "institution", "status", "mxbank")["status"] == "OPERATIONAL"


def test_calls_are_counted_by_institution_and_by_the_processor_that_caused_them(operator, own_job):
    own_job("mxbank", "PPR-1", attempt=2)
    own_job("mxbank", "PPR-1")
    own_job("mxbank", "CLT-1")
    own_job("mxbank", "coatcheck")
    own_job("rooksbridge_bank", "PPR-1")
    own_job("rooksbridge_bank", "PPR-1", hours_ago=30)
    own_job("rooksbridge_bank", "PPR-1", state="running")
    rows = [tuple(row.values()) for row in printed(operator, "institution", "calls")]
    assert rows == [("mxbank", "PPR-1", 2, 3), ("mxbank", None, 2, 2), ("rooksbridge_bank", "PPR-1", 1, 1)]
    (row,) = printed(operator, "institution", "calls", "rooksbridge_bank", "--days", "2")
    assert (row["jobs"], row["calls"]) == (2, 2)
    assert operator("institution", "calls", "nobank").code == ExitCode.NOT_FOUND
    assert "processor guid" in operator("institution", "calls").out


def test_without_jobs_no_institution_was_read(operator):
    assert operator("institution", "calls").out == "No institution was read.\n"
