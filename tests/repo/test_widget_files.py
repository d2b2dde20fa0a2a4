"""Rules for the widget's files that need no browser; tests of its behaviour are in tests/browser."""

import gzip
import re
from pathlib import Path

import pytest

from coatcheck.http.compression import LEVEL
from coatcheck.widget.modules import preloaded
from coatcheck.widget.page_texts import TEXTS
from coatcheck.widget.steps import PHASES

WIDGET = Path(__file__).parents[2] / "src" / "coatcheck" / "widget"
STATIC = WIDGET / "static"
SCRIPTS = {path.relative_to(WIDGET).as_posix(): path.read_text() for path in WIDGET.rglob("*.js")}
KEYS = dict(TEXTS).keys()
DIRECT = re.compile(r'\bt\("([^"]+)"')
DOTTED = re.compile(r'"([a-z_]+\.[a-z_0-9]+)"')
PREFIX = re.compile(r"\bt\(`([a-z_.]+)\$\{")
COMPOSED = {
    "accounts.type_": ("1", "2"),
    "connecting.": PHASES,
    "consent.refreshes.": ("daily", "once"),
    "consent.shares.": (
        "accounts",
        "account_numbers",
        "identity",
        "statements",
        "transactions",
        "transaction_history",
    ),
    "files.": ("date", "description", "amount", "debit", "credit"),
    "files.header_": ("names", "values"),
    "files.sign_": ("in", "out"),
    "files.warning_": ("dates", "account", "ignored", "check"),
    "microdeposits.routing_": ("blocked", "invalid"),
}
"""The prefixes of keys that a script composes, such as `connecting.${phase}`, and every suffix."""
MAX_BYTES = 45_000


def test_every_text_is_used_by_a_script_and_every_key_has_a_text() -> None:
    """A key without a dot is an ordinary word, so that only `t("word")` counts as its use."""
    source = "".join(SCRIPTS.values())
    assert set(PREFIX.findall(source)) == COMPOSED.keys()
    direct = set(DIRECT.findall(source))
    dotted = set(DOTTED.findall(source))
    assert (
        direct | dotted | {prefix + suffix for prefix, suffixes in COMPOSED.items() for suffix in suffixes}
        == KEYS
    )


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_parses_html_or_evaluates_text_and_one_stores_the_session(name: str) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    assert not re.search(forbidden, SCRIPTS[name])
    assert {*re.findall(r"\w+Storage\b", SCRIPTS[name])} == (
        {"sessionStorage"} if name == "static/session.js" else set()
    )


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_names_another_host_or_posts_to_any_origin(name: str) -> None:
    addresses = set(re.findall(r"https?://[\w.-]+", SCRIPTS[name]))
    assert addresses <= {"http://www.w3.org"}  # the namespace of SVG, which is never fetched
    assert not re.search(r'postMessage\([^;]*"\*"', SCRIPTS[name])


def test_no_style_sheet_fetches_anything() -> None:
    sheets = list(STATIC.glob("*.css"))
    assert sheets
    assert [sheet.name for sheet in sheets if re.search(r"url\(|@import", sheet.read_text())] == []


def test_the_compressed_files_are_below_45_kb() -> None:
    sizes = [len(gzip.compress(path.read_bytes(), LEVEL)) for path in STATIC.rglob("*") if path.is_file()]
    assert 0 < sum(sizes) < MAX_BYTES


def test_the_page_preloads_what_its_first_script_imports_and_no_more() -> None:
    found = set(preloaded(STATIC))
    assert {"widget.js", "flow.js", "dom.js", "steps/consent.js", "steps/search.js"} <= found
    assert found.isdisjoint({"steps/credentials.js", "steps/mfa.js"})
