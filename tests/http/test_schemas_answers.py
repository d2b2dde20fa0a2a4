"""Every answer schema, filled with arbitrary records, against MX's own specs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from coatcheck.api.routes.table import ROUTES
from coatcheck.api.schemas import (
    account_numbers,
    accounts,
    categories,
    institutions,
    members,
    merchants,
    micro_deposits,
    processors,
    server,
    statements,
    tokens,
    transactions,
    users,
    widgets,
)
from coatcheck.api.schemas.encoding import encode
from coatcheck.api.versions import Version
from tests.http import sample_records as records
from tests.http.mx_spec import DEFECTS, NULL, Defect, needs_specs, spec, validate

TEXT = st.text(min_size=1)


@dataclass(frozen=True)
class Serializer:
    """A function that builds an answer, and strategies for its arguments."""

    function: Callable[..., Struct]
    arguments: tuple[st.SearchStrategy[Any], ...] = ()
    named: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    has_version: bool = False

    def draw(self, version: Version, data: st.DataObject) -> Struct:
        return self.function(
            *((version,) if self.has_version else ()),
            *(data.draw(each) for each in self.arguments),
            **{name: data.draw(each) for name, each in self.named.items()},
        )


def page_of(items: st.SearchStrategy[Any]) -> tuple[st.SearchStrategy[Any]]:
    return (records.listings(items),)


SERIALIZERS: tuple[Serializer, ...] = (
    Serializer(users.user_body, (records.users,)),
    Serializer(users.users_body, page_of(records.users)),
    Serializer(institutions.institution_body, (records.institutions,), has_version=True),
    Serializer(institutions.institutions_body, page_of(records.institutions), has_version=True),
    Serializer(institutions.credentials_body, page_of(records.credential_fields)),
    Serializer(members.member_body, (records.members, st.none() | TEXT), has_version=True),
    Serializer(members.members_body, page_of(records.members), has_version=True),
    Serializer(members.member_status_body, (records.members, st.lists(records.challenges, max_size=2))),
    Serializer(members.challenges_body, page_of(records.challenges)),
    Serializer(members.oauth_window_body, (TEXT, TEXT)),
    Serializer(accounts.account_body, (records.accounts,), has_version=True),
    Serializer(accounts.accounts_body, page_of(records.accounts), has_version=True),
    Serializer(account_numbers.account_numbers_body, page_of(records.numbers)),
    Serializer(account_numbers.account_owners_body, page_of(records.owners)),
    Serializer(transactions.transaction_body, (records.transactions,)),
    Serializer(
        transactions.transactions_body,
        (
            records.listings(records.transactions),
            records.includes,
            st.fixed_dictionaries({"MCH-1": records.merchants}),
        ),
    ),
    Serializer(statements.statement_body, (records.statements,)),
    Serializer(statements.statements_body, page_of(records.statements)),
    Serializer(micro_deposits.micro_deposit_body, (records.micro_deposits, records.deposit_accounts)),
    Serializer(micro_deposits.micro_deposits_body, page_of(records.micro_deposits)),
    Serializer(
        micro_deposits.account_verifications_body,
        (st.lists(st.tuples(records.micro_deposits, records.deposit_accounts), max_size=2),),
    ),
    Serializer(categories.category_body, (records.categories,)),
    Serializer(categories.categories_body, page_of(records.categories)),
    Serializer(merchants.merchant_body, (records.merchants,)),
    Serializer(merchants.merchants_body, page_of(records.merchants)),
    Serializer(merchants.merchant_location_body, (records.merchants,)),
    Serializer(
        widgets.widget_body,
        named={"widget_type": st.just("connect_widget"), "url": TEXT, "user_id": st.none() | TEXT},
    ),
    Serializer(widgets.connect_widget_body, named={"url": TEXT, "user_guid": TEXT}),
    Serializer(tokens.authorization_code_body, (TEXT,)),
    Serializer(tokens.legacy_authorization_code_body, (TEXT,)),
    Serializer(tokens.tokens_body, (st.lists(records.issued_tokens, max_size=2),)),
    Serializer(tokens.grants_body, (st.lists(records.issued_tokens, max_size=2),)),
    Serializer(processors.access_token_body, (records.issued,)),
    Serializer(processors.legacy_access_token_body, (records.issued,)),
    Serializer(
        processors.processor_numbers_body,
        (st.lists(records.numbers, max_size=2),),
        {"as_strings": st.booleans()},
    ),
    Serializer(processors.processor_owners_body, page_of(records.owners)),
    Serializer(processors.payment_account_body, (records.accounts, st.none() | records.numbers)),
    Serializer(server.HealthResponse),
)
VALIDATED_AS = {
    "readAccountOwners": "getAccountOwnerInfo",
    "getAccountOwnerInfo": "listTransactionsByAccount",
}
"""MX's specs declare account owners at the path of a processor's transactions."""
IN_NO_SPEC = {"access_token_body", "legacy_access_token_body", "grants_body", "HealthResponse"}

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
    only_older = {"connect_widget_body", "legacy_authorization_code_body"}
    assert served or serializer.function.__name__ in IN_NO_SPEC | only_older


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
