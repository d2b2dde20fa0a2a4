"""Our own OpenAPI 3.1 document, made from the route table, the operations' words and the wire's types."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias, get_type_hints

import msgspec

from coatcheck.api.operations import GROUPS, HEADERS, OPERATIONS, PATH, QUERY, Operation
from coatcheck.api.versions import JSON, NEWER, OLDER, VENDOR

Node: TypeAlias = dict[str, Any]

PLAIN = JSON.partition(";")[0]
DIALECTS = {OLDER.version: type(OLDER), NEWER.version: type(NEWER)}
SENT = "sent"
"""The namespace of what clients send, beside those of the two dialects."""
PDF = "downloadStatementPDF"
PATH_PARAMETER = re.compile(r"{(\w+)}")
NO_BODY = HTTPStatus.NO_CONTENT

ABOUT = """A self-hosted platform for processor tokens that speaks MX's wire format.

Say `Accept-Version: v20250224` for the newer dialect. Without it the older one, v20111101, answers, as
`application/vnd.mx.api.v1+json` where that is accepted and as plain JSON otherwise; the document shows the newer
dialect under `application/json`. Unknown fields that you send are ignored.

Something that is not yours is not there: 404. Every refusal has the same shape, `Problem`."""

SECURITY: Mapping[str, Node] = {
    "clientKey": {"type": "http", "scheme": "basic", "description": "The client's id and API key."},
    "processorKey": {"type": "http", "scheme": "basic", "description": "The processor's id and API key."},
    "accessToken": {"type": "http", "scheme": "bearer", "description": "A processor's access token."},
}
CALLERS: Mapping[str, Sequence[Node]] = {
    "CLIENT": [{"clientKey": []}],
    "PROCESSOR": [{"processorKey": []}],
    "TOKEN": [{"accessToken": []}],
    "ANYBODY": [],
}

PROBLEM: Node = {
    "type": "object",
    "description": "Why a request was refused. `message` may be shown to people, `type` is for programs.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "status", "type"],
            "properties": {
                "message": {"type": "string", "examples": ["There is no such thing here."]},
                "status": {"type": "string", "examples": ["not_found"]},
                "type": {"type": "string", "examples": ["not_found_error"]},
            },
        }
    },
}


class Route(Protocol):
    """What the document needs of a row of the route table."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def caller(self) -> Enum: ...
    @property
    def status(self) -> int: ...
    @property
    def versions(self) -> tuple[str, ...]: ...


def document(routes: Iterable[Route], *, base_url: str, version: str) -> bytes:
    """The document as JSON. A route that `OPERATIONS` does not describe, such as this one's own, is left out."""
    described = [(route, OPERATIONS[route.operation]) for route in routes if route.operation in OPERATIONS]
    paths: dict[str, Node] = {}
    for route, operation in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Coatcheck", "version": version, "description": ABOUT},
            "servers": [{"url": base_url}],
            "tags": [{"name": name, "description": words} for name, words in GROUPS.items()],
            "paths": paths,
            "components": {
                "securitySchemes": SECURITY,
                "schemas": {"Problem": PROBLEM, **_schemas(described)},
                "responses": {
                    "Refused": {
                        "description": "Refused; the status says why.",
                        "content": {PLAIN: {"schema": _ref("Problem")}},
                    }
                },
            },
        }
    )


def _operation(route: Route, operation: Operation) -> Node:
    node: Node = {
        "operationId": route.operation,
        "tags": [operation.group],
        "summary": operation.summary,
        "security": CALLERS[route.caller.name],
        "parameters": list(_parameters(route, operation)),
        "responses": {
            **{str(status): _answer(route, operation, status) for status in (route.status, *operation.also)},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    if operation.notes:
        node["description"] = operation.notes
    if operation.takes:
        schema = _ref(f"{SENT}.{operation.takes.__name__}")
        node["requestBody"] = {"required": route.method != "GET", "content": {PLAIN: {"schema": schema}}}
    return node


def _parameters(route: Route, operation: Operation) -> Iterator[Node]:
    for name in PATH_PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "description": PATH[name], "schema": _text()}
    for name in operation.query:
        parameter = QUERY[name]
        schema: Node = {"type": parameter.type}
        if parameter.is_repeated:
            schema = {"type": "array", "items": schema}
        yield {"name": name, "in": "query", "description": parameter.description, "schema": schema}
    for name in operation.headers:
        yield {"name": name, "in": "header", "description": HEADERS[name], "schema": _text()}
    if NEWER.version in route.versions and operation.shows:
        versions = {"type": "string", "enum": list(route.versions)}
        words = "The dialect of the answer; the older one where this is not sent."
        yield {"name": "Accept-Version", "in": "header", "description": words, "schema": versions}


def _answer(route: Route, operation: Operation, status: int) -> Node:
    node: Node = {"description": HTTPStatus(status).phrase}
    if route.operation == PDF:
        node["content"] = {"application/vnd.mx.api.v1+pdf": {}, "application/pdf": {}}
    elif operation.shows and status != NO_BODY:
        newest = route.versions[-1]
        node["content"] = {PLAIN: {"schema": _ref(f"{newest}.{_shape(newest, operation.shows).__name__}")}}
        if OLDER.version in route.versions:
            older = _shape(OLDER.version, operation.shows)
            node["content"][VENDOR] = {"schema": _ref(f"{OLDER.version}.{older.__name__}")}
    return node


@cache
def _shape(version: str, shows: str) -> type[msgspec.Struct]:
    """What a `show_` of the dialect encodes, as its annotation says."""
    hints = get_type_hints(getattr(DIALECTS[version], shows), include_extras=True)
    shape: type[msgspec.Struct] = hints["return"].__metadata__[0]
    return shape


def _schemas(described: Iterable[tuple[Route, Operation]]) -> dict[str, Node]:
    """Every type, in one namespace for what is sent and one for each dialect."""
    types: dict[str, dict[type, None]] = {SENT: {}, **{version: {} for version in DIALECTS}}
    for route, operation in described:
        if operation.takes:
            types[SENT][operation.takes] = None
        for version in route.versions if operation.shows else ():
            types[version][_shape(version, operation.shows or "")] = None
    found: dict[str, Node] = {}
    for namespace, members in types.items():
        template = f"#/components/schemas/{namespace}.{{name}}"
        _, components = msgspec.json.schema_components(members, ref_template=template)
        found |= {f"{namespace}.{name}": _as_sent(node) for name, node in components.items()}
    return found


def _as_sent(node: Any) -> Any:
    """A schema with money as the JSON numbers that it is on this wire."""
    if isinstance(node, dict):
        if node.get("format") == "decimal":
            return {"type": "number"}
        return {key: _as_sent(value) for key, value in node.items()}
    return [_as_sent(each) for each in node] if isinstance(node, list) else node


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _text() -> Node:
    return {"type": "string"}
