"""`coatcheck audit` verifies the log, names what was altered with an exit code of its own, and exports it."""

import asyncio
import json
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from coatcheck.app import build
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.config import load
from tests.databases import execute
from tests.sealed_log import seal

ALTER = "UPDATE audit_event SET actor = 'stranger' WHERE number = 1"


@pytest.fixture
def sealed(own_operator, bare_environment, tmp_path: Path):
    """Runs a command on a log that is sealed and published."""
    bare_environment.setenv("COATCHECK_AUDIT_CHECKPOINT_FILE", str(tmp_path / "checkpoints"))
    own_operator("client", "add", "Acme Bank")

    async def seal_all() -> None:
        async with build(load()) as services:
            await seal(services)

    asyncio.run(seal_all())
    return own_operator


def test_an_intact_log_verifies(sealed):
    answer = sealed("audit", "verify")
    assert answer.code == 0
    assert "1 published checkpoints compared. No problems." in answer.out
    facts = json.loads(sealed("audit", "verify", "--json").out)
    assert facts["problems"] == []
    assert facts["unsealed"] == 0
    assert facts["entries"] > 0


def test_an_altered_entry_is_named_with_an_exit_code_of_its_own(sealed, own_url):
    execute(own_url, f"SET session_replication_role TO replica; {ALTER}")
    answer = sealed("audit", "verify")
    assert answer.code == ExitCode.ALTERED
    assert "was changed after it was sealed." in answer.out
    assert len(json.loads(sealed("audit", "verify", "--json").out)["problems"]) == 1


def test_a_log_that_was_cut_off_is_found_with_the_published_checkpoints(
    sealed, own_url, tmp_path, bare_environment
):
    execute(
        own_url,
        "SET session_replication_role TO replica; DELETE FROM audit_event; DELETE FROM disclosure;"
        " DELETE FROM audit_checkpoint",
    )
    answer = sealed("audit", "verify")
    assert answer.code == ExitCode.ALTERED
    assert "was truncated or rolled back" in answer.out
    bare_environment.delenv("COATCHECK_AUDIT_CHECKPOINT_FILE")
    answer = sealed("audit", "verify")
    assert answer.code == 0
    assert "Without published checkpoints" in answer.out
    answer = sealed("audit", "verify", "--checkpoints", str(tmp_path / "checkpoints"))
    assert answer.code == ExitCode.ALTERED


def test_a_file_that_is_not_one_of_checkpoints_is_refused_by_name(sealed, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("x")
    answer = sealed("audit", "verify", "--checkpoints", str(wrong))
    assert answer.code == ExitCode.CONFIGURATION
    assert f"{wrong}, line 1" in answer.err
    answer = sealed("audit", "verify", "--checkpoints", str(tmp_path / "missing"))
    assert answer.code == ExitCode.CONFIGURATION


def test_the_log_is_exported_to_the_output_or_a_file(sealed, tmp_path):
    printed = [json.loads(line) for line in sealed("audit", "export").out.splitlines()]
    assert printed[0]["type"] == "log"
    assert printed[-1]["type"] == "checkpoint"
    assert {line["type"] for line in printed[1:-1]} == {"entry"}
    file = tmp_path / "audit.ndjson"
    answer = sealed("audit", "export", "--output", str(file))
    assert [json.loads(line) for line in file.read_text().splitlines()] == printed
    assert f"{len(printed)} lines were written." in answer.err
    (client,) = json.loads(sealed("client", "list", "--json").out)
    lines = [
        json.loads(line)
        for line in sealed("audit", "export", "--client", client["client_id"]).out.splitlines()
    ]
    assert all(client["client_id"] in line["text"] for line in lines if line["type"] == "entry")


def test_what_cannot_be_exported_leaves_the_file_as_it_was(sealed, tmp_path):
    file = tmp_path / "audit.ndjson"
    file.write_text("before")
    answer = sealed("audit", "export", "--client", "CLT-nope", "--output", str(file))
    assert answer.code == ExitCode.NOT_FOUND
    assert "There is no client CLT-nope." in answer.err
    (client,) = json.loads(sealed("client", "list", "--json").out)
    chosen = ("--client", client["client_id"], "--since", "999", "--output", str(file))
    answer = sealed("audit", "export", *chosen)
    assert answer.code == ExitCode.NOT_FOUND
    assert file.read_text() == "before"


@pytest.mark.usefixtures("sealed")
def test_an_export_that_breaks_off_leaves_the_file_as_it_was(tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    file = folder / "audit.ndjson"
    file.write_text("before")
    # As if the disk were full after 100 bytes.
    exported = subprocess.run(
        [sys.executable, "-B", "-m", "coatcheck.cli", "audit", "export", "--output", str(file)],
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert exported.returncode == ExitCode.CONFIGURATION, exported.stderr
    assert "cannot be written" in exported.stderr
    assert file.read_text() == "before"
    assert [each.name for each in folder.iterdir()] == [file.name]


def test_a_month_that_does_not_exist_is_not_dropped(sealed):
    answer = sealed("audit", "prune", "disclosure_1999_01")
    assert answer.code == ExitCode.NOT_FOUND
    assert "disclosure_1999_01" in answer.err
