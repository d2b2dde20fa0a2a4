"""An excerpt of the OpenAPI document and its page, as a person read them. `make excerpt` writes them again.

It has an operation of each kind: a list with filters, a body in JSON and as a form, an answer that is a file,
text or nothing, and each kind of caller.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coatcheck.http.docs_page import docs_page
from tests.http.our_document import DOCUMENT

DIRECTORY = Path(__file__).parent
FILES = (DIRECTORY / "openapi_excerpt.json", DIRECTORY / "openapi_excerpt.html")
OPERATIONS = {
    "/ready": "get",
    "/users": "post",
    "/users/{user}": "delete",
    "/users/{user}/members/{member}/statements/{statement}.pdf": "get",
    "/payment_account": "get",
    "/oauth/token": "post",
    "/simplefin/create": "get",
    "/simplefin/accounts": "get",
    "/coatcheck/deliveries": "get",
}
EVENTS = ("account.closed", "token.revoked")


def generated() -> tuple[str, str]:
    """The excerpt as JSON and as HTML."""
    paths = {path: {method: DOCUMENT["paths"][path][method]} for path, method in OPERATIONS.items()}
    tags = {tag for methods in paths.values() for operation in methods.values() for tag in operation["tags"]}
    kept: dict[tuple[str, str], Any] = {}
    _follow(paths, kept)
    components = {
        kind: {
            name: node for name, node in nodes.items() if kind == "securitySchemes" or (kind, name) in kept
        }
        for kind, nodes in DOCUMENT["components"].items()
    }
    excerpt = {
        **DOCUMENT,
        "tags": [tag for tag in DOCUMENT["tags"] if tag["name"] in tags],
        "paths": paths,
        "webhooks": {event: DOCUMENT["webhooks"][event] for event in EVENTS},
        "components": components,
    }
    page = docs_page(json.dumps(excerpt).encode(), style_url="/docs.css", script_url="/docs.js")
    return json.dumps(excerpt, indent=1, ensure_ascii=False) + "\n", page.decode()


def written() -> tuple[str, ...]:
    return tuple(file.read_text(encoding="utf-8") for file in FILES)


def _follow(node: Any, kept: dict[tuple[str, str], Any]) -> None:
    """Adds the components to which the node refers, directly or not."""
    for target in _references(node):
        kind, name = target.removeprefix("#/components/").split("/")
        if (kind, name) not in kept:
            kept[kind, name] = DOCUMENT["components"][kind][name]
            _follow(kept[kind, name], kept)


def _references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for each in node.values():
                yield from _references(each)
        case list():
            for each in node:
                yield from _references(each)


if __name__ == "__main__":
    for file, text in zip(FILES, generated(), strict=True):
        file.write_text(text, encoding="utf-8")
