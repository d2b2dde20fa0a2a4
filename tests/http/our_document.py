"""The OpenAPI document as an oracle of requests and answers.

problems(answer_schema(route, 200, VENDOR), body)
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from coatcheck.http.openapi import document
from coatcheck.http.route import Route
from coatcheck.management.routes.sandbox import SANDBOX
from coatcheck.server import GROUPS as SERVED_EVERYWHERE

GROUPS = (*SERVED_EVERYWHERE, SANDBOX)
RAW = document(GROUPS, base_url="https://coatcheck.test", version="0.1.0")
DOCUMENT: dict[str, Any] = json.loads(RAW)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

# References with the name of the document, so that a schema is validated without a copy of all components in it.
_PLACE = "urn:openapi"
_LOCATED = json.loads(RAW.replace(b'"#/components', f'"{_PLACE}#/components'.encode()))
_REGISTRY: Registry[Any] = Registry().with_resource(_PLACE, Resource(_LOCATED, DRAFT202012))


def resolved(node: Mapping[str, Any]) -> Any:
    """The node, or the one to which it refers."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def answer_schema(route: Route[Any], status: int, media_type: str) -> Any:
    """The schema of an answer.

    Raises:
        KeyError: the document does not declare the status or the media type.
    """
    answer = DOCUMENT["paths"][route.documented_path][route.method.lower()]["responses"][str(status)]
    return resolved(answer)["content"][media_type]["schema"]


def problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Where the value does not match the schema."""
    found = _validator(json.dumps(schema)).iter_errors(value)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


@cache
def _validator(schema: str) -> Draft202012Validator:
    located = json.loads(schema.replace('"#/components', f'"{_PLACE}#/components'))
    return Draft202012Validator(located, registry=_REGISTRY)
