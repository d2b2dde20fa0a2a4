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


def test_every_rule_of_the_standards_names_a_test_or_is_listed_as_not_met() -> None:
    text = (ROOT / "docs/assurance/standards.md").read_text()
    proven, _, open_rules = text.partition("## What is not met, and what is yours")
    rows = [line for line in proven.splitlines() if line.startswith("| ") and not line.startswith("| rule |")]
    assert len(rows) > 100
    assert [row for row in rows if not NAMED.search(row) and not row.startswith("| what fails |")] == []
    states = re.findall(r"^\| .+? \| (\w+)", open_rules, re.MULTILINE)
    assert {*states} - {"state"} == {"yours", "partly", "not"}


CLAIM = re.compile(
    r"\b(CFR|GLBA|Nacha|PCI|FAPI|SOC ?2|ISO ?27001|DORA|GDPR|1033)\b[^.|\n]{0,60}\b(compliant|compliance|certified)\b",
    re.IGNORECASE,
)


def test_no_document_claims_conformance_with_a_law_or_a_certificate() -> None:
    documents = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    assert CLAIM.search("It is PCI DSS compliant.")
    assert {
        file.name: CLAIM.findall(file.read_text()) for file in documents if CLAIM.search(file.read_text())
    } == {}
