"""An export is verified by a program that shares nothing with Coatcheck, run by an interpreter without it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coatcheck.app import Services
from coatcheck.audit.checkpoints import INSTANT, parse, verifier_key
from coatcheck.audit.export import export, export_client
from coatcheck.audit.keys import log_keys
from coatcheck.config import Settings
from coatcheck.errors import NotFound
from coatcheck.signatures import SigningKey, new_private_key
from tests.guides import ROOT
from tests.sealed_log import fill, seal, sealer_of

pytestmark = pytest.mark.own_database

VERIFIER = ROOT / "docs/reference/verify_audit_log.py"
DOCUMENT = ROOT / "docs/reference/audit-log.md"
COUNT = 1_000


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def settings(settings: Settings, published: Path) -> Settings:
    return replace(settings, audit_checkpoint_file=str(published))


@pytest.fixture
async def exported(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the whole log: 1,000 rows in four checkpoints."""
    monkeypatch.setattr("coatcheck.audit.sealer.BATCH", 250)
    await fill(services, COUNT)
    await seal(services)
    async with services.db.transaction() as connection:
        return [line async for line in export(connection, await log_keys(connection))]


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs the verifier on lines. It finds `cryptography` and no package of Coatcheck."""
    packages = (
        Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    )
    only = tmp_path / "packages"
    only.mkdir()
    for each in packages.iterdir():
        if each.name.startswith(("cryptography", "cffi", "_cffi", "typing_extensions")):
            (only / each.name).symlink_to(each)

    def run(lines: list[str], *arguments: str) -> tuple[int, str]:
        file = tmp_path / "export.ndjson"
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-S", "-P", str(VERIFIER), str(file), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={"PYTHONPATH": str(only), "PATH": os.environ["PATH"]},
        )
        assert not done.stderr or done.returncode == 2, done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


def change(lines: list[str], number: int, **members: object) -> list[str]:
    """The lines with other members in one of them."""
    changed = {**json.loads(lines[number]), **members}
    return [*lines[:number], json.dumps(changed, ensure_ascii=False), *lines[number + 1 :]]


async def test_an_export_verifies_with_the_published_checkpoints(
    exported: list[str], verify: Callable[..., tuple[int, str]], published: Path
) -> None:
    code, text = verify(exported, "--checkpoints", str(published))
    assert (code, "is intact: 1000 entries" in text) == (0, True), text
    (key,) = json.loads(exported[0])["keys"]
    assert verify(exported, "--key", key["key"])[0] == 0
    code, text = verify(exported, "--checkpoints", str(each_note_twice(published)))
    assert (code, "is intact" in text) == (0, True), text


async def test_a_file_or_key_that_cannot_be_used_is_refused_with_one_sentence(
    exported: list[str], verify: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (key,) = json.loads(exported[0])["keys"]
    unknown = verifier_key(key["key"].partition("+")[0], SigningKey.of(new_private_key()).public_bytes)
    for expected, lines, arguments in (
        ("is not a verifier key", exported, ("--key", "wrong")),
        ("is not a verifier key", exported, ("--key", key["key"].replace("+", "+0", 1))),
        ("No key of the export is trusted", exported, ("--key", unknown)),
        ("missing cannot be read", exported, ("--checkpoints", str(tmp_path / "missing"))),
        ("cannot be read", [exported[0], "x"], ()),
        ("is not an export", [], ()),
        ("is not an export", exported[1:], ()),
    ):
        code, text = verify(lines, *arguments)
        assert (code, expected in text, text.count("\n")) == (2, True, 1), (expected, text)


async def test_an_export_names_each_key_with_the_time_of_its_replacement(services: Services) -> None:
    await fill(services, 1)
    await seal(services)
    async with services.db.transaction() as connection:
        await services.signing_keys.rotate(connection, documents_kept=timedelta(), at_once=True)
        keys = await log_keys(connection)
        first = await anext(export(connection, keys))
    old, new = json.loads(first)["keys"]
    assert (old["replaced_at"], new["replaced_at"]) == (new["signs_from"], None)
    assert old["signs_from"] < new["signs_from"]


async def test_a_checkpoint_after_the_replacement_of_its_key_is_named(
    exported: list[str], verify: Callable[..., tuple[int, str]]
) -> None:
    (key,) = json.loads(exported[0])["keys"]
    at = parse(json.loads(exported[-1])["note"]).at
    for later, expected in ((timedelta(minutes=-4), 0), (timedelta(minutes=-6), 1)):
        replaced = {**key, "replaced_at": f"{at + later:{INSTANT}}"}
        code, text = verify(change(exported, 0, keys=[replaced]))
        assert (code, "with a key that was replaced before" in text) == (expected, bool(expected)), text


async def test_every_change_of_an_export_is_named(
    exported: list[str], verify: Callable[..., tuple[int, str]], published: Path
) -> None:
    entry, following = json.loads(exported[400]), json.loads(exported[401])
    last = json.loads(exported[-1])["note"]
    for expected, lines in {
        "Entry 398 was changed": change(exported, 400, text=entry["text"].replace("issued", "revoked")),
        "one of the entries 250 to 499": change(exported, 400, leaf_hash="00" * 32),
        "stands where 398 is expected": [*exported[:400], *exported[401:]],
        "Entry 398 stands where 399": [*exported[:401], exported[400], *exported[401:]],
        "one of the entries": change(
            change(exported, 400, text=following["text"], leaf_hash=following["leaf_hash"]),
            401,
            text=entry["text"],
            leaf_hash=entry["leaf_hash"],
        ),
        "no checkpoint covers": exported[:-1],
        "the log was cut off": exported[:-251],
        "has no valid signature": change(
            exported, len(exported) - 1, note=last.replace("\n1000\n", "\n999\n")
        ),
        "is not a checkpoint": change(exported, len(exported) - 1, note="x"),
        "does not follow": [*exported, exported[-1]],
    }.items():
        code, text = verify(lines, "--checkpoints", str(published))
        assert (code, expected in text) == (1, True), (expected, text)


async def test_a_row_that_was_changed_in_the_database_is_named_from_the_export(
    services: Services, exported: list[str], verify: Callable[..., tuple[int, str]]
) -> None:
    async with services.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        await connection.execute("UPDATE audit_event SET subject = 'TKN-other' WHERE number = 77")
        await connection.execute("UPDATE disclosure SET shown = 9 WHERE number = 80")
        await connection.execute("DELETE FROM audit_event WHERE number = 99")
        lines = [line async for line in export(connection, await log_keys(connection))]
    code, text = verify(lines)
    assert code == 1
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        "Entry 76 was changed",
        "Entry 79 was changed",
    ]
    assert "text" not in json.loads(lines[99])


async def test_the_log_of_a_client_proves_that_its_entries_are_in_the_log_of_all(
    services: Services, exported: list[str], verify: Callable[..., tuple[int, str]], published: Path
) -> None:
    async with services.db.transaction() as connection:
        keys = await log_keys(connection)
        lines = [line async for line in export_client(connection, keys, "CLT-3", since=500)]
    texts = [json.loads(line).get("text", "") for line in lines]
    assert sum('"client_guid":"CLT-3"' in text for text in texts) == len(lines) - 3 == 143
    assert not any("CLT-4" in line for line in lines)
    assert verify(lines, "--checkpoints", str(published))[0] == 0
    code, text = verify(lines, "--checkpoints", str(first_notes(published, 2)))
    assert (code, "143 entries of this client are in the log of 1000" in text) == (0, True), text
    assert "that none is missing is not proven" in text
    entry = json.loads(lines[5])
    for expected, changed in {
        "stands after the checkpoint": [*lines[:5], *lines[6:-1], lines[5], lines[-1]],
        "no checkpoint covers": lines[:-2],
        "was changed": change(lines, 5, text=entry["text"].replace("token", "tokem")),
        "is not in the log": change(lines, 5, path=entry["path"][1:]),
        f"Entry {entry['index'] + 1} is not in the log": change(lines, 5, index=entry["index"] + 1),
        "it was rewritten": change(lines, len(lines) - 1, path=[*json.loads(lines[-1])["path"], "00" * 32]),
    }.items():
        code, text = verify(changed, "--checkpoints", str(first_notes(published, 2)))
        assert (code, expected in text) == (1, True), (expected, text)


def each_note_twice(published: Path) -> Path:
    file = published.with_name("twice")
    file.write_text(re.sub(r"(.*?\n\n— .*?\n\n)", r"\1\1", published.read_text(), flags=re.DOTALL))
    assert file.read_text().count("—") == 2 * published.read_text().count("—") == 8
    return file


def first_notes(published: Path, count: int) -> Path:
    """A file with the first notes that were published, as somebody saved it then."""
    file = published.with_name("saved")
    file.write_text(
        "".join(re.findall(r".*?\n\n— .*?\n\n", published.read_text(), re.DOTALL)[count - 1 : count])
    )
    return file


async def test_nothing_to_export_is_an_error_that_says_so(services: Services) -> None:
    async with services.db.transaction() as connection:
        keys = await log_keys(connection)
        assert [line async for line in export(connection, keys)] == []
        with pytest.raises(NotFound, match="The log has no such checkpoint yet"):
            [line async for line in export_client(connection, keys, "CLT-1")]
    await fill(services, 3)
    await sealer_of(services).seal()
    async with services.db.transaction() as connection:
        for since in (0, 4):
            with pytest.raises(NotFound):
                [line async for line in export_client(connection, keys, "CLT-1", since=since)]


def test_the_example_of_the_document_is_accepted_and_refused_with_any_change(
    verify: Callable[..., tuple[int, str]],
) -> None:
    example = re.search(r"```ndjson\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    lines = example.group(1).splitlines()
    assert verify(lines)[0] == 0
    for number in range(1, len(lines)):
        for member, value in json.loads(lines[number]).items():
            if isinstance(value, str) and member != "type":
                changed = value.replace("1", "2", 1)
                assert verify(change(lines, number, **{member: changed}))[0] == 1, (number, member)
    note = json.loads(lines[-1])["note"]
    assert note in DOCUMENT.read_text(encoding="utf-8")
