"""Our own OpenAPI document and the page made of it, against the route table and against what the wire shows."""

import itertools
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.api.docs_page import STYLE, docs_page
from coatcheck.api.openapi import JSON, VENDOR, document
from coatcheck.api.operations import OPERATIONS
from coatcheck.api.presenter import Presenter
from coatcheck.api.routes import ROUTES, Caller
from tests.http.mx_spec import VERSIONS
from tests.http.test_schemas_answers import SHOWN, WIRES

RAW = document(ROUTES, base_url="https://coatcheck.test", version="0.1.0")
DOCUMENT = json.loads(RAW)
SCHEMAS = DOCUMENT["components"]["schemas"]
PLAIN = JSON.partition(";")[0]


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


def test_every_route_that_has_a_caller_is_described_and_nothing_else() -> None:
    served = {route.operation for route in ROUTES}
    assert {route.operation for route in ROUTES if route.caller is not Caller.ANYBODY} <= OPERATIONS.keys()
    assert OPERATIONS.keys() <= served
    assert {operation["operationId"] for _, operation in operations()} == OPERATIONS.keys()


def test_what_an_operation_shows_is_something_the_wire_can_show_and_all_of_it_is_shown_somewhere() -> None:
    shown = {operation.shows for operation in OPERATIONS.values()} - {None}
    assert shown == {name for name in vars(Presenter) if name.startswith("show_")}


def test_every_reference_leads_somewhere() -> None:
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


def test_who_may_call_stands_in_the_document() -> None:
    security = {operation["operationId"]: operation["security"] for _, operation in operations()}
    assert security["createUser"] == [{"clientKey": []}]
    assert security["exchangeCode"] == [{"processorKey": []}]
    assert security["requestAccountNumber"] == [{"accessToken": []}]
    assert security["health"] == []


def test_both_dialects_of_an_answer_are_told_apart_by_their_media_type() -> None:
    content = DOCUMENT["paths"]["/users/{user}/accounts"]["get"]["responses"]["200"]["content"]
    assert content[PLAIN]["schema"]["$ref"].endswith("/v20250224.AccountsBody")
    assert content[VENDOR]["schema"]["$ref"].endswith("/v20111101.AccountsBody")
    assert "feed_balance" in SCHEMAS["v20111101.Account"]["properties"]
    assert "feed_balance" not in SCHEMAS["v20250224.Account"]["properties"]


def test_money_is_a_number_and_time_a_date_time_in_the_document() -> None:
    account = SCHEMAS["v20250224.Account"]["properties"]
    assert account["balance"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert account["created_at"] == {"type": "string", "format": "date-time"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SHOWN)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_the_wire_shows_is_what_the_document_says(name: str, version: str, data: st.DataObject) -> None:
    described = [each for each in OPERATIONS if OPERATIONS[each].shows == name]
    served = [route for route in ROUTES if route.operation in described and version in route.versions]
    if not served:
        return
    media_type = VENDOR if version == "v20111101" else PLAIN
    answer = DOCUMENT["paths"][served[0].path][served[0].method.lower()]["responses"][str(served[0].status)]
    shown = SHOWN[name]
    body = getattr(WIRES[version], name)(
        *(data.draw(each) for each in shown.arguments),
        **{key: data.draw(each) for key, each in (shown.named or {}).items()},
    )
    schema = {**answer["content"][media_type]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(body))


class Reader(HTMLParser):
    """What a page holds that could leak, run, or lead nowhere."""

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


def test_the_page_has_every_operation_and_every_link_on_it_leads_somewhere() -> None:
    page = read(docs_page(RAW, style_url="/docs.css"))
    assert set(OPERATIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_the_page_runs_nothing_styles_nothing_inline_and_asks_no_other_host() -> None:
    page = read(docs_page(RAW, style_url="/docs.css"))
    assert not page.tags & {"script", "style", "img", "iframe", "form", "object", "base"}
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    assert {link for link in page.links if not link.startswith("#")} == {"/docs.css", "/openapi.json"}
    assert b"url(" not in STYLE
    assert b"@import" not in STYLE


def test_the_headings_of_the_page_leave_no_level_out() -> None:
    headings = read(docs_page(RAW, style_url="/docs.css")).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_the_page_writes_words_as_words() -> None:
    bent = json.loads(RAW)
    bent["info"]["title"] = "<script>alert(1)</script>"
    bent["paths"]["/users"]["post"]["summary"] = "<b>bold</b>"
    page = docs_page(json.dumps(bent).encode(), style_url='"><script>')
    assert b"<script" not in page
    assert b"<b>bold" not in page
