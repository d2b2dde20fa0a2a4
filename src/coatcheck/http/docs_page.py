"""The API reference as one HTML page, generated from the OpenAPI document.

It can be read without scripts. `SCRIPT` adds the search and the forms that send requests.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coatcheck.http.design import tokens

Node: TypeAlias = Mapping[str, Any]

HERE = Path(__file__).parent
STYLE = tokens() + (HERE / "templates" / "docs.css").read_bytes()
"""The style sheet, to be served at the `style_url` of `docs_page`."""
SCRIPT = (HERE / "templates" / "docs.js").read_bytes()
"""The module, to be served at the `script_url` of `docs_page`."""
PREFIX = "#/components/schemas/"
REQUESTS, ANSWERS = "Requests", "Answers"

CALLERS = {
    "clientKey": "Basic: the client's id and API key",
    "processorKey": "Basic: the processor's id and API key",
    "accessToken": "Bearer: a processor's access token",
    "accessUrl": "Basic: the user name and the password of an access URL",
}

CURL_CREDENTIALS = {
    "clientKey": '-u "$CLIENT_ID:$CLIENT_API_KEY"',
    "processorKey": '-u "$PROCESSOR_ID:$PROCESSOR_API_KEY"',
    "accessToken": '-H "Authorization: Bearer $ACCESS_TOKEN"',
    "accessUrl": '-u "$APP_USER:$APP_PASSWORD"',
}
LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "default": "default {}",
}
MARKS = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*)")

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def docs_page(document: bytes, *, style_url: str, script_url: str) -> bytes:
    """The page as HTML.

    Args:
        document: the OpenAPI document as JSON.
        style_url: the URL of `STYLE`.
        script_url: the URL of `SCRIPT`.
    """
    reference = Reference(json.loads(document))
    template = TEMPLATES.get_template("docs.html")
    return template.render(reference=reference, style_url=style_url, script_url=script_url).encode()


@dataclass(frozen=True)
class Reference:
    """The document in the form that the template needs."""

    document: Node

    @cached_property
    def groups(self) -> list[tuple[Node, list[Node]]]:
        """The tags with their operations, in the order of the document."""
        operations: list[Node] = [
            {**operation, "method": method.upper(), "path": path}
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

    @property
    def base_url(self) -> str:
        return str(self.document["servers"][0]["url"])

    def answers(self, operation: Node) -> list[tuple[str, Node]]:
        """The successful answers by status."""
        return [(status, node) for status, node in operation["responses"].items() if "$ref" not in node]

    def refusals(self, operation: Node) -> list[tuple[str, Node]]:
        """The other answers by status. They are references."""
        responses: Mapping[str, Node] = self.document["components"]["responses"]
        return [
            (status, responses[node["$ref"].rpartition("/")[2]])
            for status, node in operation["responses"].items()
            if "$ref" in node
        ]

    def searched(self, operation: Node) -> str:
        """The text in which the search looks for words."""
        names = [each["name"] for each in operation["parameters"]]
        parts = [operation[each] for each in ("operationId", "method", "path", "summary", "description")]
        return " ".join([*parts, *operation["tags"], *names]).lower()

    def curl(self, operation: Node) -> str:
        """The example request as a command."""
        shown = {
            place: [each for each in operation["parameters"] if each["in"] == place and "example" in each]
            for place in ("path", "query", "header")
        }
        path = str(operation["path"])
        for each in shown["path"]:
            path = path.replace(f"{{{each['name']}}}", quote(str(each["example"]), safe=""))
        required = [each for each in shown["query"] if each["name"] in {"grant_type", "code"}]
        query = urlencode([(each["name"], each["example"]) for each in required])
        url = f"{self.base_url}{path}?{query}" if query else f"{self.base_url}{path}"
        lines = [f"curl -X {operation['method']} {shlex.quote(url)}"]
        lines += [CURL_CREDENTIALS[name] for choice in operation["security"][:1] for name in choice]
        lines += [
            f"-H '{each['name']}: {each['example']}'" for each in shown["header"] if each.get("required")
        ]
        if operation["method"] != "GET":
            lines += _curl_body(operation.get("requestBody", {}).get("content", {}))
        return " \\\n  ".join(lines)

    def example(self, schema: str) -> str | None:
        """The example of an answer, or None for a schema that is not a whole answer."""
        found = self.document["components"]["examples"].get(schema)
        return None if found is None else json.dumps(found["value"], indent=2, ensure_ascii=False)

    def limits(self, schema: Node) -> str:
        """The limits of a type in words, each after a comma."""
        parts = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
        return "".join(
            f", {text.format(part[name])}" for part in parts for name, text in LIMITS.items() if name in part
        )

    def caller(self, operation: Node) -> str:
        schemes = [CALLERS[name] for choice in operation["security"] for name in choice]
        return ", or ".join(schemes) or "No authentication"

    def body(self, answer: Node) -> Markup:
        """Links to the schemas of an answer or a request, without duplicates."""
        schemas = [kind["schema"] for kind in answer.get("content", {}).values() if "schema" in kind]
        choices = [choice for schema in schemas for choice in schema.get("anyOf", [schema])]
        links = list(dict.fromkeys(map(self.kind, choices)))
        return Markup(" or ").join(links)

    def marked_up(self, text: str) -> Markup:
        """The text as HTML: backticks mark code, two asterisks what is bold."""
        return Markup("").join(_marked(part) for part in MARKS.split(text))

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


def _marked(part: str) -> Markup:
    if part.startswith("`"):
        return _value(part.strip("`"))
    if part.startswith("**"):
        return Markup("<b>{}</b>").format(part.strip("*"))
    return Markup("{}").format(part)


def _curl_body(content: Mapping[str, Node]) -> list[str]:
    """The options that send the example of a body."""
    if not content:
        return []
    media_type, shown = next(iter(content.items()))
    if media_type.endswith("json"):
        body = json.dumps(shown["example"], indent=2, ensure_ascii=False)
        return [f"-H 'Content-Type: {media_type}'", f"-d {shlex.quote(body)}"]
    return [f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in shown["example"].items()]


def _value(value: object) -> Markup:
    return Markup("null") if value is None else Markup("<code>{}</code>").format(value)
