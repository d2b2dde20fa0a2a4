"""The operations on members that clients and end users request. They start jobs, and do not call a bank.

connect --> member, sealed credentials, job          start --> job
answer  --> sealed answers, the job continues        change, disconnect
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

import psycopg

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import (
    Conflict,
    ConstraintNotMet,
    DuplicateMember,
    InstitutionRefused,
    InvalidRequest,
    JobNotSupported,
    JobRunning,
    NotFound,
    UserDisabled,
)
from coatcheck.events import mx_events
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.grants.announcements import about_grants, live_grants_of_member
from coatcheck.grants.deletion import end_tokens_of_member
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import job_rows, member_rows
from coatcheck.members.account_identity import Identities, remember_accounts
from coatcheck.members.announcements import about_member
from coatcheck.members.credentials import load_credentials, login_hash, store_credentials
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.disconnections import DeletedMember, Disconnections
from coatcheck.members.job_admission import JobAdmission
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.records import (
    Challenge,
    ConnectedMember,
    JobRequest,
    LockedMember,
    MemberChanges,
    NewMember,
)
from coatcheck.members.status import MemberEvent, status_after_start, transition
from coatcheck.members.validation import (
    check_answers,
    check_availability,
    check_credentials,
    check_sign_in,
    refusal_reason,
    startable_jobs,
)
from coatcheck.model.institution_statuses import availability
from coatcheck.model.members import Member, find_member, list_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.users import User
from coatcheck.rate_limits.connects import count_connect
from coatcheck.rate_limits.refreshes import count_refresh
from coatcheck.vault.vault import SecretKind

MAX_MEMBERS = 25
"""Members of one user (MX's production limit, from third-party reports)."""


class Members:
    """Every method writes in the caller's transaction."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._queue = JobQueue(dependencies)
        self._admission = JobAdmission(dependencies)
        self._disconnections = Disconnections(dependencies)
        self._index_key = dependencies.index_key

    async def connect(self, connection: Connection, user: User, new_member: NewMember) -> ConnectedMember:
        """Creates a member, and starts its first job.

        Raises:
            NotFound: there is no such institution.
            InvalidRequest: credentials are missing or unknown, or `is_oauth` does not fit the institution.
            InstitutionRefused: the operator permits no new member at the institution, or none of the jobs.
            JobNotSupported: the institution does not offer one of the jobs.
            DuplicateMember: the user has a member with this login at the institution.
            Conflict: the user has a member with this `id`.
            ConstraintNotMet: the user has 25 members.
            TooManyRequests: the user connected too often (`limit_connects_of_user`).
            UserDisabled: the client disabled the user.
        """
        institution = self._registry.find(new_member.institution_code)
        available = await availability(connection, user.client_guid, institution.code)
        check_availability(available, is_new=True)
        kinds, refusal = startable_jobs(institution, available, new_member.job_kinds)
        if refusal and not new_member.omits_refused_jobs:
            raise refusal
        new_member = replace(
            new_member, kinds=kinds, skip_aggregation=new_member.skip_aggregation or not kinds
        )
        credentials = check_sign_in(institution, new_member.credentials, is_oauth=new_member.is_oauth)
        # The lock serializes simultaneous creations, so that the limit below holds.
        if await member_rows.lock_user(connection, user.guid):
            raise UserDisabled
        if await member_rows.count_members(connection, user.guid) >= MAX_MEMBERS:
            raise ConstraintNotMet(f"A user can have at most {MAX_MEMBERS} members.")
        await self._count_connect(connection, user.guid)
        guid = await self._add(connection, user, institution, new_member, credentials)
        starts_job = not new_member.is_oauth and not new_member.skip_aggregation
        if starts_job:
            await self._start_first_job(connection, user, guid, new_member)
        member = await find_member(connection, user.guid, guid)
        created = mx_events.member(
            mx_events.Action.CREATED, member, callback_payload=new_member.callback_payload
        )
        await self._record(
            connection,
            member,
            "member.created",
            created,
            about_member(EventType.MEMBER_CREATED, member),
            detail={"institution_code": institution.code, "user_guid": user.guid},
            notify=not new_member.skip_webhook,
        )
        return ConnectedMember(member, starts_job, refusal)

    async def change(self, connection: Connection, member: Member, changes: MemberChanges) -> Member:
        """Writes the changes.

        Raises:
            NotFound: the member was deleted meanwhile.
            Conflict: the user has another member with this `id`.
            DuplicateMember: the user has another member with this login.
            InvalidRequest: credentials are missing or unknown, or the member takes none.
            ConstraintNotMet: the institution no longer accepts credentials.
            InstitutionRefused: the operator permits no such job at the institution.
            JobNotSupported: the institution does not offer one of the jobs.
            TooManyRequests: the changes include credentials, and the user connected too often.
            UserDisabled: the changes include credentials, and the client disabled the user.
        """
        now = self._clock.now()
        if changes.credentials is not None:
            # Before the member, as everywhere. `connect` locks the user too, so that two members never get one login.
            await member_rows.lock_user(connection, member.user_guid)
        locked_member = await member_rows.lock_member(connection, member.user_guid, member.guid)
        await self._write_attributes(connection, locked_member, changes.attributes, now)
        if changes.credentials is not None:
            await self._change_credentials(connection, locked_member, changes.credentials)
            if not changes.skip_aggregation:
                request = JobRequest(
                    kinds=tuple(changes.kinds) or (JobKind.AGGREGATION,),
                    requested_by=locked_member.client_guid,
                    callback_payload=changes.callback_payload,
                    include_transactions=changes.include_transactions,
                )
                await self._admission.check_jobs(connection, locked_member, request.kinds)
                await self._queue.enqueue(connection, locked_member, request, ConnectionStatus.UPDATED)
        changed = await find_member(connection, member.user_guid, member.guid)
        await self._record(
            connection,
            changed,
            "member.changed" if changes.credentials is None else "member.credentials_changed",
            mx_events.member(mx_events.Action.UPDATED, changed, callback_payload=changes.callback_payload),
            about_member(EventType.MEMBER_UPDATED, changed),
            notify=not changes.skip_webhook,
        )
        return changed

    async def disconnect(self, connection: Connection, member: Member, *, skip_webhook: bool = False) -> None:
        """Deletes the member with its accounts and secrets. Tokens on its accounts end at once.

        A worker ends the access at the upstream (`disconnections`).
        For 30 days, an account gets the same guid if the user connects it again (`account_identity`).

        Raises:
            NotFound: the member was deleted meanwhile.
        """
        # `remember_accounts` inserts rows that reference the user.
        await member_rows.prevent_user_deletion(connection, member.user_guid)
        locked_member = await member_rows.lock_member(
            connection, member.user_guid, member.guid, for_deletion=True
        )
        # Before they end, with their accounts: the events name them.
        grants = await live_grants_of_member(connection, member.guid, self._clock.instant())
        deleted_member = DeletedMember(
            locked_member.guid,
            locked_member.user_guid,
            locked_member.client_guid,
            locked_member.institution_code,
        )
        await self._disconnections.request(connection, [deleted_member])
        records = await member_rows.sealed_record_guids(connection, locked_member)
        await end_tokens_of_member(connection, member.guid, self._clock.instant())
        await remember_accounts(connection, locked_member, Identities(self._index_key), self._clock.now())
        await member_rows.delete_member(connection, locked_member.user_guid, locked_member.guid)
        await self._vault.delete_records(connection, [(locked_member.user_guid, guid) for guid in records])
        deleted = replace(member, is_being_aggregated=False, revision=locked_member.revision + 1)
        await self._record(
            connection,
            deleted,
            "member.deleted",
            mx_events.member(mx_events.Action.DELETED, deleted),
            *about_grants(EventType.TOKEN_REVOKED, grants, revoked_by=None),
            about_member(EventType.MEMBER_DELETED, deleted),
            notify=not skip_webhook,
        )

    async def start(self, connection: Connection, member: Member, request: JobRequest) -> Member:
        """Starts a job. Does nothing if a job of the same kind is live, or succeeded recently (MX docs: 202).

        Raises:
            NotFound: the member was deleted meanwhile.
            UserDisabled: the client disabled the user.
            InstitutionRefused: the operator permits no such job at the institution.
            JobNotSupported: the institution does not offer one of the jobs.
            JobRunning: a job of another kind is live.
            ConstraintNotMet: the member is manual, or its connection status allows no job.
            TooManyRequests: the balance was checked too often, or processors had the member read too often.
        """
        locked_member = await self._lock(connection, member)
        if locked_member.is_manual:
            raise ConstraintNotMet("A manual member has no institution to read from.")
        institution = await self._admission.check_jobs(connection, locked_member, request.kinds)
        if live := await job_rows.live_job(connection, locked_member.user_guid, locked_member.guid):
            if live.kind != request.kinds[0]:
                raise JobRunning
            return member
        status = status_after_start(locked_member.status)
        if status is None:
            raise ConstraintNotMet(refusal_reason(locked_member.status))
        if institution.is_throttled and await self._admission.is_throttled(
            connection, locked_member, request
        ):
            return member
        # The last check, so that a request that starts no job uses up no budget.
        if request.is_budgeted:
            await count_refresh(
                connection,
                self._settings,
                self._clock.instant(),
                processor_guid=request.requested_by,
                member_guid=locked_member.guid,
                institution_code=locked_member.institution_code,
            )
        await self._queue.enqueue(connection, locked_member, request, status)
        return await find_member(connection, locked_member.user_guid, locked_member.guid)

    async def start_all(self, connection: Connection, user: User, request: JobRequest) -> None:
        """Starts a job on each member of the user that can be read now. Passes over the others.

        Raises:
            UserDisabled: the client disabled the user.
        """
        members = (await list_members(connection, user.guid, PageRequest(size=MAX_MEMBERS))).items
        # Each stays locked until the end: in the order in which a merge locks several.
        for member in sorted(members, key=attrgetter("guid")):
            with suppress(ConstraintNotMet, InstitutionRefused, JobNotSupported, JobRunning, NotFound):
                await self.start(connection, member, request)

    async def answer(
        self, connection: Connection, member: Member, answers: Sequence[tuple[str, str]]
    ) -> Member:
        """Stores the answers to the member's challenges, as pairs of challenge guid and value. The job continues.

        Raises:
            NotFound: the member was deleted meanwhile.
            ConstraintNotMet: the member has no open challenges.
            InstitutionRefused: the operator permits no job at the institution.
            InvalidRequest: an answer is missing, unknown, or none of the options. The challenges stay open.
            UserDisabled: the client disabled the user.
            TooManyRequests: the member had 10 wrong answers in the past hour.
        """
        now = self._clock.now()
        locked_member = await self._lock(connection, member)
        await self._admission.check_jobs(connection, locked_member)
        await self._admission.check_wrong_answers(connection, locked_member)
        # The member is locked: the second of two simultaneous answers finds no waiting job.
        waiting = await job_rows.waiting_job(connection, locked_member, now)
        if waiting is None:
            raise ConstraintNotMet("The member has no open challenges.")
        job, challenges = waiting
        value = json.dumps(check_answers(challenges, answers)).encode()
        await job_rows.resume(connection, job, now)
        await self._vault.store_secret(
            connection,
            owner_guid=locked_member.user_guid,
            record_guid=job.guid,
            kind=SecretKind.ANSWERS,
            value=value,
        )
        status = transition(MemberEvent.ANSWERED, locked_member.status)
        await member_rows.change_member(
            connection,
            locked_member.user_guid,
            locked_member.guid,
            {"connection_status": status, "updated_at": now},
        )
        await notify_workers(connection, TaskKind.MEMBER_JOB)
        await self._record(connection, member, "member.answered", detail={"job_guid": job.guid})
        return await find_member(connection, locked_member.user_guid, locked_member.guid)

    async def challenges(self, connection: Connection, member: Member) -> Sequence[Challenge]:
        """The open challenges of a CHALLENGED member."""
        return await job_rows.challenges_of(connection, member.user_guid, member.guid)

    async def _add(
        self,
        connection: Connection,
        user: User,
        institution: Institution,
        new_member: NewMember,
        credentials: Mapping[str, str],
    ) -> str:
        """Writes the member and seals its credentials. Returns the guid of the member."""
        now, guid = self._clock.now(), ids.new("MBR")
        login = login_hash(self._index_key, user.guid, institution, credentials)
        event = MemberEvent.OAUTH_STARTED if new_member.is_oauth else MemberEvent.CREDENTIALS_GIVEN
        waits_for_oauth = new_member.is_oauth and not new_member.skip_aggregation
        row = {
            "user_guid": user.guid,
            "guid": guid,
            "client_guid": user.client_guid,
            "institution_code": institution.code,
            "institution_guid": institution.guid,
            "name": institution.name,
            "id": new_member.id,
            "metadata": new_member.metadata,
            "connection_status": transition(event, None),
            "is_oauth": new_member.is_oauth,
            "background_aggregation_is_disabled": new_member.background_aggregation_is_disabled,
            "use_cases": None if new_member.use_cases is None else list(new_member.use_cases),
            "announces_initial_data": new_member.announces_initial_data,
            "login_hash": login,
            "pending_kinds": [kind.value for kind in new_member.job_kinds] if waits_for_oauth else [],
            "created_at": now,
            "updated_at": now,
        }
        # A conflict is ignored by the statement, because an error would abort the transaction before the next query.
        if not await member_rows.add_member(connection, row):
            existing = await member_rows.member_with_login(connection, user.guid, institution.code, login)
            raise DuplicateMember(existing) if existing else Conflict("A member with this id already exists.")
        if credentials:
            await store_credentials(self._vault, connection, user.guid, guid, credentials)
        return guid

    async def _count_connect(self, connection: Connection, user_guid: str) -> None:
        await count_connect(
            connection, user_guid, self._settings.limit_connects_of_user, self._clock.instant()
        )

    async def _start_first_job(
        self, connection: Connection, user: User, guid: str, new_member: NewMember
    ) -> None:
        locked_member = await member_rows.lock_member(connection, user.guid, guid)
        request = JobRequest(
            kinds=new_member.job_kinds,
            requested_by=user.client_guid,
            callback_payload=new_member.callback_payload,
            include_transactions=new_member.include_transactions,
        )
        await self._queue.enqueue(connection, locked_member, request, ConnectionStatus.CREATED)

    async def _write_attributes(
        self,
        connection: Connection,
        locked_member: LockedMember,
        attributes: Mapping[str, object],
        now: datetime,
    ) -> None:
        # The driver writes a list as an array, and a tuple as a composite value.
        values = {
            name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()
        }
        try:
            await member_rows.change_member(
                connection,
                locked_member.user_guid,
                locked_member.guid,
                {**values, "updated_at": now, "revision": locked_member.revision + 1},
            )
        except psycopg.errors.UniqueViolation as error:
            raise Conflict("A member with this id already exists.") from error

    async def _change_credentials(
        self, connection: Connection, locked_member: LockedMember, changed: Mapping[str, str]
    ) -> None:
        if locked_member.is_oauth or locked_member.is_manual:
            raise InvalidRequest("This member takes no credentials.")
        if locked_member.user_is_disabled:
            raise UserDisabled
        status = transition(MemberEvent.CREDENTIALS_CHANGED, locked_member.status)
        if status is None:
            raise ConstraintNotMet(refusal_reason(locked_member.status))
        institution = self._admission.institution(locked_member)
        current = await load_credentials(self._vault, connection, locked_member)
        credentials = check_credentials(institution, changed, current)
        login = login_hash(self._index_key, locked_member.user_guid, institution, credentials)
        existing = await member_rows.member_with_login(
            connection, locked_member.user_guid, institution.code, login
        )
        if existing is not None and existing != locked_member.guid:
            raise DuplicateMember(existing)
        await self._count_connect(connection, locked_member.user_guid)
        # A run with the old credentials must not save its result: it may be of another login.
        await self._queue.cancel(connection, locked_member, "The credentials were changed.")
        await member_rows.change_member(
            connection,
            locked_member.user_guid,
            locked_member.guid,
            {"login_hash": login, "credential_failures": 0, "connection_status": status},
        )
        await store_credentials(
            self._vault, connection, locked_member.user_guid, locked_member.guid, credentials
        )

    async def _lock(self, connection: Connection, member: Member) -> LockedMember:
        """Locks the member.

        Raises:
            NotFound: the member was deleted meanwhile.
            UserDisabled: the client disabled the user.
        """
        locked_member = await member_rows.lock_member(connection, member.user_guid, member.guid)
        if locked_member.user_is_disabled:
            raise UserDisabled
        return locked_member

    async def _record(
        self,
        connection: Connection,
        member: Member,
        action: str,
        *events: mx_events.Event | Announcement,
        detail: Mapping[str, str] | None = None,
        notify: bool = True,
    ) -> None:
        entry = Entry(
            client_guid=member.client_guid,
            actor=member.client_guid,
            action=action,
            subject=member.guid,
            detail=detail or {},
        )
        await self._journal.record(connection, entry, *events, notify=notify)
