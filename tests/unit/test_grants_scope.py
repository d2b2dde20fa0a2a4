"""Scope strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import InvalidScope
from coatcheck.grants.restrictions import (
    PERMISSION_TO_READ,
    Permission,
    ReadKind,
    ReadProtected,
    default_permissions,
    scope_for,
)
from coatcheck.grants.scope import MAX_CHARACTERS, Scope, parse_scope

USER, MEMBER, ACCOUNT = "user-guid:USR-1", "member-guid:MBR-1", "account-guid:ACT-1"
NUMERIC = ("expires-in", "lookback-days", "max-reads")
KNOWN = ", ".join(
    sorted([*NUMERIC, "account-guid", "member-guid", "processor-guid", "read", "read-protected", "user-guid"])
)
KINDS = "numbers, owners, transactions, balances, statements"


@given(st.permutations([USER, MEMBER, ACCOUNT, "read-protected"]))
def test_the_order_of_atoms_has_no_meaning(atoms: list[str]) -> None:
    assert parse_scope(" ".join(atoms)) == parse_scope(f"{USER} {MEMBER} {ACCOUNT} read-protected")


def test_a_parsed_scope_is_formatted_as_the_same_text() -> None:
    for text in (f"{USER} {MEMBER} {ACCOUNT} read-protected", f"{USER} {MEMBER} {ACCOUNT}"):
        assert str(parse_scope(text)) == text


def test_a_restriction_that_a_scope_does_not_list_is_stored_as_if_its_atom_was_missing() -> None:
    unlisted = Scope("USR-1", "MBR-1", "ACT-1", [])
    assert unlisted.stored() == parse_scope(f"{USER} {MEMBER} {ACCOUNT}").stored()
    protected = Scope("USR-1", "MBR-1", "ACT-1", [ReadProtected(is_given=True)])
    assert protected.stored() == parse_scope(f"{USER} {MEMBER} {ACCOUNT} read-protected").stored()


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{USER} {MEMBER} {ACCOUNT} admin",
            f"The scope contains an unknown atom. Known are {KNOWN}.",
        ),
        (f"{USER}", "The scope has no member-guid, account-guid."),
        (f"{USER} {MEMBER} account-guid", "The scope has no account-guid."),
        (f"{USER} {MEMBER} {ACCOUNT} user-guid:USR-2", "The scope has more than one user-guid."),
        (f"{USER} {MEMBER} {ACCOUNT} read-protected:all", "read-protected takes no value."),
        (
            f"{USER} {MEMBER} {ACCOUNT} read:everything",
            f"The scope contains an unknown kind of data after read:. Known are {KINDS}.",
        ),
        (f"{USER} {MEMBER} {ACCOUNT} read", f"read: needs a kind of data: {KINDS}."),
        (
            f"{USER} {MEMBER} {ACCOUNT} read:owners read:balances read:numbers",
            "The scope contradicts itself: read:numbers needs read-protected, which is missing.",
        ),
        (
            f"{USER} {MEMBER} {ACCOUNT} processor-guid:PPR-1",
            "processor-guid must be the guid of a processor, such as PPR-....",
        ),
        (
            f"{USER} {MEMBER} {ACCOUNT} lookback-days:36501",
            "lookback-days must be a whole number from 1 to 36500, in ASCII digits.",
        ),
        (
            f"{USER} {MEMBER} {ACCOUNT} max-reads:0",
            "max-reads must be a whole number from 1 to 2147483647, in ASCII digits.",
        ),
        (
            f"{USER} {MEMBER} {ACCOUNT} max-reads:1 max-reads:2",
            "The scope has more than one max-reads.",
        ),
        (f"{USER} {MEMBER} {ACCOUNT} max-reads", "max-reads needs a value, as in max-reads:...."),
    ],
)
def test_a_refusal_says_what_is_wrong_with_the_scope(text: str, problem: str) -> None:
    with pytest.raises(InvalidScope) as refusal:
        parse_scope(text)
    assert refusal.value.problem == problem


def test_an_atom_after_a_doubled_space_or_one_without_effect_counts() -> None:
    scope = parse_scope(f"write-protected  {USER} {MEMBER} {ACCOUNT} read-protected")
    assert scope == parse_scope(f"{USER} {MEMBER} {ACCOUNT} read-protected")


def test_an_atom_may_be_repeated_with_the_same_value() -> None:
    assert parse_scope(f"{USER} {MEMBER} {ACCOUNT} {USER}") == parse_scope(f"{USER} {MEMBER} {ACCOUNT}")


def test_the_largest_values_of_the_limits_are_accepted() -> None:
    text = f"{USER} {MEMBER} {ACCOUNT} lookback-days:36500 max-reads:2147483647"
    assert str(parse_scope(text)) == text


def test_a_scope_has_at_most_so_many_characters() -> None:
    text = f"{USER} {MEMBER} account-guid:ACT-"
    longest = text + "1" * (MAX_CHARACTERS - len(text))
    assert parse_scope(longest).account_guid.startswith("ACT-1")
    with pytest.raises(InvalidScope):
        parse_scope(longest + "1")


@pytest.mark.parametrize(
    ("kind", "needed_scope"),
    [
        (ReadKind.NUMBERS, "read-protected read:numbers"),
        (ReadKind.OWNERS, "read-protected read:owners"),
        (ReadKind.TRANSACTIONS, "read:transactions"),
        (ReadKind.BALANCES, "read:balances"),
    ],
)
def test_full_numbers_and_owners_alone_need_read_protected(kind: ReadKind, needed_scope: str) -> None:
    permission, is_protected = PERMISSION_TO_READ[kind], "read-protected" in needed_scope
    assert scope_for(permission) == needed_scope
    assert ReadProtected.permits(kind) == ("token.reads_protected" if is_protected else None)
    assert (permission in default_permissions(protected=False)) is not is_protected
    assert permission in default_permissions(protected=True)


def test_statements_are_read_only_by_a_grant_that_names_them() -> None:
    assert Permission.STATEMENTS not in default_permissions(protected=True)
