"""The languages of our pages: the choice of a locale, and the catalogues of translations.

Texts are written in English in each surface. The other languages are gettext catalogues below its `locales/`;
`make words` updates and compiles them.
"""

import gettext
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from coatcheck.http.negotiation import accepted

LOCALES: Mapping[str, str | None] = MappingProxyType({"en": None, "es": "es", "fr-CA": "fr_CA"})
"""Each locale with the folder of its catalogue."""
BY_LANGUAGE: Mapping[str, str] = MappingProxyType({"en": "en", "es": "es", "fr": "fr-CA"})
DEFAULT = "en"


def choose_locale(*preferences: str | None) -> str:
    """The first supported locale of the preferences; each is a language tag or an Accept-Language (RFC 9110 12.5.4)."""
    for preference in preferences:
        for tag in accepted(preference):
            if found := BY_LANGUAGE.get(tag.replace("_", "-").partition("-")[0]):
                return found
    return DEFAULT


def marked(text: str) -> str:
    """Marks a text for the catalogues; it is translated later. Surfaces import it as `_`, which Babel looks for."""
    return text


@cache
def catalogue(surface: str, locale: str) -> gettext.NullTranslations:
    """The translations of a surface's texts, such as `widget`. A text that is not in the catalogue stays English."""
    folder = LOCALES[locale]
    if folder is None:
        return gettext.NullTranslations()
    compiled = files(f"coatcheck.{surface}") / "locales" / folder / "LC_MESSAGES" / f"{surface}.mo"
    with compiled.open("rb") as file:
        return gettext.GNUTranslations(file)
