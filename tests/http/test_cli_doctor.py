"""The doctor finds what is wrong, says how to repair it, and changes nothing."""

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest

from coatcheck.audit import journal as audit
from coatcheck.cli import doctor
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.clock import MovableClock, SystemClock
from coatcheck.config import Settings
from coatcheck.db.database import Database
from coatcheck.grants import partitions as tokens
from coatcheck.vault import vault


@pytest.fixture
def examined(own_operator):
    """The last finding of each check."""

    def examine():
        answer = own_operator("doctor", "--json")
        findings = {finding["check"]: finding for finding in json.loads(answer.out)}
        fails = any(finding["status"] == "fail" for finding in findings.values())
        assert answer.code == (ExitCode.UNHEALTHY if fails else ExitCode.OK)
        assert all(finding["fix"] for finding in findings.values() if finding["status"] != "ok")
        return findings

    return examine


def prepared(url):
    """Creates the partitions, as a worker does when it starts."""

    async def prepare():
        db = Database(url, pool_size=1)
        await db.open()
        now = SystemClock().now()
        async with db.connection() as connection:
            await audit.prepare_partitions(connection, now)
            await vault.prepare_partitions(connection, now)
            await tokens.prepare_partitions(connection, now, Settings())
        await db.close()

    asyncio.run(prepare())


def test_an_installation_without_faults_has_no_failed_check(examined, own_url, own_operator):
    prepared(own_url)
    own_operator("client", "add", "Acme Bank")
    with psycopg.connect(own_url, application_name="coatcheck worker"):
        findings = examined()
    wrong = {check for check, finding in findings.items() if finding["status"] != "ok"}
    assert wrong == {"durability", "master key"}  # the tests' server does not wait for its disk


def test_a_master_key_in_the_environment_is_a_warning(examined):
    assert examined()["master key"]["status"] == "warn"


@pytest.mark.parametrize(("mode", "outcome"), [(0o600, "ok"), (0o640, "warn"), (0o644, "fail")])
def test_a_key_file_that_others_can_open_is_found(
    examined, bare_environment, master_key, tmp_path, mode, outcome
):
    file = tmp_path / "master.key"
    file.write_text(master_key)
    file.chmod(mode)
    bare_environment.delenv("COATCHECK_MASTER_KEY")
    bare_environment.setenv("COATCHECK_MASTER_KEY_FILE", str(file))
    assert examined()["master key"]["status"] == outcome


def test_a_database_that_can_lose_answered_changes_is_found(examined):
    finding = examined()["durability"]
    assert finding["status"] == "fail"
    assert "fsync" in finding["message"]


def test_an_unencrypted_public_address_is_found(examined, bare_environment):
    bare_environment.setenv("COATCHECK_BASE_URL", "http://coatcheck.example")
    assert examined()["configuration"]["status"] == "warn"
    bare_environment.setenv("COATCHECK_BASE_URL", "https://coatcheck.example")
    assert examined()["configuration"]["status"] == "ok"


def test_an_installation_without_a_connector_is_found(examined, bare_environment):
    bare_environment.setenv("COATCHECK_CONNECTORS", "")
    assert examined()["connectors"]["status"] == "warn"


def test_an_unreadable_setting_ends_the_examination(examined, bare_environment):
    bare_environment.setenv("COATCHECK_PORT", "many")
    assert examined()["configuration"]["status"] == "fail"


def test_a_database_that_does_not_answer_is_found(examined, bare_environment):
    bare_environment.setenv("COATCHECK_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert examined()["database"]["status"] == "fail"


def test_a_missing_schema_is_found(examined, own_url):
    with psycopg.connect(own_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    assert examined()["schema"]["fix"] == "coatcheck migrate"


def test_a_master_key_of_another_installation_is_found_and_nothing_is_changed(
    examined, own_operator, own_url, bare_environment
):
    own_operator("client", "add", "Acme Bank")
    before = keyring(own_url)
    bare_environment.setenv("COATCHECK_MASTER_KEY", own_operator("keys", "new").out.strip())
    assert examined()["keyring"]["status"] == "fail"
    assert keyring(own_url) == before


def test_on_a_new_database_the_keyring_is_not_created(examined, own_url):
    assert examined()["keyring"]["status"] == "ok"
    assert keyring(own_url) == []


def keyring(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM keyring ORDER BY purpose").fetchall()


def test_a_rotation_that_was_not_finished_is_found(examined, own_operator, bare_environment, master_key):
    client = json.loads(own_operator("client", "add", "Acme Bank", "--json").out)["client_id"]
    own_operator("client", "webhook", client, "https://acme.example/hook")
    fresh = own_operator("keys", "new").out.strip()
    bare_environment.setenv("COATCHECK_MASTER_KEY", f"{fresh},{master_key}")
    assert examined()["keyring"]["fix"] == "coatcheck keys rotate"
    own_operator("keys", "rotate")
    assert examined()["keyring"]["status"] == "ok"


def test_a_missing_worker_is_found(examined):
    assert examined()["worker"]["fix"] == "coatcheck work"


def test_an_overdue_webhook_is_found(examined, own_operator, own_url):
    client = json.loads(own_operator("client", "add", "Acme Bank", "--json").out)["client_id"]
    assert examined()["queue"]["status"] == "ok"
    with psycopg.connect(own_url) as connection:
        connection.execute(
            "INSERT INTO event (guid, client_guid, type, payload, created_at)"
            " VALUES ('EVT-1', %s, 'x', '{}', now())",
            [client],
        )
        connection.execute(
            "INSERT INTO delivery (event_guid, next_attempt_at) VALUES ('EVT-1', now() - interval '10 minutes')"
        )
    assert "10 minutes" in examined()["queue"]["message"]


def test_missing_partitions_are_found(examined):
    assert "access_token" in examined()["partitions"]["message"]


def test_clocks_that_differ_are_found(examined, monkeypatch):
    clock = MovableClock()
    monkeypatch.setattr(doctor, "SystemClock", lambda: clock)
    clock.advance(timedelta(seconds=30))
    assert examined()["clocks"]["status"] == "fail"


def test_people_get_a_line_for_each_finding_and_how_to_repair_it(own_operator):
    answer = own_operator("doctor")
    assert answer.code == ExitCode.UNHEALTHY
    assert "fail  worker" in answer.out
    assert "coatcheck work\n" in answer.out
