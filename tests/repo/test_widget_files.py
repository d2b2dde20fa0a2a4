"""What the widget's own files promise, without a browser: tests of behaviour stand in tests/e2e."""

import re
from pathlib import Path

import pytest

from coatcheck.widget.page_texts import TEXTS
from coatcheck.widget.static_files import statics

WIDGET = Path(__file__).parents[2] / "src" / "coatcheck" / "widget"
STATIC = WIDGET / "static"
SCRIPTS = {path.relative_to(WIDGET).as_posix(): path.read_text() for path in WIDGET.rglob("*.js")}
KEYS = dict(TEXTS).keys()
LITERAL = re.compile(r'"([a-z_]+(?:\.[a-z_0-9]+)?)"')
BUILT = re.compile(r"\bt\(`([a-z_.]+)\$\{")
"""Keys whose end comes from the server: `connecting.${phase}`."""
MAX_BYTES = 40_000


def test_every_text_is_asked_for_by_some_script_and_every_key_has_one() -> None:
    source = "".join(SCRIPTS.values())
    asked = set(LITERAL.findall(source))
    beginnings = tuple(BUILT.findall(source))
    assert beginnings
    assert {key for key in KEYS if key not in asked and not key.startswith(beginnings)} == set()
    direct = set(re.findall(r'\bt\("([^"]+)"', source))
    assert direct <= KEYS


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_parses_html_evaluates_text_or_stores_anything(name: str) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|Storage\b"
    )
    assert not re.search(forbidden, SCRIPTS[name])


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_names_another_host_or_posts_to_anybody(name: str) -> None:
    addresses = set(re.findall(r"https?://[\w.-]+", SCRIPTS[name]))
    assert addresses <= {"http://www.w3.org"}  # the namespace of SVG, which is never fetched
    assert not re.search(r'postMessage\([^;]*"\*"', SCRIPTS[name])


def test_no_rule_of_the_style_sheet_fetches_anything() -> None:
    assert not re.search(r"url\(|@import", (STATIC / "widget.css").read_text())


def test_the_whole_page_is_light() -> None:
    files = statics().files
    assert sum(len(file.gzipped) for name, file in files.items() if name != "connect.js") < MAX_BYTES


def test_the_page_begins_with_what_its_first_script_imports_and_no_more() -> None:
    locked = statics()
    begun = {address.removeprefix(locked.base + "/") for address in locked.modules}
    assert {"widget.js", "flow.js", "dom.js", "steps/consent.js", "steps/search.js"} <= begun
    assert begun.isdisjoint({"connect.js", "steps/credentials.js", "steps/mfa.js"})
