"""Each table is written by one package."""

import re
from collections import defaultdict
from pathlib import Path

from tests.guides import ROOT, tracked

SOURCE = ROOT / "src/coatcheck"
WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_]+)\b")
NOT_TABLES = {"of", "own", "set", "this"}
"""Words behind `UPDATE` in `FOR UPDATE OF` and `DO UPDATE SET`, and in prose."""
OWNERS = {
    "account": "members",
    "blocked_account": "members",
    "client": "directory",
    "client_processor": "directory",
    "client_widget": "directory",
    "end_user": "directory",
    "institution_client_status": "members",
    "institution_status": "members",
    "member": "members",
    "member_job": "members",
    "merged_account": "members",
    "micro_deposit": "micro_deposits",
    "oauth_state": "members",
    "processor": "directory",
    "sealed_secret": "vault",
    "statement": "members",
    "transaction": "members",
}


def writers() -> dict[str, set[str]]:
    """The packages that write each table."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in tracked("src/coatcheck/*.py"):
        package = Path(path).relative_to(SOURCE).parts[0]
        if package != "migrations":
            for table in WRITE.findall(path.read_text("utf-8")):
                found[table].add(package)
    return {table: packages for table, packages in found.items() if table.lower() not in NOT_TABLES}


def test_each_table_is_written_by_one_package() -> None:
    assert {table: packages for table, packages in writers().items() if len(packages) > 1} == {}


def test_members_accounts_callers_and_secrets_are_written_by_their_owners() -> None:
    found = writers()
    assert {table: found[table] for table in OWNERS} == {table: {owner} for table, owner in OWNERS.items()}


def test_the_records_are_only_read_in_model() -> None:
    assert [table for table, packages in writers().items() if "model" in packages] == []
