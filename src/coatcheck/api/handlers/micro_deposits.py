"""Micro-deposits: proving an account by two small amounts that arrive on it."""

from coatcheck.api.paging import read_page, read_text
from coatcheck.api.request import Call, Reply
from coatcheck.api.schemas.requests import MicroDepositBody, MicroDepositVerifyBody, parse
from coatcheck.errors import UserDisabled
from coatcheck.members.records import DepositAccount
from coatcheck.model.micro_deposits import MicroDeposit, find_micro_deposit, list_micro_deposits
from coatcheck.model.paging import Page
from coatcheck.model.users import find_user

EVERY = Page(1, 1000)
"""More than any user has: three accounts to an e-mail address."""


async def list_(call: Call) -> bytes:
    user = await call.readable_user()
    deposits = await list_micro_deposits(
        call.connection, user.guid, read_page(call.query), status=read_text(call.query, "status")
    )
    return call.wire.show_micro_deposits(deposits)


async def create(call: Call) -> bytes:
    """INITIATED with an account to pay to, PREINITIATED with its holder alone."""
    wanted = parse(call.body, MicroDepositBody).micro_deposit
    account = DepositAccount(
        account_number=wanted.account_number,
        routing_number=wanted.routing_number,
        account_name=wanted.account_name,
        email=wanted.email,
        first_name=wanted.first_name,
        last_name=wanted.last_name,
    )
    deposit = await call.house.micro_deposits.create(
        call.connection,
        client=call.client,
        user=await call.readable_user(),
        account=account,
        account_type=wanted.account_type,
    )
    return await _show(call, deposit)


async def read(call: Call) -> bytes:
    """As they are now: reading forces the status to be looked at (MX docs: read a microdeposit)."""
    return await _show(call, await call.house.micro_deposits.refresh(call.connection, await _find(call)))


async def delete(call: Call) -> Reply:
    await call.house.micro_deposits.delete(call.connection, await _find(call))
    return Reply(204)


async def verify(call: Call) -> bytes:
    """Whether the amounts were right is in the status, not in HTTP's."""
    deposit = await find_micro_deposit(call.connection, call.client.guid, call.path["micro_deposit"])
    if (await find_user(call.connection, call.client.guid, deposit.user_guid)).is_disabled:
        raise UserDisabled
    amounts = parse(call.body, MicroDepositVerifyBody).micro_deposit
    verified = await call.house.micro_deposits.verify(
        call.connection, deposit, (amounts.deposit_amount_1, amounts.deposit_amount_2)
    )
    return await _show(call, verified)


async def verifications(call: Call) -> bytes:
    user = await call.readable_user()
    deposits = await list_micro_deposits(call.connection, user.guid, EVERY)
    return call.wire.show_account_verifications(
        [(each, await call.house.micro_deposits.account_of(call.connection, each)) for each in deposits.items]
    )


async def _find(call: Call) -> MicroDeposit:
    user = await call.readable_user()
    return await find_micro_deposit(
        call.connection, call.client.guid, call.path["micro_deposit"], user_guid=user.guid
    )


async def _show(call: Call, deposit: MicroDeposit) -> bytes:
    account = await call.house.micro_deposits.account_of(call.connection, deposit)
    return call.wire.show_micro_deposit(deposit, account)
