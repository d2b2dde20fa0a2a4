"""Every text of the widget has a translation in each catalogue, and the catalogues are compiled."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from coatcheck.widget import i18n
from coatcheck.widget.i18n import DEFAULT, LOCALES, catalogue, translate
from coatcheck.widget.messages import every_text
from coatcheck.widget.page_texts import TEXTS, page_texts

WIDGET = Path(i18n.__file__).parent
ALL_TEXTS = {*TEXTS, *((None, text) for text in every_text())}
"""Each with its context, the key."""
TRANSLATIONS = sorted(name for name in LOCALES.values() if name)
PLACEHOLDER = re.compile(r"\{\w+\}")


@pytest.fixture(params=TRANSLATIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return WIDGET / "locales" / request.param / "LC_MESSAGES"


def translated(folder: Path) -> Catalog:
    with (folder / "widget.po").open("rb") as file:
        return read_po(file, abort_invalid=True)


def strings(catalog: Catalog) -> dict[tuple[str | None, str], str]:
    return {(message.context, message.id): message.string for message in catalog if message.id}


def test_every_language_but_english_has_a_catalogue_and_no_other_has() -> None:
    assert sorted(path.name for path in (WIDGET / "locales").iterdir()) == TRANSLATIONS
    assert LOCALES.keys() - {DEFAULT} == {name.replace("_", "-") for name in TRANSLATIONS}


def test_the_extracted_texts_are_all_texts_of_the_widget() -> None:
    found = extract_from_dir(WIDGET)
    assert {(context, text) for _file, _line, text, _comments, context in found} == ALL_TEXTS
    assert len(dict(TEXTS)) == len(TEXTS)


def test_every_text_is_translated_and_nothing_else_is(folder: Path) -> None:
    catalog = translated(folder)
    assert strings(catalog).keys() == ALL_TEXTS
    assert [key for key, text in strings(catalog).items() if not text.strip()] == []
    assert not catalog.obsolete


def test_no_translation_is_marked_fuzzy(folder: Path) -> None:
    assert [message.id for message in translated(folder) if message.id and message.fuzzy] == []


def test_a_translation_has_the_same_placeholders(folder: Path) -> None:
    for (context, english), text in strings(translated(folder)).items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), context or english


def test_the_compiled_catalogue_is_the_translated_one(folder: Path) -> None:
    compiled = BytesIO()
    write_mo(compiled, translated(folder))
    assert (folder / "widget.mo").read_bytes() == compiled.getvalue()


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
