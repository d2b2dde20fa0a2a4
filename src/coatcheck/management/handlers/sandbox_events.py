"""Events on the bank's side of a member of a sandbox."""

from coatcheck.emulator import bank_events
from coatcheck.http.decoding import parse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_events import (
    BankEventRequestBody,
    BankEventResponseBody,
    bank_event_body,
)


async def create_event(request: ManagementRequest) -> BankEventResponseBody:
    event = parse(request.body, BankEventRequestBody).event
    happened = await bank_events.happen(
        request.services, request.client, request.path["member"], event.type, notice=event.notice
    )
    return bank_event_body(happened)
