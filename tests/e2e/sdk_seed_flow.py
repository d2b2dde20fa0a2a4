"""MX's own SDK, from a login to what a processor reads: link, verify, identify, code, token, reads.

Runs in an environment of its own (the SDK pins pydantic 1): `python sdk_seed_flow.py '<flow as JSON>' <from_date>`.
It answers each question of the bank with the flow's `answer`, signs in on the bank's page where it has one, and prints
what the processor has read as JSON.
"""

import base64
import html
import http.cookiejar
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import mx_platform_python as mx

FLOW, FROM_DATE = json.loads(sys.argv[1]), sys.argv[2]
BASE_URL = FLOW["base_url"]

client = mx.ApiClient(mx.Configuration(host=BASE_URL, username=FLOW["client"][0], password=FLOW["client"][1]))
users, members, accounts = mx.UsersApi(client), mx.MembersApi(client), mx.AccountsApi(client)
institutions, codes = mx.InstitutionsApi(client), mx.ProcessorTokenApi(client)


def wait(user, member):
    """Waits until no job runs; answers the bank's questions."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = members.read_member_status(member, user).member
        if status.connection_status == "CHALLENGED":
            answers = [
                mx.CredentialRequest(guid=each.guid, value=FLOW["answer"]) for each in status.challenges
            ]
            body = mx.MemberResumeRequestBody(member=mx.MemberResumeRequest(challenges=answers))
            members.resume_aggregation(member, user, body)
        elif not status.is_being_aggregated:
            assert status.connection_status == "CONNECTED", status.connection_status
            return
        time.sleep(0.2)
    raise AssertionError("the job did not end")


def connect(user):
    """The guid of a member that was connected with credentials, or on the bank's own page."""
    institution = institutions.read_institution(FLOW["institution_code"]).institution
    new = mx.MemberCreateRequest(institution_code=institution.code, credentials=[])
    if institution.supports_oauth:
        new.is_oauth = True
    else:
        fields = institutions.list_institution_credentials(institution.code).credentials
        new.credentials = [
            mx.CredentialRequest(guid=each.guid, value=FLOW["login"][each.field_name]) for each in fields
        ]
        new.skip_aggregation = True
    member = members.create_member(user, mx.MemberCreateRequestBody(member=new)).member
    if institution.supports_oauth:
        sign_in(member.oauth_window_uri)
        wait(user, member.guid)
    return member.guid


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments):
        return None


browser = urllib.request.build_opener(
    NoRedirect, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
)


def visit(url, form=None):
    """The page, or the address to which it redirects."""
    body = urllib.parse.urlencode(form).encode() if form else None
    try:
        with browser.open(urllib.request.Request(url, data=body)) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code != 303:
            raise
        return urllib.parse.urljoin(url, error.headers["location"])


def submit(url, page, **values):
    """The answer to the form of the page."""
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    return visit(url.partition("?")[0], {name: html.unescape(value) for name, value in hidden} | values)


def sign_in(window):
    """What the user does in the window of the bank's page."""
    bank = visit(window)
    back = submit(bank, visit(bank), login=FLOW["login"]["LOGIN"], decision="allow")
    page = visit(back)
    if "<form" in page:
        submit(back, page, decision="connect")


def exchange(code):
    query = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code})
    basic = base64.b64encode(":".join(FLOW["processor"]).encode()).decode()
    request = urllib.request.Request(
        f"{BASE_URL}/token?{query}", method="POST", headers={"Authorization": f"Basic {basic}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["access_token"]


def read(path, token):
    request = urllib.request.Request(BASE_URL + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


user = users.create_user(mx.UserCreateRequestBody(user=mx.UserCreateRequest(metadata="seed"))).user.guid
member = connect(user)
for job in (members.verify_member, members.identify_member, members.aggregate_member):
    job(member, user)
    wait(user, member)

account = next(
    each for each in accounts.list_member_accounts(user, member).accounts if each.type == "CHECKING"
)
scope = f"user-guid:{user} member-guid:{member} account-guid:{account.guid} read-protected"
code = codes.request_authorization_code(
    mx.AuthorizationCodeRequestBody(authorization_code=mx.AuthorizationCodeRequest(scope=scope))
).authorization_code.code
token = exchange(code)
processor = mx.ProcessorTokenApi(mx.ApiClient(mx.Configuration(host=BASE_URL, access_token=token)))
(numbers,) = processor.request_account_number().account_numbers
processor.check_real_time_account_balance()
wait(user, member)
# The SDK has no method for a processor's owners and transactions.
transactions = read(f"/account/transactions?records_per_page=1000&from_date={FROM_DATE}", token)
print(
    json.dumps(
        {
            "user_guid": user,
            "member_guid": member,
            "upstream_id": account.id,
            "numbers": [str(numbers.account_number), str(numbers.routing_number)],
            "owners": [
                each["owner_name"] for each in read("/account/account_owners", token)["account_owners"]
            ],
            "balance": processor.read_account_balance().payment_account.balance,
            "transactions": sorted(
                str([each[name] for name in ("date", "amount", "type")])
                for each in transactions["transactions"]
            ),
        }
    )
)
