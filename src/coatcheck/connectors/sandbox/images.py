"""Images of the sandbox bank: logos as SVG, security images as PNG, because native apps cannot show SVG."""

from base64 import b64encode
from html import escape
from pathlib import Path

from coatcheck.connectors.sandbox.numbers import seeded

_FILES = Path(__file__).parent / "challenge_images"


def logo(name: str) -> str:
    """A square with the institution's initials, in a colour of its own with enough contrast for white text."""
    hue = int(seeded("logo", name).random() * 360)
    initials = "".join(word[0] for word in name.split() if word[0].isalpha())[:2].upper()
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" role="img">'
        f"<title>{escape(name)}</title>"
        f'<rect width="100" height="100" rx="18" fill="hsl({hue} 55% 30%)"/>'
        f'<circle cx="82" cy="18" r="34" fill="hsl({hue} 60% 38%)"/>'
        '<text x="50" y="65" text-anchor="middle" font-family="system-ui, sans-serif" font-size="42"'
        f' font-weight="600" fill="#fff">{escape(initials)}</text></svg>'
    )


def challenge_image(name: str) -> str:
    """The PNG of this name as a data URI."""
    return "data:image/png;base64," + b64encode((_FILES / f"{name}.png").read_bytes()).decode()
