"""The route table against MX's specs."""

import re

import httpx
import pytest

from coatcheck.api.routes.not_served import NOT_SERVED
from coatcheck.api.routes.table import ROUTES
from tests.api_client import HEADERS, V1, V2, VERSIONS
from tests.http.mx_spec import needs_specs, spec
from tests.http.owned_objects import path_of, unknown_guids


def normal(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


@needs_specs
@pytest.mark.parametrize("version", VERSIONS)
def test_every_operation_of_mx_is_served_or_listed_as_not_served(version: str) -> None:
    served = {
        (route.method, normal(route.path)): route.operation for route in ROUTES if version in route.versions
    }
    problems = [
        f"{method} {path} ({operation['operationId']})"
        for method, path, operation in spec(version).walk()
        if (served.get((method, normal(path))) == operation["operationId"])
        is (operation["operationId"] in NOT_SERVED)
    ]
    assert not problems, "neither served at this path nor listed as not served, or both:\n" + "\n".join(
        problems
    )


@needs_specs
def test_every_operation_listed_as_not_served_is_in_a_spec() -> None:
    known = spec(V1).operations.keys() | spec(V2).operations.keys()
    assert not NOT_SERVED.keys() - known
    assert all(len(reason.split()) > 3 for reason in NOT_SERVED.values())


@needs_specs
def test_every_route_says_whether_it_is_in_the_specs() -> None:
    known = spec(V1).operations.keys() | spec(V2).operations.keys()
    for route in ROUTES:
        assert route.is_in_spec == (route.operation in known), route.operation
        undeclared = [
            version for version in route.versions if route.operation not in spec(version).operations
        ]
        assert not undeclared or not route.is_in_spec, (route.operation, undeclared)


def test_no_two_routes_share_a_method_and_a_path() -> None:
    places = [(route.method, normal(route.path), version) for route in ROUTES for version in route.versions]
    assert len(places) == len(set(places))


@needs_specs
@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operation_that_is_not_served_is_answered_with_an_error_body(
    http: httpx.AsyncClient, version: str
) -> None:
    """404; or 405 where the same path is served with another method."""
    served = {normal(route.path) for route in ROUTES}
    for method, path, operation in spec(version).walk():
        if operation["operationId"] not in NOT_SERVED:
            continue
        answer = await http.request(method, re.sub(r"{\w+}", "X", path), headers=HEADERS[version])
        expected = 405 if normal(path) in served else answer.status_code
        assert answer.status_code in {404, 405}, path
        assert answer.status_code == expected, path
        assert set(answer.json()["error"]) == {"message", "status", "type"}, path


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operation_of_one_version_is_404_in_the_other(http: httpx.AsyncClient, version: str) -> None:
    for route in ROUTES:
        if version in route.versions:
            continue
        answer = await http.request(route.method, path_of(route, unknown_guids()), headers=HEADERS[version])
        assert answer.status_code == 404, route.path
        assert answer.json()["error"]["type"] == "not_found_error"
