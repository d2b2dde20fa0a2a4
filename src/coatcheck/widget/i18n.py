"""The translation of the widget's texts, which are in `messages.py` and `page_texts.py`."""

import gettext
import re

from coatcheck.http import i18n

PLACEHOLDER = re.compile(r"\{(\w+)\}")


def translate(locale: str, text: str, name: str = "", **others: str) -> str:
    """The text in this locale, with the name of an institution for `{name}` and the others for their own names."""
    names = {"name": name, **others}
    return PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), catalogue(locale).gettext(text))


def catalogue(locale: str) -> gettext.NullTranslations:
    return i18n.catalogue("widget", locale)
