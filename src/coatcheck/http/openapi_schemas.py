"""The schemas of requests and answers as components of the OpenAPI document."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

Node: TypeAlias = dict[str, Any]

SCHEMAS = "#/components/schemas/"
OF_THE_FIELD = ("description", "examples")
"""What describes a field and not its type. It stands beside the union of a field that may be null."""
OF_THE_TYPE = ("enum", "minimum", "maximum", "format")


def components(types: Iterable[type[msgspec.Struct]]) -> dict[str, Node]:
    """The schemas of the types, and those that they contain, by class name."""
    _, found = msgspec.json.schema_components(types, ref_template=f"{SCHEMAS}{{name}}")
    return {name: _as_sent(node) for name, node in sorted(found.items())}


def reference(name: str) -> Node:
    return {"$ref": f"{SCHEMAS}{name}"}


def referenced(node: Node) -> str | None:
    """The name of the schema to which the node refers."""
    target = node.get("$ref")
    return target.removeprefix(SCHEMAS) if isinstance(target, str) else None


def _as_sent(node: Any) -> Any:
    """The node with decimals declared as the JSON numbers that the API sends, and enumerations with their type."""
    if isinstance(node, list):
        return [_as_sent(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_sent(value) for key, value in node.items()}
    if node.get("format") == "decimal":
        del node["format"]
        node["type"] = "number"
    if isinstance(node.get("anyOf"), list):
        return _as_union(node)
    if isinstance(node.get("enum"), list) and "type" not in node:
        node = {"type": "string" if isinstance(node["enum"][0], str) else "integer", **node}
    return node


def _as_union(node: Node) -> Node:
    """The union, with what describes the field beside it, and what limits the type in its first part."""
    first, *others = node["anyOf"]
    of_field = {key: part[key] for part in (first, *others, node) for key in OF_THE_FIELD if key in part}
    of_type = {key: node[key] for key in OF_THE_TYPE if key in node}
    parts = [
        {key: value for key, value in part.items() if key not in OF_THE_FIELD} for part in (first, *others)
    ]
    rest = {key: value for key, value in node.items() if key not in (*OF_THE_TYPE, "anyOf")}
    return {**of_field, "anyOf": [parts[0] | of_type, *parts[1:]], **rest}
