"""Every command has help and `--json`, and every error is one sentence with an exit code for its kind."""

import json
import subprocess
import sys

import pytest
import typer

from coatcheck.cli.exit_codes import CODES, MEANINGS, ExitCode, exit_code
from coatcheck.cli.main import COMMANDS, app
from coatcheck.errors import (
    BankError,
    ConfigurationError,
    Conflict,
    InvalidScope,
    JobRunning,
    MasterKeyMissing,
    NotFound,
    OperatorError,
)
from tests.processes import free_port


def commands(command, path=()):
    """The path of every command below `command`."""
    context = typer.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if hasattr(below, "list_commands"):
            yield from commands(below, (*path, name))
        else:
            yield (*path, name)


ALL = sorted(commands(typer.main.get_command(app)))


DOCUMENTED = {
    "audit": "export prune verify who",
    "cell": "cancel list move prepare",
    "client": "add deliveries disable enable events list networks redirects rotate-key webhook widget",
    "conformance": "processor",
    "grant": "list reads revoke show",
    "institution": "calls fetch list status",
    "keys": "list-signing new rotate rotate-signing withdraw-signing",
    "processor": "add disable disable-for enable enable-for list networks rotate-key set-authentication "
    "set-certificates set-jwks set-profile set-sender-constraint show",
    "simplefin": "create",
    "staff": "invite list remove reset",
}


def test_the_commands_are_those_that_are_documented():
    grouped = {
        (noun, command) for noun, command_group in DOCUMENTED.items() for command in command_group.split()
    }
    ungrouped = {
        (command,)
        for command in (
            "bench",
            "clock",
            "connectors",
            "demo",
            "doctor",
            "import",
            "listen",
            "migrate",
            "openapi",
            "sandbox",
            "serve",
            "stop",
            "trigger",
            "verify-receipt",
            "work",
        )
    }
    assert set(ALL) == grouped | ungrouped


ALWAYS_JSON = {("audit", "export")}
"""Commands whose output is lines of JSON without an option."""


@pytest.mark.parametrize("path", sorted(set(ALL) - ALWAYS_JSON), ids=" ".join)
def test_every_command_takes_json(path):
    command = typer.main.get_command(app)
    for name in path:
        command = command.get_command(typer.Context(command), name)
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


def test_every_exit_code_has_a_meaning_and_a_number_of_its_own():
    assert list(MEANINGS) == list(ExitCode)
    assert {*CODES.values()} <= {*ExitCode}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError, ExitCode.CONFIGURATION),
        (MasterKeyMissing, ExitCode.CONFIGURATION),
        (NotFound, ExitCode.NOT_FOUND),
        (InvalidScope, ExitCode.USAGE),
        (JobRunning, ExitCode.REFUSED),
        (Conflict, ExitCode.REFUSED),
        (OperatorError, ExitCode.FAILED),
        (BankError, ExitCode.FAILED),
    ],
)
def test_an_error_has_the_exit_code_of_its_most_specific_class(error, code):
    assert exit_code(error()) is code


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(terminal, path):
    answer = terminal(*path, "--help")
    assert answer.code == 0
    assert "Example: " in answer.out
    assert f"coatcheck {' '.join(path)}" in answer.out.split("Example: ")[1]


def test_the_help_of_coatcheck_lists_every_command(terminal):
    answer = terminal("--help")
    assert all(f" {command} " in answer.out for command in COMMANDS)


HEAVY = {
    "alembic", "coatcheck.app", "coatcheck.config", "coatcheck.server", "cryptography", "httpx", "jinja2", "joserfc",
    "limits", "markdown_it", "msgspec", "psutil", "psycopg", "pydantic", "pygments", "reportlab", "sqlalchemy",
    "starlette", "structlog", "uvicorn", "uvloop",
}  # fmt: skip
"""Modules that take long to import."""
SHOW_HELP = """
import contextlib, io, json, sys, types
from coatcheck.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["coatcheck", *arguments]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
# A module that is imported when it is first used has another type until then.
print(json.dumps([name for name, module in sys.modules.items() if type(module) is types.ModuleType]))
"""


def test_the_help_of_no_command_imports_what_takes_long(tmp_path):
    arguments = [
        ["--version"],
        ["--help"],
        *([*path, "--help"] for path in ALL),
        ["stop", "--data-dir", str(tmp_path)],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SHOW_HELP, json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    imported = json.loads(done.stdout)
    assert "coatcheck.cli.doctor" in imported
    assert HEAVY.isdisjoint(imported), HEAVY.intersection(imported)


SERVE = """
import json, sys
from coatcheck.cli import lazy_imports, main
with lazy_imports.deferred():
    from coatcheck.cli import serve
    command = serve.serve
serve.run = lambda main: main.close()
serve.until_stopped = lambda main: main(None)
command(port=0)
print(json.dumps(sorted(sys.modules)))
"""


def test_a_server_imports_nothing_that_only_a_terminal_or_a_misspelt_search_needs(bare_environment):
    bare_environment.setenv("COATCHECK_DATABASE_URL", "postgresql://db/coatcheck")
    done = subprocess.run([sys.executable, "-c", SERVE], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout))
    assert {"httpx", "structlog", "coatcheck.server"} <= imported
    assert {"greenlet", "pygments", "rapidfuzz", "rich"}.isdisjoint(imported)


def test_the_version_is_that_of_the_package(terminal):
    assert terminal("--version").out.strip() == "0.1.0"


@pytest.mark.parametrize("arguments", [["clinet"], ["client", "add"], ["serve", "--port", "many"]])
def test_wrong_usage_prints_the_usage_and_exits_with_2(terminal, arguments):
    answer = terminal(*arguments)
    assert answer.code == ExitCode.USAGE
    assert "Usage" in answer.err


@pytest.mark.parametrize("command", ["migrate", "serve", "work", "client list"])
def test_without_a_database_the_error_names_the_setting(terminal, command):
    port = ["--port", str(free_port())] if command == "serve" else []
    answer = terminal(*command.split(), *port)
    assert answer.code == ExitCode.CONFIGURATION
    assert "COATCHECK_DATABASE_URL" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", ["migrate", "serve --port 0", "work", "client list", "keys rotate"])
def test_a_database_that_does_not_answer_is_named_without_its_password(terminal, bare_environment, command):
    bare_environment.setenv("COATCHECK_DATABASE_URL", "postgresql://me:swordfish@127.0.0.1:1/none")
    answer = terminal(*command.split())
    assert answer.code == ExitCode.DATABASE
    assert "refused" in answer.err
    assert "swordfish" not in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_setting_is_named(terminal, bare_environment):
    bare_environment.setenv("COATCHECK_PROT", "8000")
    answer = terminal("serve")
    assert (answer.code, answer.err) == (
        ExitCode.CONFIGURATION,
        "coatcheck: Unknown setting: prot. Did you mean port?\n",
    )


@pytest.mark.parametrize("command", ["serve", "work"])
def test_without_a_master_key_no_process_starts(operator, bare_environment, command):
    bare_environment.delenv("COATCHECK_MASTER_KEY")
    bare_environment.setenv("COATCHECK_PORT", "0")
    answer = operator(command)
    assert answer.code == ExitCode.CONFIGURATION
    assert "No master key is configured" in answer.err


def test_with_a_weak_master_key_no_process_starts(operator, bare_environment):
    bare_environment.setenv("COATCHECK_MASTER_KEY", "default:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    answer = operator("serve", "--port", "0")
    assert answer.code == ExitCode.CONFIGURATION
    assert "default" in answer.err


def test_with_the_master_key_of_another_installation_no_process_starts(own_operator, bare_environment):
    assert own_operator("client", "list").code == 0
    bare_environment.setenv("COATCHECK_MASTER_KEY", own_operator("keys", "new").out.strip())
    answer = own_operator("serve", "--port", "0")
    assert answer.code == ExitCode.CONFIGURATION
    assert "A master key that the database needs is not configured" in answer.err


@pytest.mark.parametrize("command", ["serve", "work"])
def test_on_a_database_without_the_schema_no_process_starts(operator, bare_environment, empty_url, command):
    bare_environment.setenv("COATCHECK_DATABASE_URL", empty_url)
    bare_environment.setenv("COATCHECK_PORT", "0")
    answer = operator(command)
    assert answer.code == ExitCode.NOT_MIGRATED
    assert "coatcheck migrate" in answer.err


def test_migrating_a_current_database_changes_nothing(operator):
    assert operator("migrate").out == "The schema is current.\n"
    assert operator("migrate", "--json").out == '{\n  "applied": []\n}\n'


def test_the_openapi_document_needs_an_address_that_a_server_could_have(terminal):
    answer = terminal("openapi", "--base-url", "coatcheck.example")
    assert (answer.code, answer.out) == (ExitCode.CONFIGURATION, "")
    assert "The setting base_url must start with http://" in answer.err


def test_the_openapi_document_is_the_one_that_is_served(terminal):
    answer = terminal("openapi", "--base-url", "https://coatcheck.example")
    assert '"openapi": "3.1' in answer.out
    assert "https://coatcheck.example" in answer.out


def test_a_data_directory_that_is_a_file_is_one_sentence(terminal, tmp_path):
    (tmp_path / "file").touch()
    answer = terminal("sandbox", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert answer.code == ExitCode.CONFIGURATION
    assert "Choose another --data-dir" in answer.err
    assert "Traceback" not in answer.err
