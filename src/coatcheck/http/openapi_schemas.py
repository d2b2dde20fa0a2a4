"""The schemas of requests and answers as components of the OpenAPI document."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, inspect

from coatcheck.http.decoding import RequestSchema

Node: TypeAlias = dict[str, Any]

SCHEMAS = "#/components/schemas/"
OF_THE_FIELD = ("description", "examples")
"""What describes a field and not its type. It stands beside the union of a field that may be null."""
OF_THE_TYPE = ("enum", "minimum", "maximum", "format")


def components(types: Iterable[type[Struct]]) -> dict[str, Node]:
    """The schemas of the types, and those that they contain, by class name."""
    types = tuple(types)
    _, found = msgspec.json.schema_components(types, ref_template=f"{SCHEMAS}{{name}}")
    structs = {each.__name__: each for type_ in types for each in _structs(inspect.type_info(type_))}
    return {
        name: _without_defaults(_as_sent(node), structs.get(name)) for name, node in sorted(found.items())
    }


def _structs(node: inspect.Type) -> Iterator[type[Struct]]:
    """The structs that a type contains, itself among them."""
    match node:
        case inspect.StructType(cls=cls, fields=fields):
            yield cls
            for field in fields:
                yield from _structs(field.type)
        case inspect.Metadata(type=inner):
            yield from _structs(inner)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield from _structs(item)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _structs(each)


def _without_defaults(schema: Node, struct: type[Struct] | None) -> Node:
    """The schema of a struct without the defaults of its fields.

    An answer has a field with a default too, so that it is required. To generators of clients, a field with a
    default in a request is one that must be sent.
    """
    if struct is None:
        return schema
    properties = schema["properties"]
    is_always_sent = not issubclass(struct, RequestSchema) and not struct.__struct_config__.omit_defaults
    defaulted = {name for name, node in properties.items() if "default" in node}
    required = set(schema["required"]) | (defaulted if is_always_sent else set())
    return {
        **schema,
        "properties": {name: _without(node, "default") for name, node in properties.items()},
        "required": [name for name in properties if name in required],
    }


def _without(node: Node, key: str) -> Node:
    return {name: value for name, value in node.items() if name != key}


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
