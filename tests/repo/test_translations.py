"""All that the widget says it says in every language, from catalogues that a translator's tools can read."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from coatcheck.widget import messages
from coatcheck.widget.messages import DEFAULT, LOCALES, catalogue, every_text
from coatcheck.widget.page_texts import TEXTS, page_texts

WIDGET = Path(messages.__file__).parent
SAID = {*TEXTS, *((None, text) for text in every_text())}
"""Each with its context."""
TRANSLATIONS = sorted(name for name in LOCALES.values() if name)
PLACE = re.compile(r"\{\w+\}")


@pytest.fixture(params=TRANSLATIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return WIDGET / "locales" / request.param / "LC_MESSAGES"


def translated(folder: Path) -> Catalog:
    with (folder / "widget.po").open("rb") as file:
        return read_po(file, abort_invalid=True)


def words(locked: Catalog) -> dict[tuple[str | None, str], str]:
    return {(message.context, message.id): message.string for message in locked if message.id}


def test_every_language_but_english_has_a_catalogue_and_no_other_has() -> None:
    assert sorted(path.name for path in (WIDGET / "locales").iterdir()) == TRANSLATIONS
    assert LOCALES.keys() - {DEFAULT} == {name.replace("_", "-") for name in TRANSLATIONS}


def test_what_is_gathered_for_translators_is_all_that_is_said() -> None:
    found = extract_from_dir(WIDGET)
    assert {(context, text) for _file, _line, text, _comments, context in found} == SAID
    assert len(dict(TEXTS)) == len(TEXTS)


def test_every_text_is_translated_and_nothing_else_is(folder: Path) -> None:
    locked = translated(folder)
    assert words(locked).keys() == SAID
    assert [said for said, text in words(locked).items() if not text.strip()] == []
    assert not locked.obsolete


def test_no_translation_is_a_guess(folder: Path) -> None:
    assert [message.id for message in translated(folder) if message.id and message.fuzzy] == []


def test_a_translation_fills_the_same_places(folder: Path) -> None:
    for (context, english), text in words(translated(folder)).items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(english)), context or english


def test_what_is_compiled_is_what_was_translated(folder: Path) -> None:
    compiled = BytesIO()
    write_mo(compiled, translated(folder))
    assert (folder / "widget.mo").read_bytes() == compiled.getvalue()


def test_what_is_equal_in_english_may_differ_in_another_language() -> None:
    english, french = page_texts("en"), page_texts("fr-CA")
    title, button = "credentials.title", "microdeposits.sooner"
    assert english[title] == english[button]
    assert (french[title], french[button]) == ("Ouvrez une session à {bank}", "Ouvrir une session à {bank}")


@pytest.mark.parametrize("locale", LOCALES)
def test_what_a_language_lacks_is_english(locale: str) -> None:
    assert catalogue(locale).pgettext("again", "Not translated yet") == "Not translated yet"
    assert messages.say(locale, "{name} is not translated yet", "MX Bank") == "MX Bank is not translated yet"
