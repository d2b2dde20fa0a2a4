"""The OpenAPI 3.1 document of the API, generated from the route table and the schemas."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.route import Caller, Group, Parameter, Route

Node: TypeAlias = dict[str, Any]
AnyRoute: TypeAlias = Route[Any]
AnyGroup: TypeAlias = Group[AnyRoute]

SCHEMAS = "#/components/schemas/"

DESCRIPTION = """A self-hosted processor-token server that is compatible with MX's API.

`Accept-Version` selects the version. Without it the version is v20111101, whose answers have the media type
`application/vnd.mx.api.v1+json` if the request accepts it and `application/json` otherwise. This document lists
the schemas of v20250224 under `application/json`. Unknown fields in requests are ignored, and
refused by routes below `/coatcheck`.

An object of another client is answered like an object that does not exist: 404. All errors have the schema
`ErrorResponseBody`."""

SECURITY_SCHEMES: Mapping[str, Node] = {
    "clientKey": {"type": "http", "scheme": "basic", "description": "The client's id and API key."},
    "processorKey": {"type": "http", "scheme": "basic", "description": "The processor's id and API key."},
    "accessToken": {"type": "http", "scheme": "bearer", "description": "A processor's access token."},
}
SECURITY: Mapping[Caller, Sequence[Node]] = {
    Caller.CLIENT: [{"clientKey": []}],
    Caller.PROCESSOR: [{"processorKey": []}],
    Caller.CLIENT_OR_PROCESSOR: [{"clientKey": []}, {"processorKey": []}],
    Caller.TOKEN: [{"accessToken": []}],
    Caller.ANYONE: [],
}

ERROR_RESPONSE_BODY: Node = {
    "title": "ErrorResponseBody",
    "type": "object",
    "description": "An error. `message` is for people, `type` is for programs.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "status", "type"],
            "properties": {
                "message": {"type": "string", "examples": ["Not found."]},
                "status": {"type": "string", "examples": ["not_found"]},
                "type": {"type": "string", "examples": ["not_found_error"]},
            },
        }
    },
}


def document(groups: Iterable[AnyGroup], *, base_url: str, version: str) -> bytes:
    """The document as JSON.

    Args:
        groups: the endpoints.
        base_url: the address of the server.
        version: the version of Coatcheck.
    """
    groups = tuple(groups)
    paths: dict[str, Node] = {}
    for group in groups:
        for route in group.routes:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(group, route)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Coatcheck", "version": version, "description": DESCRIPTION},
            "servers": [{"url": base_url}],
            "tags": [{"name": group.name, "description": group.description} for group in groups],
            "paths": paths,
            "components": {
                "securitySchemes": SECURITY_SCHEMES,
                "schemas": {
                    "ErrorResponseBody": ERROR_RESPONSE_BODY,
                    **_schemas(route for group in groups for route in group.routes),
                },
                "responses": {
                    "Error": {
                        "description": "An error; the status gives the reason.",
                        "content": {PLAIN_JSON: {"schema": _reference("ErrorResponseBody")}},
                    }
                },
            },
        }
    )


def _operation(group: AnyGroup, route: AnyRoute) -> Node:
    node: Node = {
        "operationId": route.operation,
        "tags": [group.name],
        "summary": route.summary,
        "security": SECURITY[route.caller],
        "parameters": list(_parameters(route)),
        "responses": {
            **{str(status): _response(route, status) for status in (route.status, *route.other_statuses)},
            "default": _error(route),
        },
    }
    if route.description:
        node["description"] = route.description
    if route.body:
        content = {route.body_media_type: {"schema": _reference(route.body.__name__)}}
        node["requestBody"] = {"required": route.method != "GET", "content": content}
    return node


def _error(route: AnyRoute) -> Node:
    if route.error_body is None:
        return {"$ref": "#/components/responses/Error"}
    content = {PLAIN_JSON: {"schema": _reference(route.error_body.__name__)}}
    return {"description": "An error; the status gives the reason.", "content": content}


def _parameters(route: AnyRoute) -> Iterator[Node]:
    for parameter in route.parameters_in_path():
        yield _parameter("path", parameter) | {"required": True}
    for parameter in route.query:
        yield _parameter("query", parameter)
    for parameter in route.all_headers:
        yield _parameter("header", parameter)


def _parameter(place: str, parameter: Parameter) -> Node:
    schema: Node = {"type": parameter.type}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.is_repeated:
        schema = {"type": "array", "items": schema}
    return {"name": parameter.name, "in": place, "description": parameter.description, "schema": schema}


def _response(route: AnyRoute, status: int) -> Node:
    node: Node = {"description": HTTPStatus(status).phrase}
    if route.answer_headers:
        node["headers"] = {
            each.name: {"description": each.description, "schema": {"type": each.type}}
            for each in route.answer_headers
        }
    if status == HTTPStatus.NO_CONTENT:
        return node
    if route.media_types:
        node["content"] = {media_type: {} for media_type in route.media_types}
    elif route.answer_schemas:
        node["content"] = {
            media_type: {"schema": _one_of(schema, *route.other_answers)}
            for media_type, schema in route.answer_schemas.items()
        }
    return node


def _one_of(schema: type[msgspec.Struct], *others: type[msgspec.Struct]) -> Node:
    references = [_reference(each.__name__) for each in (schema, *others)]
    return {"oneOf": references} if others else references[0]


def _schemas(routes: Iterable[AnyRoute]) -> dict[str, Node]:
    """The schemas of all requests and answers, and those that they contain, by class name."""
    types: dict[type, None] = {}
    for route in routes:
        if route.body:
            types[route.body] = None
        if route.error_body:
            types[route.error_body] = None
        types |= dict.fromkeys([*route.answer_schemas.values(), *route.other_answers])
    _, components = msgspec.json.schema_components(types, ref_template=f"{SCHEMAS}{{name}}")
    return {name: _with_numbers(node) for name, node in sorted(components.items())}


def _with_numbers(node: Any) -> Any:
    """The node with decimals declared as the JSON numbers that the API sends."""
    if isinstance(node, dict):
        if node.get("format") == "decimal":
            return {"type": "number"}
        return {key: _with_numbers(value) for key, value in node.items()}
    return [_with_numbers(each) for each in node] if isinstance(node, list) else node


def _reference(name: str) -> Node:
    return {"$ref": f"{SCHEMAS}{name}"}
