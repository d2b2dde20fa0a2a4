"""Micro-deposits."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.micro_deposits import (
    MicrodepositRequestBody,
    MicrodepositResponseBody,
    MicrodepositsResponseBody,
    MicrodepositVerifyRequestBody,
    account_verifications_body,
    micro_deposit_body,
    micro_deposits_body,
)
from coatcheck.errors import UserDisabled
from coatcheck.http.decoding import parse
from coatcheck.http.query import read_choice, read_page
from coatcheck.model.micro_deposits import (
    DepositAccount,
    DepositStatus,
    MicroDeposit,
    find_micro_deposit,
    list_micro_deposits,
)
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import find_user

ALL = PageRequest(1, 1000)
"""More than a user can have: the limit is three accounts for each e-mail address."""


async def list_(request: ApiRequest) -> MicrodepositsResponseBody:
    user = await request.readable_user()
    deposits = await list_micro_deposits(
        request.connection,
        user.guid,
        read_page(request.query),
        status=read_choice(request.query, "status", DepositStatus),
    )
    return micro_deposits_body(deposits)


async def create(request: ApiRequest) -> MicrodepositResponseBody:
    """INITIATED if the request contains an account, PREINITIATED if it contains only the holder."""
    fields = parse(request.body, MicrodepositRequestBody).micro_deposit
    account = DepositAccount(
        account_number=fields.account_number,
        routing_number=fields.routing_number,
        account_name=fields.account_name,
        email=fields.email,
        first_name=fields.first_name,
        last_name=fields.last_name,
    )
    deposit = await request.services.micro_deposits.create(
        request.connection, await request.readable_user(), account, fields.account_type
    )
    return await _body(request, deposit)


async def read(request: ApiRequest) -> MicrodepositResponseBody:
    """Updates the status first (MX docs: read a microdeposit)."""
    return await _body(
        request, await request.services.micro_deposits.refresh(request.connection, await _find(request))
    )


async def delete(request: ApiRequest) -> None:
    await request.services.micro_deposits.delete(request.connection, await _find(request))


async def verify(request: ApiRequest) -> MicrodepositResponseBody:
    """The status of the micro-deposit says whether the amounts were right; the HTTP status is 200."""
    # MX's path has no user. The client is the condition, so that another client's deposit is NotFound.
    deposit = await find_micro_deposit(request.connection, request.client.guid, request.path["micro_deposit"])
    if (await find_user(request.connection, request.client.guid, deposit.user_guid)).is_disabled:
        raise UserDisabled
    amounts = parse(request.body, MicrodepositVerifyRequestBody).micro_deposit
    verified = await request.services.micro_deposits.verify(
        request.connection, deposit, (amounts.deposit_amount_1, amounts.deposit_amount_2)
    )
    return await _body(request, verified)


async def verifications(request: ApiRequest) -> MicrodepositResponseBody:
    user = await request.readable_user()
    deposits = await list_micro_deposits(request.connection, user.guid, ALL)
    return account_verifications_body(
        await request.services.micro_deposits.accounts_of(request.connection, deposits.items)
    )


async def _find(request: ApiRequest) -> MicroDeposit:
    user = await request.readable_user()
    return await find_micro_deposit(
        request.connection, request.client.guid, request.path["micro_deposit"], user_guid=user.guid
    )


async def _body(request: ApiRequest, deposit: MicroDeposit) -> MicrodepositResponseBody:
    account = await request.services.micro_deposits.account_of(request.connection, deposit)
    return micro_deposit_body(deposit, account)
