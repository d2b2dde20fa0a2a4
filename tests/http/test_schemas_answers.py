"""Everything either dialect can show, against MX's own specs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.api.presenter import Presenter
from coatcheck.api.versions import NEWER, OLDER
from tests.http import sample_records
from tests.http.mx_spec import DEFECTS, FOLDER, MISSING, NULL, VERSIONS, Defect, spec, validate

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)

WIRES = {"v20111101": OLDER, "v20250224": NEWER}


@dataclass(frozen=True)
class Disclosed:
    """Which of MX's operations a `show_` answers, and what it takes."""

    operations: tuple[str, ...]
    arguments: tuple[st.SearchStrategy[Any], ...] = ()
    named: Mapping[str, st.SearchStrategy[Any]] | None = None
    status: int = 200


TEXT = st.text(min_size=1)
LISTINGS = {
    "show_users": (sample_records.users, ("listUsers",)),
    "show_institutions": (sample_records.institutions, ("listInstitutions", "listFavoriteInstitutions")),
    "show_credentials": (
        sample_records.credential_fields,
        ("listInstitutionCredentials", "listMemberCredentials"),
    ),
    "show_members": (sample_records.members, ("listMembers",)),
    "show_challenges": (sample_records.challenges, ("listMemberChallenges",)),
    "show_accounts": (sample_records.accounts, ("listUserAccounts", "listMemberAccounts")),
    "show_account_numbers": (
        sample_records.numbers,
        ("listAccountNumbersByMember", "listAccountNumbersByAccount"),
    ),
    "show_account_owners": (sample_records.owners, ("listAccountOwnersByMember",)),
    "show_statements": (sample_records.statements, ("listStatementsByMember",)),
    "show_micro_deposits": (sample_records.micro_deposits, ("listUserMicrodeposits",)),
    "show_categories": (
        sample_records.categories,
        ("listDefaultCategories", "listDefaultCategoriesByUser", "listCategories"),
    ),
    "show_merchants": (sample_records.merchants, ("listMerchants",)),
    "show_processor_owners": (sample_records.owners, ("getAccountOwnerInfo",)),
}
SHOWN: dict[str, Disclosed] = {
    **{
        name: Disclosed(operations, (sample_records.listings(items),))
        for name, (items, operations) in LISTINGS.items()
    },
    "show_user": Disclosed(("createUser", "readUser", "updateUser"), (sample_records.users,)),
    "show_institution": Disclosed(("readInstitution",), (sample_records.institutions,)),
    "show_member": Disclosed(
        ("createMember", "readMember", "updateMember", "verifyMember", "checkRealTimeAccountBalance"),
        (sample_records.members, st.none() | TEXT),
    ),
    "show_member_status": Disclosed(
        ("readMemberStatus",), (sample_records.members, st.lists(sample_records.challenges, max_size=2))
    ),
    "show_oauth_window": Disclosed(("requestOAuthWindowURI",), (TEXT, TEXT)),
    "show_account": Disclosed(
        (
            "readAccount",
            "readAccountByMember",
            "updateAccountByMember",
            "createManualAccount",
            "mergeAccounts",
        ),
        (sample_records.accounts,),
    ),
    "show_transaction": Disclosed(
        ("updateTransaction", "updateTransactionByAccount"), (sample_records.transactions,)
    ),
    "show_transactions": Disclosed(
        (
            "listTransactions",
            "listTransactionsByMember",
            "listTransactionsByAccount",
            "listTransactionsByAccountPerMember",
            "readTransaction",
            "readTransactionByAccount",
        ),
        (
            sample_records.listings(sample_records.transactions),
            sample_records.includes,
            st.fixed_dictionaries({"MCH-1": sample_records.merchants}),
        ),
    ),
    "show_statement": Disclosed(("readStatementByMember",), (sample_records.statements,)),
    "show_micro_deposit": Disclosed(
        ("createMicrodeposit", "readUserMicrodeposit", "verifyMicrodeposit"),
        (sample_records.micro_deposits, sample_records.deposit_accounts),
    ),
    "show_account_verifications": Disclosed(
        ("listUserVerifications",),
        (st.lists(st.tuples(sample_records.micro_deposits, sample_records.deposit_accounts), max_size=2),),
    ),
    "show_category": Disclosed(("readDefaultCategory", "readCategory"), (sample_records.categories,)),
    "show_merchant": Disclosed(("readMerchant",), (sample_records.merchants,)),
    "show_merchant_location": Disclosed(("readMerchantLocation",), (sample_records.merchants,)),
    "show_widget_url": Disclosed(
        ("requestWidgetURL",),
        named={"widget_type": st.just("connect_widget"), "url": TEXT, "user_id": st.none() | TEXT},
    ),
    "show_connect_widget_url": Disclosed(
        ("requestConnectWidgetURL",), named={"url": TEXT, "user_guid": TEXT}
    ),
    "show_authorization_code": Disclosed(("requestAuthorizationCode",), (TEXT,)),
    "show_legacy_authorization_code": Disclosed(
        ("deprecatedRequestPaymentProcessorAuthorizationCode",), (TEXT,)
    ),
    "show_tokens": Disclosed(("listTokens",), (st.lists(sample_records.issued_tokens, max_size=2),)),
    "show_processor_numbers": Disclosed(
        ("requestAccountNumber",),
        (st.lists(sample_records.numbers, max_size=2),),
        {"as_strings": st.booleans()},
    ),
    "show_payment_account": Disclosed(
        ("readAccountBalance",), (sample_records.accounts, st.none() | sample_records.numbers)
    ),
}
IN_NO_SPEC = {"show_token", "show_legacy_token", "show_grants"}


def test_every_show_of_the_contract_is_judged_here() -> None:
    shows = {name for name in vars(Presenter) if name.startswith("show_")}
    assert shows == SHOWN.keys() | IN_NO_SPEC


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SHOWN)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_has_exactly_the_keys_and_types_of_the_spec(
    name: str, version: str, data: st.DataObject
) -> None:
    shown, show = SHOWN[name], getattr(WIRES[version], name)
    body = show(
        *(data.draw(each) for each in shown.arguments),
        **{key: data.draw(each) for key, each in (shown.named or {}).items()},
    )
    served = [each for each in shown.operations if each in spec(version).operations]
    for operation in served:
        validate(version, operation, shown.status, body)
    assert served or name in {"show_connect_widget_url", "show_legacy_authorization_code"}


@pytest.mark.parametrize(
    ("version", "defect"),
    [
        pytest.param(version, each, id=f"{version}-{each.where}")
        for each in DEFECTS
        for version in each.versions
    ],
)
def test_an_exception_stands_only_where_the_spec_itself_refuses(version: str, defect: Defect) -> None:
    determine_outcome = spec(version)
    schema, *path = defect.where.split(".")
    node = determine_outcome.components[schema]
    for name in path:
        node = determine_outcome.properties(node, schema)[name][0]
    assert "type" in node
    assert not node.get("nullable") or defect.allows != NULL


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
def test_the_judge_refuses_what_is_missing_unknown_or_of_another_type(problem: Any) -> None:
    with pytest.raises(AssertionError, match="readUser"):
        validate("v20111101", "readUser", 200, json.dumps(problem).encode())


def test_the_judge_takes_items_for_an_array_even_where_the_spec_forgot_to_say_so() -> None:
    with pytest.raises(AssertionError, match="micro_deposit"):
        validate("v20111101", "readUserMicrodeposit", 200, b'{"micro_deposit":{}}')


def test_the_judge_refuses_a_body_where_there_is_none() -> None:
    validate("v20111101", "deleteUser", 204, b"")
    with pytest.raises(AssertionError, match="no body"):
        validate("v20111101", "deleteUser", 204, b"{}")
