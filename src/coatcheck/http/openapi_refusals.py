"""The refusals of endpoints in the OpenAPI document: every status with its headers, its schema and its bodies.

The bodies are those that the server answers: the surface's own function writes them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from coatcheck.errors import CoatcheckError
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.errors import message_of
from coatcheck.http.openapi_schemas import Node, reference
from coatcheck.http.route import Route

NAMES: Mapping[type[CoatcheckError], str] = {CoatcheckError: "InternalError"}
"""The names of the examples, where it is not that of the class."""
HEADERS: Mapping[str, str] = {
    "WWW-Authenticate": "How to authenticate, and what was wrong (RFC 6750 3, RFC 9449 7.1).",
    "Retry-After": "After how many seconds to try again.",
    "DPoP-Nonce": "The nonce for the next proof (RFC 9449 8).",
}
"""The headers of refusals, beside those that every answer has."""


TEXT = "text/plain"


@dataclass(frozen=True)
class _Refusal:
    error: CoatcheckError
    response: Response
    body: Any

    @property
    def name(self) -> str:
        """The type of the error in the body; the first word of one that is text."""
        match self.body:
            case {"error": {"type": kind}} | {"error": str(kind)} | {"errlist": [{"code": kind}]}:
                return str(kind)
        return str(self.body).partition(" ")[0]

    @property
    def key(self) -> str:
        """The name of the example in the document."""
        name = NAMES.get(type(self.error), type(self.error).__name__)
        match self.body:
            case {"error": str()}:
                return f"OAuth.{name}"
            case {"errlist": _}:
                return f"SimpleFIN.{name}"
            case str():
                return f"Text.{name}"
        return name

    @property
    def media_type(self) -> str:
        return str(self.response.media_type or PLAIN_JSON).partition(";")[0]


def refusal_references(route: Route[Any]) -> dict[str, Node]:
    """References to the responses of the route by status, in ascending order."""
    return {
        status: {"$ref": f"#/components/responses/{_name(refusals)}"}
        for status, refusals in _by_status(route).items()
    }


def refusal_responses(routes: Iterable[Route[Any]]) -> dict[str, Node]:
    """The responses of all routes by name. Routes that refuse for the same reasons share one."""
    return {
        _name(refusals): _response(route, refusals)
        for route in routes
        for refusals in _by_status(route).values()
    }


def _name(refusals: Sequence[_Refusal]) -> str:
    return "-".join(each.key for each in refusals)


def _by_status(route: Route[Any]) -> dict[str, list[_Refusal]]:
    found: dict[str, list[_Refusal]] = {}
    for refusal in _refusals(route):
        found.setdefault(str(refusal.response.status_code), []).append(refusal)
    return dict(sorted(found.items()))


def _refusals(route: Route[Any]) -> Iterator[_Refusal]:
    for error in route.all_refusals():
        response = route.refuse(error)
        body = bytes(response.body)
        is_text = response.media_type == TEXT
        yield _Refusal(error, response, body.decode() if is_text else msgspec.json.decode(body))


def _response(route: Route[Any], refusals: Sequence[_Refusal]) -> Node:
    headers = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in HEADERS.items()
        if any(name in each.response.headers for each in refusals)
    }
    media_type = refusals[0].media_type
    content = {
        "schema": {"type": "string"} if media_type == TEXT else reference(route.error_body.__name__),
        "examples": {each.key: {"summary": f"`{each.name}`", "value": each.body} for each in refusals},
    }
    described = [f"`{each.name}`: {message_of(each.error)}" for each in refusals]
    return {
        "description": "\n\n".join(dict.fromkeys(described)),
        **({"headers": headers} if headers else {}),
        "content": {media_type: content},
    }
