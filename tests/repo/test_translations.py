"""Every text of the pages has a translation in each catalogue, and the catalogues are compiled."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from coatcheck.http.i18n import DEFAULT, LOCALES
from coatcheck.widget.i18n import catalogue, translate
from coatcheck.widget.messages import every_text
from coatcheck.widget.page_texts import TEXTS, page_texts
from tests.guides import ROOT

SURFACES = ("dashboard", "portal", "widget")
TEMPLATES = {"newstyle_gettext": "true"}
TRANSLATIONS = sorted(name for name in LOCALES.values() if name)
PLACEHOLDER = re.compile(r"\{\w+\}|%\(\w+\)s")


def package(surface: str) -> Path:
    return ROOT / "src/coatcheck" / surface


@cache
def texts(surface: str) -> frozenset[tuple[str | None, object]]:
    """The texts in the source of a surface, each with its context; one with a plural is a pair."""
    found = extract_from_dir(
        package(surface),
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        options_map={"**/templates/**.html": TEMPLATES},
    )
    return frozenset((context, text) for _file, _line, text, _comments, context in found)


@dataclass(frozen=True)
class Translated:
    surface: str
    folder: Path

    @property
    def catalog(self) -> Catalog:
        with (self.folder / f"{self.surface}.po").open("rb") as file:
            return read_po(file, abort_invalid=True)

    @property
    def messages(self) -> Iterator[Message]:
        return (message for message in self.catalog if message.id)


@pytest.fixture(params=[(surface, name) for surface in SURFACES for name in TRANSLATIONS], ids="-".join)
def translated(request: pytest.FixtureRequest) -> Translated:
    surface, name = request.param
    return Translated(surface, package(surface) / "locales" / name / "LC_MESSAGES")


def strings(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_language_but_english_has_a_catalogue_and_no_other_has(surface: str) -> None:
    assert sorted(path.name for path in (package(surface) / "locales").iterdir()) == TRANSLATIONS
    assert LOCALES.keys() - {DEFAULT} == {name.replace("_", "-") for name in TRANSLATIONS}


def test_the_extracted_texts_are_all_texts_of_the_widget() -> None:
    assert texts("widget") == {*TEXTS, *((None, text) for text in every_text())}
    assert len(dict(TEXTS)) == len(TEXTS)


def test_every_text_is_translated_and_nothing_else_is(translated: Translated) -> None:
    assert {(message.context, message.id) for message in translated.messages} == texts(translated.surface)
    untranslated = [
        each.id for each in translated.messages if not all(text.strip() for text in strings(each.string))
    ]
    assert untranslated == []
    assert not translated.catalog.obsolete


def test_no_translation_is_marked_fuzzy(translated: Translated) -> None:
    assert [message.id for message in translated.messages if message.fuzzy] == []


def test_a_translation_has_the_same_placeholders(translated: Translated) -> None:
    for message in translated.messages:
        english = {*PLACEHOLDER.findall(strings(message.id)[0])}
        for text in strings(message.string):
            assert {*PLACEHOLDER.findall(text)} == english, message.id


def test_the_compiled_catalogue_is_the_translated_one(translated: Translated) -> None:
    compiled = BytesIO()
    write_mo(compiled, translated.catalog)
    assert (translated.folder / f"{translated.surface}.mo").read_bytes() == compiled.getvalue()


def test_texts_that_are_equal_in_english_may_differ_in_another_language() -> None:
    english, french = page_texts("en"), page_texts("fr-CA")
    title, button = "credentials.title", "microdeposits.sign_in"
    assert english[title] == english[button]
    assert (french[title], french[button]) == (
        "Ouvrez une session chez {bank}",
        "Ouvrir une session chez {bank}",
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_a_text_without_a_translation_is_english(locale: str) -> None:
    assert catalogue(locale).pgettext("again", "Not translated yet") == "Not translated yet"
    assert translate(locale, "{name} is not translated yet", "MX Bank") == "MX Bank is not translated yet"
