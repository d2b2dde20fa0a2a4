"""The jobs of members."""

from typing import Annotated

from msgspec import Struct

from coatcheck.connectors.contract import JobKind
from coatcheck.http.doc import JOB, CreatedAt, MemberGuid, UserGuid, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.model.jobs import Job, JobState
from coatcheck.model.statuses import ConnectionStatus


class JobResponse(Struct, frozen=True, kw_only=True):
    connection_status: Annotated[
        str | None,
        doc(
            "The connection status to which the job led. Null until it ends.",
            "CONNECTED",
            enum=[*ConnectionStatus],
        ),
    ]
    created_at: CreatedAt
    finished_at: Annotated[Timestamp | None, doc("When it ended.", "2026-11-26T09:31:12Z")]
    guid: Annotated[str, doc("The guid of the job.", JOB)]
    has_processed_account_numbers: Annotated[bool, doc("Whether it read account numbers.")]
    has_processed_accounts: Annotated[bool, doc("Whether it read accounts.", True)]
    has_processed_transactions: Annotated[bool, doc("Whether it read transactions.", True)]
    is_authenticated: Annotated[bool, doc("Whether the institution accepted the credentials.", True)]
    job_type: Annotated[str, doc("What it reads.", "AGGREGATION", enum=[*JobKind])]
    member_guid: MemberGuid
    started_at: Annotated[Timestamp | None, doc("When a worker began.", "2026-11-26T09:30:02Z")]
    status: Annotated[
        str,
        doc(
            "`WAITING`: the user has to answer the challenges of the member.",
            "ENDED",
            enum=[each.upper() for each in JobState],
        ),
    ]
    user_guid: UserGuid


class JobResponseBody(Struct, frozen=True):
    job: Annotated[JobResponse, doc("The job.")]


def job_body(job: Job) -> JobResponseBody:
    return JobResponseBody(
        to_schema(
            job,
            JobResponse,
            connection_status=job.outcome,
            finished_at=job.ended_at,
            job_type=job.kind,
            status=job.state.upper(),
        )
    )
