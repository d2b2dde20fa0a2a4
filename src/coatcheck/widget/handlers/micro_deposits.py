"""Micro-deposits, for users who do not sign in to their bank."""

import re
from decimal import Decimal

from coatcheck import text
from coatcheck.errors import InvalidRequest, JobNotSupported
from coatcheck.model.institution_statuses import AVAILABLE, availabilities
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit, find_micro_deposit
from coatcheck.model.mx_codes import VERIFIABLE_ACCOUNT_TYPE_IDS
from coatcheck.widget import schemas
from coatcheck.widget.bodies import AccountBody, AmountsBody
from coatcheck.widget.presenters import present_institution, present_micro_deposit
from coatcheck.widget.request import WidgetRequest

TYPES = {number: name for name, number in VERIFIABLE_ACCOUNT_TYPE_IDS.items()}
CENTS, AMOUNT = re.compile(r"[0-9]{1,2}"), re.compile(r"[0-9]{0,6}\.[0-9]{1,2}")

INVALID = schemas.BlockedRoutingNumber(reason=0, reason_name="INVALID")
IAV_PREFERRED = schemas.BlockedRoutingNumber(reason=3, reason_name="IAV_PREFERRED")


async def create(request: WidgetRequest) -> schemas.MicroDepositAnswer:
    request.require_consent()
    if not request.has_micro_deposits:
        raise JobNotSupported("This session does not offer micro-deposits.")
    body = request.parse(AccountBody)
    deposit = await request.services.micro_deposits.create(
        request.connection,
        await request.user(),
        DepositAccount(
            account_number=body.account_number,
            routing_number=body.routing_number,
            account_name=body.account_name,
            email=body.email,
            first_name=body.first_name,
            last_name=body.last_name,
        ),
        TYPES[body.account_type],
    )
    return schemas.MicroDepositAnswer(micro_deposit=present_micro_deposit(request, deposit))


async def read(request: WidgetRequest) -> schemas.MicroDeposit:
    """Returns the micro-deposits, with the status updated if they have arrived."""
    return present_micro_deposit(
        request, await request.services.micro_deposits.refresh(request.connection, await _find(request))
    )


async def verify(request: WidgetRequest) -> schemas.MicroDepositAnswer:
    """Compares the amounts. The result is in the status of the micro-deposits; the HTTP status is 200 in both cases."""
    amounts = request.parse(AmountsBody)
    verified = await request.services.micro_deposits.verify(
        request.connection,
        await _find(request),
        (_dollars(amounts.deposit_amount_1), _dollars(amounts.deposit_amount_2)),
    )
    return schemas.MicroDepositAnswer(micro_deposit=present_micro_deposit(request, verified))


async def check_routing_number(request: WidgetRequest) -> schemas.RoutingNumber:
    """Whether the number is valid, and the institution at which the user can sign in instead."""
    try:
        number = text.routing_number(request.path["number"])
    except InvalidRequest:
        return schemas.RoutingNumber(blocked_routing_number=INVALID)
    if not request.services.micro_deposits.is_known_routing_number(number):
        return schemas.RoutingNumber(blocked_routing_number=INVALID)
    available = await availabilities(request.connection, request.session.client_guid)
    for each in request.services.registry.search(routing_number=number, supports=request.options.kinds):
        if available.get(each.code, AVAILABLE).takes_new_members:
            return schemas.RoutingNumber(
                blocked_routing_number=IAV_PREFERRED, institution=present_institution(request, each)
            )
    return schemas.RoutingNumber()


async def _find(request: WidgetRequest) -> MicroDeposit:
    return await find_micro_deposit(
        request.connection,
        request.session.client_guid,
        request.path["micro_deposit"],
        user_guid=request.session.user_guid,
    )


def _dollars(amount: str) -> Decimal:
    """`07` and `0.07` are both seven cents, because MX's widget sends only the cents."""
    given = amount.strip()
    if CENTS.fullmatch(given):
        return Decimal(given) / 100
    if AMOUNT.fullmatch(given):
        return Decimal(given)
    raise InvalidRequest("An amount is in cents, such as 07, or in dollars, such as 0.07.")
