"""The search for an institution as people type: in any order of words, abbreviated, misspelt, or by its web address.

An institution is found by the first of these that holds, and those that match better come first:

    1 its name or code is the text        "mx bank", "mxbank"
    2 its name contains the text           "savings bank"
    3 its web address has the host          "https://www.mxbank.example/login"
    4 its words begin with every word       "bank mx", "quill fcu"
    5 its words resemble every word         "lanternfsh"
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from urllib.parse import urlsplit

from coatcheck.connectors.records import Institution

ABBREVIATIONS = {"cu": "credit union", "fcu": "federal credit union", "natl": "national", "svgs": "savings"}
SHORTEST_MISSPELT = 4
"""Letters. A shorter word resembles too many others."""
LEAST_SIMILARITY = 0.74
"""1 minus the edits, swaps of neighbours included, for each letter: one in four letters, two in eight."""
HOST = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?:[/:?#].*)?")


def rank(institution: Institution, text: str) -> int | None:
    """How well the institution matches the text, 1 for best; None if it does not."""
    wanted = folded(text)
    if not wanted:
        return None if text.strip() else 1
    name, code = folded(institution.name), institution.code
    if wanted in {name, code} or wanted.replace(" ", "") == name.replace(" ", ""):
        return 1
    if wanted in name:
        return 2
    if is_at(institution, text):
        return 3
    words = (*name.split(), code)
    given = expanded(wanted)
    if all(any(word.startswith(each) for word in words) for each in given):
        return 4
    if all(any(resembles(each, word) for word in words) for each in given):
        return 5
    return None


@lru_cache(maxsize=10_000)
def folded(text: str) -> str:
    """Words without case, accents and punctuation: `Érablière & Cie` becomes `erabliere and cie`."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", plain.replace("'", "").replace("\u2019", "")))


def expanded(words: str) -> Sequence[str]:
    return " ".join(ABBREVIATIONS.get(word, word) for word in words.split()).split()


def is_at(institution: Institution, text: str) -> bool:
    """Whether the text is a web address at the host of the institution, or at a host below it."""
    found = HOST.fullmatch(text.strip().casefold())
    host = (urlsplit(institution.url).hostname or "").removeprefix("www.")
    return bool(found and host and (found[1] == host or found[1].endswith(f".{host}")))


def resembles(given: str, word: str) -> bool:
    """Whether a word is meant by another one, or by its beginning, with few errors."""
    if word.startswith(given):
        return True
    if len(given) < SHORTEST_MISSPELT:
        return False
    # The beginning too: people stop typing when they see what they look for.
    similarity = _similarity()
    return any(similarity(given, each) >= LEAST_SIMILARITY for each in (word, word[: len(given)]))


@cache
def _similarity() -> Callable[[str, str], float]:
    """The similarity of two words, from 0 to 1."""
    from rapidfuzz.distance import OSA  # noqa: PLC0415 (takes 4 MB, and only a misspelt search needs it)

    return OSA.normalized_similarity
