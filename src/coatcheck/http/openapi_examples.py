"""The examples of requests and answers, composed from the examples of their fields."""

from collections.abc import Mapping
from typing import Any

from coatcheck.http.openapi_schemas import Node, referenced

Schemas = Mapping[str, Node]


TYPICAL: Mapping[str, Any] = {"boolean": False, "integer": 0, "number": 0, "object": {}, "string": "..."}
"""The value of a type where a field has no example. A test refuses text without one."""


def request_example(schemas: Schemas, name: str) -> Any:
    """The fields that are required or have an example."""
    return _example(schemas, schemas[name], is_request=True)


def response_example(schemas: Schemas, name: str) -> Any:
    """All fields."""
    return _example(schemas, schemas[name], is_request=False)


def _example(schemas: Schemas, node: Node, *, is_request: bool) -> Any:
    if "examples" in node:
        return node["examples"][0]
    if name := referenced(node):
        return _example(schemas, schemas[name], is_request=is_request)
    if "properties" in node:
        return {
            name: _example(schemas, part, is_request=is_request)
            for name, part in node["properties"].items()
            if not is_request or name in node.get("required", ()) or "examples" in part
        }
    if "enum" in node:
        return node["enum"][0]
    if "anyOf" in node:
        return _example_of_union(schemas, node, is_request=is_request)
    if node.get("type") == "array":
        return [_example(schemas, node["items"], is_request=is_request)]
    return TYPICAL.get(node.get("type", ""))


def _example_of_union(schemas: Schemas, node: Node, *, is_request: bool) -> Any:
    """Null if it is allowed, unless a part of the union is an object."""
    for part in node["anyOf"]:
        if referenced(part):
            return _example(schemas, part, is_request=is_request)
    if {"type": "null"} in node["anyOf"]:
        return None
    return _example(schemas, node["anyOf"][0], is_request=is_request)
