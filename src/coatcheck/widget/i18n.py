"""The languages of the widget: the choice of a locale, and the catalogues of translations.

The English texts are in `messages.py` and `page_texts.py`. The other languages are gettext catalogues below `locales/`;
`make words` updates and compiles them.
"""

import gettext
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from coatcheck.http.negotiation import accepted

LOCALES: Mapping[str, str | None] = MappingProxyType({"en": None, "es": "es", "fr-CA": "fr_CA"})
"""Each locale with the folder of its catalogue."""
BY_LANGUAGE: Mapping[str, str] = MappingProxyType({"en": "en", "es": "es", "fr": "fr-CA"})
DEFAULT = "en"
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def choose_locale(*preferences: str | None) -> str:
    """The first supported locale of the preferences; each is a language tag or an Accept-Language (RFC 9110 12.5.4)."""
    for preference in preferences:
        for tag in accepted(preference):
            if found := BY_LANGUAGE.get(tag.replace("_", "-").partition("-")[0]):
                return found
    return DEFAULT


def translate(locale: str, text: str, name: str = "", **others: str) -> str:
    """The text in this locale, with the name of an institution for `{name}` and the others for their own names."""
    names = {"name": name, **others}
    return PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), catalogue(locale).gettext(text))


@cache
def catalogue(locale: str) -> gettext.NullTranslations:
    """All translations into this locale. A text that is not in the catalogue stays English."""
    folder = LOCALES[locale]
    if folder is None:
        return gettext.NullTranslations()
    with (files("coatcheck.widget") / "locales" / folder / "LC_MESSAGES" / "widget.mo").open("rb") as file:
        return gettext.GNUTranslations(file)
