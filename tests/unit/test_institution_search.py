"""Sixty searches, each with the institution that must come first."""

import pytest

from coatcheck.connectors.institution_search import rank
from coatcheck.connectors.registry import Registry
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.testing.connectors import connector_context

REGISTRY = Registry((SandboxBank(connector_context(SandboxSettings(seed=1), name="sandbox")),))

FIRST = {
    # The name, in any case, with and without accents, punctuation and spaces.
    "MX Bank": "MX Bank",
    "mx bank": "MX Bank",
    "  mx   bank ": "MX Bank",
    "mxbank": "MX Bank",
    "MXCU": "MXCU (OAuth)",
    "mxcu oauth": "MXCU (OAuth)",
    "mxcu credential": "MXCU (Credential)",
    "mx bank oauth": "MX Bank (OAuth)",
    "Marmot & Vale Bank": "Marmot & Vale Bank",
    "Marmot and Vale": "Marmot & Vale Bank",
    "marmot&vale": "Marmot & Vale Bank",
    "oatfield and daughters": "Oatfield & Daughters Bank",
    "gristmill savings & loan": "Gristmill Savings & Loan",
    "starling and wren": "Starling & Wren Private Bank",
    "caisse erabliere": "Caisse Érablière",
    "CAISSE ÉRABLIÈRE": "Caisse Érablière",
    "banco penaluz": "Banco Peñaluz",
    "Peñaluz": "Banco Peñaluz",
    # A part of the name.
    "lantern": "Lanternfish Bank",
    "quill": "Quillwort Federal Credit Union",
    "huard": "Banque du Huard Bleu",
    "teachers": "Foxglove Teachers Credit Union",
    "private bank": "Starling & Wren Private Bank",
    "neobank": "Nightjar Neobank",
    "three her": "Three Herons Bank",
    "student credit": "Hopscotch Student Credit Union",
    # Words in another order.
    "bank mx": "MX Bank",
    "union credit quillwort": "Quillwort Federal Credit Union",
    "bank three herons": "Three Herons Bank",
    "vale marmot": "Marmot & Vale Bank",
    "savings thimbleberry": "Thimbleberry Savings",
    "bleu huard banque": "Banque du Huard Bleu",
    # Abbreviations.
    "quillwort fcu": "Quillwort Federal Credit Union",
    "fcu": "Quillwort Federal Credit Union",
    "driftmark fcu": "Driftmark Federal Credit Union",
    "ospreyhead cu": "Ospreyhead Credit Union",
    "tumbledown natl bank": "Tumbledown National Bank",
    "saltcellar svgs": "Saltcellar Savings Bank",
    "hollyhock firefighters cu": "Hollyhock Firefighters Credit Union",
    # Errors of typing: a letter too few, too many, another, or two swapped.
    "lanternfsh": "Lanternfish Bank",
    "lanternnfish": "Lanternfish Bank",
    "lanternfush": "Lanternfish Bank",
    "lanternfihs": "Lanternfish Bank",
    "latnernfish bank": "Lanternfish Bank",
    "quilwort": "Quillwort Federal Credit Union",
    "thimblebery": "Thimbleberry Savings",
    "pennywistle": "Pennywhistle Credit Union",
    "coperkettle": "Copperkettle Bank",
    "brambletol bnak": "Brambletoll Bank",
    "erabliére": "Caisse Érablière",
    "erabliree": "Caisse Érablière",
    "muskeglite": "Muskeglight Credit Union",
    "snowgose": "Snowgoose Credit Union",
    "zephirine": "Zephyrine Bank",
    # The web address.
    "lanternfish-bank.example": "Lanternfish Bank",
    "www.mxbank.example": "MX Bank",
    "https://www.mxbank.example/login?next=/": "MX Bank",
    "HTTPS://MXBANK.EXAMPLE": "MX Bank",
    "online.mxbank.example": "MX Bank",
    "zephyrine-bank.example/sign-in": "Zephyrine Bank",
}
NOTHING = ["no such bank", "xyz", "zzzzzz bank", "mybank.example", "qqqq", "b4nk of nowhere", "!!", "12"]


def test_there_are_sixty_searches() -> None:
    assert len(FIRST) == 60


@pytest.mark.parametrize(("typed", "expected"), FIRST.items())
def test_the_institution_that_is_meant_comes_first(typed: str, expected: str) -> None:
    found = [each.name for each in REGISTRY.matching(typed)]
    assert found[:1] == [expected], found[:5]


@pytest.mark.parametrize("typed", NOTHING)
def test_what_resembles_no_institution_finds_none(typed: str) -> None:
    assert [each.name for each in REGISTRY.matching(typed)] == []


def test_a_better_match_comes_before_a_more_popular_institution() -> None:
    found = REGISTRY.matching("savings bank")
    assert [each.name for each in found][:2] == ["Saltcellar Savings Bank", "Quaylight Savings Bank"]
    assert [rank(each, "savings bank") for each in found] == sorted(
        rank(each, "savings bank") for each in found
    )


def test_an_empty_text_finds_all() -> None:
    assert REGISTRY.matching("  ") == REGISTRY.search()
