"""The operations of MX's API that are not served, each with the reason."""

PERSONAL_FINANCE = (
    "Personal finance management for the end user; it is not part of sharing data with a processor."
)
MANAGED = "Data that a partner writes instead of a bank; Coatcheck stores only data from banks."
HOLDINGS = "Investment positions; a processor token does not read them."

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
        "Reports of returned payments; Coatcheck moves no money and stores no payments.",
    ),
    **dict.fromkeys(
        ("getAccountsData", "getIdentityData", "getTransactionsData"),
        "Verifiable credentials; a second, signed form of data that other endpoints return.",
    ),
}  # fmt: skip
