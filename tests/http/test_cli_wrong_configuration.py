"""Each wrong configuration ends in one sentence that says what to do, and the doctor finds it."""

import base64
import json
import socket
from dataclasses import dataclass, field

import psycopg
import pytest

from coatcheck.cli.exit_codes import ExitCode

KEY = base64.b64encode(bytes(range(7, 39))).decode()
OTHER_KEY = f"mk-other:{base64.b64encode(bytes(range(140, 172))).decode()}"


@dataclass
class Wrong:
    settings: dict[str, str]
    says: str
    """Part of the sentence: what is wrong and what to do."""
    code: ExitCode = ExitCode.CONFIGURATION
    command: str = "serve --port 0"
    check: str = "configuration"
    """The doctor's check that finds it."""
    files: dict[str, str] = field(default_factory=dict)


def allowed(name, value, what):
    return Wrong({name: value}, f"The setting {name} cannot be read: it must be {what}.")


WRONG = {
    "no connections": allowed("pool_size", "0", "a whole number from 1 to 10000"),
    "negative connections": allowed("pool_size", "-3", "a whole number from 1 to 10000"),
    "a port that is a word": allowed("metrics_port", "many", "a whole number from 0 to 65535"),
    "a port that does not exist": allowed("metrics_port", "65536", "a whole number from 0 to 65535"),
    "no worker slots": allowed("worker_concurrency", "0", "a whole number from 1 to 10000"),
    "no attempts": allowed("job_attempts", "0", "a whole number from 1 to 10000"),
    "a switch that is a word": allowed("webhook_allow_private", "yes", "true or false"),
    "a duration with a unit": allowed("code_ttl", "10m", "a number of seconds"),
    "a duration that is a word": allowed("token_ttl", "sixty days", "a number of seconds"),
    "a rate without a period": allowed(
        "limit_requests_of_address", "600", "a number and a period such as 100/minute, or empty for no limit"
    ),
    "a rate of an unknown period": allowed(
        "limit_failures_of_caller", "5/fortnight", "a number and a period such as 100/minute, or empty for no limit"
    ),
    "an unknown log level": allowed("log_level", "LOUD", "DEBUG, ERROR, INFO or WARNING"),
    "a log level in small letters": allowed("log_level", "info", "DEBUG, ERROR, INFO or WARNING"),
    "an unknown log format": allowed("log_format", "text", "console or json"),
    "an unknown answer to a replay": allowed("on_code_reuse", "ignore", "reject or revoke"),
    "a duration of zero": Wrong({"code_ttl": "0"}, "code_ttl must be more than 0 and at most 3650 days, in seconds."),
    "a negative duration": Wrong({"token_ttl": "-1"}, "token_ttl must be more than 0 and at most 3650 days"),
    "a duration of centuries": Wrong({"link_ttl": "1e12"}, "link_ttl must be more than 0 and at most 3650 days"),
    "a negative overlap": Wrong({"key_overlap": "-1"}, "key_overlap must be at least 0 and at most 3650 days"),
    "a name with a typing error": Wrong({"prot": "8000"}, "Unknown setting: prot. Did you mean port?"),
    "a name that resembles none": Wrong({"xyzzy": "1"}, "Unknown setting: xyzzy. Remove it."),
    "a base URL without a scheme": Wrong({"base_url": "coatcheck.example"}, "must start with http:// or https://"),
    "a base URL with a path": Wrong({"base_url": "https://coatcheck.example/api"}, "must not end with a slash or"),
    "a base URL with another port": Wrong(
        {"base_url": "http://127.0.0.1:8000", "port": "9000"},
        "Set COATCHECK_BASE_URL=http://127.0.0.1:9000, or change the port.",
        command="serve",
    ),
    "one port for two listeners": Wrong(
        {"port": "9000", "metrics_port": "9000"}, "Set metrics_port to another port.", command="serve"
    ),
    "another database": Wrong({"database_url": "mysql://db/x"}, "must be a URL such as postgresql://coatcheck@db"),
    "a database without a notation": Wrong({"database_url": "db"}, "or keywords such as host=db dbname=coatcheck"),
    "another direct database": Wrong({"database_direct_url": "mysql://db/x?a=b"}, "database_direct_url must be a URL"),
    "a pooler without a direct URL": Wrong({"database_pooling": "transaction"}, "Set database_direct_url to the URL"),
    "an unknown mode of pooling": allowed(
        "database_pooling", "statement", "session, transaction or transaction_prepared"
    ),
    "no database": Wrong({"database_url": ""}, "is configured. Set COATCHECK_DATABASE_URL", check="database"),
    "a database URL with an unknown parameter": Wrong(
        {"database_url": "postgresql://db/x?colour=red"}, "database_url cannot be parsed", check="database"
    ),
    "a database that nobody serves": Wrong(
        {"database_url": "postgresql://me:swordfish@127.0.0.1:1/x"},
        "Check COATCHECK_DATABASE_URL.", ExitCode.DATABASE, check="database",
    ),
    "a host that does not exist": Wrong(
        {"database_url": "postgresql://me@no-such-host.invalid/x"},
        "Check COATCHECK_DATABASE_URL.", ExitCode.DATABASE, check="database",
    ),
    "a checkpoint URL without a scheme": Wrong(
        {"audit_checkpoint_url": "auditor.example"}, "audit_checkpoint_url must start with http:// or https://"
    ),
    "two places for the master key": Wrong(
        {"master_key_file": "/run/key"}, "Set master_key_file or master_key, not both.", check="master key"
    ),
    "no master key": Wrong({"master_key": ""}, "`coatcheck keys new` prints a new key", check="master key"),
    "a master key without an id": Wrong({"master_key": KEY}, "`coatcheck keys new` prints", check="master key"),
    "a master key that is too short": Wrong(
        {"master_key": "mk-1:c2hvcnQ="}, "it must have 32. `coatcheck keys new` prints", check="master key"
    ),
    "a master key that is not base64": Wrong(
        {"master_key": "mk-1:###"}, "is not base64. `coatcheck keys new` prints", check="master key"
    ),
    "a master key that is a pattern": Wrong(
        {"master_key": f"mk-1:{'A' * 43}="}, "Use 32 random bytes.", check="master key"
    ),
    "a key file that is missing": Wrong(
        {"master_key": "", "master_key_file": "/no/such/file"}, "`coatcheck keys new` prints", check="master key"
    ),
    "a connector that is not installed": Wrong(
        {"connectors": "nope"}, "There is no connector nope. Installed: ", check="connectors"
    ),
    "an unknown setting of a connector": Wrong(
        {"connector_sandbox_seeds": "1"}, "The connector sandbox has no setting seeds.", check="connectors"
    ),
    "a settings file that is missing": Wrong({"config": "/no/such/file.toml"}, "Correct COATCHECK_CONFIG."),
    "a file for checkpoints that cannot be written": Wrong(
        {"audit_checkpoint_file": "/no/such/directory/checkpoints"}, "", command="", check="audit log"
    ),
    "more connections than the server allows": Wrong({"pool_size": "9999"}, "", command="", check="connections"),
}  # fmt: skip


@pytest.fixture
def wrong(request, operator, bare_environment):
    for name, value in request.param.settings.items():
        bare_environment.setenv(f"COATCHECK_{name.upper()}", value)
    return request.param


def sentence(answer):
    """The only line on standard error."""
    assert "Traceback" not in answer.err + answer.out
    (line,) = answer.err.splitlines()
    assert line.startswith("coatcheck: ")
    return line


@pytest.mark.parametrize(
    "wrong", [pytest.param(wrong, id=name) for name, wrong in WRONG.items() if wrong.command], indirect=True
)
def test_a_wrong_configuration_ends_in_one_sentence_that_says_what_to_do(wrong, operator):
    answer = operator(*wrong.command.split())
    line = sentence(answer)
    assert wrong.says in line
    assert "swordfish" not in line
    assert answer.code == wrong.code


@pytest.mark.parametrize(
    "wrong", [pytest.param(wrong, id=name) for name, wrong in WRONG.items()], indirect=True
)
def test_the_doctor_finds_a_wrong_configuration_and_says_what_to_do(wrong, operator):
    answer = operator("doctor", "--json")
    assert answer.code == ExitCode.UNHEALTHY
    found = next(finding for finding in json.loads(answer.out) if finding["check"] == wrong.check)
    assert found["status"] == "fail"
    assert wrong.says in found["message"]
    assert found["fix"]
    assert "swordfish" not in answer.out


def test_proxies_by_name_are_refused_with_what_is_allowed(operator):
    answer = operator("serve", "--port", "0", "--trusted-proxies", "nginx")
    assert answer.code == ExitCode.CONFIGURATION
    assert "must be addresses or networks separated by commas, such as 10.0.0.5,10.1.0.0/16." in sentence(
        answer
    )


def test_a_host_that_is_not_of_this_machine_is_refused(operator):
    assert "Change --host or the setting host." in sentence(operator("serve", "--host", "256.256.256.256"))


@pytest.mark.parametrize("option", ["port", "metrics_port"])
def test_a_port_that_is_in_use_is_refused_with_the_setting_to_change(operator, bare_environment, option):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        bare_environment.setenv("COATCHECK_METRICS_PORT", str(port) if option == "metrics_port" else "0")
        answer = operator("serve", "--port", str(port) if option == "port" else "0")
    assert answer.code == ExitCode.CONFIGURATION
    assert ("--port" if option == "port" else "Change metrics_port.") in sentence(answer)


def test_a_database_or_a_user_that_does_not_exist_is_named(operator, bare_environment, server_url):
    for path, user, missing in (("no_such", "postgres", "no_such"), ("postgres", "nobody", "nobody")):
        url = server_url.replace("//postgres@/postgres", f"//{user}@/{path}")
        bare_environment.setenv("COATCHECK_DATABASE_URL", url)
        answer = operator("work")
        assert answer.code == ExitCode.DATABASE
        assert f'"{missing}" does not exist' in sentence(answer)
        assert json.loads(operator("doctor", "--json").out)[-1]["status"] == "fail"


def test_the_key_of_another_installation_is_refused_and_found(own_operator, bare_environment):
    assert own_operator("client", "list").code == 0
    bare_environment.setenv("COATCHECK_MASTER_KEY", OTHER_KEY)
    answer = own_operator("serve", "--port", "0")
    assert answer.code == ExitCode.CONFIGURATION
    assert "Add it to the key file, below the others." in sentence(answer)
    findings = {each["check"]: each for each in json.loads(own_operator("doctor", "--json").out)}
    assert findings["keyring"]["status"] == "fail"


def test_a_database_without_the_schema_is_found(operator, bare_environment, empty_url):
    bare_environment.setenv("COATCHECK_DATABASE_URL", empty_url)
    answer = operator("work")
    assert answer.code == ExitCode.NOT_MIGRATED
    assert "Run `coatcheck migrate`." in sentence(answer)
    findings = {each["check"]: each for each in json.loads(operator("doctor", "--json").out)}
    assert findings["schema"]["fix"] == "coatcheck migrate"


def test_a_newer_schema_is_not_migrated_and_found(own_operator, own_url):
    with psycopg.connect(own_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    answer = own_operator("migrate")
    assert answer.code == ExitCode.REFUSED
    assert "revision 9999" in sentence(answer)
    assert "Migrate with the later version, or restore the backup" in sentence(answer)
    findings = {each["check"]: each for each in json.loads(own_operator("doctor", "--json").out)}
    assert (findings["schema"]["status"], "9999" in findings["schema"]["message"]) == ("warn", True)


@pytest.mark.parametrize(
    "url", ["ftp://acme.example", "http://acme.example", "https://127.0.0.1/x", "nonsense"]
)
def test_a_webhook_url_that_cannot_be_used_is_refused(own_operator, url):
    client = json.loads(own_operator("client", "add", "Acme", "--json").out)["client_id"]
    answer = own_operator("client", "webhook", client, url)
    assert answer.code == ExitCode.USAGE
    assert "webhook" in sentence(answer)


def test_a_key_file_that_everybody_can_read_is_refused_with_the_command_that_mends_it(
    operator, bare_environment, master_key, tmp_path
):
    file = tmp_path / "master.key"
    file.write_text(master_key)
    file.chmod(0o644)
    bare_environment.delenv("COATCHECK_MASTER_KEY")
    bare_environment.setenv("COATCHECK_MASTER_KEY_FILE", str(file))
    answer = operator("serve", "--port", "0")
    assert answer.code == ExitCode.CONFIGURATION
    assert f"Run `chmod 600 {file}`." in sentence(answer)


def test_the_base_url_follows_from_the_port_where_it_is_not_set(terminal, bare_environment):
    bare_environment.setenv("COATCHECK_PORT", "9123")
    assert '"http://127.0.0.1:9123"' in terminal("openapi").out
