"""The OpenAPI 3.1 document of the API, generated from the route tables and the schemas."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from coatcheck.http.event_documentation import webhooks
from coatcheck.http.openapi_examples import request_example, response_example
from coatcheck.http.openapi_refusals import refusal_references, refusal_responses
from coatcheck.http.openapi_schemas import Node, components, reference
from coatcheck.http.query import MAX_TEXT_LENGTH
from coatcheck.http.route import Caller, Group, Parameter, Route

AnyRoute: TypeAlias = Route[Any]
AnyGroup: TypeAlias = Group[AnyRoute]

SUMMARY = "A self-hosted processor-token server that is compatible with MX's API."
DESCRIPTION = f"""{SUMMARY}

**Versions.** `Accept-Version` selects the version of MX's API. Without it the version is v20111101. Its answers have
the media type `application/vnd.mx.api.v1+json` if the request accepts it, and `application/json` otherwise. Answers of
v20250224 always have `application/json`; where the versions differ, the schemas of v20250224 have the suffix
`V20250224`.

**Unknown fields** in a request to MX's API are ignored. Endpoints below `/coatcheck` refuse them and name them.

**Objects of another client** are answered like objects that do not exist: 404.

**Errors** have the schema `ErrorResponseBody`, those of `/oauth` the schema `OAuthError`, those of `/simplefin`
the schema `AccountSet`. Every answer has the header `X-Request-Id`; quote it to the operator."""

SECURITY_SCHEMES: Mapping[str, Node] = {
    "clientKey": {"type": "http", "scheme": "basic", "description": "The client's id and API key."},
    "processorKey": {"type": "http", "scheme": "basic", "description": "The processor's id and API key."},
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A processor's access token. A token that is bound to a key is sent with the scheme `DPoP` "
        "and a proof (RFC 9449).",
    },
    "accessUrl": {
        "type": "http",
        "scheme": "basic",
        "description": "The user name and the password of a SimpleFIN access URL.",
    },
}
SECURITY: Mapping[Caller, Sequence[Node]] = {
    Caller.CLIENT: [{"clientKey": []}],
    Caller.PROCESSOR: [{"processorKey": []}],
    Caller.CLIENT_OR_PROCESSOR: [{"clientKey": []}, {"processorKey": []}],
    Caller.TOKEN: [{"accessToken": []}],
    Caller.APP: [{"accessUrl": []}],
    Caller.ANYONE: [],
}


def document(groups: Iterable[AnyGroup], *, base_url: str, version: str) -> bytes:
    """The document as JSON.

    Args:
        groups: the endpoints.
        base_url: the address of the server.
        version: the version of Coatcheck.
    """
    groups = tuple(groups)
    routes = [route for group in groups for route in group.routes]
    schemas = components(_types(routes))
    paths: dict[str, Node] = {}
    for group in groups:
        for route in group.routes:
            paths.setdefault(route.documented_path, {})[route.method.lower()] = _operation(
                group, route, schemas
            )
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Coatcheck",
                "version": version,
                "summary": SUMMARY,
                "description": DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": base_url, "description": "This server."}],
            "tags": [{"name": group.name, "description": group.description} for group in groups],
            "paths": paths,
            "webhooks": webhooks(),
            "components": {
                "securitySchemes": SECURITY_SCHEMES,
                "schemas": schemas,
                "responses": dict(sorted(refusal_responses(routes).items())),
                "examples": _examples(routes, schemas),
            },
        }
    )


def _operation(group: AnyGroup, route: AnyRoute, schemas: Mapping[str, Node]) -> Node:
    node: Node = {
        "operationId": route.operation,
        "tags": [group.name],
        "summary": route.summary,
        "description": route.description or f"{route.summary}.",
        "security": SECURITY[route.caller],
        "parameters": list(_parameters(route)),
        "responses": {
            **{str(status): _response(route, status) for status in route.statuses},
            **refusal_references(route),
        },
    }
    if route.body:
        name = route.body.__name__
        content = {
            "schema": reference(name),
            "example": request_example(schemas, name),
        }
        node["requestBody"] = {
            "required": bool(schemas[name].get("required")) and route.method != "GET",
            "content": {route.body_media_type: content},
        }
    return node


def _parameters(route: AnyRoute) -> Iterator[Node]:
    for parameter in route.parameters_in_path():
        yield _parameter("path", parameter) | {"required": True}
    for parameter in route.query:
        yield _parameter("query", parameter)
    for parameter in route.all_headers:
        yield _parameter("header", parameter)


def _parameter(place: str, parameter: Parameter) -> Node:
    schema: Node = {"type": parameter.type}
    limits = {
        "format": parameter.format,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "default": parameter.default,
        "enum": list(parameter.choices) or None,
    }
    schema |= {name: value for name, value in limits.items() if value is not None}
    if place == "query" and parameter.type == "string" and not parameter.choices:
        schema["maxLength"] = MAX_TEXT_LENGTH
    example = parameter.example
    if parameter.is_repeated:
        schema = {"type": "array", "items": schema}
        example = None if example is None else [example]  # type: ignore[assignment]  # an array of it
    node: Node = {"name": parameter.name, "in": place, "description": parameter.description, "schema": schema}
    if parameter.is_required:
        node["required"] = True
    if example is not None:
        node["example"] = example
    return node


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
        example = {"example": route.text_example} if route.text_example else {}
        node["content"] = {
            each: {"schema": {"type": "string", "contentMediaType": each}, **example}
            for each in route.media_types
        }
    elif schemas := route.schemas_of(status):
        node["content"] = {
            media_type: _content([each.__name__ for each in types]) for media_type, types in schemas.items()
        }
    return node


def _content(names: Sequence[str]) -> Node:
    references = [reference(name) for name in names]
    return {
        "schema": {"anyOf": references} if len(references) > 1 else references[0],
        "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names},
    }


def _types(routes: Iterable[AnyRoute]) -> list[type[msgspec.Struct]]:
    """The schemas of all requests and answers."""
    types: dict[type[msgspec.Struct], None] = {}
    for route in routes:
        types |= dict.fromkeys([route.error_body, *([route.body] if route.body else ()), *route.all_schemas])
    return list(types)


def _examples(routes: Iterable[AnyRoute], schemas: Mapping[str, Node]) -> dict[str, Node]:
    """The examples of answers, by the name of the schema."""
    names = {each.__name__ for route in routes for each in route.all_schemas}
    return {name: {"value": response_example(schemas, name)} for name in sorted(names)}
