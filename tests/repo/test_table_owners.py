"""SQL on a table is in one package: the others compose the fragments that it exports."""

import ast
import re
from collections.abc import Iterator

from tests.guides import ROOT, tracked

OWNERS = {
    # Secrets that a caller presents, and what they allow.
    "api_key": "grants",
    "api_key_use": "grants",
    "authorization_code": "grants",
    "access_token": "grants",
    "live_token": "grants",
    "used_jti": "grants",
    "link": "grants",
    "portal_session": "grants",
    "widget_session": "grants",
    "revocation_receipt": "grants",
    "authorization_disclosure": "grants",
    "member_authorization": "grants",
    # Sealed values, their keys, and who read them.
    "keyring": "vault",
    "data_key": "vault",
    "signing_key": "vault",
    "sealed_secret": "vault",
    "account_number": "vault",
    "account_owner": "vault",
    "disclosure": "vault",
    "deletion_attestation": "directory",
    # Staff.
    "staff": "staff",
    "staff_invitation": "staff",
    "staff_passkey": "staff",
    "staff_session": "staff",
    "staff_sign_in": "staff",
    # Who did what.
    "audit_entry": "audit",
    "audit_event": "audit",
}
"""The tables that one package alone names in SQL, and the package."""
NAMED = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|USING|TABLE|ON)\s+({'|'.join(OWNERS)})\b", re.IGNORECASE)
SOURCE = ROOT / "src/coatcheck"


def statements() -> Iterator[tuple[str, str]]:
    """The package and the text of every string in the source that is not a docstring; f-strings in pieces."""
    for path in tracked("src/coatcheck/*.py"):
        package = path.relative_to(SOURCE).parts[0]
        if package == "migrations":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield package, node.value


def test_only_its_owner_names_a_table_in_sql() -> None:
    foreign = {
        f"{package} names {table}, a table of {OWNERS[table]}"
        for package, text in statements()
        for table in NAMED.findall(text)
        if package != OWNERS[table]
    }
    assert foreign == set()


def test_every_owner_names_its_tables() -> None:
    """A table that is misspelt above, or that was renamed, would pass the other test."""
    named = {(package, table) for package, text in statements() for table in NAMED.findall(text)}
    assert {table for table, owner in OWNERS.items() if (owner, table) not in named} == set()
