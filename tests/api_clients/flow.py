"""A user connects a bank, and a processor reads the account numbers, with the client that openapi-python-client made.

Reads credentials.json of a sandbox on standard input and prints the numbers.
"""

import json
import sys
import time
from typing import Any

import httpx
from coatcheck_client import Client
from coatcheck_client.api.accounts import list_account_numbers_by_member
from coatcheck_client.api.codes_and_tokens import request_authorization_code
from coatcheck_client.api.for_processors import exchange_code, request_account_number
from coatcheck_client.api.jobs import verify_member
from coatcheck_client.api.members import create_member, read_member_status
from coatcheck_client.api.users import create_user
from coatcheck_client.models import (
    AccountNumbersResponseBody,
    AuthorizationCodeRequest,
    AuthorizationCodeRequestBody,
    CredentialRequest,
    ErrorResponseBody,
    ExchangeCodeGrantType,
    MemberCreateRequest,
    MemberCreateRequestBody,
    UserRequest,
    UserRequestBody,
)

LOGIN, PASSWORD = "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1", "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d"
SECONDS_TO_WAIT = 60


def wait(client: Any, user: str, member: str) -> None:
    """Until no job runs on the member."""
    end = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < end:
        status = read_member_status.sync(user, member, client=client)
        if not status.member.is_being_aggregated:
            return
        time.sleep(0.2)
    raise TimeoutError


def main() -> None:
    given = json.load(sys.stdin)
    processor = given["processors"][0]
    url = given["base_url"]
    auth = {"auth": httpx.BasicAuth(given["client_id"], given["client_api_key"])}
    client = Client(url, raise_on_unexpected_status=True, httpx_args=auth)
    body = UserRequestBody(user=UserRequest(metadata="a generated client's"))
    user = create_user.sync(client=client, body=body).user.guid
    member = create_member.sync(
        user,
        client=client,
        body=MemberCreateRequestBody(
            member=MemberCreateRequest(
                institution_code="mxbank",
                credentials=[
                    CredentialRequest(guid=LOGIN, value="ann"),
                    CredentialRequest(guid=PASSWORD, value="secret"),
                ],
            )
        ),
    ).member.guid
    wait(client, user, member)
    verify_member.sync(user, member, client=client)
    wait(client, user, member)
    numbers = list_account_numbers_by_member.sync(user, member, client=client)
    assert isinstance(numbers, AccountNumbersResponseBody)
    account = numbers.account_numbers[0].account_guid
    scope = f"user-guid:{user} member-guid:{member} account-guid:{account} read-protected"
    code = request_authorization_code.sync(
        client=client,
        body=AuthorizationCodeRequestBody(authorization_code=AuthorizationCodeRequest(scope=scope)),
    ).authorization_code.code
    auth = {"auth": httpx.BasicAuth(processor["processor_id"], processor["api_key"])}
    redeemer = Client(url, raise_on_unexpected_status=True, httpx_args=auth)
    arguments = {"grant_type": ExchangeCodeGrantType.AUTHORIZATION_CODE, "code": code}
    token = exchange_code.sync(client=redeemer, **arguments).access_token
    refused = exchange_code.sync(client=redeemer, **arguments)
    assert isinstance(refused, ErrorResponseBody), refused
    assert refused.error.type_ == "invalid_grant"
    reader = Client(url, raise_on_unexpected_status=True, headers={"Authorization": f"Bearer {token}"})
    read = request_account_number.sync(client=reader)
    print(json.dumps([each.to_dict() for each in read.account_numbers]))


main()
