"""The documents match the program: their commands run, their tables are compared with the code, their links resolve."""

import os
import re
import shutil
import sys
import tomllib
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import psycopg
import pytest
import typer

from coatcheck import errors as bank_errors
from coatcheck.api import endpoint as api
from coatcheck.api import query as mx_query
from coatcheck.api.routes.not_served import NOT_SERVED
from coatcheck.api.schemas.widgets import WidgetRequest
from coatcheck.cli import exit_codes, serve
from coatcheck.cli import main as cli
from coatcheck.config import Settings
from coatcheck.connectors.contract import JobKind, Secret, Task
from coatcheck.connectors.sandbox import challenges, personas
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.connectors.sandbox.bank_side import BankEvent
from coatcheck.connectors.sandbox.institutions import institutions
from coatcheck.emulator.worlds import schema as world_schema
from coatcheck.emulator.worlds.document import parse_world
from coatcheck.errors import BankError
from coatcheck.events import delivery, signing
from coatcheck.grants import exchange, partitions, portal_sessions, setup_tokens
from coatcheck.grants.secrets import Kind
from coatcheck.http import envelope, head_limits, query
from coatcheck.members import job_admission, widget_links
from coatcheck.simplefin import account_sets, schemas
from coatcheck.simplefin import errors as simplefin
from coatcheck.staff import addresses
from coatcheck.testing.connectors import NOW, conformance_checks, connector_context, run_connector
from tests import control_table, event_reference, guides
from tests.browser import pictures
from tests.databases import EMPTY, copied_database
from tests.guides import ROOT, anchor, blocks, headings, prose, table
from tests.http.mx_sdk import PYTHON, needs_sdk
from tests.unit.test_sandbox_conformance import SandboxUnderTest

DOCS = ROOT / "docs"
DOCUMENTS = guides.tracked("*.md")
CLIENTS, PROCESSORS, OPERATORS, GRANTS, RECEIPTS, SIMPLEFIN, STATEMENT_FILES = (
    DOCS / "how-to" / f"{name}.md"
    for name in (
        "clients",
        "processors",
        "operators",
        "grants",
        "verify-a-receipt",
        "simplefin",
        "statement-files",
    )
)
TUTORIAL = DOCS / "tutorial" / "budget-app.md"
COMMANDS = DOCS / "reference" / "commands.md"
SANDBOX_BANK, COMPATIBILITY = DOCS / "reference" / "sandbox-bank.md", DOCS / "reference" / "compatibility.md"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
HOUR, WORDS = timedelta(hours=1), {2: "two", 5: "five"}
MAX_BYTES_OF_PICTURES = 8_000_000

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
each_decision = pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem[:4])
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl: the guide's commands need it")


# --- blocks that run -------------------------------------------------------------------------------


@needs_curl
@pytest.mark.parametrize(
    "guide",
    [CLIENTS, PROCESSORS, GRANTS, RECEIPTS, SIMPLEFIN, STATEMENT_FILES, TUTORIAL],
    ids=lambda path: path.stem,
)
def test_every_command_of_a_guide_prints_what_it_says(guide, sandbox_credentials, tmp_path):
    guides.run(guide, "bash", ["bash"], _environment(CREDENTIALS=sandbox_credentials), tmp_path)


@needs_sdk
@pytest.mark.sdk
@pytest.mark.parametrize("guide", [CLIENTS, PROCESSORS], ids=lambda path: path.stem)
def test_every_line_of_a_guide_s_python_runs_with_mx_s_sdk(guide, sandbox_credentials, tmp_path):
    guides.run(guide, "python", [str(PYTHON), "-"], _environment(CREDENTIALS=sandbox_credentials), tmp_path)


@pytest.mark.slow
def test_every_command_of_the_operators_guide_prints_what_it_says(server_url, tmp_path):
    with copied_database(server_url, EMPTY) as url:
        guides.run(OPERATORS, "bash", ["bash"], _environment(COATCHECK_DATABASE_URL=url), tmp_path)


def test_the_queries_of_the_operators_guide_run(url):
    queries = [
        block.text for block in blocks(OPERATORS) if block.kind == "sql" and block.text.startswith("SELECT")
    ]
    assert len(queries) == 2
    with psycopg.connect(url) as connection:
        for query_text in queries:
            assert connection.execute(query_text).fetchall() == []


def test_the_guide_s_python_accepts_a_signed_webhook_and_refuses_a_forged_one():
    (code,) = [block.text for block in blocks(CLIENTS) if "def is_ours" in block.text]
    names = {}
    exec(code, names)
    secret = "whsec_" + "A" * 43 + "="
    headers = signing.signature_headers([secret], "EVT-1", '{"a":1}', datetime(2026, 1, 2, tzinfo=UTC))
    assert names["is_ours"](secret, headers, b'{"a":1}')
    assert not names["is_ours"](secret, headers, b'{"a":2}')
    assert not names["is_ours"]("whsec_" + "B" * 43 + "=", headers, b'{"a":1}')


@pytest.mark.parametrize(
    ("kind", "shown", "printed", "is_equal"),
    [
        ("text", "CONNECTED", "CONNECTED\n", True),
        ("text", "CONNECTED", "DENIED\n", False),
        ("text", "cca_...", "cca_123\n", True),
        ("text", "a...\nc", "a1\nb\nc", True),
        ("json", '{"a": "x..."}', '{"a": "xy", "b": 1}', True),
        ("json", '{"a": "x..."}', '{"a": "y"}', False),
        ("json", '{"a": 1}', '{"b": 1}', False),
        ("json", '{"a": [1]}', '{"a": []}', False),
        ("json", '{"a": false}', '{"a": 0}', False),
        ("json", '{"a": []}', '{"a": [1]}', False),
    ],
)
def test_output_is_compared_with_the_block_that_shows_it(kind, shown, printed, is_equal):
    assert guides.is_like(guides.Block(kind, shown, 1), printed) is is_equal


@pytest.mark.parametrize(
    ("command", "message"),
    [("echo other", "line 5 shows"), ("false", "line 1 fails"), ("exit 0", "line 1")],
)
def test_a_guide_whose_output_differs_fails(tmp_path, command, message):
    document = tmp_path / "guide.md"
    document.write_text(f"```bash\n{command}\n```\n\n```text\nshown\n```\n\n```bash\necho last\n```\n")
    with pytest.raises(AssertionError, match=message):
        guides.run(document, "bash", ["bash"], _environment(), tmp_path)


def _environment(**more):
    """The environment of the test, with our command on the path and without our settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path} | {name: str(value) for name, value in more.items()}


# --- commands in the documents exist ----------------------------------------------------------------------

INVOCATION = re.compile(
    r"""(?: ^\s* (?:\$\ )? | [|;&(]\s* | \{\  | [A-Z_]+=\S+\  | bin/ | --rm\  )
        coatcheck (?P<words> (?: [ \t]+ [^\s;|&)><`]+ )* )""",
    re.MULTILINE | re.VERBOSE,
)
"""Our command where a shell expects a command, and its arguments."""


def _commands(document):
    """The arguments of each `coatcheck` command, in blocks of commands and between backticks."""
    shown = [block.text for block in blocks(document) if block.kind in {"bash", "console", "ini", "text"}]
    shown += re.findall(r"`(coatcheck [^`]+)`", prose(document))
    for text in shown:
        unfolded = text.replace("\\\n", " ").replace("--rm serve ", "--rm coatcheck ")
        uncommented = re.sub(r"(^|\s)#.*$", "", unfolded, flags=re.MULTILINE)
        # Text between quotes is a value.
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "QUOTED", uncommented)
        yield from (match["words"].split() for match in INVOCATION.finditer(unquoted))


def _parse(words):
    """The path of the command, and the first word that is neither a command nor an option of it."""
    command, names = typer.main.get_command(cli.app), []
    for word in words:
        if word.startswith("-"):
            options = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
            if word not in options:
                return " ".join(names), word
        elif hasattr(command, "list_commands"):
            command = command.get_command(typer.Context(command), word)
            if command is None:
                return " ".join(names), word
            names.append(word)
    return " ".join(names), None


@each_document
def test_every_command_that_is_shown_exists_with_its_options(document):
    assert [words for words in _commands(document) if _parse(words)[1]] == []


def test_the_check_finds_commands_and_options_that_do_not_exist(tmp_path):
    document = tmp_path / "guide.md"
    document.write_text(
        "```bash\nA=1 coatcheck serve --prot 1 | cat  # it's\nx=$(coatcheck client lst)\n```\n`coatcheck kees`"
    )
    assert [_parse(words) for words in _commands(document)] == [
        ("serve", "--prot"),
        ("client", "lst"),
        ("", "kees"),
    ]


def test_the_operators_guide_has_every_command():
    assert set(_command_paths(typer.main.get_command(cli.app))) <= {
        _parse(words)[0] for words in _commands(OPERATORS)
    }


def _command_paths(command, path=""):
    for name in command.list_commands(typer.Context(command)):
        below = command.get_command(typer.Context(command), name)
        if hasattr(below, "list_commands"):
            yield from _command_paths(below, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command_is_listed_with_the_first_line_of_its_help():
    commands = typer.main.get_command(cli.app)
    assert table(COMMANDS, "The commands") == [
        (f"`{path}`", _find(commands, path).help.splitlines()[0]) for path in _command_paths(commands)
    ]


def _find(command, path):
    for name in path.split():
        command = command.get_command(typer.Context(command), name)
    return command


def test_every_exit_code_is_listed():
    assert table(COMMANDS, "Exit codes") == [
        (str(code.value), meaning) for code, meaning in exit_codes.MEANINGS.items()
    ]


# --- tables are compared with the code -------------------------------------------------------------------------


def test_every_setting_has_a_heading_with_its_kind_and_default():
    document = DOCS / "reference" / "settings.md"
    text = document.read_text()
    missing = [
        line
        for setting in fields(Settings)
        if setting.name not in {"connector", "cells"}
        if (line := f"### {setting.name}\n\n`COATCHECK_{setting.name.upper()}`, {_kind(setting.default)}")
        not in text
    ]
    assert missing == []
    documented = {
        heading for heading in headings(document) if re.fullmatch(r"[a-z]+(_[a-z]+)+|host|port", heading)
    }
    assert documented <= {setting.name for setting in fields(Settings)}


def _kind(default):
    match default:
        case bool():
            return f"true or false, default `{str(default).lower()}`"
        case timedelta():
            return f"seconds, default `{int(default.total_seconds())}`"
        case int():
            return f"number, default `{default}`"
        case ():
            return "list, no default"
        case "":
            return "text, no default"
        case None:
            return "number, no default"
    return f"text, default `{default}`"


def test_the_settings_files_of_the_operators_guide_can_be_read():
    shown = [block.text for block in blocks(OPERATORS) if block.kind == "toml"]
    assert shown
    for text in shown:
        Settings(**tomllib.loads(text))


def test_the_reference_of_events_is_that_of_the_catalogue():
    assert event_reference.written() == event_reference.generated(), "run `make events`"


def test_the_table_of_the_sandbox_s_controls_is_the_generated_one():
    assert control_table.written() == control_table.generated(), "run `make controls`"


def test_every_event_at_the_sandbox_s_bank_is_listed():
    listed = table(DOCS / "how-to" / "testing.md", "Let something happen at the bank")
    assert {row[0] for row in listed} == {f"`{event}`" for event in BankEvent}


def test_the_sandbox_s_passwords_are_listed_with_their_results():
    listed = {row[0].strip("`"): row[1:] for row in table(SANDBOX_BANK, "Passwords")}
    assert {word: row[0] for word, row in listed.items()} == {
        **{word: refusal.status for word, refusal in challenges.REFUSALS.items()},
        **dict.fromkeys(challenges.QUESTIONS, "CHALLENGED"),
    }
    assert all(f"`{kind}`" in listed[word][1] for word, kind in challenges.QUESTIONS.items())
    assert f"answered with `{challenges.CORRECT}`" in SANDBOX_BANK.read_text()


def test_the_sandbox_s_personas_are_listed_with_their_accounts():
    assert table(SANDBOX_BANK, "Personas") == [
        (f"`{name}`", ", ".join(kind.label for kind in persona.kinds))
        for name, persona in personas.PERSONAS.items()
    ]


def test_the_sandbox_s_own_institutions_are_listed():
    listed = [row[0].strip("`") for row in table(SANDBOX_BANK, "Institutions")]
    assert sorted(listed) == sorted(each.code for each in institutions() if not each.is_throttled)
    assert len(institutions()) - len(listed) >= 50


async def test_the_sandbox_s_deposits_are_as_the_document_says():
    bank = SandboxBank(connector_context(SandboxSettings()))
    friday = datetime(2026, 1, 2, 9, tzinfo=UTC)
    for number, first, second, arrive in table(SANDBOX_BANK, "Micro-deposits"):
        sent = await bank.send_deposits(
            routing_number="091000019", account_number=number.strip("`"), now=friday
        )
        assert sent.amounts == (Decimal(first), Decimal(second))
        at_once, monday = friday, datetime(2026, 1, 5, 14, tzinfo=UTC)
        assert sent.arrive_at == {"at once": at_once, "next weekday": monday}[arrive]


def test_every_error_is_listed_with_its_status_and_words():
    assert table(DOCS / "reference" / "errors.md", "Errors") == [
        (str(status), f"`{envelope.NAMES[status]}`", f"`{kind}`", error.__doc__.splitlines()[0])
        for error, kind in envelope.TYPES.items()
        for status in [
            next(envelope.API_STATUSES[each] for each in error.__mro__ if each in envelope.API_STATUSES)
        ]
    ]


def test_every_error_of_the_simplefin_server_is_listed():
    listed = {row[0].strip("`") for row in table(SIMPLEFIN, "What an app reads")}
    assert listed == set(schemas.CODES)


def test_every_event_of_the_widget_is_listed():
    source = "".join(path.read_text() for path in (ROOT / "src/coatcheck/widget").rglob("*.js"))
    assert "MXConnect" in source
    built = {
        'connect/${member.step === "noEligibleAccounts" ? "invalidData" : "memberError"}/primaryAction': [
            "connect/invalidData/primaryAction",
            "connect/memberError/primaryAction",
        ],
        "connect/microdeposits/${view}/primaryAction": [
            f"connect/microdeposits/{view}/primaryAction"
            for view in re.findall(r'\bleave\(flow, "(\w+)"\)', source)
        ],
    }
    assert set(re.findall(r"`(connect/[^`]*\$\{[^`]*)`", source)) == set(built)
    posted = set(re.findall(r'\bpost\("((?:connect/)?\w[^"/ ]*(?:/\w+)*)"', source))
    listed = [row[0].strip("`") for row in table(CLIENTS, "Events")]
    assert sorted(listed) == sorted(posted.union(*built.values()))


def test_every_option_of_a_widget_s_link_is_listed():
    assert {row[0].strip("`") for row in table(CLIENTS, "Request a link")} == set(
        WidgetRequest.__struct_fields__
    )


def test_what_is_not_served_is_listed_below_its_reason():
    section = COMPATIBILITY.read_text().split("## What is not served")[1].split("\n## ")[0]
    _, *parts = re.split(r"^\*\*(.+)\*\*$", section, flags=re.MULTILINE)
    listed = {
        operation: reason
        for reason, text in zip(parts[::2], parts[1::2], strict=True)
        for operation in re.findall(r"`(\w+)`", text)
    }
    assert listed == NOT_SERVED


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (COMPATIBILITY, f"first {exchange.LISTED_CHARACTERS} characters"),
        (COMPATIBILITY, f"within {exchange.RETRY_WINDOW.seconds} seconds"),
        (
            COMPATIBILITY,
            f"{len(delivery.WAITS) + 1} attempts over {sum(delivery.WAITS, timedelta()) // HOUR} hours",
        ),
        (
            COMPATIBILITY,
            f"{query.DEFAULT_PAGE_SIZE} by default; {query.MIN_PAGE_SIZE} to {query.MAX_PAGE_SIZE}",
        ),
        (COMPATIBILITY, f"{mx_query.DEFAULT_PAST.days} days back and {mx_query.DEFAULT_FUTURE.days} ahead"),
        (
            PROCESSORS,
            f"{WORDS[job_admission.BALANCE_CHECKS]} checks in {WORDS[job_admission.BALANCE_PERIOD // HOUR]} hours",
        ),
        (PROCESSORS, f"for {exchange.RETRY_WINDOW.seconds} seconds"),
        (OPERATORS, f"{partitions.RETENTION.days} days after they expired"),
        (SIMPLEFIN, f"the newest {account_sets.MAX_TRANSACTIONS:,} transactions"),
        (SIMPLEFIN, f"claimed for {setup_tokens.SETUP_TOKEN_TTL // HOUR} hours"),
        (SIMPLEFIN, f"1 to {setup_tokens.MAX_ACCOUNTS} accounts"),
        (
            ROOT / "SECURITY.md",
            f"{head_limits.MAX_HEAD_BYTES // 1024} KiB of head in {head_limits.MAX_HEADERS} headers",
        ),
        (ROOT / "SECURITY.md", f"{api.MAX_BODY_BYTES // 1024} KiB of body"),
    ],
    ids=lambda value: getattr(value, "stem", value),
)
def test_a_figure_in_a_document_is_that_of_the_code(document, text):
    assert text in " ".join(document.read_text().split())


def test_the_prefix_of_every_secret_is_in_the_security_policy():
    text = (ROOT / "SECURITY.md").read_text()
    assert [kind for kind in (*Kind, "whsec") if f"`{kind}_`" not in text] == []


def test_the_proxy_of_the_operators_guide_logs_no_query_and_has_the_limits_of_the_server():
    (proxy,) = [block.text for block in blocks(OPERATORS) if block.kind == "nginx"]
    logged = re.search(r"log_format .*", proxy)[0]
    assert "$logged_uri" in logged
    assert not re.search(r"\$(request|request_uri|args|query_string|uri)\b", logged)
    hidden = re.findall(r"^    ~\^(\S+)  +\S+\.\.\.;$", proxy, re.MULTILINE)
    assert hidden == [
        simplefin.CLAIMS,
        widget_links.OPEN_PATH,
        portal_sessions.OPEN_PATH,
        addresses.INVITATION_PATH,
    ]
    assert "access_log /var/log/nginx/coatcheck.log no_query;" in proxy
    assert f"client_max_body_size {api.MAX_BODY_BYTES // 1024}k;" in proxy
    assert "client_header_timeout 10s;" in proxy
    count, size = re.search(r"large_client_header_buffers (\d+) (\d+)k;", proxy).groups()
    assert int(count) * int(size) * 1024 == head_limits.MAX_HEAD_BYTES


def test_the_stop_timeout_of_the_systemd_unit_is_longer_than_the_grace_period():
    unit = (ROOT / "deploy" / "systemd" / "coatcheck-serve.service").read_text()
    seconds = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert timedelta(seconds=seconds) > serve.GRACE


# --- the layout and the decisions ------------------------------------------------------------------------


def test_the_layout_in_the_readme_names_every_module():
    layout = (ROOT / "README.md").read_text().split("## The layout")[1].split("```")[1]
    package = ROOT / "src" / "coatcheck"
    modules = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules |= {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"(?<!\S)[a-z_]+(?:/|\.py)(?!\S)", layout)) == modules


def test_the_readme_shows_credentials_as_a_sandbox_writes_them(sandbox_credentials):
    (shown,) = [block for block in blocks(ROOT / "README.md") if '"base_url"' in block.text]
    written = re.sub(r'"http://127.0.0.1:\d+"', '"http://127.0.0.1:8000"', sandbox_credentials.read_text())
    assert guides.is_like(shown, written)


def test_decisions_are_numbered_without_a_gap_and_all_in_the_index():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = (DOCS / "decisions" / "README.md").read_text()
    for path in DECISIONS:
        title = headings(path)[0].removeprefix(f"{path.name[:4]}. ")
        assert f"| [{path.name[:4]}]({path.name}) | {title} |" in index


@each_decision
def test_a_decision_is_one_page_with_the_four_headings(decision):
    title, *rest = headings(decision)
    assert title.startswith(f"{decision.name[:4]}. ")
    assert decision.stem[5:] == anchor(title[6:])
    assert rest == ["Context", "Decision", "Consequences", "Alternatives"]
    assert re.search(
        r"^(Accepted|Superseded by \[\d{4}\]\(.+\)), \d{4}-\d\d-\d\d\.$", decision.read_text(), re.MULTILINE
    )
    assert len(decision.read_text().split()) < 700


def test_the_changelog_starts_with_an_unreleased_section():
    assert headings(ROOT / "CHANGELOG.md")[:2] == ["Changelog", "[Unreleased]"]


# --- links and names ------------------------------------------------------------------------------------


@each_document
def test_every_link_resolves(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, place = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (place and place not in map(anchor, headings(path))):
            broken.append(target)
    assert broken == []


@each_document
def test_every_picture_exists_and_has_an_alternative_text(document):
    text = prose(document)
    assert [name for name in _pictures(text) if not (document.parent / name).is_file()] == []
    assert "![" not in text, "a picture as <img>, which can be light and dark"
    assert [tag for tag in re.findall(r"<img[^>]*>", text) if not re.search(r' alt="[^"]+"', tag)] == []


def test_every_picture_is_used_and_all_together_are_below_8_mb():
    shown = {(each.parent / name).resolve() for each in DOCUMENTS for name in _pictures(prose(each))}
    images = guides.tracked("docs/images")
    assert images
    assert set(images) - shown == set()
    assert sum(path.stat().st_size for path in images) < MAX_BYTES_OF_PICTURES


def _pictures(text):
    return re.findall(r' (?:src|srcset)="([^"]+)"', text)


def test_the_page_of_screens_is_the_generated_one():
    assert pictures.LISTING.read_text() == pictures.listing()


def test_every_document_can_be_reached_from_the_readme():
    reached, remaining = set(), [ROOT / "README.md"]
    while remaining:
        document = remaining.pop()
        if document in reached or document.suffix != ".md":
            continue
        reached.add(document)
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(document))
        remaining += [(document.parent / target).resolve() for target in targets if "://" not in target]
    assert set(DOCUMENTS) - reached == set()


def test_no_file_names_a_registry_or_a_path_of_a_local_machine():
    hosts = (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("crates", "io"),
        ("rubygems", "org"), ("docker", "io"), ("ghcr", "io"), ("quay", "io"), ("gcr", "io"),
    )  # fmt: skip
    banned = [re.escape(f"{name}.{end}").encode() for name, end in hosts]
    banned += [
        rf"(?<![\w.]){re.escape(path)}\w".encode() for path in ("/work" + "/", "/root" + "/", "/Users" + "/")
    ]
    pattern = re.compile(b"|".join(banned))
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in guides.tracked()
        if (match := pattern.search(path.read_bytes()))
    }
    assert found == {}


def test_every_conformance_check_is_listed():
    under_test = SandboxUnderTest()
    under_test.disconnects = under_test.lists_unreadable_accounts = True
    assert [row[0] for row in table(DOCS / "reference" / "connectors.md", "Test a connector")] == [
        check.sentence for check in conformance_checks(under_test)
    ]


async def test_the_connector_of_the_guide_runs():
    (code,) = [
        block.text
        for block in blocks(DOCS / "reference" / "connectors.md")
        if "class ExampleBank" in block.text
    ]
    names = {}
    exec(code, names)
    accounts = [{"id": "1", "name": "Everyday", "balance": "1.50"}]
    transactions = [{"id": "t", "account_id": "1", "amount": "-2.00", "date": "2026-01-02", "text": "Coffee"}]
    transport = httpx.MockTransport(
        lambda request: httpx.Response(
            200, json=transactions if request.url.path.endswith("/transactions") else accounts
        )
    )
    bank = names["ExampleBank"](connector_context(names["ExampleSettings"](Secret("s")), transport=transport))
    for kind, amounts in ((JobKind.BALANCE, []), (JobKind.AGGREGATION, [("DEBIT", Decimal("2.00"))])):
        run = await run_connector(bank, Task(kind, "example_bank", "MBR-1", NOW), {"LOGIN": "ann"})
        assert [(each.name, each.balance) for each in run.accounts] == [("Everyday", Decimal("1.50"))]
        assert [(each.type, each.amount) for each in run.transactions] == amounts
        assert not run.skipped


def test_the_table_of_bank_errors_is_complete():
    listed = table(DOCS / "reference" / "connectors.md", "Errors")
    names = {name for row in listed for name in re.findall(r"`(\w+)`", row[0])}
    assert names == {each.__name__ for each in vars(bank_errors).values() if is_bank_error(each)}
    for row in listed:
        for name in re.findall(r"`(\w+)`", row[0]):
            assert f"`{getattr(bank_errors, name).status}`" in row[1]


def is_bank_error(found):
    return isinstance(found, type) and issubclass(found, BankError) and found is not BankError


WORLDS = DOCS / "reference" / "worlds.md"


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("A processor", world_schema.WorldProcessor),
        ("A client", world_schema.WorldClient),
        ("A user", world_schema.WorldUser),
        ("A member", world_schema.WorldMember),
    ],
)
def test_every_key_of_a_world_is_listed(heading, record):
    assert [row[0] for row in table(WORLDS, heading)] == [f"`{name}`" for name in record.__struct_fields__]


def test_the_world_of_the_document_can_be_read():
    (shown,) = [block.text for block in blocks(WORLDS) if block.kind == "yaml"]
    assert parse_world(shown.encode()).world.clients[0].users[0].id == "alice"
