"""The doctor finds what is wrong, says how to repair it, and changes nothing."""

import asyncio
import json
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from coatcheck import examination
from coatcheck.audit import journal as audit
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.clock import MovableClock, SystemClock
from coatcheck.config import Settings
from coatcheck.db.database import Database
from coatcheck.grants import partitions as tokens
from coatcheck.vault import vault
from tests.databases import execute


@pytest.fixture
def examine(own_operator):
    """Runs the doctor; returns the last finding of each check."""

    def findings_by_check():
        answer = own_operator("doctor", "--json")
        findings = {finding["check"]: finding for finding in json.loads(answer.out)}
        fails = any(finding["status"] == "fail" for finding in findings.values())
        assert answer.code == (ExitCode.UNHEALTHY if fails else ExitCode.OK)
        assert all(finding["fix"] for finding in findings.values() if finding["status"] != "ok")
        return findings

    return findings_by_check


def create_partitions(url):
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


def test_an_installation_without_faults_has_no_failed_check(examine, own_url, own_operator):
    create_partitions(own_url)
    own_operator("client", "add", "Acme Bank")
    with psycopg.connect(own_url, autocommit=True) as connection:
        connection.execute("INSERT INTO worker_heartbeat VALUES ('WRK-1', now(), now())")
    findings = examine()
    not_ok = {check for check, finding in findings.items() if finding["status"] != "ok"}
    # The tests' server does not wait for its disk; they connect as a superuser; no worker seals.
    assert not_ok == {"durability", "master key", "audit role", "audit log"}


def test_a_master_key_in_the_environment_is_a_warning(examine):
    assert examine()["master key"]["status"] == "warn"


@pytest.mark.parametrize(("mode", "outcome"), [(0o600, "ok"), (0o640, "warn"), (0o644, "fail")])
def test_a_key_file_that_others_can_open_is_found(
    examine, bare_environment, master_key, tmp_path, mode, outcome
):
    file = tmp_path / "master.key"
    file.write_text(master_key)
    file.chmod(mode)
    bare_environment.delenv("COATCHECK_MASTER_KEY")
    bare_environment.setenv("COATCHECK_MASTER_KEY_FILE", str(file))
    assert examine()["master key"]["status"] == outcome


def test_a_database_that_can_lose_answered_changes_is_found(examine):
    finding = examine()["durability"]
    assert finding["status"] == "fail"
    assert "fsync" in finding["message"]


def test_a_server_that_logs_the_values_of_statements_is_found(examine, own_url):
    database = urlsplit(own_url).path[1:]
    assert examine()["statement log"]["status"] == "ok"
    execute(own_url, f"ALTER DATABASE {database} SET log_min_duration_statement TO 1000")
    finding = examine()["statement log"]
    assert finding["status"] == "warn"
    assert "log_parameter_max_length TO 0" in finding["fix"]
    execute(own_url, f"ALTER DATABASE {database} SET log_parameter_max_length TO 0")
    assert examine()["statement log"]["status"] == "ok"


def test_a_session_behind_a_pooler_without_the_settings_is_found_and_no_process_starts(
    examine, own_url, own_operator, bare_environment
):
    assert "pooler" not in examine()
    bare_environment.setenv("COATCHECK_DATABASE_POOLING", "transaction")
    bare_environment.setenv("COATCHECK_DATABASE_DIRECT_URL", own_url)
    finding = examine()["pooler"]
    assert finding["status"] == "fail"
    statements, _, _ = finding["fix"].partition(" Then let the pooler")
    refused = own_operator("client", "list")
    assert refused.code == ExitCode.CONFIGURATION
    assert "lock_timeout" in refused.err
    # For this database only: the role is that of all tests.
    database = urlsplit(own_url).path[1:]
    execute(own_url, statements.replace("ALTER ROLE postgres", f"ALTER DATABASE {database}"))
    assert examine()["pooler"]["status"] == "ok"
    assert own_operator("client", "list").code == ExitCode.OK


@pytest.mark.parametrize(("days", "status"), [(366, None), (367, "warn")])
def test_tokens_that_live_for_longer_than_a_year_are_found(examine, bare_environment, days, status):
    bare_environment.setenv("COATCHECK_TOKEN_TTL", str(days * 86_400))
    assert examine().get("token lifetime", {"status": None})["status"] == status


def test_an_unencrypted_public_address_is_found(examine, bare_environment):
    bare_environment.setenv("COATCHECK_BASE_URL", "http://coatcheck.example")
    assert examine()["configuration"]["status"] == "warn"
    bare_environment.setenv("COATCHECK_BASE_URL", "https://coatcheck.example")
    assert examine()["configuration"]["status"] == "ok"


def test_an_installation_without_a_connector_is_found(examine, bare_environment):
    bare_environment.setenv("COATCHECK_CONNECTORS", "")
    assert examine()["connectors"]["status"] == "warn"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("COATCHECK_CONNECTORS", "nope", "There is no connector nope. Installed: "),
        ("COATCHECK_CONNECTOR_NOPE_KEY", "x", "COATCHECK_CONNECTOR_NOPE_KEY names no connector."),
        ("COATCHECK_CONNECTOR_SANDBOX_SEEDS", "1", "The connector sandbox has no setting seeds."),
    ],
)
def test_a_connector_with_which_no_server_starts_is_a_failure(
    examine, bare_environment, name, value, problem
):
    bare_environment.setenv("COATCHECK_CONNECTORS", "sandbox")
    bare_environment.setenv(name, value)
    finding = examine()["connectors"]
    assert (finding["status"], finding["message"].startswith(problem)) == ("fail", True)


def test_a_setting_that_cannot_be_read_is_found(examine, bare_environment):
    bare_environment.setenv("COATCHECK_PORT", "many")
    assert examine()["configuration"]["status"] == "fail"


def test_a_database_that_does_not_answer_is_found(examine, bare_environment):
    bare_environment.setenv("COATCHECK_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert examine()["database"]["status"] == "fail"


def test_a_missing_schema_is_found(examine, own_url):
    with psycopg.connect(own_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    assert examine()["schema"]["fix"] == "coatcheck migrate"


def test_a_master_key_of_another_installation_is_found_and_nothing_is_changed(
    examine, own_operator, own_url, bare_environment
):
    own_operator("client", "add", "Acme Bank")
    before = keyring(own_url)
    bare_environment.setenv("COATCHECK_MASTER_KEY", own_operator("keys", "new").out.strip())
    assert examine()["keyring"]["status"] == "fail"
    assert keyring(own_url) == before


def test_on_a_new_database_the_keyring_is_not_created(examine, own_url):
    assert examine()["keyring"]["status"] == "ok"
    assert keyring(own_url) == []


def keyring(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM keyring ORDER BY purpose").fetchall()


def test_a_rotation_that_was_not_finished_is_found(examine, own_operator, bare_environment, master_key):
    client = json.loads(own_operator("client", "add", "Acme Bank", "--json").out)["client_id"]
    own_operator("client", "webhook", client, "https://acme.example/hook")
    new_key = own_operator("keys", "new").out.strip()
    bare_environment.setenv("COATCHECK_MASTER_KEY", f"{new_key},{master_key}")
    assert examine()["keyring"]["fix"] == "coatcheck keys rotate"
    own_operator("keys", "rotate")
    assert examine()["keyring"]["status"] == "ok"


def test_a_missing_worker_is_found(examine):
    assert examine()["worker"]["fix"] == "coatcheck work"


def test_an_overdue_webhook_is_found(examine, own_operator, own_url):
    client = json.loads(own_operator("client", "add", "Acme Bank", "--json").out)["client_id"]
    assert examine()["queue"]["status"] == "ok"
    with psycopg.connect(own_url) as connection:
        connection.execute(
            """INSERT INTO delivery (guid, event_guid, event_at, receiver_guid, owner_guid, position, next_attempt_at,
                                     created_at)
               VALUES ('DLV-1', 'EVT-1', now(), %(client)s, %(client)s, 1, now() - interval '10 minutes', now())""",
            {"client": client},
        )
    assert "10 minutes" in examine()["queue"]["message"]


def test_an_audit_log_that_nobody_seals_or_publishes_is_found(examine, own_operator, bare_environment):
    bare_environment.setenv("COATCHECK_AUDIT_CHECKPOINT_URL", "https://auditor.example/checkpoints")
    assert examine()["audit log"]["status"] == "ok"
    own_operator("client", "add", "Acme Bank")
    finding = examine()["audit log"]
    assert finding["status"] == "warn"
    assert "Nothing was sealed since the start." in finding["message"]


def test_checkpoints_that_are_not_published_are_found(examine):
    finding = examine()["audit log"]
    assert finding["status"] == "warn"
    assert "not published" in finding["message"]


def test_missing_partitions_are_found(examine):
    assert "access_token" in examine()["partitions"]["message"]


def test_clocks_that_differ_are_found(examine, monkeypatch):
    clock = MovableClock()
    monkeypatch.setattr(examination.clock, "SystemClock", lambda: clock)
    clock.advance(timedelta(seconds=30))
    assert examine()["clocks"]["status"] == "fail"


def test_the_text_output_has_a_line_for_each_finding_and_one_for_its_repair(own_operator):
    answer = own_operator("doctor")
    assert answer.code == ExitCode.UNHEALTHY
    assert "fail  worker" in answer.out
    assert "coatcheck work\n" in answer.out


def test_a_move_to_another_cell_that_did_not_end_is_found(examine, own_url, bare_environment):
    bare_environment.setenv("COATCHECK_CELL_1", own_url)
    assert examine()["moves"]["status"] == "ok"
    with psycopg.connect(own_url) as connection:
        connection.execute(
            """INSERT INTO cell_move (user_guid, to_cell, phase, began_at)
               VALUES ('USR-1', '1', 'copying', now() - interval '11 minutes')"""
        )
    finding = examine()["moves"]
    assert finding["status"] == "warn"
    assert "coatcheck cell cancel USR-1" in finding["fix"]
