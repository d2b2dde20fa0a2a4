"""Scope strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import InvalidScope
from coatcheck.grants.scope import parse_scope

USER, MEMBER, ACCOUNT = "user-guid:USR-1", "member-guid:MBR-1", "account-guid:ACT-1"


@given(st.permutations([USER, MEMBER, ACCOUNT, "read-protected"]))
def test_the_order_of_atoms_has_no_meaning(atoms: list[str]) -> None:
    assert parse_scope(" ".join(atoms)) == parse_scope(f"{USER} {MEMBER} {ACCOUNT} read-protected")


def test_a_parsed_scope_is_formatted_as_the_same_text() -> None:
    for text in (f"{USER} {MEMBER} {ACCOUNT} read-protected", f"{USER} {MEMBER} {ACCOUNT}"):
        assert str(parse_scope(text)) == text


def test_write_protected_is_accepted_and_has_no_effect() -> None:
    assert parse_scope(f"{USER} {MEMBER} {ACCOUNT} write-protected").stored()["reads_protected"] is False


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        f"{USER} {MEMBER}",
        f"{USER} {ACCOUNT} read-protected",
        f"{USER} {MEMBER} {ACCOUNT} admin",
        f"{USER} {MEMBER} {ACCOUNT} account-guid:ACT-2",
        f"{USER} {MEMBER} account-guid:",
        f"{USER} {MEMBER} {ACCOUNT} READ-PROTECTED",
        f"{USER} {MEMBER} {ACCOUNT} read-protected:",
        f"{USER} {MEMBER} {ACCOUNT} read-protected:all",
        f"{USER} {MEMBER} {ACCOUNT} account-guid",
        f"{USER}\t{MEMBER}\t{ACCOUNT}",
        f"{USER} {MEMBER} {ACCOUNT} " + "read-protected " * 100,
    ],
)
def test_a_scope_with_a_missing_unknown_or_contradictory_atom_is_refused(text: str | None) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)
