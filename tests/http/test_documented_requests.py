"""The example request of each operation in the OpenAPI document, sent with guids that exist, succeeds."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from coatcheck.api.versions import Version
from coatcheck.app import Services
from coatcheck.http import doc
from coatcheck.http.multipart import MULTIPART
from coatcheck.http.route import Caller
from tests.api_client import HEADERS
from tests.http.example_requests import EXAMPLES, Dataset, Example, Values, app_credentials, make_dataset
from tests.http.our_document import DOCUMENT
from tests.http.owned_objects import ROUTES, AnyRoute, versions_of

DOCUMENTED = {
    "user": doc.USER,
    "member": doc.MEMBER,
    "account": doc.ACCOUNT,
    "transaction": doc.TRANSACTION,
    "statement": doc.STATEMENT,
    "micro_deposit": doc.MICRO_DEPOSIT,
    "merchant": doc.MERCHANT,
    "merchant_location": doc.MERCHANT_LOCATION,
    "job": doc.JOB,
    "grant": doc.GRANT,
    "statement_import": doc.IMPORT,
    "disclosure": doc.DISCLOSURE,
    "attestation": doc.ATTESTATION,
    "challenge": doc.CHALLENGE,
    "code": doc.CODE,
    "webhook_endpoint": doc.WEBHOOK_ENDPOINT,
    "event": doc.EVENT,
    "delivery": doc.DELIVERY,
    "processor": doc.PROCESSOR,
    "token": doc.ACCESS_TOKEN,
    "setup_token": "ccf_0Gz...",
}
"""The objects in the examples, by the name that they have in a dataset."""


def filled(node: Any, values: Values) -> Any:
    """The node with the guids of objects that exist."""
    text = json.dumps(node)
    for name, documented in DOCUMENTED.items():
        if name in values:
            text = text.replace(documented, values[name])
    first, second = values.get("accounts", (None, None))
    if first:
        text = text.replace(values["account"], first).replace(doc.OTHER_ACCOUNT, second)
    return json.loads(text)


def as_parts(form: dict[str, Any]) -> dict[str, tuple[str | None, str]]:
    """The parts of a form. A field that is not text is JSON."""
    return {
        name: ("statement" if name == "file" else None, part if isinstance(part, str) else json.dumps(part))
        for name, part in form.items()
    }


async def send(dataset: Dataset, route: AnyRoute, example: Example) -> httpx.Response:
    """Sends what the document shows. The example of the tests only says which objects the request needs."""
    operation = DOCUMENT["paths"][route.documented_path][route.method.lower()]
    values = dataset.values | {"processor": dataset.processor.guid, "token": dataset.token}
    values |= await example.prepare(dataset) if example.prepare else {}
    parameters = {
        place: {
            each["name"]: each["example"]
            for each in operation["parameters"]
            if each["in"] == place and "example" in each
        }
        for place in ("path", "query", "header")
    }
    content = operation.get("requestBody", {}).get("content", {})
    bodies: dict[str, Any] = {
        "data" if kind.endswith("form-urlencoded") else "json": filled(body["example"], values)
        for kind, body in content.items()
    }
    if MULTIPART in content:
        bodies = {"files": as_parts(bodies["json"])}
    bearer = {"Authorization": f"Bearer {dataset.token}"} if route.caller is Caller.TOKEN else {}
    callers = {Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR}
    auth = dataset.api.caller.auth if route.caller in callers else dataset.processor.auth
    if route.caller is Caller.APP:
        auth = app_credentials(values)
    return await dataset.api.http.request(
        route.method,
        route.documented_path.format_map(filled(parameters["path"], values)),
        params=filled(parameters["query"], values),
        headers={**parameters["header"], **HEADERS[dataset.api.version], **bearer},
        auth=auth if not bearer and route.caller is not Caller.ANYONE else None,
        **bodies,
    )


@pytest.mark.parametrize("version", Version)
async def test_every_documented_request_succeeds(
    services: Services, http: httpx.AsyncClient, version: Version
) -> None:
    dataset = await make_dataset(services, http, version)
    refused = []
    for route in ROUTES:
        if version in versions_of(route):
            answer = await send(dataset, route, EXAMPLES[route.operation][0])
            if not answer.is_success:
                refused.append(f"{route.operation}: {answer.status_code} {answer.text}")
    assert refused == []


UNRECORDED: Mapping[str, str] = {
    "aggregateAllMembers": "in the example, a job of each member runs already",
    "importStatementFile": "the example is a preview",
    "oauthIntrospect": "it changes nothing",
}
"""Requests that are not GET and leave no entry in the audit log, and why."""


@pytest.mark.parametrize("version", Version)
async def test_every_request_that_changes_something_leaves_an_entry_in_the_audit_log(
    services: Services, http: httpx.AsyncClient, version: Version
) -> None:
    dataset = await make_dataset(services, http, version)
    counts: list[int] = []

    async def count(_request: httpx.Request) -> None:
        async with services.db.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM audit_entry")
            counts.extend(number for (number,) in await cursor.fetchall())

    # Before each request: what an example prepares leaves entries of its own.
    http.event_hooks = {"request": [count]}
    unrecorded = []
    for route in ROUTES:
        if route.method != "GET" and version in versions_of(route):
            answer = await send(dataset, route, EXAMPLES[route.operation][0])
            before = counts[-1]
            await count(answer.request)
            if counts[-1] == before:
                unrecorded.append(route.operation)
    assert [each for each in unrecorded if each not in UNRECORDED] == []
