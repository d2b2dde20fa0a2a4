"""Every successful answer of every endpoint, in both versions, against three oracles: MX's OpenAPI documents, the
models of MX's SDK, and our own OpenAPI document.

An endpoint without an entry in `EXAMPLES` fails.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from coatcheck.api.versions import VENDOR, Version
from coatcheck.app import Services
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.route import Caller
from coatcheck.model.accounts import find_account
from tests.api_client import HEADERS, V1
from tests.factories import make_processor, make_token
from tests.http.example_requests import EXAMPLES, Example, make_dataset, send
from tests.http.mx_sdk import Models, needs_sdk, sdk_models
from tests.http.mx_spec import needs_specs, validate
from tests.http.our_document import answer_schema, problems
from tests.http.owned_objects import ROUTES, AnyRoute, is_in_spec, versions_of

VALIDATED_AS = {"readAccountOwners": "getAccountOwnerInfo", "readAccountOwner": "getAccountOwnerInfo"}
"""Operations of no spec, and an operation with the same answer."""
EXCHANGES = {
    "exchangeCode": {"access_token", "expires_at", "scope", "token_type"},
    "exchangeCodeLegacy": {"access_token", "scope", "token_type"},
}
"""The exchanges, which MX documents in its processor guide, and the keys of their answers."""
PDF = "downloadStatementPDF"
CACHEABLE = {"readKeySet", "oauthAuthorizationServerMetadata", "oauthProtectedResourceMetadata"}
"""What everybody may read."""

each_version = pytest.mark.parametrize("version", Version)


@dataclass(frozen=True)
class Answer:
    route: AnyRoute
    example: Example
    response: httpx.Response

    @property
    def has_json(self) -> bool:
        return self.response.status_code != 204 and self.route.operation not in {
            PDF,
            "oauthRevoke",
            "simplefinCreate",
            "simplefinClaim",
        }


@dataclass(frozen=True)
class Recorder:
    """Sends every example once a version, for all tests of the file."""

    recorded: dict[Version, list[Answer]] = field(default_factory=dict)

    async def __call__(self, services: Services, http: httpx.AsyncClient, version: Version) -> list[Answer]:
        if version not in self.recorded:
            dataset = await make_dataset(services, http, version)
            self.recorded[version] = [
                Answer(route, example, await send(dataset, route, example))
                for route in ROUTES
                if version in versions_of(route)
                for example in EXAMPLES[route.operation]
            ]
        return self.recorded[version]


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with sdk_models() as models:
        yield models


@pytest.fixture
async def answers(
    recorder: Recorder, services: Services, http: httpx.AsyncClient, version: Version
) -> list[Answer]:
    return await recorder(services, http, version)


def fail_with(problems: list[str]) -> None:
    assert not problems, "\n\n".join(problems)


@each_version
def test_every_example_succeeds_with_the_keys_that_are_documented(answers: list[Answer]) -> None:
    problems: list[str] = []
    for answer in answers:
        response, operation = answer.response, answer.route.operation
        if response.status_code != answer.example.status:
            problems.append(f"{operation}: {response.status_code} {response.text[:500]}")
        # RFC 9110 8.6: a 204 must not have the length either.
        elif response.status_code == 204 and (
            response.content or response.headers.keys() & {"content-type", "content-length"}
        ):
            problems.append(f"{operation}: a 204 has a body, or a header of one")
        elif operation in EXCHANGES and set(response.json()) != EXCHANGES[operation]:
            problems.append(f"{operation}: {response.text}")
        elif answer.has_json:
            json.loads(response.content, parse_constant=pytest.fail)
    fail_with(problems)


@each_version
def test_no_answer_may_be_cached_or_have_its_type_guessed(answers: list[Answer]) -> None:
    problems = []
    for answer in answers:
        operation, headers = answer.route.operation, answer.response.headers
        expected = "public, max-age=300" if operation in CACHEABLE else "no-store"
        if headers.get("cache-control") != expected or headers.get("x-content-type-options") != "nosniff":
            problems.append(f"{operation}: {dict(headers)}")
    fail_with(problems)


@needs_specs
@each_version
def test_every_answer_matches_mxs_openapi_document(answers: list[Answer], version: Version) -> None:
    problems: list[str] = []
    for answer in answers:
        response, operation = answer.response, answer.route.operation
        validated_as = VALIDATED_AS.get(operation, operation)
        if response.status_code == 204 or (validated_as == operation and not is_in_spec(answer.route)):
            continue
        media_type = response.headers.get("content-type")
        # The requested media type is right even where the spec declares plain JSON.
        is_requested = media_type == HEADERS[version]["Accept"]
        try:
            validate(
                version,
                validated_as,
                response.status_code,
                response.content,
                None if is_requested else media_type,
            )
        except (AssertionError, KeyError) as problem:
            problems.append(f"{operation}: {problem!r}")
    fail_with(problems)


@needs_sdk
@pytest.mark.sdk
@each_version
def test_every_answer_matches_the_models_of_mxs_sdk(
    models: Models, answers: list[Answer], version: Version
) -> None:
    problems: list[str] = []
    for answer in answers:
        if answer.has_json:
            response = answer.response
            found = models.problems(answer.route, version, response.status_code, response.json())
            problems += [f"{answer.route.operation}: {problem}" for problem in found]
    fail_with(problems)


@each_version
def test_every_answer_matches_our_own_openapi_document(answers: list[Answer], version: Version) -> None:
    found: list[str] = []
    for answer in answers:
        route, response = answer.route, answer.response
        if not answer.has_json or "account_owners" in response.json():
            continue  # A processor with `owners_at_transactions` gets owners at another operation's path.
        media_type = VENDOR if VENDOR in route.answer_schemas and version == V1 else PLAIN_JSON
        schema = answer_schema(route, response.status_code, media_type)
        found += [f"{route.operation} {each}" for each in problems(schema, response.json())]
    fail_with(found)


def test_every_endpoint_has_an_example_and_every_example_an_endpoint() -> None:
    assert EXAMPLES.keys() == {route.operation for route in ROUTES}
    assert all(EXAMPLES.values())


@needs_sdk
@pytest.mark.sdk
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"favourite_colour": "red"}, "MX has no such key"),
        ({"is_disabled": "no"}, "not a valid boolean"),
        ({"guid": ...}, "it is missing"),
    ],
)
def test_the_sdks_models_refuse_unknown_mistyped_and_missing_keys(
    models: Models, change: dict[str, Any], problem: str
) -> None:
    fields = {"email": None, "guid": "USR-1", "id": None, "is_disabled": False, "metadata": None} | change
    user = {key: value for key, value in fields.items() if value is not ...}
    pagination = {"current_page": 1, "per_page": 25, "total_entries": 1, "total_pages": 1}
    bodies = {"readUser": {"user": user}, "listUsers": {"users": [user], "pagination": pagination}}
    for route in ROUTES:
        for version in Version:
            if route.operation in bodies:
                assert problem in models.problems(route, version, 200, bodies[route.operation])[0]


@needs_specs
@each_version
async def test_a_processors_transactions_have_the_schema_of_a_clients(
    services: Services, http: httpx.AsyncClient, version: Version
) -> None:
    """MX's specs declare owners there, which only a processor registered for them gets."""
    dataset = await make_dataset(services, http, version)
    processor = await make_processor(services, dataset.api.caller)
    async with services.db.connection() as connection:
        account = await find_account(connection, dataset.values["user"], dataset.values["account"])
    token = await make_token(services, account, processor)
    answer = await http.get(
        "/account/transactions", headers={**HEADERS[version], "Authorization": f"Bearer {token}"}
    )
    assert answer.json()["transactions"]
    validate(version, "listTransactionsByAccount", 200, answer.content)


@each_version
async def test_a_clients_own_ids_replace_guids_in_every_path(
    services: Services, http: httpx.AsyncClient, version: Version
) -> None:
    dataset = await make_dataset(services, http, version)
    for route in ROUTES:
        if route.method != "GET" or route.caller is not Caller.CLIENT or version not in versions_of(route):
            continue
        if not re.search("{(user|member)}", route.path):
            continue
        if re.search("{(micro_deposit|job)}", route.path) or route.operation == "requestOAuthWindowURI":
            continue  # The dataset has no micro-deposit, no job of its own and no OAuth member.
        if route.operation == "exportUser":
            continue  # It lists the reads of the export before it.
        by_guid = await send(dataset, route, Example())
        named = {"user": f"user-{version}", "member": f"member-{version}"}
        by_id = await http.get(
            route.path.format_map(dataset.values | named),
            headers=HEADERS[version],
            auth=dataset.api.caller.auth,
        )
        assert (by_id.status_code, by_id.content) == (by_guid.status_code, by_guid.content), route.operation
