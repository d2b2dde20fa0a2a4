"""What a client can have done at a member's bank. Each answers at once with the member; the work comes later."""

from coatcheck.api.paging import read_flag
from coatcheck.api.request import Call
from coatcheck.connectors.contract import JobKind
from coatcheck.model.members import find_member


async def aggregate(call: Call) -> bytes:
    return await _start(
        call,
        JobKind.AGGREGATION,
        include_transactions=read_flag(call.query, "include_transactions") is not False,
    )


async def verify(call: Call) -> bytes:
    return await _start(call, JobKind.VERIFICATION)


async def identify(call: Call) -> bytes:
    return await _start(call, JobKind.IDENTIFICATION)


async def check_balance(call: Call) -> bytes:
    return await _start(call, JobKind.BALANCE)


async def extend_history(call: Call) -> bytes:
    return await _start(call, JobKind.HISTORY)


async def fetch_statements(call: Call) -> bytes:
    return await _start(call, JobKind.STATEMENT)


async def _start(call: Call, kind: JobKind, *, include_transactions: bool = True) -> bytes:
    user = await call.readable_user()
    member = await find_member(call.connection, user.guid, call.path["member"])
    member = await call.house.linker.start(
        call.connection,
        member,
        kind,
        requested_by=call.client.guid,
        callback_payload=call.callback_payload,
        include_transactions=include_transactions,
    )
    return call.wire.show_member(member)
