"""Jobs that read from a member's institution. Each request returns the member at once."""

from msgspec import Struct

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.members import member_body
from coatcheck.connectors.contract import JobKind
from coatcheck.http.query import read_flag
from coatcheck.members.records import JobRequest
from coatcheck.model.members import find_member


async def aggregate(request: ApiRequest) -> Struct:
    include_transactions = read_flag(request.query, "include_transactions") is not False
    return await _start(request, JobKind.AGGREGATION, include_transactions=include_transactions)


async def verify(request: ApiRequest) -> Struct:
    return await _start(request, JobKind.VERIFICATION)


async def identify(request: ApiRequest) -> Struct:
    return await _start(request, JobKind.IDENTIFICATION)


async def check_balance(request: ApiRequest) -> Struct:
    return await _start(request, JobKind.BALANCE)


async def extend_history(request: ApiRequest) -> Struct:
    return await _start(request, JobKind.HISTORY)


async def fetch_statements(request: ApiRequest) -> Struct:
    return await _start(request, JobKind.STATEMENT)


async def _start(request: ApiRequest, kind: JobKind, *, include_transactions: bool = True) -> Struct:
    user = await request.readable_user()
    member = await request.services.members.start(
        request.connection,
        await find_member(request.connection, user.guid, request.path["member"]),
        JobRequest(
            kinds=(kind,),
            requested_by=request.client.guid,
            callback_payload=request.callback_payload,
            include_transactions=include_transactions,
        ),
    )
    return member_body(request.version, member)
