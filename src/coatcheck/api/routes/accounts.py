"""Endpoints for accounts, with their numbers and owners."""

from coatcheck import errors
from coatcheck.api.handlers import account_numbers, accounts
from coatcheck.api.routes.parameters import ACCOUNT, MEMBER, MEMBER_ACCOUNT, USE_CASE, USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.account_numbers import ACCOUNT_NUMBERS_BODY, AccountOwnersResponseBody
from coatcheck.api.schemas.accounts import (
    ACCOUNT_BODY,
    ACCOUNTS_BODY,
    AccountCreateRequestBody,
    AccountsMergeRequestBody,
    AccountUpdateRequestBody,
)
from coatcheck.api.versions import Version
from coatcheck.http.route import PAGE, Group, Parameter

MANAGED_BY_USER = Parameter(
    "member_is_managed_by_user", "True for every member here; `false` returns an empty list.", "boolean"
)

ACCOUNTS = Group(
    "Accounts",
    "The accounts of a user, with account numbers and owners.",
    (
        Route(
            "POST",
            f"{USER}/accounts/merge",
            accounts.merge,
            "mergeAccounts",
            "Merge accounts into the first one named",
            versions=(Version.V20250224,),
            body=AccountsMergeRequestBody,
            answer=ACCOUNT_BODY,
        ),
        Route(
            "GET",
            f"{USER}/accounts",
            accounts.list_of_user,
            "listUserAccounts",
            "List the accounts of a user",
            query=(
                *PAGE,
                MANAGED_BY_USER,
                Parameter("is_manual", "Only manual accounts, or only aggregated accounts.", "boolean"),
                USE_CASE,
            ),
            answer=ACCOUNTS_BODY,
        ),
        Route(
            "POST",
            f"{USER}/accounts",
            accounts.create,
            "createManualAccount",
            "Create a manual account",
            body=AccountCreateRequestBody,
            answer=ACCOUNT_BODY,
        ),
        Route("GET", ACCOUNT, accounts.read, "readAccount", "Read an account", answer=ACCOUNT_BODY),
        Route(
            "DELETE",
            ACCOUNT,
            accounts.delete,
            "deleteManualAccount",
            "Delete a manual account",
            status=204,
            refusals=(
                errors.ConstraintNotMet("Only a manual account can be deleted; delete the member instead."),
            ),
        ),
        Route(
            "PUT",
            f"{ACCOUNT}/block",
            accounts.block,
            "blockAccount",
            "Delete an account and never read it again",
            "Deletes an aggregated account with all its data and ends the tokens on it. Later jobs of its member pass "
            "over it; another member at the institution reads it. The answer identifies the account, without its data.",
            versions=(Version.V20250224,),
            answer=ACCOUNT_BODY,
            is_in_spec=False,
        ),
        Route(
            "GET",
            f"{MEMBER}/accounts",
            accounts.list_of_member,
            "listMemberAccounts",
            "List the accounts of a member",
            query=(*PAGE, MANAGED_BY_USER),
            answer=ACCOUNTS_BODY,
        ),
        Route(
            "GET",
            MEMBER_ACCOUNT,
            accounts.read,
            "readAccountByMember",
            "Read an account of a member",
            answer=ACCOUNT_BODY,
        ),
        Route(
            "PUT",
            MEMBER_ACCOUNT,
            accounts.update,
            "updateAccountByMember",
            "Update an account",
            "Of an aggregated account only `is_business`, `is_hidden` and `metadata` can be updated.",
            body=AccountUpdateRequestBody,
            answer=ACCOUNT_BODY,
            refusals=(errors.ConstraintNotMet(),),
        ),
        Route(
            "GET",
            f"{MEMBER}/account_numbers",
            account_numbers.list_numbers,
            "listAccountNumbersByMember",
            "List the account numbers of a member",
            query=PAGE,
            answer=ACCOUNT_NUMBERS_BODY,
        ),
        Route(
            "GET",
            f"{ACCOUNT}/account_numbers",
            account_numbers.list_numbers,
            "listAccountNumbersByAccount",
            "List the account numbers of an account",
            query=PAGE,
            answer=ACCOUNT_NUMBERS_BODY,
        ),
        Route(
            "GET",
            f"{MEMBER}/account_owners",
            account_numbers.list_owners,
            "listAccountOwnersByMember",
            "List the account owners of a member",
            query=PAGE,
            answer=AccountOwnersResponseBody,
        ),
    ),
)
