"""Events on the bank's side of a member of a sandbox."""

from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.connectors.sandbox.bank_side import BankEvent
from coatcheck.emulator.bank_events import Happened
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import MemberGuid, UserGuid, doc


class BankEventRequest(StrictSchema, frozen=True, kw_only=True):
    type: Annotated[BankEvent, Meta(description="What happens at the bank.", examples=["numbers_changed"])]
    notice: Annotated[
        bool,
        Meta(
            description="Whether the job that notices it runs at once. Otherwise the next such job notices it."
        ),
    ] = False


class BankEventRequestBody(StrictSchema, frozen=True, kw_only=True):
    event: Annotated[BankEventRequest, doc("The event.")]


class BankEventResponse(Struct, frozen=True):
    type: Annotated[BankEvent, doc("What happened.", "numbers_changed")]
    user_guid: UserGuid
    member_guid: MemberGuid
    connection_status: Annotated[
        str | None, Meta(description="The member's status now, as in MX's API.", examples=["CONNECTED"])
    ]


class BankEventResponseBody(Struct, frozen=True):
    event: Annotated[BankEventResponse, doc("The event.")]


def bank_event_body(happened: Happened) -> BankEventResponseBody:
    member = happened.member
    return BankEventResponseBody(
        BankEventResponse(happened.event, member.user_guid, member.guid, member.connection_status)
    )
