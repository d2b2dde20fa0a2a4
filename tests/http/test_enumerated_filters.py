"""A filter with a value that its enumeration does not have is refused: an empty list would hide the mistake."""

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.http.route import Parameter
from tests.http.owned_objects import AnyRoute, make_owner, routes_of_clients, send

FILTERS = [
    (route, parameter)
    for route in routes_of_clients()
    if route.method == "GET"
    for parameter in route.query
    if parameter.choices or parameter.type == "boolean"
]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Parameter) else getattr(value, "operation", "")


@pytest.mark.parametrize(("route", "parameter"), FILTERS, ids=name_of)
async def test_an_unknown_value_of_a_filter_is_refused_and_its_parameter_named(
    services: Services, http: httpx.AsyncClient, route: AnyRoute, parameter: Parameter
) -> None:
    owner = await make_owner(services, http)
    for value in ("KING", f"{parameter.choices[0]}x" if parameter.choices else "perhaps"):
        answer = await send(http, route, owner.guids, auth=owner.client.auth, params={parameter.name: value})
        assert answer.status_code == 400, answer.text
        assert parameter.name in answer.text
        assert value not in answer.text


def test_every_filter_by_a_status_or_a_type_has_an_enumeration() -> None:
    assert not [
        route.operation
        for route in routes_of_clients()
        for parameter in route.query
        if parameter.name.rpartition("_")[2] in {"status", "type", "view"} and not parameter.choices
    ]
