"""Every path and who may call it, in one table; and what of MX's API is not served, and why."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from coatcheck.api.handlers import (
    about,
    accounts,
    categories,
    codes,
    institutions,
    jobs,
    members,
    merchants,
    micro_deposits,
    numbers,
    processors,
    statements,
    transactions,
    users,
    widgets,
)
from coatcheck.api.request import ApiRequest, ApiResponse

Handler: TypeAlias = Callable[[ApiRequest], Awaitable[ApiResponse | bytes]]


class Caller(Enum):
    CLIENT = auto()
    """HTTP Basic, checked before the handler runs."""
    PROCESSOR = auto()
    """HTTP Basic, checked inside the one statement of an exchange."""
    TOKEN = auto()
    """A bearer token, checked inside the statement that reads what it opens."""
    ANYBODY = auto()


V1 = ("v20111101",)
V2 = ("v20250224",)
BOTH = V1 + V2


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    operation: str
    """MX's operationId, or our own name for what MX has not."""
    caller: Caller = Caller.CLIENT
    status: int = 200
    """What a handler that returns only a body succeeds with."""
    versions: tuple[str, ...] = BOTH
    in_transaction: bool = False
    """False for reads, and where one statement does it all and is its own transaction."""


def _reads(path: str, handler: Handler, operation: str, **more: object) -> Route:
    return Route("GET", path, handler, operation, **more)  # type: ignore[arg-type]  # Route's own fields


def _writes(
    method: str, path: str, handler: Handler, operation: str, status: int = 200, **more: object
) -> Route:
    return Route(method, path, handler, operation, status=status, in_transaction=True, **more)  # type: ignore[arg-type]  # Route's own fields


USER = "/users/{user}"
MEMBER = f"{USER}/members/{{member}}"
MEMBER_ACCOUNT = f"{MEMBER}/accounts/{{account}}"
ACCOUNT = f"{USER}/accounts/{{account}}"

ROUTES: tuple[Route, ...] = (
    # Processors; first, because matching goes down the table.
    Route("POST", "/token", processors.exchange, "exchangeCode", Caller.PROCESSOR),
    Route("POST", "/payment_processor_token", processors.exchange_legacy, "exchangeCodeLegacy", Caller.PROCESSOR),
    _reads("/account/account_numbers", processors.account_numbers, "requestAccountNumber", caller=Caller.TOKEN),
    _reads("/account/transactions", processors.transactions, "getAccountOwnerInfo", caller=Caller.TOKEN),
    _reads("/account/account_owners", processors.account_owners, "readAccountOwners", caller=Caller.TOKEN),
    _reads("/payment_account", processors.payment_account, "readAccountBalance", caller=Caller.TOKEN),
    _writes(
        "POST", "/account/check_balance", processors.check_balance, "checkRealTimeAccountBalance",
        caller=Caller.TOKEN,
    ),
    # Codes and tokens.
    Route("POST", "/authorization_code", codes.request_code, "requestAuthorizationCode"),
    Route(
        "POST", "/payment_processor_authorization_code", codes.request_code_legacy,
        "deprecatedRequestPaymentProcessorAuthorizationCode", versions=V1,
    ),
    _reads("/tokens", codes.list_tokens, "listTokens"),
    _reads("/coatcheck/tokens", codes.list_grants, "listGrants"),
    _writes("DELETE", "/coatcheck/tokens/{token}", codes.revoke_token, "revokeToken", 204),
    # Users.
    _writes("POST", "/users", users.create, "createUser"),
    _reads("/users", users.list_, "listUsers"),
    _reads(USER, users.read, "readUser"),
    _writes("PUT", USER, users.update, "updateUser"),
    _writes("DELETE", USER, users.delete, "deleteUser", 204),
    # Institutions.
    _reads("/institutions", institutions.list_, "listInstitutions"),
    _reads("/institutions/favorites", institutions.favorites, "listFavoriteInstitutions"),
    _reads("/institutions/{institution}", institutions.read, "readInstitution"),
    _reads("/institutions/{institution}/credentials", institutions.credentials, "listInstitutionCredentials"),
    # Members.
    _writes("POST", f"{USER}/members", members.create, "createMember"),
    _reads(f"{USER}/members", members.list_, "listMembers"),
    _reads(MEMBER, members.read, "readMember"),
    _writes("PUT", MEMBER, members.update, "updateMember"),
    _writes("DELETE", MEMBER, members.delete, "deleteMember", 204),
    _reads(f"{MEMBER}/credentials", members.credentials, "listMemberCredentials"),
    _reads(f"{MEMBER}/status", members.status, "readMemberStatus"),
    _reads(f"{MEMBER}/challenges", members.challenges, "listMemberChallenges"),
    _writes("PUT", f"{MEMBER}/resume", members.resume, "resumeAggregation", 202),
    _writes("GET", f"{MEMBER}/oauth_window_uri", members.oauth_window_uri, "requestOAuthWindowURI"),
    # Jobs.
    _writes("POST", f"{MEMBER}/aggregate", jobs.aggregate, "aggregateMember", 202),
    _writes("POST", f"{MEMBER}/verify", jobs.verify, "verifyMember"),
    _writes("POST", f"{MEMBER}/identify", jobs.identify, "identifyMember", 202),
    _writes("POST", f"{MEMBER}/check_balance", jobs.check_balance, "checkBalances", 202),
    _writes("POST", f"{MEMBER}/extend_history", jobs.extend_history, "extendHistory", 202),
    _writes("POST", f"{MEMBER}/fetch_statements", jobs.fetch_statements, "fetchStatements", 202),
    # Accounts.
    _writes("POST", f"{USER}/accounts/merge", accounts.merge, "mergeAccounts", versions=V2),
    _reads(f"{USER}/accounts", accounts.list_of_user, "listUserAccounts"),
    _writes("POST", f"{USER}/accounts", accounts.create, "createManualAccount"),
    _reads(ACCOUNT, accounts.read, "readAccount"),
    _writes("DELETE", ACCOUNT, accounts.delete, "deleteManualAccount", 204),
    _reads(f"{MEMBER}/accounts", accounts.list_of_member, "listMemberAccounts"),
    _reads(MEMBER_ACCOUNT, accounts.read, "readAccountByMember"),
    _writes("PUT", MEMBER_ACCOUNT, accounts.update, "updateAccountByMember"),
    # Numbers and owners: the vault's.
    _reads(f"{MEMBER}/account_numbers", numbers.account_numbers, "listAccountNumbersByMember"),
    _reads(f"{ACCOUNT}/account_numbers", numbers.account_numbers, "listAccountNumbersByAccount"),
    _reads(f"{MEMBER}/account_owners", numbers.account_owners, "listAccountOwnersByMember"),
    # Transactions.
    _reads(f"{USER}/transactions", transactions.list_, "listTransactions"),
    _reads(f"{MEMBER}/transactions", transactions.list_, "listTransactionsByMember"),
    _reads(f"{ACCOUNT}/transactions", transactions.list_, "listTransactionsByAccount"),
    _reads(f"{MEMBER_ACCOUNT}/transactions", transactions.list_, "listTransactionsByAccountPerMember", versions=V2),
    _reads(f"{USER}/transactions/{{transaction}}", transactions.read, "readTransaction"),
    _writes("PUT", f"{USER}/transactions/{{transaction}}", transactions.update, "updateTransaction"),
    _reads(
        f"{MEMBER_ACCOUNT}/transactions/{{transaction}}", transactions.read, "readTransactionByAccount",
        versions=V2,
    ),
    _writes(
        "PUT", f"{MEMBER_ACCOUNT}/transactions/{{transaction}}", transactions.update,
        "updateTransactionByAccount",
    ),
    # Statements.
    _reads(f"{MEMBER}/statements", statements.list_, "listStatementsByMember"),
    _reads(f"{MEMBER}/statements/{{statement}}.pdf", statements.download, "downloadStatementPDF"),
    _reads(f"{MEMBER}/statements/{{statement}}", statements.read, "readStatementByMember"),
    # Micro-deposits.
    _reads(f"{USER}/micro_deposits", micro_deposits.list_, "listUserMicrodeposits"),
    _writes("POST", f"{USER}/micro_deposits", micro_deposits.create, "createMicrodeposit"),
    _writes("GET", f"{USER}/micro_deposits/{{micro_deposit}}", micro_deposits.read, "readUserMicrodeposit"),
    _writes(
        "DELETE", f"{USER}/micro_deposits/{{micro_deposit}}", micro_deposits.delete, "deleteMicrodeposit", 204
    ),
    _writes("PUT", "/micro_deposits/{micro_deposit}/verify", micro_deposits.verify, "verifyMicrodeposit"),
    _reads(f"{USER}/account_verifications", micro_deposits.verifications, "listUserVerifications"),
    # Categories and merchants.
    _reads("/categories/default", categories.defaults, "listDefaultCategories"),
    _reads("/categories/{category}", categories.read_default, "readDefaultCategory"),
    _reads(f"{USER}/categories/default", categories.defaults_of_user, "listDefaultCategoriesByUser"),
    _reads(f"{USER}/categories", categories.list_, "listCategories"),
    _reads(f"{USER}/categories/{{category}}", categories.read, "readCategory"),
    _reads("/merchants", merchants.list_, "listMerchants"),
    _reads("/merchants/{merchant}", merchants.read, "readMerchant"),
    _reads("/merchant_locations/{merchant_location}", merchants.read_location, "readMerchantLocation"),
    # The widget's link.
    _writes("POST", f"{USER}/widget_urls", widgets.request_url, "requestWidgetURL"),
    _writes("POST", f"{USER}/connect_widget_url", widgets.request_connect_url, "requestConnectWidgetURL", versions=V1),
    # About this server.
    _reads("/health", about.health, "health", caller=Caller.ANYBODY),
)  # fmt: skip

PERSONAL_FINANCE = "Personal finance for the end user's own eyes; no part of handing data to a processor."
MANAGED = "Data that a partner writes instead of a bank; Coatcheck keeps only what a bank said."
HOLDINGS = "Investment positions; a processor token never opens them."

NOT_SERVED: dict[str, str] = {
    **dict.fromkeys(
        (
            "autoGenerateBudgets", "createBudget", "deleteBudget", "listAllBudgets", "readSpecificBudget",
            "updateSpecificBudget", "createGoal", "deleteGoal", "listGoals", "readGoal", "repositionGoals",
            "updateGoal", "createSpendingPlan", "createSpendingPlanIterationItem", "deleteSpendingPlan",
            "deleteSpendingPlanAccount", "deleteSpendingPlanIterationItem", "listSpendingPlanAccounts",
            "listSpendingPlanIterationItems", "listSpendingPlanIterations", "listSpendingPlans",
            "readCurrentSpendingPlanIteration", "readSpendingPlanAccount", "readSpendingPlanIteration",
            "readSpendingPlanIterationItem", "readSpendingPlanUser", "updateSpendingPlanIterationItem",
            "listAccountsInsight", "listCategoriesInsight", "listInsightsByAccount",
            "listInsightsByTransaction", "listInsightsUser", "listMerchantsInsight",
            "listScheduledPaymentsInsight", "listTransactionsInsight", "readInsightUser", "updateInsight",
            "createTag", "deleteTag", "listTags", "readTag", "updateTag", "createTagging", "deleteTagging",
            "listTaggings", "readTagging", "updateTagging", "listTransactionsByTag", "createTransactionRule",
            "deleteTransactionRule", "listTransactionRules", "readTransactionRule", "updateTransactionRule",
            "createCategory", "updateCategory", "deleteCategory", "createNotification", "listNotifications",
            "readNotifications", "readMonthlyCashFlowProfile", "updateMonthlyCashFlowProfile",
            "createSplitTransactions", "createSplitTransactionsByAccount", "deleteSplitTransactions",
            "deleteSplitTransactionByAccount", "repeatingTransactions", "specificRepeatingTransaction",
            "createManualTransaction", "deleteManualTransactions", "creditCard", "enhanceTransactions",
            "fetchRewards", "listRewards", "readRewards",
        ),
        PERSONAL_FINANCE,
    ),
    **dict.fromkeys(
        (
            "createManagedAccount", "createManagedMember", "createManagedTransaction", "deleteManagedAccount",
            "deleteManagedMember", "deleteManagedTransaction", "listManagedAccounts",
            "listManagedInstitutions", "listManagedMembers", "listManagedTransactions", "readManagedAccount",
            "readManagedMember", "readManagedTransaction", "updateManagedAccount", "updateManagedMember",
            "updateManagedTransaction",
        ),
        MANAGED,
    ),
    **dict.fromkeys(
        ("listHoldings", "listHoldingsByAccount", "listHoldingsByMember", "readHolding", "deactivateUser"),
        HOLDINGS,
    ),
    **dict.fromkeys(
        ("createACHReturn", "listACHRetruns", "readACHRetrun"),
        "Reports of returned payments; Coatcheck moves no money and keeps no payment.",
    ),
    **dict.fromkeys(
        ("getAccountsData", "getIdentityData", "getTransactionsData"),
        "Verifiable credentials; a second, signed form of what the served reads already give.",
    ),
}  # fmt: skip
