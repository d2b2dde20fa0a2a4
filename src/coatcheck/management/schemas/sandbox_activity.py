"""What happened in a sandbox last."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from coatcheck.emulator.request_log import LoggedRequest
from coatcheck.http.doc import doc
from coatcheck.http.encoding import Timestamp, to_schemas
from coatcheck.model.members import Member


class RequestResponse(Struct, frozen=True, kw_only=True):
    at: Annotated[Timestamp, doc("When it was answered.", "2026-11-26T09:30:00Z")]
    method: Annotated[str, doc("The method.", "GET")]
    path: Annotated[str, doc("The path, without the query and without secrets.", "/users")]
    status: Annotated[int, doc("The status of the answer; 0 if there was none.", 200)]
    milliseconds: Annotated[int, doc("How long the answer took.", 12)]
    caller: Annotated[str | None, doc("The id in its HTTP Basic credentials; null if it had none.")]


class SandboxMemberResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the member.", "MBR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d02")]
    user_guid: Annotated[str, doc("Its user.", "USR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d01")]
    institution_code: Annotated[str, doc("Its institution.", "mxbank")]
    connection_status: Annotated[str | None, doc("Its connection status, as in MX's API.", "CONNECTED")]
    updated_at: Annotated[Timestamp, doc("When it changed last.", "2026-11-26T09:30:00Z")]


class ActivityResponse(Struct, frozen=True, kw_only=True):
    requests: Annotated[list[RequestResponse], doc("The last 200 requests of all callers, newest first.")]
    members: Annotated[
        list[SandboxMemberResponse], doc("Your 100 members that changed last, the newest change first.")
    ]


class ActivityResponseBody(Struct, frozen=True):
    activity: Annotated[ActivityResponse, doc("What happened last.")]


def activity_body(requests: Sequence[LoggedRequest], members: Sequence[Member]) -> ActivityResponseBody:
    return ActivityResponseBody(
        ActivityResponse(
            requests=to_schemas(requests, RequestResponse),
            members=to_schemas(members, SandboxMemberResponse),
        )
    )
