"""The documents for a security review name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "SECURITY.md", *sorted((ROOT / "docs" / "assurance").glob("*.md"))]
NAMED = re.compile(r"`(test_\w+)`")


def existing() -> set[str]:
    return {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    assert set(NAMED.findall(document.read_text())) - existing() == set()


def test_every_requirement_that_is_met_names_its_proof() -> None:
    rows = re.findall(
        r"^\| ([\d., ]+) \| .+? \| (met|partly|yours) \| (.+) \|$",
        (ROOT / "docs/assurance/asvs.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) > 30
    assert [number for number, state, proof in rows if state == "met" and not proof.strip()] == []
