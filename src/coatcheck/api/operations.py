"""What each operation is for, takes and gives: what the OpenAPI document says besides the route table."""

from dataclasses import dataclass

from coatcheck.api.schemas import requests
from coatcheck.api.schemas.requests import Request

PAGE = ("page", "records_per_page")
DATES = (
    "from_date",
    "to_date",
    "from_created_at",
    "to_created_at",
    "from_updated_at",
    "to_updated_at",
)
TRANSACTIONS = (*PAGE, *DATES, "category_guid", "top_level_category_guid", "use_case", "includes")
INSTITUTIONS = (
    "name",
    "iso_country_code",
    "supported_products",
    "supports_account_identification",
    "supports_account_statement",
    "supports_account_verification",
    "supports_transaction_history",
    *PAGE,
)
OAUTH = ("referral_source", "client_redirect_url", "ui_message_webview_url_scheme", "skip_aggregation")
CALLBACK = ("X-CALLBACK-PAYLOAD",)
QUIETLY = ("MX-Skip-Webhook",)


@dataclass(frozen=True, slots=True)
class Operation:
    group: str
    summary: str
    shows: str | None = None
    """The method of `Wire` that makes the body; None where there is none, or it is no JSON of the wire."""
    takes: type[Request] | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    also: tuple[int, ...] = ()
    """Statuses it succeeds with besides the route's own."""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    description: str
    type: str = "string"
    is_repeated: bool = False


PATH: dict[str, str] = {
    "user": "The user's guid, or the `id` you gave it.",
    "member": "The member's guid, or the `id` you gave it.",
    "account": "The account's guid, or its `id`.",
    "institution": "The institution's code or guid.",
    "transaction": "The transaction's guid.",
    "statement": "The statement's guid.",
    "micro_deposit": "The micro-deposit's guid.",
    "category": "The category's guid.",
    "merchant": "The merchant's guid.",
    "merchant_location": "The merchant location's guid.",
    "token": "The token's guid, which the audit log names; never the token itself.",
}

QUERY: dict[str, Parameter] = {
    "page": Parameter("Which page, from 1.", "integer"),
    "records_per_page": Parameter(
        "10 to 1000, 100 at most for institutions; anything else is 25.", "integer"
    ),
    "id": Parameter("Only the user with this `id` of yours."),
    "email": Parameter("Only users with this address."),
    "is_disabled": Parameter("Only disabled users, or only others.", "boolean"),
    "name": Parameter("A part of the name, in any case."),
    "iso_country_code": Parameter("`US` or `CA`.", is_repeated=True),
    "supported_products": Parameter("All of these products.", is_repeated=True),
    "supports_account_identification": Parameter("Only those that tell owners.", "boolean"),
    "supports_account_statement": Parameter("Only those that give statements.", "boolean"),
    "supports_account_verification": Parameter("Only those that tell account numbers.", "boolean"),
    "supports_transaction_history": Parameter("Only those that give 24 months of transactions.", "boolean"),
    "use_case": Parameter("`MONEY_MOVEMENT` or `PFM`."),
    "is_manual": Parameter("Only accounts made by hand, or only others.", "boolean"),
    "member_is_managed_by_user": Parameter("Every account here is; `false` finds none.", "boolean"),
    "include_transactions": Parameter("`false` reads accounts alone; `true` by default.", "boolean"),
    "from_date": Parameter("From this day: a date, a time, or seconds since 1970. 120 days ago by default."),
    "to_date": Parameter("To this day, inclusive. 5 days ahead by default."),
    "from_timestamp": Parameter("As `from_created_at`."),
    "to_timestamp": Parameter("As `to_created_at`."),
    "from_created_at": Parameter("Found at this moment or later."),
    "to_created_at": Parameter("Found at this moment or earlier."),
    "from_updated_at": Parameter("Changed at this moment or later."),
    "to_updated_at": Parameter("Changed at this moment or earlier."),
    "category_guid": Parameter(
        "Of any of these categories; `category_guid[]` is the same.", is_repeated=True
    ),
    "top_level_category_guid": Parameter("Below any of these top-level categories.", is_repeated=True),
    "includes": Parameter(
        "Separated by commas: `repeating_transactions`, `merchants`, `classifications`, `geolocations`."
    ),
    "status": Parameter("Only micro-deposits of this status, such as `VERIFIED`."),
    "grant_type": Parameter("`authorization_code`. Here or in a form body, never in both."),
    "code": Parameter("The code, good for one exchange. Here or in a form body, never in both."),
    "user_guid": Parameter("Only tokens on this user's data."),
    "member_guid": Parameter("Only tokens on this member's data."),
    "account_guid": Parameter("Only tokens on this account's data."),
    "referral_source": Parameter("`BROWSER` (default) or `APP`."),
    "client_redirect_url": Parameter("Where an app is sent after the user has signed in."),
    "ui_message_webview_url_scheme": Parameter("The scheme of an app without such a URL."),
    "skip_aggregation": Parameter("`true` reads nothing after the user has signed in.", "boolean"),
}

HEADERS: dict[str, str] = {
    "X-CALLBACK-PAYLOAD": "At most 1,024 characters of base64, given back on the webhooks this call leads to.",
    "Idempotency-Key": "A retry with the same key within a minute gets the same token, and spoils nothing.",
    "MX-Skip-Webhook": "`true` tells no webhook of this change.",
    "Accept-Language": "The language of the widget.",
}

PROCESSORS = "For processors"
TOKENS = "Codes and tokens"
USERS = "Users"
INSTITUTION = "Institutions"
MEMBERS = "Members"
JOBS = "Jobs"
ACCOUNTS = "Accounts"
MOVEMENTS = "Transactions and statements"
DEPOSITS = "Micro-deposits"
LISTS = "Categories and merchants"
WIDGET = "Widget"
SERVER = "This server"

GROUPS: dict[str, str] = {
    PROCESSORS: "Swap a code for a token with the processor's id and API key, then read with the token.",
    TOKENS: "A code names one account and goes to a processor; a token is what the processor made of it.",
    USERS: "The end users of a client.",
    INSTITUTION: "The banks that can be connected.",
    MEMBERS: "A user's connections to banks.",
    JOBS: "What is wanted of a member's bank. Each answers at once; the member's status tells how it goes.",
    ACCOUNTS: "A user's accounts, with their payment numbers and owners.",
    MOVEMENTS: "What moved on the accounts.",
    DEPOSITS: "Proof of an account by two small deposits, for banks that cannot be connected.",
    LISTS: "What transactions are sorted by.",
    WIDGET: "The page on which an end user connects a bank.",
    SERVER: "About this server.",
}

_ACCOUNT_QUERY = (*PAGE, "member_is_managed_by_user")
_READ_TRANSACTION = "The answer is a list of one, as in MX's API."

OPERATIONS: dict[str, Operation] = {
    # Processors.
    "exchangeCode": Operation(
        PROCESSORS, "Swap a code for an access token", "show_token", query=("grant_type", "code"),
        headers=("Idempotency-Key",),
        notes="Once. A code that comes back ends the token it bought. Every failure reads the same.",
    ),
    "exchangeCodeLegacy": Operation(
        PROCESSORS, "Swap a code for an access token, as in older guides", "show_legacy_token",
        query=("grant_type", "code"), headers=("Idempotency-Key",),
    ),
    "requestAccountNumber": Operation(
        PROCESSORS, "Read the account's numbers", "show_processor_numbers", query=PAGE,
        notes="Needs `read-protected`. A number is a JSON integer only where no digit can be lost by it.",
    ),
    "getAccountOwnerInfo": Operation(
        PROCESSORS, "Read the account's transactions", "show_transactions", query=TRANSACTIONS,
        notes="MX's OpenAPI document maps owners to this path; a processor registered for that gets owners.",
    ),
    "readAccountOwners": Operation(
        PROCESSORS, "Read the account's owners", "show_processor_owners", query=PAGE,
        notes="Needs `read-protected`.",
    ),
    "readAccountBalance": Operation(
        PROCESSORS, "Read balances and numbers", "show_payment_account",
        notes="Without `read-protected` the number is masked.",
    ),
    "checkRealTimeAccountBalance": Operation(
        PROCESSORS, "Have the balance read again at the bank", "show_member",
        notes="Ask again until the member is no longer being aggregated, then read the balance.",
    ),
    # Codes and tokens.
    "requestAuthorizationCode": Operation(
        TOKENS, "Request a code", "show_authorization_code", requests.AuthorizationCodeBody,
        notes="The scope names a user, a member and a verified account, and `read-protected` for full numbers.",
    ),
    "deprecatedRequestPaymentProcessorAuthorizationCode": Operation(
        TOKENS, "Request a code, as in older guides", "show_legacy_authorization_code",
        requests.LegacyAuthorizationCodeBody,
    ),
    "listTokens": Operation(
        TOKENS, "List the tokens bought with your codes", "show_tokens", requests.TokensBody,
        query=("user_guid", "member_guid", "account_guid"),
        notes="The filter may come as a body, as in MX's API, or as parameters. Ended tokens are listed too.",
    ),
    "listGrants": Operation(
        TOKENS, "List the tokens with the guids that end them", "show_grants",
        query=("user_guid", "member_guid", "account_guid"), notes="Not in MX's API.",
    ),
    "revokeToken": Operation(TOKENS, "End a token", notes="At once and for ever. Not in MX's API."),
    # Users.
    "createUser": Operation(USERS, "Create a user", "show_user", requests.UserBody, headers=QUIETLY),
    "listUsers": Operation(USERS, "List users", "show_users", query=(*PAGE, "id", "email", "is_disabled")),
    "readUser": Operation(USERS, "Read a user", "show_user"),
    "updateUser": Operation(
        USERS, "Change a user", "show_user", requests.UserBody, headers=QUIETLY,
        notes="Disabling stops every token on the user's data at once.",
    ),
    "deleteUser": Operation(
        USERS, "Delete a user", headers=QUIETLY, notes="For ever, with all data and every token on it."
    ),
    # Institutions.
    "listInstitutions": Operation(INSTITUTION, "Search institutions", "show_institutions", query=INSTITUTIONS),
    "listFavoriteInstitutions": Operation(
        INSTITUTION, "List the most popular institutions", "show_institutions",
        query=("iso_country_code", *PAGE),
    ),
    "readInstitution": Operation(INSTITUTION, "Read an institution", "show_institution"),
    "listInstitutionCredentials": Operation(
        INSTITUTION, "List the boxes of its login form", "show_credentials", query=PAGE
    ),
    # Members.
    "createMember": Operation(
        MEMBERS, "Connect a user to an institution", "show_member", requests.MemberCreateBody,
        headers=(*CALLBACK, *QUIETLY), also=(202,), notes="202 where a job was started, 200 where none was asked for.",
    ),
    "listMembers": Operation(MEMBERS, "List a user's members", "show_members", query=(*PAGE, "use_case")),
    "readMember": Operation(MEMBERS, "Read a member", "show_member"),
    "updateMember": Operation(
        MEMBERS, "Change a member", "show_member", requests.MemberUpdateBody,
        headers=(*CALLBACK, *QUIETLY),
        notes="New credentials start an aggregation.",
    ),
    "deleteMember": Operation(
        MEMBERS, "Delete a member", headers=QUIETLY, notes="With its accounts and every token on them."
    ),
    "listMemberCredentials": Operation(
        MEMBERS, "List the boxes of the member's login form", "show_credentials", query=PAGE
    ),
    "readMemberStatus": Operation(MEMBERS, "Read how a member's job goes", "show_member_status"),
    "listMemberChallenges": Operation(
        MEMBERS, "List what the bank asks", "show_challenges", query=PAGE, also=(204,),
        notes="204 while it asks nothing.",
    ),
    "resumeAggregation": Operation(
        MEMBERS, "Answer what the bank asks", "show_member", requests.MemberResumeBody,
        notes="For options, the option's value or its guid.",
    ),
    "requestOAuthWindowURI": Operation(
        MEMBERS, "Request the page where the user signs in at the bank", "show_oauth_window", query=OAUTH,
        notes="Opens once.",
    ),
    # Jobs.
    "aggregateMember": Operation(
        JOBS, "Read accounts and transactions", "show_member", query=("include_transactions",),
        headers=CALLBACK, notes="Within three hours of the last time, nothing is started.",
    ),
    "verifyMember": Operation(JOBS, "Read account numbers", "show_member", headers=CALLBACK),
    "identifyMember": Operation(JOBS, "Read account owners", "show_member"),
    "checkBalances": Operation(JOBS, "Read balances alone", "show_member"),
    "extendHistory": Operation(JOBS, "Read 24 months of transactions", "show_member"),
    "fetchStatements": Operation(JOBS, "Read statements", "show_member"),
    # Accounts.
    "listUserAccounts": Operation(
        ACCOUNTS, "List a user's accounts", "show_accounts", query=(*_ACCOUNT_QUERY, "is_manual", "use_case")
    ),
    "listMemberAccounts": Operation(
        ACCOUNTS, "List a member's accounts", "show_accounts", query=_ACCOUNT_QUERY
    ),
    "createManualAccount": Operation(
        ACCOUNTS, "Add an account by hand", "show_account", requests.AccountCreateBody
    ),
    "readAccount": Operation(ACCOUNTS, "Read an account", "show_account"),
    "readAccountByMember": Operation(ACCOUNTS, "Read an account of a member", "show_account"),
    "updateAccountByMember": Operation(
        ACCOUNTS, "Change an account", "show_account", requests.AccountUpdateBody,
        notes="Of an account that came from a bank: `is_business`, `is_hidden` and `metadata` alone.",
    ),
    "deleteManualAccount": Operation(ACCOUNTS, "Delete an account that was added by hand"),
    "mergeAccounts": Operation(
        ACCOUNTS, "Merge accounts into the first one named", "show_account", requests.AccountsMergeBody
    ),
    "listAccountNumbersByMember": Operation(
        ACCOUNTS, "List the numbers of a member's accounts", "show_account_numbers", query=PAGE
    ),
    "listAccountNumbersByAccount": Operation(
        ACCOUNTS, "List an account's numbers", "show_account_numbers", query=PAGE
    ),
    "listAccountOwnersByMember": Operation(
        ACCOUNTS, "List the owners of a member's accounts", "show_account_owners", query=PAGE
    ),
    # Transactions and statements.
    "listTransactions": Operation(
        MOVEMENTS, "List a user's transactions", "show_transactions", query=TRANSACTIONS
    ),
    "listTransactionsByMember": Operation(
        MOVEMENTS,
        "List a member's transactions",
        "show_transactions",
        query=(*TRANSACTIONS, "from_timestamp", "to_timestamp"),
    ),
    "listTransactionsByAccount": Operation(
        MOVEMENTS, "List an account's transactions", "show_transactions", query=TRANSACTIONS
    ),
    "listTransactionsByAccountPerMember": Operation(
        MOVEMENTS, "List the transactions of a member's account", "show_transactions", query=TRANSACTIONS
    ),
    "readTransaction": Operation(
        MOVEMENTS, "Read a transaction", "show_transactions", query=("includes",), notes=_READ_TRANSACTION
    ),
    "readTransactionByAccount": Operation(
        MOVEMENTS, "Read a transaction of a member's account", "show_transactions", query=("includes",),
        notes=_READ_TRANSACTION,
    ),
    "updateTransaction": Operation(
        MOVEMENTS, "Describe a transaction", "show_transaction", requests.TransactionUpdateBody
    ),
    "updateTransactionByAccount": Operation(
        MOVEMENTS, "Describe a transaction of a member's account", "show_transaction",
        requests.TransactionUpdateBody,
    ),
    "listStatementsByMember": Operation(
        MOVEMENTS, "List a member's statements", "show_statements", query=PAGE
    ),
    "readStatementByMember": Operation(MOVEMENTS, "Read a statement", "show_statement"),
    "downloadStatementPDF": Operation(MOVEMENTS, "Download a statement as PDF"),
    # Micro-deposits.
    "createMicrodeposit": Operation(
        DEPOSITS, "Send two small deposits", "show_micro_deposit", requests.MicroDepositBody,
        notes="With the holder's name and address alone it is prepared, and completed later in the widget.",
    ),
    "listUserMicrodeposits": Operation(
        DEPOSITS, "List a user's micro-deposits", "show_micro_deposits", query=(*PAGE, "status")
    ),
    "readUserMicrodeposit": Operation(DEPOSITS, "Read a micro-deposit", "show_micro_deposit"),
    "verifyMicrodeposit": Operation(
        DEPOSITS, "Report the two amounts", "show_micro_deposit", requests.MicroDepositVerifyBody,
        notes="The third wrong answer prevents it for good.",
    ),
    "deleteMicrodeposit": Operation(DEPOSITS, "Delete a micro-deposit"),
    "listUserVerifications": Operation(
        DEPOSITS, "List a user's verified accounts", "show_account_verifications"
    ),
    # Categories and merchants.
    "listDefaultCategories": Operation(LISTS, "List the categories", "show_categories", query=PAGE),
    "readDefaultCategory": Operation(LISTS, "Read a category", "show_category"),
    "listDefaultCategoriesByUser": Operation(
        LISTS, "List the default categories, below a user", "show_categories", query=PAGE
    ),
    "listCategories": Operation(LISTS, "List a user's categories", "show_categories", query=PAGE),
    "readCategory": Operation(LISTS, "Read a user's category", "show_category"),
    "listMerchants": Operation(LISTS, "Search merchants", "show_merchants", query=("name", *PAGE)),
    "readMerchant": Operation(LISTS, "Read a merchant", "show_merchant"),
    "readMerchantLocation": Operation(LISTS, "Read a merchant's location", "show_merchant_location"),
    # Widget.
    "requestWidgetURL": Operation(
        WIDGET, "Request the widget's address", "show_widget_url", requests.WidgetBody,
        headers=(*CALLBACK, "Accept-Language"), notes="It loads once, within ten minutes.",
    ),
    "requestConnectWidgetURL": Operation(
        WIDGET, "Request the widget's address, as in older guides", "show_connect_widget_url",
        requests.ConnectWidgetBody,
    ),
    # This server.
    "health": Operation(SERVER, "Ask whether requests can be served"),
}  # fmt: skip
