"""Jobs that read from a member's institution. Each request returns the member at once."""

from msgspec import Struct

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.jobs import JobResponseBody, job_body
from coatcheck.api.schemas.members import member_body, members_body
from coatcheck.connectors.contract import JobKind
from coatcheck.http.query import read_flag, read_page
from coatcheck.members.records import JobRequest
from coatcheck.model.jobs import find_job
from coatcheck.model.members import find_member, list_members


async def read(request: ApiRequest) -> JobResponseBody:
    user = await request.readable_user()
    return job_body(await find_job(request.connection, user.guid, request.path["job"]))


async def aggregate_all(request: ApiRequest) -> Struct:
    """The members, of which those that can be read are being aggregated."""
    user = await request.readable_user()
    job = JobRequest(
        kinds=(JobKind.AGGREGATION,),
        requested_by=request.client.guid,
        callback_payload=request.callback_payload,
    )
    await request.services.members.start_all(request.connection, user, job)
    return members_body(
        request.version, await list_members(request.connection, user.guid, read_page(request.query))
    )


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
