"""The OpenAPI document and the HTML reference, against the route table and the answers."""

import html
import itertools
import json
import shlex
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.api.routes.table import ROUTES as MX_ROUTES
from coatcheck.api.versions import VENDOR, Version
from coatcheck.http.docs_page import STYLE, docs_page
from coatcheck.http.encoding import PLAIN_JSON, encode
from coatcheck.http.envelope import INTERNAL_TYPE, TYPES
from tests.http import openapi_excerpt
from tests.http.our_document import DOCUMENT, GROUPS, RAW, SCHEMAS, answer_schema, problems, resolved
from tests.http.owned_objects import versions_of
from tests.http.test_schemas_answers import Serializer, each_serializer, each_version

ROUTES = [route for group in GROUPS for route in group.routes]
OPERATIONS = {route.operation for route in ROUTES}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            yield path, operation


def references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for key, value in node.items():
                yield from [value] if key == "$ref" else references(value)
        case list():
            for each in node:
                yield from references(each)


def test_every_route_is_described_once_and_nothing_else_is() -> None:
    assert len(OPERATIONS) == len(ROUTES)
    assert sorted(operation["operationId"] for _, operation in operations()) == sorted(OPERATIONS)
    assert all(operation["summary"] for _, operation in operations())


def test_every_reference_resolves() -> None:
    for reference in references(DOCUMENT):
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_part_of_a_path_is_a_parameter_of_it() -> None:
    for path, operation in operations():
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == {part.partition("}")[0] for part in path.split("{")[1:]}
        names = [(each["in"], each["name"]) for each in operation["parameters"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/coatcheck/webhook_endpoints"),
        ("patch", "/coatcheck/webhook_endpoints/{guid}"),
        ("post", "/coatcheck/webhook_endpoints/{guid}/test"),
        ("post", "/coatcheck/webhook_endpoints/{guid}/redeliver"),
        ("post", "/coatcheck/deliveries/{guid}/redeliver"),
        ("post", "/coatcheck/sandbox/clock"),
    ],
)
def test_what_cannot_be_processed_is_described_without_the_reason_of_another_route(
    method: str, path: str
) -> None:
    refused = resolved(DOCUMENT["paths"][path][method]["responses"]["422"])
    assert refused["description"] == "`unprocessable_entity_error`: The data cannot be processed."


def test_no_route_lists_a_refusal_twice() -> None:
    """The name of a response consists of those of its refusals."""
    for name in DOCUMENT["components"]["responses"]:
        refusals = name.split("-")
        assert len(refusals) == len(set(refusals)), name


def test_the_document_has_the_path_the_statuses_and_the_versions_of_each_route() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.documented_path][route.method.lower()]
        statuses = {str(status) for status in route.statuses}
        assert operation["operationId"] == route.operation
        refused = {str(route.refuse(error).status_code) for error in route.all_refusals()}
        assert operation["responses"].keys() == statuses | refused
        versions = [
            each["schema"]["enum"] for each in operation["parameters"] if each["name"] == "Accept-Version"
        ]
        assert versions == ([list(versions_of(route))] if Version.V20250224 in versions_of(route) else [])


def test_the_paths_of_our_own_api_call_the_guid_of_an_object_guid() -> None:
    named = {path: methods for path, methods in DOCUMENT["paths"].items() if path.startswith("/coatcheck")}
    assert {part for path in named for part in path.split("/") if part.startswith("{")} == {"{guid}"}
    assert named["/coatcheck/grants/{guid}"].keys() == {"get", "patch"}
    assert named["/coatcheck/users/{guid}/export"].keys() == {"get"}
    (parameter,) = named["/coatcheck/imports/{guid}"]["delete"]["parameters"]
    assert "`IMP-…`" in parameter["description"]


def test_the_document_has_the_authentication_of_each_operation() -> None:
    security = {operation["operationId"]: operation["security"] for _, operation in operations()}
    assert security["createUser"] == [{"clientKey": []}]
    assert security["exchangeCode"] == [{"processorKey": []}]
    assert security["requestAccountNumber"] == [{"accessToken": []}]
    assert security["health"] == []


def test_the_default_answer_has_the_schema_of_v20111101_in_either_media_type() -> None:
    content = DOCUMENT["paths"]["/users/{user}/accounts"]["get"]["responses"]["200"]["content"]
    older, newer = (
        {"$ref": f"#/components/schemas/{name}"}
        for name in ("AccountsResponseBody", "AccountsResponseBodyV20250224")
    )
    assert content[VENDOR]["schema"] == older
    assert content[PLAIN_JSON]["schema"] == {"anyOf": [older, newer]}
    assert list(content) == [VENDOR, PLAIN_JSON]
    assert "Without it the version is v20111101" in DOCUMENT["info"]["description"]
    assert "feed_balance" in SCHEMAS["AccountResponse"]["properties"]
    assert "feed_balance" not in SCHEMAS["AccountResponseV20250224"]["properties"]


def test_decimals_are_numbers_and_times_are_date_times() -> None:
    account = SCHEMAS["AccountResponseV20250224"]["properties"]
    assert account["balance"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert (account["created_at"]["type"], account["created_at"]["format"]) == ("string", "date-time")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@each_version
@each_serializer
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_matches_its_schema_in_the_document(
    serializer: Serializer, version: Version, data: st.DataObject
) -> None:
    built = serializer.draw(version, data)
    for route in MX_ROUTES:
        if version in route.versions and route.answer_schema(version) is type(built):
            media_type = VENDOR if version is Version.V20111101 else PLAIN_JSON
            schema = answer_schema(route, route.status, media_type)
            assert problems(schema, json.loads(encode(built))) == []


def is_described(node: Mapping[str, Any]) -> bool:
    return node.get("description", "").rstrip(")`'\"").endswith((".", "?", ":"))


def test_every_operation_parameter_and_property_has_a_description() -> None:
    missing = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, node in schema.get("properties", {}).items()
        if not is_described(node)
    ]
    for path, operation in operations():
        parts = [operation, *operation["parameters"], *map(resolved, operation["responses"].values())]
        headers = [each for part in parts for each in part.get("headers", {}).values()]
        missing += [f"{path}: {part}"[:200] for part in [*parts, *headers] if not part.get("description")]
    assert missing == []


def test_every_example_matches_its_schema() -> None:
    examples: dict[str, tuple[Any, Any]] = {}
    for _, operation in operations():
        parts = list(operation["parameters"])
        for body in [operation.get("requestBody", {}), *map(resolved, operation["responses"].values())]:
            parts += body.get("content", {}).values()
        for part in parts:
            shown = [resolved(each)["value"] for each in part.get("examples", {}).values()]
            for example in [*shown, *([part["example"]] if "example" in part else [])]:
                examples[json.dumps([part["schema"], example])] = (part["schema"], example)
    assert len(examples) > 150
    assert [found for each in examples.values() if (found := problems(*each))] == []


def test_the_example_of_each_event_matches_its_schema_in_which_each_field_has_a_type() -> None:
    for name, methods in DOCUMENT["webhooks"].items():
        operation = methods["post"]
        content = operation["requestBody"]["content"][PLAIN_JSON]
        assert problems(content["schema"], content["example"]) == [], name
        assert {parameter["in"] for parameter in operation["parameters"]} == {"header"}
        assert operation["responses"].keys() == {"2XX", "410", "default"}
        event = content["schema"]["properties"]
        for field, node in [*event.items(), *event["data"]["properties"].items()]:
            assert {"type", "const"} & node.keys(), f"{name}: {field}"


def test_the_document_names_the_version_the_license_and_the_server() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"].keys() == {"title", "version", "summary", "description", "license"}
    assert DOCUMENT["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    assert [server.keys() for server in DOCUMENT["servers"]] == [{"url", "description"}]


def test_a_body_is_required_if_one_of_its_fields_is() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if body := operation.get("requestBody"):
                fields = [
                    resolved(content["schema"]).get("required", []) for content in body["content"].values()
                ]
                assert body["required"] is (any(fields) and method != "get"), f"{method} {path}"


def test_every_request_and_every_answer_has_an_example() -> None:
    for path, operation in operations():
        for body in [operation.get("requestBody", {}), *map(resolved, operation["responses"].values())]:
            for media_type, content in body.get("content", {}).items():
                assert media_type.endswith("pdf") or content.keys() & {"example", "examples"}, path
        for parameter in operation["parameters"]:
            assert "example" in parameter or not parameter.get("required"), (path, parameter["name"])


def texts_of(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for value in node.values():
                yield from texts_of(value)
        case list():
            for each in node:
                yield from texts_of(each)
        case str():
            yield node


def test_no_example_has_a_placeholder_for_a_text() -> None:
    """The document has one where the field of a schema has no example."""
    examples = {name: each["value"] for name, each in DOCUMENT["components"]["examples"].items()}
    for path, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            examples[path] = content["example"]
    assert [name for name, example in examples.items() if "..." in texts_of(example)] == []


def test_the_bodies_of_errors_are_those_that_the_server_answers() -> None:
    operation = DOCUMENT["paths"]["/token"]["post"]
    refused = resolved(operation["responses"]["400"])
    assert refused["content"][PLAIN_JSON]["examples"]["InvalidGrant"]["value"] == {
        "error": {
            "message": "The authorization code is invalid, expired or already used.",
            "status": "bad_request",
            "type": "invalid_grant",
        }
    }
    assert resolved(operation["responses"]["401"])["headers"].keys() == {"WWW-Authenticate"}
    assert resolved(operation["responses"]["429"])["headers"].keys() == {"Retry-After"}
    refused = resolved(DOCUMENT["paths"]["/oauth/token"]["post"]["responses"]["400"])
    assert (
        refused["content"][PLAIN_JSON]["examples"]["OAuth.InvalidGrant"]["value"]["error"] == "invalid_grant"
    )


def test_a_parameter_is_required_or_does_not_say_so() -> None:
    found = [each.get("required", True) for _, operation in operations() for each in operation["parameters"]]
    assert set(found) == {True}


def test_limits_and_enumerations_are_in_the_document() -> None:
    user = SCHEMAS["UserRequest"]["properties"]
    assert user["id"]["anyOf"][0] == {
        "type": "string",
        "maxLength": 255,
        "pattern": r"^[A-Za-z0-9_-]+(?!\n)$",
    }
    assert "CONNECTED" in SCHEMAS["MemberResponse"]["properties"]["connection_status"]["anyOf"][0]["enum"]
    assert SCHEMAS["ErrorResponse"]["properties"]["type"]["enum"] == sorted({*TYPES.values(), INTERNAL_TYPE})
    sizes = {
        path: each["schema"]["maximum"]
        for path, operation in operations()
        for each in operation["parameters"]
        if each["name"] == "records_per_page"
    }
    assert set(sizes.values()) == {1000}


def test_an_answer_requires_every_field_that_is_always_sent_and_a_request_none_with_a_default() -> None:
    account, member = SCHEMAS["AccountResponse"], SCHEMAS["MemberCreateRequest"]
    assert account["required"] == list(account["properties"])
    assert "merchant" not in SCHEMAS["TransactionResponse"]["required"]
    assert member["required"] == ["institution_code"]
    assert [name for name, schema in SCHEMAS.items() if '"default"' in json.dumps(schema)] == []


def test_schema_names_are_unique_titles() -> None:
    """Code generators drop schemas whose titles collide."""
    titles = [schema["title"] for schema in SCHEMAS.values() if "title" in schema]
    assert len(titles) == len(set(titles))
    assert not [name for name in SCHEMAS if "." in name]


def test_an_excerpt_of_the_document_and_its_page_are_as_a_person_read_them() -> None:
    """`make excerpt` writes them again after a change: read the difference."""
    assert openapi_excerpt.generated() == openapi_excerpt.written()


@pytest.mark.parametrize(
    ("path", "media_type", "part"),
    [
        ("/openapi.json", "application/json", '"/authorization_code":'),
        ("/docs", "text/html; charset=utf-8", "<code>/authorization_code</code>"),
        ("/docs.css", "text/css; charset=utf-8", "{"),
        ("/docs.js", "text/javascript; charset=utf-8", "addEventListener("),
    ],
)
async def test_the_document_and_the_page_are_served_compressed(
    http: httpx.AsyncClient, path: str, media_type: str, part: str
) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-encoding"] == "gzip"
    assert part in answer.text


class Reader(HTMLParser):
    """The tags, attributes and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    return reader


def test_the_page_has_every_operation_and_every_link_resolves() -> None:
    page = read(docs_page(RAW, style_url="/docs.css", script_url="/docs.js"))
    assert set(page.ids) >= OPERATIONS
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_each_command_of_the_page_sends_the_example_of_its_body() -> None:
    page = html.unescape(docs_page(RAW, style_url="/docs.css", script_url="/docs.js").decode())
    for _, operation in operations():
        for media_type, content in itertools.islice(
            operation.get("requestBody", {}).get("content", {}).items(), 1
        ):
            if media_type.endswith("json"):
                example = json.dumps(content["example"], indent=2, ensure_ascii=False)
                assert f"-H 'Content-Type: {media_type}' \\\n  -d {shlex.quote(example)}" in page
            else:
                for name, value in content["example"].items():
                    assert f"--data-urlencode {shlex.quote(f'{name}={value}')}" in page


def test_the_command_of_an_exchange_has_its_grant_type_and_its_code() -> None:
    page = html.unescape(docs_page(RAW, style_url="/docs.css", script_url="/docs.js").decode())
    assert "/token?grant_type=authorization_code&code=" in page


def test_the_page_names_a_type_in_words() -> None:
    page = docs_page(RAW, style_url="/docs.css", script_url="/docs.js").decode()
    assert '<span class="kind">number or null</span>' in page
    assert "None" not in page


def test_the_page_has_no_inline_script_or_style_and_no_external_host() -> None:
    page = read(docs_page(RAW, style_url="/docs.css", script_url="/docs.js"))
    assert not page.tags & {"style", "img", "iframe", "object", "base"}
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    assert {link for link in page.links if not link.startswith("#")} == {
        "/docs.css",
        "/docs.js",
        "/openapi.json",
    }
    assert b"url(" not in STYLE
    assert b"@import" not in STYLE


def test_the_headings_of_the_page_skip_no_level() -> None:
    headings = read(docs_page(RAW, style_url="/docs.css", script_url="/docs.js")).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_the_page_escapes_text() -> None:
    changed = json.loads(RAW)
    changed["info"]["title"] = "<script>alert(1)</script>"
    changed["paths"]["/users"]["post"]["summary"] = "<b>bold</b>"
    page = docs_page(json.dumps(changed).encode(), style_url='"><script>', script_url="/docs.js")
    assert page.count(b"<script") == 1
    assert b"<b>bold" not in page
