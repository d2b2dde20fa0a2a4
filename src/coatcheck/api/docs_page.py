"""The reference of the API as one page: no script, no foreign host, one style sheet, everything in plain sight.

It is made from the OpenAPI document alone, so that the two cannot disagree.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

Node: TypeAlias = Mapping[str, Any]

HERE = Path(__file__).parent
STYLE = (HERE / "templates" / "docs.css").read_bytes()
"""To be served where `docs_page` is told it is."""
PREFIX = "#/components/schemas/"
NEWER, OLDER = "v20250224", "v20111101"

CALLERS = {
    "clientKey": "Basic: the client's id and API key",
    "processorKey": "Basic: the processor's id and API key",
    "accessToken": "Bearer: a processor's access token",
}

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def docs_page(document: bytes, *, style_url: str) -> bytes:
    """The page as HTML.

    Args:
        document: our OpenAPI document, as JSON.
        style_url: where `STYLE` is served.
    """
    book = Book(json.loads(document))
    return TEMPLATES.get_template("docs.html").render(book=book, style_url=style_url).encode()


@dataclass(frozen=True)
class Book:
    """The document, as the template asks for it."""

    document: Node

    @cached_property
    def groups(self) -> list[tuple[Node, list[Node]]]:
        """The tags that have operations, with them, in the document's order."""
        operations: list[Node] = [
            {**operation, "method": method.upper(), "path": path}
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        ]
        return [
            (tag, found)
            for tag in self.document["tags"]
            if (found := [each for each in operations if each["tags"] == [tag["name"]]])
        ]

    @cached_property
    def shapes(self) -> list[tuple[str, list[tuple[str, Node]]]]:
        """Every shape by its namespace; of the older dialect those alone that the newer one has otherwise."""
        shown = [
            (namespace, (name, node))
            for name, node in self.schemas.items()
            if (namespace := name.partition(".")[0]) != OLDER or self.anchor(name) == name
        ]
        return [
            (namespace, [shape for _, shape in members])
            for namespace, members in groupby(shown, key=lambda pair: pair[0])
            if namespace != "Problem"
        ]

    @property
    def schemas(self) -> Mapping[str, Node]:
        found: Mapping[str, Node] = self.document["components"]["schemas"]
        return found

    def anchor(self, name: str) -> str:
        """Where a shape is described: an older one that is the same as the newer is described there."""
        namespace, _, rest = name.partition(".")
        twin = f"{NEWER}.{rest}"
        return twin if namespace == OLDER and self._is_same(name, twin) else name

    def caller(self, operation: Node) -> str:
        schemes = [CALLERS[name] for choice in operation["security"] for name in choice]
        return ", ".join(schemes) or "Nobody has to say who they are"

    def body(self, answer: Node) -> Markup:
        """The shapes of an answer or a request, each once."""
        schemas = [kind["schema"] for kind in answer.get("content", {}).values() if "schema" in kind]
        links = list(dict.fromkeys(self.kind(schema) for schema in schemas))
        return Markup(" or ").join(links)

    def words(self, text: str) -> Markup:
        """A sentence, with what stands between backticks as code."""
        parts = text.split("`")
        return Markup("").join(_value(part) if index % 2 else part for index, part in enumerate(parts))

    def kind(self, schema: Node) -> Markup:
        """A type in words, with links to the shapes."""
        if "$ref" in schema:
            name = self.anchor(schema["$ref"].removeprefix(PREFIX))
            namespace, _, rest = name.partition(".")
            note = f" of {OLDER}" if namespace == OLDER else ""
            return Markup('<a href="#{}">{}</a>{}').format(name, rest or name, note)
        if choices := schema.get("anyOf"):
            return Markup(" or ").join(self.kind(each) for each in choices)
        if schema.get("type") == "array":
            return Markup("list of {}").format(self.kind(schema.get("items", {})))
        if "enum" in schema:
            return Markup(" or ").join(_value(each) for each in schema["enum"])
        return Markup("{}").format(schema.get("format") or schema.get("type") or "anything")

    def _is_same(self, older: str, newer: str) -> bool:
        """Whether two shapes agree in every field, however deep."""
        if newer not in self.schemas:
            return False
        said = json.dumps(self.schemas[older])
        if said.replace(OLDER, NEWER) != json.dumps(self.schemas[newer]):
            return False
        parts = (name for name in self.schemas if f'"{PREFIX}{name}"' in said and name != older)
        return all(self._is_same(part, part.replace(OLDER, NEWER)) for part in parts)


def _value(value: object) -> Markup:
    return Markup("null") if value is None else Markup("<code>{}</code>").format(value)
