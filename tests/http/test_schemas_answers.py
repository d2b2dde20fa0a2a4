"""Every answer schema, filled with arbitrary records, against MX's own specs."""

import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from coatcheck.api import schemas
from coatcheck.api.routes.table import ROUTES
from coatcheck.api.versions import Version
from coatcheck.http.encoding import encode
from tests.http.mx_spec import DEFECTS, NULL, Defect, needs_specs, spec, validate
from tests.http.sample_records import arguments_of


@dataclass(frozen=True)
class Serializer:
    """A function of a schema module that builds an answer."""

    function: Callable[..., Struct]
    arguments: Mapping[str, st.SearchStrategy[Any]]

    def draw(self, version: Version, data: st.DataObject) -> Struct:
        drawn = {name: data.draw(strategy) for name, strategy in self.arguments.items()}
        has_version = get_type_hints(self.function).get("version") is Version
        return self.function(**drawn, **({"version": version} if has_version else {}))


def serializers() -> Iterator[Serializer]:
    """The functions named `..._body` of all schema modules."""
    for module in pkgutil.iter_modules(schemas.__path__, f"{schemas.__name__}."):
        for name, function in vars(import_module(module.name)).items():
            if name.endswith("_body") and function.__module__ == module.name:
                yield Serializer(function, arguments_of(function))


SERIALIZERS = tuple(serializers())
VALIDATED_AS = {
    "readAccountOwners": "getAccountOwnerInfo",
    "readAccountOwner": "getAccountOwnerInfo",
    "getAccountOwnerInfo": "listTransactionsByAccount",
}
"""MX's specs declare account owners at the path of a processor's transactions."""
each_serializer = pytest.mark.parametrize(
    "serializer", SERIALIZERS, ids=lambda serializer: serializer.function.__name__
)
each_version = pytest.mark.parametrize("version", Version)


def operations_with(schema: type[Struct], version: Version) -> list[str]:
    """The operations of the route table that answer with the schema, by their name in the specs."""
    return [
        VALIDATED_AS.get(route.operation, route.operation)
        for route in ROUTES
        if version in route.versions and route.answer_schema(version) is schema
    ]


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_schema_of_the_route_table_has_a_serializer(data: st.DataObject) -> None:
    for version in Version:
        built = {type(each.draw(version, data)) for each in SERIALIZERS}
        declared = {route.answer_schema(version) for route in ROUTES if version in route.versions} - {None}
        assert declared <= built


@needs_specs
@each_version
@each_serializer
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_has_exactly_the_keys_and_types_of_the_spec(
    serializer: Serializer, version: Version, data: st.DataObject
) -> None:
    schema = serializer.draw(version, data)
    served = [each for each in operations_with(type(schema), version) if each in spec(version).operations]
    for operation in served:
        status = min(spec(version).operations[operation]["responses"], key=int)
        validate(version, operation, int(status), encode(schema))
    is_expected = any(
        route.is_in_spec
        for route in ROUTES
        if version in route.versions and route.answer_schema(version) is type(schema)
    )
    assert served or not is_expected


@needs_specs
@pytest.mark.parametrize(
    ("version", "defect"),
    [
        pytest.param(version, each, id=f"{version}-{each.where}")
        for each in DEFECTS
        for version in each.versions
    ],
)
def test_a_defect_is_listed_only_where_the_spec_refuses_the_value(version: str, defect: Defect) -> None:
    document = spec(version)
    schema, *path = defect.where.split(".")
    node = document.components[schema]
    for name in path:
        node = document.properties(node, schema)[name][0]
    assert "type" in node
    assert not node.get("nullable") or defect.allows != NULL


@needs_specs
@pytest.mark.parametrize(
    "problem",
    [
        {"user": {"email": None, "guid": "USR-1", "id": None, "is_disabled": False}},
        {
            "user": {
                "email": None,
                "guid": "USR-1",
                "id": None,
                "is_disabled": False,
                "metadata": None,
                "x": 1,
            }
        },
        {"user": {"email": 5, "guid": "USR-1", "id": None, "is_disabled": False, "metadata": None}},
        {"users": []},
        [],
    ],
)
def test_validation_refuses_missing_unknown_and_mistyped_keys(problem: Any) -> None:
    with pytest.raises(AssertionError, match="readUser"):
        validate("v20111101", "readUser", 200, json.dumps(problem).encode())


@needs_specs
def test_validation_treats_items_without_a_type_as_an_array() -> None:
    with pytest.raises(AssertionError, match="micro_deposit"):
        validate("v20111101", "readUserMicrodeposit", 200, b'{"micro_deposit":{}}')


@needs_specs
def test_validation_refuses_a_body_where_the_spec_has_none() -> None:
    validate("v20111101", "deleteUser", 204, b"")
    with pytest.raises(AssertionError, match="no body"):
        validate("v20111101", "deleteUser", 204, b"{}")
