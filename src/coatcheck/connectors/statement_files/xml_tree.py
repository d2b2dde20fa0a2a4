"""A small XML document as a tree, with the line of each element.

A document type is refused, and with it every entity: no statement has one, and expanding them is how a small file
fills the memory (XML bombs) or reads other files (XXE). Nothing is ever fetched.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from coatcheck.connectors.statement_files.encoding import extended
from coatcheck.errors import UnreadableFile

MAX_DEPTH = 64
MAX_ELEMENTS = 1_000_000


@dataclass(slots=True)
class Element:
    """An element without its namespace."""

    name: str
    line: int
    parent: "Element | None" = field(default=None, repr=False)
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    @property
    def path(self) -> str:
        """Its name after those around it: `Document/BkToCstmrStmt/Stmt`."""
        return f"{self.parent.path}/{self.name}" if self.parent else self.name

    def find(self, path: str) -> "Element | None":
        """The first element at a path below this one, such as `Acct/Id/IBAN`."""
        return next(self.find_all(path), None)

    def find_all(self, path: str) -> Iterator["Element"]:
        name, _, rest = path.partition("/")
        for child in self.children:
            if child.name == name:
                if rest:
                    yield from child.find_all(rest)
                else:
                    yield child

    def value(self, *paths: str) -> str | None:
        """The text at the first of the paths that has any."""
        found = (each.text.strip() for path in paths for each in self.find_all(path))
        return next((text for text in found if text), None)

    def refused(self, problem: str) -> UnreadableFile:
        return UnreadableFile(problem, line=self.line, element=self.path)


class _Builder:
    """Receives the events of the parser."""

    def __init__(self, encoding: str | None) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[str] = []
        self._count = 0
        self.parser = parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append

    def _refuse_doctype(self, *_: object) -> None:
        raise UnreadableFile(
            "The file has a document type or entities, which a statement never has.",
            line=self.parser.CurrentLineNumber,
            element="DOCTYPE",
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        parent = self._open[-1] if self._open else None
        element = Element(name.rpartition(":")[2], self.parser.CurrentLineNumber, parent, attributes)
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise UnreadableFile(
                "The file has too many elements. Split it.", line=element.line, element=element.name
            )
        if parent is None:
            self.root = element
        else:
            parent.children.append(element)
        self._open.append(element)
        self._texts.clear()

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        if not element.children:
            element.text = "".join(self._texts)
        self._texts.clear()


def parse_xml(data: bytes) -> Element:
    """The root of the document.

    Raises:
        UnreadableFile: it is not well-formed, is cut off, is in another character set than it says, has a document
            type, or has too many elements.
    """
    builder = _Builder(extended(data))
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UnreadableFile(
            f"The file is not well-formed XML: {expat.ErrorString(error.code)}.", line=error.lineno
        ) from None
    except (LookupError, ValueError):
        raise UnreadableFile("The file names a character set that we do not know.", line=1) from None
    assert builder.root is not None, "the parser refuses a document without an element"
    return builder.root
