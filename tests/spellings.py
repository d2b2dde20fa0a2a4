"""60 spellings of a value: other digits, spaces around and within it, and characters that cannot be seen."""

from collections.abc import Mapping

#: The zero of digit blocks: ASCII-compatible ones (full-width, mathematical) and those of other scripts.
ZEROS = {
    "full-width": 0xFF10, "bold": 0x1D7CE, "double-struck": 0x1D7D8, "sans-serif": 0x1D7E2,
    "sans-serif bold": 0x1D7EC, "monospace": 0x1D7F6, "segmented": 0x1FBF0, "arabic-indic": 0x0660,
    "persian": 0x06F0, "devanagari": 0x0966, "bengali": 0x09E6, "thai": 0x0E50, "lao": 0x0ED0,
    "tibetan": 0x0F20, "myanmar": 0x1040, "khmer": 0x17E0, "mongolian": 0x1810, "nko": 0x07C0,
    "superscript": None, "circled": None,
}  # fmt: skip
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"
AROUND = {
    "space": " ", "tab": "\t", "line feed": "\n", "carriage return": "\r", "vertical tab": "\x0b",
    "form feed": "\x0c", "no-break space": "\u00a0", "thin space": "\u2009", "ideographic space": "\u3000",
    "line separator": "\u2028", "paragraph separator": "\u2029", "next line": "\x85",
    "zero width space": "\u200b", "byte order mark": "\ufeff", "nul": "\x00", "delete": "\x7f",
    "right-to-left mark": "\u200f", "soft hyphen": "\u00ad",
}  # fmt: skip
WITHIN = {
    "thin space": "\u2009", "no-break space": "\u00a0", "narrow no-break space": "\u202f", "figure space": "\u2007",
    "zero width space": "\u200b", "zero width non-joiner": "\u200c", "word joiner": "\u2060", "nul": "\x00",
    "line feed": "\n", "tab": "\t", "escape": "\x1b", "hyphen": "-", "en dash": "\u2013", "minus": "\u2212",
    "full stop": ".", "comma": ",", "combining dot": "\u0307", "right-to-left override": "\u202e",
    "variation selector": "\ufe0f", "lone surrogate": "\ud800", "bell": "\x07", "space": " ",
}  # fmt: skip

SPELLINGS: Mapping[str, tuple[str, str]] = {
    **{f"{name} digits": ("digits", name) for name in ZEROS},
    **{f"{name} behind": ("behind", name) for name in AROUND},
    **{f"{name} within": ("within", name) for name in WITHIN},
}


def spelled(value: str, spelling: str) -> str:
    """The value in this spelling."""
    place, name = SPELLINGS[spelling]
    match place:
        case "digits":
            return "".join(_digit(int(each), name) if each in "0123456789" else each for each in value)
        case "behind":
            return value + AROUND[name]
        case _:
            middle = len(value) // 2
            return value[:middle] + WITHIN[name] + value[middle:]


def _digit(digit: int, name: str) -> str:
    if name == "superscript":
        return SUPERSCRIPTS[digit]
    if name == "circled":
        return CIRCLED[digit]
    return chr((ZEROS[name] or 0) + digit)
