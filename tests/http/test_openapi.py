"""The OpenAPI document and the HTML reference, against the route table and the answers."""

import itertools
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.api.routes.table import ROUTES as MX_ROUTES
from coatcheck.api.versions import VENDOR, Version
from coatcheck.http.docs_page import STYLE, docs_page
from coatcheck.http.encoding import encode
from coatcheck.http.openapi import PLAIN_JSON, document
from coatcheck.server import GROUPS
from tests.http.owned_objects import ROUTES, versions_of
from tests.http.test_schemas_answers import Serializer, each_serializer, each_version

RAW = document(GROUPS, base_url="https://coatcheck.test", version="0.1.0")
DOCUMENT = json.loads(RAW)
SCHEMAS = DOCUMENT["components"]["schemas"]
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


def test_the_document_has_the_path_the_statuses_and_the_versions_of_each_route() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        statuses = {str(status) for status in (route.status, *route.other_statuses)}
        assert operation["operationId"] == route.operation
        assert operation["responses"].keys() == {*statuses, "default"}
        versions = [
            each["schema"]["enum"] for each in operation["parameters"] if each["name"] == "Accept-Version"
        ]
        assert versions == ([list(versions_of(route))] if Version.V20250224 in versions_of(route) else [])


def test_the_document_has_the_authentication_of_each_operation() -> None:
    security = {operation["operationId"]: operation["security"] for _, operation in operations()}
    assert security["createUser"] == [{"clientKey": []}]
    assert security["exchangeCode"] == [{"processorKey": []}]
    assert security["requestAccountNumber"] == [{"accessToken": []}]
    assert security["health"] == []


def test_the_versions_of_an_answer_have_different_media_types() -> None:
    content = DOCUMENT["paths"]["/users/{user}/accounts"]["get"]["responses"]["200"]["content"]
    assert content[PLAIN_JSON]["schema"]["$ref"].endswith("/AccountsResponseBodyV20250224")
    assert content[VENDOR]["schema"]["$ref"].endswith("/AccountsResponseBody")
    assert "feed_balance" in SCHEMAS["AccountResponse"]["properties"]
    assert "feed_balance" not in SCHEMAS["AccountResponseV20250224"]["properties"]


def test_decimals_are_numbers_and_times_are_date_times() -> None:
    account = SCHEMAS["AccountResponseV20250224"]["properties"]
    assert account["balance"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert account["created_at"] == {"type": "string", "format": "date-time"}


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
            answer = DOCUMENT["paths"][route.path][route.method.lower()]["responses"][str(route.status)]
            media_type = VENDOR if version is Version.V20111101 else PLAIN_JSON
            schema = {**answer["content"][media_type]["schema"], "components": DOCUMENT["components"]}
            jsonschema.Draft202012Validator(schema).validate(json.loads(encode(built)))


def test_schema_names_are_unique_titles() -> None:
    """Code generators drop schemas whose titles collide."""
    titles = [schema["title"] for schema in SCHEMAS.values() if "title" in schema]
    assert len(titles) == len(set(titles))
    assert not [name for name in SCHEMAS if "." in name]


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
    page = read(docs_page(RAW, style_url="/docs.css"))
    assert set(page.ids) >= OPERATIONS
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_the_page_has_no_script_no_inline_style_and_no_external_host() -> None:
    page = read(docs_page(RAW, style_url="/docs.css"))
    assert not page.tags & {"script", "style", "img", "iframe", "form", "object", "base"}
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    assert {link for link in page.links if not link.startswith("#")} == {"/docs.css", "/openapi.json"}
    assert b"url(" not in STYLE
    assert b"@import" not in STYLE


def test_the_headings_of_the_page_skip_no_level() -> None:
    headings = read(docs_page(RAW, style_url="/docs.css")).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_the_page_escapes_text() -> None:
    changed = json.loads(RAW)
    changed["info"]["title"] = "<script>alert(1)</script>"
    changed["paths"]["/users"]["post"]["summary"] = "<b>bold</b>"
    page = docs_page(json.dumps(changed).encode(), style_url='"><script>')
    assert b"<script" not in page
    assert b"<b>bold" not in page
