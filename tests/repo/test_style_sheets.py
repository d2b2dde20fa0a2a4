"""The style sheets of our pages share the design tokens."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "coatcheck"
TOKENS = PACKAGE / "http" / "static" / "tokens.css"
SHEETS = sorted(path for path in PACKAGE.rglob("*.css") if path != TOKENS and "sandbox" not in path.parts)
"""All but those of the sandbox bank, whose pages are not ours."""
BEHIND_LOGOS = "background: #ffffff;"
"""The only colour outside the tokens: logos are made for white."""


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_a_style_sheet_takes_every_colour_from_the_tokens(sheet: Path) -> None:
    text = sheet.read_text().replace(BEHIND_LOGOS, "")
    assert re.findall(r"#[0-9a-fA-F]{3,8};|rgba?\(|prefers-color-scheme", text) == []
    defined = set(re.findall(r"(--[\w-]+):", TOKENS.read_text() + text))
    assert set(re.findall(r"var\((--[\w-]+)", text)) <= defined


def test_every_token_is_used() -> None:
    text = TOKENS.read_text()
    uses = "".join(sheet.read_text() for sheet in SHEETS) + text
    unused = [
        name for name in re.findall(r"^  (--[\w-]+):", text, re.MULTILINE) if f"var({name})" not in uses
    ]
    assert unused == []
