"""Changes the bank's side of a live member, and lets the member notice."""

from dataclasses import dataclass, replace

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.sandbox.bank_side import ENDS_SIGN_IN, BankEvent, decode_bank_side
from coatcheck.connectors.sandbox.sign_in import decode_sign_in
from coatcheck.db.database import Connection
from coatcheck.emulator.connections import CONNECTOR, run_jobs
from coatcheck.errors import Conflict, JobRunning, NotFound, Unprocessable
from coatcheck.members import job_rows, member_rows
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.records import JobRequest, LockedMember
from coatcheck.members.status import status_after_start
from coatcheck.members.validation import refusal_reason
from coatcheck.model.clients import Client
from coatcheck.model.members import Member, find_client_member, find_member
from coatcheck.sandbox_bank import read_record, store_record
from coatcheck.vault.vault import SecretKind, WorkerReader

NOTICED_BY = {
    BankEvent.NUMBERS_CHANGED: JobKind.VERIFICATION,
    BankEvent.OWNER_CHANGED: JobKind.IDENTIFICATION,
}
"""The job that notices the event; an aggregation notices every other."""


@dataclass(frozen=True, slots=True)
class Happened:
    event: BankEvent
    member: Member
    """Afterwards."""


async def happen(
    services: Services, client: Client, member_guid: str, event: BankEvent, *, notice: bool = False
) -> Happened:
    """Changes the bank's side of the member.

    Args:
        services: those of a sandbox.
        client: whose member it is.
        member_guid: the member.
        event: what happens.
        notice: run the job that notices it, at once. Without it, the next such job of the member does.

    Raises:
        NotFound: the client has no such member.
        Unprocessable: the member is not at the sandbox bank.
        Conflict: with `notice`, no job can start now. Nothing was changed.
    """
    async with services.db.transaction() as connection:
        member = await find_client_member(connection, client.guid, member_guid)
        if member.is_manual or not is_at_sandbox_bank(services, member.institution_code):
            raise Unprocessable("The member is not at the sandbox bank.")
        # A run that ends at the same time writes the same state, under this lock.
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        if event in ENDS_SIGN_IN:
            await end_sign_in(services, connection, locked, event)
        else:
            side = decode_bank_side(await read_record(connection, member.guid))
            record = side.after(event, services.clock.now()).encode()
            await store_record(connection, user_guid=member.user_guid, member_guid=member.guid, record=record)
        if notice:
            await start_notice(services, connection, locked, event)
    if notice:
        # After the commit: the jobs have connections of their own, and would wait for the lock of this one.
        await run_jobs(services, [member])
    async with services.db.connection() as connection:
        return Happened(event, await find_member(connection, member.user_guid, member.guid))


def is_at_sandbox_bank(services: Services, institution_code: str) -> bool:
    try:
        return services.registry.connector_for(institution_code).name == CONNECTOR
    except NotFound:  # a manual member, or an institution of a connector that was removed
        return False


async def end_sign_in(
    services: Services, connection: Connection, member: LockedMember, event: BankEvent
) -> None:
    """Lets the bank refuse the member's present credentials.

    It is part of the connector's state of the member, which new credentials delete.
    """
    state = await sign_in_state(services, connection, member)
    await services.vault.store_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=member.guid,
        kind=SecretKind.STATE,
        value=replace(decode_sign_in(state), ended=event).encode(),
    )


async def sign_in_state(services: Services, connection: Connection, member: LockedMember) -> bytes | None:
    """What the bank remembers of the member's sign-in. Writes a disclosure to the member itself."""
    return await services.vault.disclose_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=member.guid,
        kind=SecretKind.STATE,
        reader=WorkerReader(member.guid, member.client_guid),
    )


async def start_notice(
    services: Services, connection: Connection, member: LockedMember, event: BankEvent
) -> None:
    """Starts the job that notices the event, as the daily aggregation is started: without a client's throttle.

    Raises:
        Conflict: the member's status allows no job, or another job is running.
    """
    status = status_after_start(member.status)
    if status is None:
        raise Conflict(refusal_reason(member.status))
    if await job_rows.live_job(connection, member.user_guid, member.guid) is not None:
        raise JobRunning
    request = JobRequest(
        kinds=(NOTICED_BY.get(event, JobKind.AGGREGATION),),
        requested_by=member.client_guid,
        is_background=True,
    )
    await JobQueue(services.dependencies).enqueue(connection, member, request, status)
