"""The licences of what is installed with Coatcheck, and the report about known vulnerabilities."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

from tests.audit import NOT_COMPARED, report

ROOT = Path(__file__).parents[2]
DEPENDENCIES = ROOT / "docs" / "assurance" / "dependencies.md"
PERMITTED = re.compile(
    r"Apache|BSD|MIT|ISC|PSF|MPL[- ]2|Mozilla Public License 2|LGPL|Lesser General Public", re.IGNORECASE
)
FORBIDDEN = re.compile(r"\bA?GPL|(?<!Lesser )General Public|Affero|SSPL|Commons Clause|BUSL", re.IGNORECASE)


def pinned() -> list[str]:
    return re.findall(
        r"^([\w.-]+)(?:\[.*?\])?==", (ROOT / "requirements/runtime.txt").read_text(), re.MULTILINE
    )


def licence_of(package: str) -> str | None:
    """What the package declares, in one line; None for a package of another platform."""
    try:
        declared = metadata(package)
    except PackageNotFoundError:
        return None
    classified = [
        name.rpartition(" :: ")[2]
        for name in declared.get_all("Classifier", [])
        if name.startswith("License")
    ]
    text = declared.get("License-Expression") or " or ".join(classified) or declared.get("License") or ""
    return text.splitlines()[0] if text else ""


LICENCES = {package: licence for package in pinned() if (licence := licence_of(package)) is not None}


@pytest.mark.parametrize("package", LICENCES)
def test_every_dependency_has_a_licence_that_is_permitted(package: str) -> None:
    assert PERMITTED.search(LICENCES[package]), LICENCES[package]
    assert not FORBIDDEN.search(LICENCES[package]), LICENCES[package]


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "AGPL-3.0", "GNU General Public License v3", "SSPL-1.0", "BUSL-1.1"]
)
def test_the_check_finds_a_licence_that_is_not_permitted(licence: str) -> None:
    assert FORBIDDEN.search(licence)


@pytest.mark.parametrize(
    "licence", ["LGPL-3.0-only", "GNU Lesser General Public License v2 or later (LGPLv2+)"]
)
def test_the_check_permits_a_lesser_licence(licence: str) -> None:
    assert PERMITTED.search(licence)
    assert not FORBIDDEN.search(licence)


def test_the_document_lists_every_dependency_with_its_licence() -> None:
    rows = re.findall(r"^\| ([\w.-]+) \| (.+?) \|$", DEPENDENCIES.read_text(), re.MULTILINE)
    listed = {name: licence for name, licence in rows if name not in {"package", "---"}}
    assert {name: listed.get(name) for name in LICENCES} == LICENCES
    assert listed.keys() <= set(pinned())


def test_a_vulnerable_dependency_fails_the_audit_and_names_the_fixed_version() -> None:
    issue = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    failed, lines = report(
        [{"name": "a", "version": "1.0", "vulns": [issue]}, {"name": "b", "version": "2", "vulns": []}]
    )
    assert failed
    assert lines[0] == "a 1.0: PYSEC-1, fixed in 1.1"


def test_dependencies_without_a_known_vulnerability_pass_the_audit() -> None:
    assert report([{"name": "b", "version": "2", "vulns": []}]) == (0, ["1 dependencies were compared."])


def test_an_audit_without_the_database_says_that_nothing_was_compared() -> None:
    assert report([{"name": "a", "version": "1.0", "skip_reason": "not found"}]) == (0, [NOT_COMPARED])
    assert report([]) == (0, [NOT_COMPARED])
