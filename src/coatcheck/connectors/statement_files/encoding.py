"""The text of a file whose character set is not known. Banks name it wrongly, or not at all."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from coatcheck.errors import UnreadableFile

UTF_8_MARK = b"\xef\xbb\xbf"
BYTE_ORDER_MARKS = ((UTF_8_MARK, "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
OTHER_FILES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (b"\x1f\x8b", "a compressed file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
"""What files that users take for statements begin with."""
ENVELOPE = re.compile("[\x01-\x04]")
"""Marks around a message of SWIFT."""
CONTROLS = frozenset(map(chr, range(32))) - set("\t\n\r\x0c\x1a")
# Five bytes are undefined in Windows-1252: a file that has one of them is read by the next guess.
GUESSES = (("cp1252", "Windows-1252"), ("cp852", "DOS code page 852"))
"""The character sets of files that are not in UTF-8; the last has every byte."""
HEAD = 4096
"""The bytes in which a file names its character set."""
NAMED = re.compile(
    rb"""(?:CHARSET:|ENCODING[:=])["' ]*(?:(?:windows-|cp)?(125[0-8]|874|932|936|949|950)|"""
    rb"(iso-8859-[0-9]{1,2}|koi8-[ru]|shift_jis|euc-(?:jp|kr)|big5|gbk|gb2312|gb18030))\b",
    re.IGNORECASE,
)
"""The name of a character set in the header of OFX 1 or in an XML declaration."""
EXTENDED: Mapping[str, str] = MappingProxyType(
    {"ISO-8859-1": "Windows-1252", "ISO-8859-9": "Windows-1254", "ISO-8859-11": "Windows-874"}
)
"""What is read in place of a character set: it has € and curly quotation marks where that one has control characters.

Banks name the one and write the other, and browsers read it so (WHATWG, Encoding Standard, 4.2).
"""


def text_of(data: bytes) -> tuple[str, str | None]:
    """The text, and a warning if the character set was guessed.

    UTF-8 or UTF-16 by the mark at its beginning, else UTF-8 if it is valid, else what the file names, else the first
    guess that is.

    Raises:
        UnreadableFile: it is not text, or in another character set.
    """
    if kind := next((kind for mark, kind in OTHER_FILES if data.startswith(mark)), None):
        raise UnreadableFile(f"The file is {kind}. Export the statement as {EXPORTS} instead.", line=1)
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _checked(_decoded(data[len(mark) :], encoding)), None
    for encoding, name in (("utf-8", None), *_named(data), *GUESSES):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        guessed = f"The file is not in UTF-8. It was read as {name}: check its accented letters."
        return _checked(text), guessed if name else None
    raise AssertionError("the last guess has every byte")


def _named(data: bytes) -> Sequence[tuple[str, str]]:
    found = NAMED.search(data[:HEAD])
    if found is None:
        return ()
    name = f"Windows-{found[1].decode()}" if found[1] else found[2].decode().upper()
    name = EXTENDED.get(name, name)
    return ((name.replace("Windows-", "cp"), name),)


def extended(data: bytes) -> str | None:
    """The character set in which to read an XML document, if it is not the one that the document names."""
    if data.startswith(UTF_8_MARK):
        return "utf-8"
    for encoding, name in _named(data[:HEAD].partition(b"?>")[0]):
        if name in EXTENDED.values():
            with suppress(UnicodeDecodeError):
                data.decode(encoding)
                return encoding
    return None


EXPORTS = "OFX, QFX, CAMT.053, MT940, BAI2 or CSV"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
        raise UnreadableFile(
            "The file is not in the character set that its first bytes name.", line=line
        ) from None


def _checked(text: str) -> str:
    """The text with one kind of line break.

    Raises:
        UnreadableFile: it has control characters.
    """
    # Before the check: the marks of SWIFT are control characters too.
    text = ENVELOPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if CONTROLS.isdisjoint(text):
        return text
    first = next(index for index, character in enumerate(text) if character in CONTROLS)
    raise UnreadableFile(
        "The file has a control character: it is not a text file, or is damaged.",
        line=text.count("\n", 0, first) + 1,
    )
