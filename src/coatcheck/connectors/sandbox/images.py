"""Pictures drawn in code: logos as SVG, security pictures as PNG (native apps cannot show SVG)."""

import base64
import struct
import zlib
from collections.abc import Callable
from html import escape

from coatcheck.connectors.sandbox.numbers import seeded

_LETTERS = {
    "c": ("     ", "     ", " ### ", "#   #", "#    ", "#   #", " ### "),
    "e": ("     ", "     ", " ### ", "#   #", "#####", "#    ", " ### "),
    "o": ("     ", "     ", " ### ", "#   #", "#   #", "#   #", " ### "),
    "r": ("     ", "     ", "# ## ", "##  #", "#    ", "#    ", "#    "),
    "t": (" #   ", " #   ", "#### ", " #   ", " #   ", " #  #", "  ## "),
}
_SIDE = 48
"""Pixels along one edge of a shape."""
_SCALE = 4
"""Pixels along one edge of a letter's dot."""


def logo(name: str) -> str:
    """A square with the institution's initials, in a colour of its own that white text reads well on."""
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


def written(word: str) -> str:
    """A data URI of `word`, which must be made of the letters in `_LETTERS`, drawn in dots."""
    rows = [" ".join(_LETTERS[letter][row] for letter in word) for row in range(7)]
    width = len(rows[0])
    return _png(
        lambda x, y: 1 <= y // _SCALE <= 7 and rows[y // _SCALE - 1][x // _SCALE : x // _SCALE + 1] == "#",
        width * _SCALE,
        9 * _SCALE,
    )


def circle() -> str:
    return _png(lambda x, y: (x - 24) ** 2 + (y - 24) ** 2 < 400, _SIDE, _SIDE)


def square() -> str:
    return _png(lambda x, y: 6 <= x < 42 and 6 <= y < 42, _SIDE, _SIDE)


def triangle() -> str:
    return _png(lambda x, y: 6 <= y < 42 and abs(x - 24) <= (y - 6) // 2, _SIDE, _SIDE)


def _png(is_ink: Callable[[int, int], bool], width: int, height: int) -> str:
    """A greyscale PNG (ISO/IEC 15948) as a data URI."""
    rows = (bytes([0, *(40 if is_ink(x, y) else 240 for x in range(width))]) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()
