"""MX's own SDK, unchanged but for the host, through every operation it has for what Coatcheck serves.

Runs in an environment of its own (the SDK pins pydantic 1): `python sdk_flow.py credentials.json`. Every call's
result goes through `typed`, which fails on None and on anything that is not one of the SDK's own types; the names
of the calls that were made are printed for the test to compare with what the SDK has.
"""

import base64
import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import mx_platform_python as mx
from mx_platform_python.exceptions import UnauthorizedException

CREDENTIALS = json.loads(Path(sys.argv[1]).read_text())
LOGIN, PASSWORD = "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1", "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d"
ACCEPT = "application/vnd.mx.api.v1+json"
made: list[str] = []

client = mx.ApiClient(
    mx.Configuration(
        host=CREDENTIALS["base_url"],
        username=CREDENTIALS["client_id"],
        password=CREDENTIALS["client_api_key"],
    )
)
users, members, accounts = mx.UsersApi(client), mx.MembersApi(client), mx.AccountsApi(client)
institutions, transactions = mx.InstitutionsApi(client), mx.TransactionsApi(client)
statements, deposits, widgets = mx.StatementsApi(client), mx.MicrodepositsApi(client), mx.WidgetsApi(client)
categories, merchants, codes = mx.CategoriesApi(client), mx.MerchantsApi(client), mx.ProcessorTokenApi(client)


def typed(method, *arguments, **named):
    result = method(*arguments, **named)
    assert type(result).__module__.startswith("mx_platform_python") or isinstance(
        result, (bytes, bytearray)
    ), (
        method.__name__,
        result,
    )
    made.append(method.__name__)
    return result


def deleted(method, *arguments):
    """Calls a method that deletes; it returns None, because the answer is 204."""
    assert method(*arguments) is None
    made.append(method.__name__)


def wait_until_settled(user, member):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = typed(members.read_member_status, member, user).member
        if not status.is_being_aggregated or status.connection_status == "CHALLENGED":
            return status
        time.sleep(0.1)
    raise AssertionError("the job did not end")


# Users
user = typed(
    users.create_user,
    mx.UserCreateRequestBody(
        user=mx.UserCreateRequest(id=f"sdk-{time.time_ns()}", metadata='{"name":"Ann"}')
    ),
).user
assert user.guid.startswith("USR-")
assert typed(users.read_user, user.guid).user == user
assert typed(users.list_users, id=user.id).users == [user]
changed = typed(
    users.update_user, user.guid, mx.UserUpdateRequestBody(user=mx.UserUpdateRequest(email="ann@example.com"))
).user
assert (changed.email, changed.metadata) == ("ann@example.com", user.metadata)

# Institutions
found = typed(institutions.list_institutions, name="mx bank", supports_account_verification=True)
assert "mxbank" in [institution.code for institution in found.institutions]
assert typed(institutions.list_favorite_institutions).institutions
assert typed(institutions.read_institution, "mxbank").institution.supports_account_verification
fields = typed(institutions.list_institution_credentials, "mxbank").credentials
assert [credential.guid for credential in fields] == [LOGIN, PASSWORD]

# Members, with a challenge
member = typed(
    members.create_member,
    user.guid,
    mx.MemberCreateRequestBody(
        member=mx.MemberCreateRequest(
            institution_code="mxbank",
            credentials=[
                mx.CredentialRequest(guid=LOGIN, value="mxuser"),
                mx.CredentialRequest(guid=PASSWORD, value="challenge"),
            ],
            skip_aggregation=True,
        )
    ),
).member
assert member.connection_status == "CREATED"
assert typed(members.verify_member, member.guid, user.guid).member.is_being_aggregated
status = wait_until_settled(user.guid, member.guid)
assert status.connection_status == "CHALLENGED"
(challenge,) = typed(members.list_member_challenges, member.guid, user.guid).challenges
assert challenge.guid == status.challenges[0].guid
typed(
    members.resume_aggregation,
    member.guid,
    user.guid,
    mx.MemberResumeRequestBody(
        member=mx.MemberResumeRequest(challenges=[mx.CredentialRequest(guid=challenge.guid, value="correct")])
    ),
)
status = wait_until_settled(user.guid, member.guid)
assert (status.connection_status, status.has_processed_account_numbers) == ("CONNECTED", True)
typed(
    members.update_member,
    member.guid,
    user.guid,
    mx.MemberUpdateRequestBody(
        member=mx.MemberUpdateRequest(
            credentials=[
                mx.CredentialRequest(guid=LOGIN, value="mxuser"),
                mx.CredentialRequest(guid=PASSWORD, value="calm"),
            ],
            metadata="{}",
        )
    ),
)
assert wait_until_settled(user.guid, member.guid).connection_status == "CONNECTED"
for job in (
    members.aggregate_member,
    members.identify_member,
    members.check_balances,
    transactions.extend_history,
    statements.fetch_statements,
):
    typed(job, member.guid, user.guid)
    assert wait_until_settled(user.guid, member.guid).connection_status == "CONNECTED", job.__name__
assert typed(members.read_member, member.guid, user.guid).member.institution_code == "mxbank"
assert [each.guid for each in typed(members.list_members, user.guid).members] == [member.guid]
assert len(typed(members.list_member_credentials, member.guid, user.guid).credentials) == 2

# Accounts
listed = typed(accounts.list_user_accounts, user.guid).accounts
assert listed == typed(accounts.list_member_accounts, user.guid, member.guid).accounts
account = next(each for each in listed if each.type == "CHECKING")
assert typed(accounts.read_account, account.guid, user.guid).account == account
assert typed(accounts.read_account_by_member, account.guid, member.guid, user.guid).account == account
typed(
    accounts.update_account_by_member,
    account.guid,
    member.guid,
    user.guid,
    mx.AccountUpdateRequestBody(account=mx.AccountUpdateRequest(is_hidden=False, metadata="mine")),
)
manual = typed(
    accounts.create_manual_account,
    user.guid,
    mx.AccountCreateRequestBody(
        account=mx.AccountCreateRequest(account_type="SAVINGS", name="Jar", balance=12.5)
    ),
).account
deleted(accounts.delete_manual_account, manual.guid, ACCEPT, user.guid)
(numbers,) = typed(accounts.list_account_numbers_by_account, account.guid, user.guid).account_numbers
assert numbers.passed_validation
assert len(numbers.routing_number) == 9
assert numbers in typed(accounts.list_account_numbers_by_member, member.guid, user.guid).account_numbers
owners = typed(accounts.list_account_owners_by_member, member.guid, user.guid).account_owners
assert account.guid in [owner.account_guid for owner in owners]

# Transactions
page = typed(transactions.list_transactions_by_account, account.guid, user.guid, from_date="2020-01-01")
assert page.pagination.total_entries > 25
assert len(page.transactions) == 25
assert typed(transactions.list_transactions_by_member, member.guid, user.guid).transactions
assert typed(transactions.list_transactions, user.guid, includes="merchants,classifications").transactions
one = page.transactions[0]
assert [each.guid for each in typed(transactions.read_transaction, user.guid, one.guid).transactions] == [
    one.guid
]
renamed = mx.TransactionUpdateRequestBody(transaction=mx.TransactionUpdateRequest(description="Mine"))
assert typed(transactions.update_transaction, user.guid, one.guid, renamed).transaction.description == "Mine"
typed(transactions.update_transaction_by_account, user.guid, member.guid, account.guid, one.guid, renamed)

# Statements
statement = typed(statements.list_statements_by_member, member.guid, user.guid).statements[0]
assert (
    typed(statements.read_statement_by_member, member.guid, statement.guid, user.guid).statement == statement
)
assert typed(statements.download_statement_pdf, member.guid, statement.guid, user.guid)[:5] == b"%PDF-"

# Categories and merchants
default = typed(categories.list_default_categories).categories[0]
assert typed(categories.read_default_category, default.guid).category == default
assert typed(categories.list_default_categories_by_user, user.guid).categories
assert typed(categories.list_categories, user.guid).categories
assert typed(categories.read_category, default.guid, user.guid).category == default
merchant = typed(merchants.list_merchants).merchants[0]
assert typed(merchants.read_merchant, merchant.guid).merchant == merchant
issued = typed(
    transactions.list_transactions, user.guid, from_date="2020-01-01", records_per_page=500
).transactions
place = next(each.merchant_location_guid for each in issued if each.merchant_location_guid)
assert typed(merchants.read_merchant_location, place).merchant_location.guid == place

# Micro-deposits
deposit = typed(
    deposits.create_microdeposit,
    user.guid,
    mx.MicrodepositRequestBody(
        micro_deposit=mx.MicrodepositElements(
            account_number="3333567842",
            routing_number="091000019",
            account_type="CHECKING",
            account_name="Rainy",
        )
    ),
).micro_deposit[0]
deadline = time.monotonic() + 120
while typed(deposits.read_user_microdeposit, deposit.guid, user.guid).micro_deposit[0].status != "DEPOSITED":
    assert time.monotonic() < deadline
    time.sleep(0.1)
assert typed(deposits.list_user_microdeposits, user.guid).micro_deposits[0].guid == deposit.guid
verified = typed(
    deposits.verify_microdeposit,
    deposit.guid,
    mx.MicrodepositVerifyRequestBody(
        micro_deposit=mx.MicrodepositVerifyRequest(deposit_amount_1=0.03, deposit_amount_2=0.15)
    ),
).micro_deposit[0]
assert verified.status == "VERIFIED"
assert typed(deposits.list_user_verifications, user.guid).micro_deposit
deleted(deposits.delete_microdeposit, deposit.guid, user.guid)

# The widget's link, and a member of a bank that takes OAuth
link = typed(
    widgets.request_widget_url,
    user.guid,
    mx.WidgetRequestBody(widget_url=mx.WidgetRequest(widget_type="connect_widget", mode="verification")),
).widget_url
assert link.url.startswith(CREDENTIALS["base_url"] + "/md/connect/")
older = typed(
    widgets.request_connect_widget_url,
    user.guid,
    mx.ConnectWidgetRequestBody(config=mx.ConnectWidgetRequest(mode="verification")),
)
assert older.user.connect_widget_url
pending = typed(
    members.create_member,
    user.guid,
    mx.MemberCreateRequestBody(
        member=mx.MemberCreateRequest(institution_code="mxcu_oauth", credentials=[], is_oauth=True)
    ),
).member
assert (pending.connection_status, bool(pending.oauth_window_uri)) == ("PENDING", True)
window = typed(widgets.request_o_auth_window_uri, pending.guid, user.guid).member
assert window.oauth_window_uri.startswith("http")
deleted(members.delete_member, pending.guid, user.guid)

# The code, the exchange (which no SDK has), and the processor's reads
scope = f"user-guid:{user.guid} member-guid:{member.guid} account-guid:{account.guid} read-protected"
code = typed(
    codes.request_authorization_code,
    mx.AuthorizationCodeRequestBody(authorization_code=mx.AuthorizationCodeRequest(scope=scope)),
).authorization_code.code
legacy = typed(
    codes.deprecated_request_payment_processor_authorization_code,
    mx.PaymentProcessorAuthorizationCodeRequestBody(
        payment_processor_authorization_code=mx.PaymentProcessorAuthorizationCodeRequest(
            account_guid=account.guid, member_guid=member.guid, user_guid=user.guid
        )
    ),
).payment_processor_authorization_code.authorization_code
assert legacy
assert legacy != code


def exchange(code: str, processor: dict[str, str]) -> str:
    query = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code})
    basic = base64.b64encode(f"{processor['processor_id']}:{processor['api_key']}".encode()).decode()
    request = urllib.request.Request(
        f"{CREDENTIALS['base_url']}/token?{query}", method="POST", headers={"Authorization": f"Basic {basic}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["access_token"]


TOKENS: list[str] = []


def reading(code: str, processor: dict[str, str]) -> mx.ProcessorTokenApi:
    token = exchange(code, processor)
    TOKENS.append(token)
    return mx.ProcessorTokenApi(
        mx.ApiClient(mx.Configuration(host=CREDENTIALS["base_url"], access_token=token))
    )


processor = reading(code, CREDENTIALS["processors"][0])
(shown,) = typed(processor.request_account_number).account_numbers
assert (str(shown.account_number), str(shown.routing_number)) == (
    numbers.account_number,
    numbers.routing_number,
)
assert typed(processor.check_real_time_account_balance).member.guid == member.guid
wait_until_settled(user.guid, member.guid)
paid = typed(processor.read_account_balance).payment_account
assert (paid.account_number, paid.balance) == (numbers.account_number, account.balance)
# This processor is registered with `owners_at_transactions`: the SDK's method asks for owners there.
(owner, *_) = typed(reading(legacy, CREDENTIALS["processors"][1]).get_account_owner_info).account_owners
assert owner.owner_name
# Other runs may have left revoked tokens of this client. The list has the first characters of each token.
listed = {token.access_token: token for token in typed(codes.list_tokens).tokens}
issued = [
    token
    for first, token in listed.items()
    if any(each.startswith(first.removesuffix("...")) for each in TOKENS)
]
assert [(token.active, token.payment_processor_guid[:4]) for token in issued] == [(True, "PPR-")] * len(
    TOKENS
)

deleted(members.delete_member, member.guid, user.guid)
try:
    processor.request_account_number()
except UnauthorizedException:
    pass
else:
    raise AssertionError("a token is valid after its member was deleted")
deleted(users.delete_user, ACCEPT, user.guid)

print(json.dumps(sorted(set(made))))
