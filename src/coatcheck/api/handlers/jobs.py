"""What a client can have done at a member's bank. Each answers at once with the member; the work comes later."""

from coatcheck.api.paging import read_flag
from coatcheck.api.request import ApiRequest
from coatcheck.connectors.contract import JobKind
from coatcheck.members.records import JobRequest
from coatcheck.model.members import find_member


async def aggregate(request: ApiRequest) -> bytes:
    return await _start(
        request,
        JobKind.AGGREGATION,
        include_transactions=read_flag(request.query, "include_transactions") is not False,
    )


async def verify(request: ApiRequest) -> bytes:
    return await _start(request, JobKind.VERIFICATION)


async def identify(request: ApiRequest) -> bytes:
    return await _start(request, JobKind.IDENTIFICATION)


async def check_balance(request: ApiRequest) -> bytes:
    return await _start(request, JobKind.BALANCE)


async def extend_history(request: ApiRequest) -> bytes:
    return await _start(request, JobKind.HISTORY)


async def fetch_statements(request: ApiRequest) -> bytes:
    return await _start(request, JobKind.STATEMENT)


async def _start(request: ApiRequest, kind: JobKind, *, include_transactions: bool = True) -> bytes:
    user = await request.readable_user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    member = await request.services.members.start(
        request.connection,
        member,
        JobRequest(
            kinds=(kind,),
            requested_by=request.client.guid,
            callback_payload=request.callback_payload,
            include_transactions=include_transactions,
        ),
    )
    return request.presenter.show_member(member)
