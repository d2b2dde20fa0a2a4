"""Micro-deposits: proving an account by two small amounts that arrive on it."""

from coatcheck.api.paging import read_page, read_text
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.requests import MicroDepositBody, MicroDepositVerifyBody, parse
from coatcheck.errors import UserDisabled
from coatcheck.model.micro_deposits import (
    DepositAccount,
    MicroDeposit,
    find_micro_deposit,
    list_micro_deposits,
)
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import find_user

EVERY = PageRequest(1, 1000)
"""More than any user has: three accounts to an e-mail address."""


async def list_(request: ApiRequest) -> bytes:
    user = await request.readable_user()
    deposits = await list_micro_deposits(
        request.connection, user.guid, read_page(request.query), status=read_text(request.query, "status")
    )
    return request.presenter.show_micro_deposits(deposits)


async def create(request: ApiRequest) -> bytes:
    """INITIATED with an account to pay to, PREINITIATED with its holder alone."""
    wanted = parse(request.body, MicroDepositBody).micro_deposit
    account = DepositAccount(
        account_number=wanted.account_number,
        routing_number=wanted.routing_number,
        account_name=wanted.account_name,
        email=wanted.email,
        first_name=wanted.first_name,
        last_name=wanted.last_name,
    )
    deposit = await request.services.micro_deposits.create(
        request.connection,
        client=request.client,
        user=await request.readable_user(),
        account=account,
        account_type=wanted.account_type,
    )
    return await _show(request, deposit)


async def read(request: ApiRequest) -> bytes:
    """As they are now: reading forces the status to be looked at (MX docs: read a microdeposit)."""
    return await _show(
        request, await request.services.micro_deposits.refresh(request.connection, await _find(request))
    )


async def delete(request: ApiRequest) -> ApiResponse:
    await request.services.micro_deposits.delete(request.connection, await _find(request))
    return ApiResponse(204)


async def verify(request: ApiRequest) -> bytes:
    """Whether the amounts were right is in the status, not in HTTP's."""
    deposit = await find_micro_deposit(request.connection, request.client.guid, request.path["micro_deposit"])
    if (await find_user(request.connection, request.client.guid, deposit.user_guid)).is_disabled:
        raise UserDisabled
    amounts = parse(request.body, MicroDepositVerifyBody).micro_deposit
    verified = await request.services.micro_deposits.verify(
        request.connection, deposit, (amounts.deposit_amount_1, amounts.deposit_amount_2)
    )
    return await _show(request, verified)


async def verifications(request: ApiRequest) -> bytes:
    user = await request.readable_user()
    deposits = await list_micro_deposits(request.connection, user.guid, EVERY)
    return request.presenter.show_account_verifications(
        [
            (each, await request.services.micro_deposits.account_of(request.connection, each))
            for each in deposits.items
        ]
    )


async def _find(request: ApiRequest) -> MicroDeposit:
    user = await request.readable_user()
    return await find_micro_deposit(
        request.connection, request.client.guid, request.path["micro_deposit"], user_guid=user.guid
    )


async def _show(request: ApiRequest, deposit: MicroDeposit) -> bytes:
    account = await request.services.micro_deposits.account_of(request.connection, deposit)
    return request.presenter.show_micro_deposit(deposit, account)
