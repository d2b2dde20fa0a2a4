"""Retired words, for which there is a usual technical term: they do not occur in the project."""

import ast
import re

import pytest

from tests.guides import ROOT, tracked

RETIRED = {
    "announcer": "publisher",
    "cloakroom": "the thing itself",
    "crew": "worker services",
    "crews": "worker services",
    "dialect": "API version",
    "dialects": "API versions",
    "door": "the thing itself",
    "doors": "the thing itself",
    "duties": "task kinds",
    "duty": "task kind",
    "faces": "tests of HTTP",
    "harvest": "ingest",
    "harvests": "what was ingested",
    "HeldMember": "LockedMember",
    "hire": "build_worker",
    "hired": "built",
    "house": "services",
    "mint": "generate",
    "minted": "generated",
    "minter": "generator",
    "pickup": "claim",
    "pickups": "claims",
    "rooms": "packages",
    "satchel": "job inputs",
    "shelf": "sealed records",
    "shelves": "sealed records",
    "shift": "task runner",
    "sitting": "attempt, or run",
    "sittings": "attempts, or runs",
    "statics": "static files",
    "teller": "bank data",
    "ticket": "token",
    "tickets": "tokens",
    "verdict": "outcome",
    "verdicts": "outcomes",
    "wake-up": "notification",
    "wake_up": "notification",
    "wake-ups": "notifications",
    "wake_ups": "notifications",
    "wayback": "return target",
    "woken": "notified",
    "wording": "texts",
}
"""The word, and the term that replaces it."""
ORDINARY = {
    ("hire", "src/coatcheck/connectors/sandbox/merchants.py"),  # a merchant's name
    ("shift", "tests/browser/test_accessibility.py"),  # the browser's layout shift
    ("shift", "tests/browser/test_keyboard.py"),  # a key
}
"""Files in which a word has its ordinary meaning."""
SKIPPED = (
    "tests/repo/test_vocabulary.py",
    "CHANGELOG.md",
    "tests/browser/package-lock.json",
    "requirements/",
)
RETIRED_NAMES = {"fence", "held", "hold", "judge", "sat", "shaped", "standing", "told", "worn"}
"""Ordinary words in prose that do not describe a value, and so are not names in the program."""
WORD = re.compile(r"[\w-]+")


def texts() -> dict[str, str]:
    found = {}
    for path in tracked("*"):
        name = str(path.relative_to(ROOT))
        if not name.startswith(SKIPPED) and b"\0" not in (content := path.read_bytes()):
            found[name] = content.decode("utf-8")
    return found


def test_no_retired_word_is_left() -> None:
    retired = {word.lower() for word in RETIRED}
    pattern = re.compile(rf"(?<![\w])({'|'.join(map(re.escape, sorted(retired)))})(?![\w])", re.IGNORECASE)
    found = {(match[1].lower(), name) for name, text in texts().items() for match in pattern.finditer(text)}
    assert sorted(found - ORDINARY) == []


def test_every_exception_is_needed() -> None:
    files = texts()
    assert [(word, name) for word, name in ORDINARY if word not in WORD.findall(files[name].lower())] == []


def defined_names(tree: ast.AST) -> set[str]:
    """The names of functions, classes, parameters, variables and fields that a module defines."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case (
                ast.arg(arg=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
            ):
                names.add(name)
    return names


@pytest.mark.parametrize("path", tracked("src/coatcheck/*.py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_in_the_program_is_a_retired_one(path) -> None:
    names = {name.strip("_").lower() for name in defined_names(ast.parse(path.read_text("utf-8")))}
    assert sorted(names & RETIRED_NAMES) == []
