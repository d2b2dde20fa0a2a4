"""The API reference as one HTML page without scripts, generated from the OpenAPI document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

Node: TypeAlias = Mapping[str, Any]

HERE = Path(__file__).parent
STYLE = (HERE / "templates" / "docs.css").read_bytes()
"""The style sheet, to be served at the `style_url` of `docs_page`."""
PREFIX = "#/components/schemas/"
REQUESTS, ANSWERS = "Requests", "Answers"

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
        document: the OpenAPI document as JSON.
        style_url: the URL of `STYLE`.
    """
    reference = Reference(json.loads(document))
    template = TEMPLATES.get_template("docs.html")
    return template.render(reference=reference, style_url=style_url).encode()


@dataclass(frozen=True)
class Reference:
    """The document in the form that the template needs."""

    document: Node

    @cached_property
    def groups(self) -> list[tuple[Node, list[Node]]]:
        """The tags with their operations, in the order of the document."""
        operations: list[Node] = [
            {**operation, "method": method.upper(), "path": path, "responses": self._answers(operation)}
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        ]
        return [
            (tag, found)
            for tag in self.document["tags"]
            if (found := [each for each in operations if each["tags"] == [tag["name"]]])
        ]

    @cached_property
    def schemas(self) -> list[tuple[str, list[tuple[str, Node]]]]:
        """The schemas of requests, and those of answers."""
        all_schemas: Mapping[str, Node] = self.document["components"]["schemas"]
        requested: set[str] = set()
        for methods in self.document["paths"].values():
            for operation in methods.values():
                requested |= self._referenced(operation.get("requestBody", {}))
        return [
            (REQUESTS, [(name, node) for name, node in all_schemas.items() if name in requested]),
            (ANSWERS, [(name, node) for name, node in all_schemas.items() if name not in requested]),
        ]

    def _answers(self, operation: Node) -> dict[str, Node]:
        """The successful answers; the refusals are references."""
        return {status: node for status, node in operation["responses"].items() if "$ref" not in node}

    def caller(self, operation: Node) -> str:
        schemes = [CALLERS[name] for choice in operation["security"] for name in choice]
        return ", or ".join(schemes) or "No authentication"

    def body(self, answer: Node) -> Markup:
        """Links to the schemas of an answer or a request, without duplicates."""
        schemas = [kind["schema"] for kind in answer.get("content", {}).values() if "schema" in kind]
        links = list(dict.fromkeys(self.kind(schema) for schema in schemas))
        return Markup(" or ").join(links)

    def inline_code(self, text: str) -> Markup:
        """The text as HTML, with the parts between backticks as code."""
        parts = text.split("`")
        return Markup("").join(_value(part) if index % 2 else part for index, part in enumerate(parts))

    def kind(self, schema: Node) -> Markup:
        """A type in words, with links to the schemas."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(PREFIX)
            return Markup('<a href="#{}">{}</a>').format(name, name)
        if choices := schema.get("anyOf"):
            return Markup(" or ").join(self.kind(each) for each in choices)
        if schema.get("type") == "array":
            return Markup("list of {}").format(self.kind(schema.get("items", {})))
        if "enum" in schema:
            return Markup(" or ").join(_value(each) for each in schema["enum"])
        return Markup("{}").format(schema.get("format") or schema.get("type") or "anything")

    def _referenced(self, node: Any) -> set[str]:
        """The names of the schemas that the node contains, directly or not."""
        if isinstance(node, list):
            return set().union(*map(self._referenced, node))
        if not isinstance(node, dict):
            return set()
        if "$ref" in node:
            name = node["$ref"].removeprefix(PREFIX)
            return {name} | self._referenced(self.document["components"]["schemas"][name])
        return set().union(*map(self._referenced, node.values()))


def _value(value: object) -> Markup:
    return Markup("null") if value is None else Markup("<code>{}</code>").format(value)
