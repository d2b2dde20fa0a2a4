"""What clients and end users can do to a member. Whatever takes a bank becomes a job, for `sittings` to do.

connect --> member, sealed credentials, job          start --> another job
answer  --> sealed answers, the job goes on          change, disconnect
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import psycopg

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.db.database import Connection, run
from coatcheck.errors import (
    Conflict,
    ConstraintNotMet,
    DuplicateMember,
    InvalidRequest,
    JobRunning,
    NotFound,
    TooManyRequests,
    UserDisabled,
)
from coatcheck.events import catalogue
from coatcheck.jobs.queue import TaskKind
from coatcheck.members import job_rows, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_queue import Queue
from coatcheck.members.records import Challenge, JobRequest, LockedMember
from coatcheck.members.status import MemberEvent, status_after_start, transition
from coatcheck.members.validation import answered, check_offered, entered, how_to_connect, why_not
from coatcheck.model.clients import Client
from coatcheck.model.members import Member, find_member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.users import User
from coatcheck.vault.vault import SecretKind, WorkerReader

MAX_MEMBERS = 25
"""Of one user (MX's production cap, as third parties report it)."""
BALANCE_CHECKS, BALANCE_PERIOD = 5, timedelta(hours=2)
"""Per member (MX's limit, as third parties report it)."""


class Members:
    """Verbs on members. Each writes in the caller's transaction and talks to no bank."""

    def __init__(self, dependencies: Dependencies, *, index_key: bytes) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._jobs = dependencies.jobs
        self._queue = Queue(dependencies)
        self._index_key = index_key

    async def connect(
        self,
        connection: Connection,
        *,
        client: Client,
        user: User,
        institution_code: str,
        credentials: Mapping[str, str],
        id: str | None = None,
        metadata: str | None = None,
        use_cases: Sequence[str] | None = None,
        is_oauth: bool = False,
        skip_aggregation: bool = False,
        background_aggregation_is_disabled: bool = False,
        kinds: Sequence[JobKind] = (),
        include_transactions: bool = True,
        callback_payload: str | None = None,
        skip_webhook: bool = False,
    ) -> tuple[Member, bool]:
        """A new member, and whether a job was started for it.

        Args:
            connection: the caller's transaction.
            client: whose user it is.
            user: who signs in at the bank.
            institution_code: where.
            credentials: what the user entered, by credential guid; none for OAuth.
            id: the client's own name for the member, unique below the user.
            metadata: the client's own.
            use_cases: MX's.
            is_oauth: the user signs in at the bank's own page; the jobs wait for that (`Consent`).
            skip_aggregation: start no job.
            background_aggregation_is_disabled: never read the member without being asked.
            kinds: the jobs wanted, one after the other; none is an aggregation.
            include_transactions: an aggregation among them reads those too.
            callback_payload: echoed on the webhooks that follow.
            skip_webhook: do not tell the client of the new member.

        Raises:
            NotFound: no such institution.
            InvalidRequest: credentials are missing or unknown, or it is (not) an OAuth institution.
            JobNotSupported: the institution does not offer a wanted kind.
            DuplicateMember: the user has a member with this login there.
            Conflict: the user has a member with this `id`.
            ConstraintNotMet: the user has 25 members.
            UserDisabled: the client disabled the user.
        """
        institution = self._registry.find(institution_code)
        kinds = tuple(dict.fromkeys(kinds)) or (JobKind.AGGREGATION,)
        check_offered(institution, kinds)
        if is_oauth != institution.supports_oauth or (is_oauth and credentials):
            raise InvalidRequest(how_to_connect(institution))
        values = {} if is_oauth else entered(institution, credentials)
        if await member_rows.lock_user(connection, user.guid):
            raise UserDisabled
        if await member_rows.count_members(connection, user.guid) >= MAX_MEMBERS:
            raise ConstraintNotMet(f"A user has at most {MAX_MEMBERS} members.")
        now = self._clock.now()
        guid = ids.new("MBR")
        login_hash = self._login_hash(user.guid, institution, values)
        wants_jobs = () if skip_aggregation else kinds
        added = await member_rows.add_member(
            connection,
            {
                "user_guid": user.guid,
                "guid": guid,
                "client_guid": client.guid,
                "institution_code": institution.code,
                "institution_guid": institution.guid,
                "name": institution.name,
                "id": id,
                "metadata": metadata,
                "connection_status": transition(
                    MemberEvent.OAUTH_STARTED if is_oauth else MemberEvent.CREDENTIALS_GIVEN, None
                ),
                "is_oauth": is_oauth,
                "background_aggregation_is_disabled": background_aggregation_is_disabled,
                "use_cases": None if use_cases is None else list(use_cases),
                "login_hash": login_hash,
                "pending_kinds": [kind.value for kind in wants_jobs] if is_oauth else [],
                "created_at": now,
                "updated_at": now,
            },
        )
        if not added:
            await self._refuse_double(connection, user.guid, institution.code, login_hash)
        starts = bool(wants_jobs) and not is_oauth
        if values:
            await self._keep_credentials(connection, user.guid, guid, values)
        if starts:
            locked = await member_rows.lock_member(connection, user.guid, guid)
            request = JobRequest(
                kinds=wants_jobs,
                requested_by=client.guid,
                callback_payload=callback_payload,
                include_transactions=include_transactions,
            )
            await self._queue.put(connection, locked, request, ConnectionStatus.CREATED)
        member = await find_member(connection, user.guid, guid)
        await self._journal.record(
            connection,
            Entry(
                client_guid=client.guid,
                actor=client.guid,
                action="member.created",
                subject=guid,
                detail={"institution_code": institution.code, "user_guid": user.guid},
            ),
            catalogue.member(catalogue.Action.CREATED, member, now, callback_payload=callback_payload),
            notify=not skip_webhook,
        )
        return member, starts

    async def change(
        self,
        connection: Connection,
        member: Member,
        *,
        credentials: Mapping[str, str] | None = None,
        skip_aggregation: bool = False,
        kinds: Sequence[JobKind] = (),
        include_transactions: bool = True,
        callback_payload: str | None = None,
        skip_webhook: bool = False,
    ) -> Member:
        """Writes the member's `id`, `metadata`, `use_cases` and `background_aggregation_is_disabled`.

        New credentials, by credential guid, replace those of the same boxes, take the place of whatever job is
        on its way, and start an aggregation (or `kinds`) unless that is to be skipped.

        Raises:
            NotFound: the member was deleted meanwhile.
            Conflict: the user has another member with this `id`.
            DuplicateMember: the user has another member with this login.
            InvalidRequest: credentials are missing or unknown, or the member has none.
            ConstraintNotMet: the institution no longer takes credentials.
            UserDisabled: there are credentials, and the client disabled the user.
        """
        now = self._clock.now()
        if credentials is not None:
            await member_rows.lock_user(connection, member.user_guid)
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        try:
            await member_rows.change_member(
                connection,
                member.user_guid,
                member.guid,
                {
                    "id": member.id,
                    "metadata": member.metadata,
                    "use_cases": None if member.use_cases is None else list(member.use_cases),
                    "background_aggregation_is_disabled": member.background_aggregation_is_disabled,
                    "updated_at": now,
                },
            )
        except psycopg.errors.UniqueViolation as error:
            raise Conflict("A member with this id already exists.") from error
        if credentials is not None:
            await self._change_credentials(connection, locked, credentials)
            if not skip_aggregation:
                request = JobRequest(
                    kinds=tuple(kinds) or (JobKind.AGGREGATION,),
                    requested_by=locked.client_guid,
                    callback_payload=callback_payload,
                    include_transactions=include_transactions,
                )
                check_offered(self._institution(locked), request.kinds)
                await self._queue.put(connection, locked, request, ConnectionStatus.UPDATED)
        changed = await find_member(connection, member.user_guid, member.guid)
        await self._journal.record(
            connection,
            Entry(
                client_guid=locked.client_guid,
                actor=locked.client_guid,
                action="member.changed" if credentials is None else "member.credentials_changed",
                subject=member.guid,
            ),
            catalogue.member(catalogue.Action.UPDATED, changed, now, callback_payload=callback_payload),
            notify=not skip_webhook,
        )
        return changed

    async def disconnect(self, connection: Connection, member: Member, *, skip_webhook: bool = False) -> None:
        """Deletes the member with its accounts and secrets; tokens on them are dead at once.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        gone = replace(member, is_being_aggregated=False)
        for record in await _records_with_secrets(connection, locked):
            await self._vault.delete(connection, owner_guid=locked.user_guid, record_guid=record)
        await run(
            connection,
            "DELETE FROM member WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
            {"user_guid": locked.user_guid, "guid": locked.guid},
        )
        await self._journal.record(
            connection,
            Entry(
                client_guid=locked.client_guid,
                actor=locked.client_guid,
                action="member.deleted",
                subject=locked.guid,
            ),
            catalogue.member(catalogue.Action.DELETED, gone, self._clock.now()),
            notify=not skip_webhook,
        )

    async def start(
        self,
        connection: Connection,
        member: Member,
        kind: JobKind,
        *,
        requested_by: str,
        callback_payload: str | None = None,
        include_transactions: bool = True,
        is_background: bool = False,
        follow_ups: Sequence[JobKind] = (),
    ) -> Member:
        """Starts a job; does nothing where the same kind is on its way or ran just now (MX docs: 202).

        Raises:
            NotFound: the member was deleted meanwhile.
            UserDisabled: the client disabled the user.
            JobNotSupported: the institution does not offer it.
            JobRunning: another kind of job is on its way.
            ConstraintNotMet: no job may start on a manual member or in this connection status.
            TooManyRequests: the balance was checked too often.
        """
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        if locked.user_is_disabled:
            raise UserDisabled
        if locked.is_manual:
            raise ConstraintNotMet("A manual member has no bank to ask.")
        institution = self._institution(locked)
        check_offered(institution, (kind, *follow_ups))
        if live := await job_rows.live_job(connection, locked.user_guid, locked.guid):
            if live.kind != kind:
                raise JobRunning
            return member
        status = status_after_start(locked.status)
        if status is None:
            raise ConstraintNotMet(why_not(locked.status))
        request = JobRequest(
            kinds=(kind, *follow_ups),
            requested_by=requested_by,
            callback_payload=callback_payload,
            include_transactions=include_transactions,
            is_background=is_background,
        )
        if institution.is_throttled and await self._is_too_early(connection, locked, request):
            return member
        await self._queue.put(connection, locked, request, status)
        return await find_member(connection, locked.user_guid, locked.guid)

    async def answer(
        self, connection: Connection, member: Member, answers: Sequence[tuple[str, str]]
    ) -> Member:
        """Gives the bank the answers it waits for, each by its challenge's guid; the job goes on.

        Raises:
            NotFound: the member was deleted meanwhile.
            ConstraintNotMet: nothing waits for an answer, or not any more.
            InvalidRequest: an answer is missing, unknown, or none of the options. The questions still stand.
            UserDisabled: the client disabled the user.
        """
        now = self._clock.now()
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        if locked.user_is_disabled:
            raise UserDisabled
        waiting = await job_rows.lock_challenges(connection, locked, now)
        if waiting is None:
            raise ConstraintNotMet("The member waits for no answer.")
        job, challenges = waiting
        given = answered(challenges, answers)
        await self._vault.store_secret(
            connection,
            owner_guid=locked.user_guid,
            record_guid=job.guid,
            kind=SecretKind.ANSWERS,
            value=json.dumps(given).encode(),
        )
        await job_rows.resume(connection, job)
        status = transition(MemberEvent.ANSWERED, locked.status)
        await member_rows.change_member(
            connection, locked.user_guid, locked.guid, {"connection_status": status, "updated_at": now}
        )
        await self._jobs.wake(connection, TaskKind.MEMBER_JOB, job.key)
        await self._journal.record(
            connection,
            Entry(
                client_guid=locked.client_guid,
                actor=locked.client_guid,
                action="member.answered",
                subject=locked.guid,
                detail={"job_guid": job.guid},
            ),
        )
        return await find_member(connection, locked.user_guid, locked.guid)

    async def challenges(self, connection: Connection, member: Member) -> Sequence[Challenge]:
        """What the bank wants to know; nothing unless the member is CHALLENGED."""
        return await job_rows.challenges_of(connection, member.user_guid, member.guid)

    def _institution(self, locked: LockedMember) -> Institution:
        try:
            return self._registry.find(locked.institution_code)
        except NotFound:
            raise ConstraintNotMet(why_not(ConnectionStatus.DISCONTINUED)) from None

    async def _refuse_double(
        self, connection: Connection, user_guid: str, institution_code: str, login_hash: bytes
    ) -> None:
        if twin := await member_rows.member_with_login(connection, user_guid, institution_code, login_hash):
            raise DuplicateMember(twin)
        raise Conflict("A member with this id already exists.")

    async def _change_credentials(
        self, connection: Connection, locked: LockedMember, credentials: Mapping[str, str]
    ) -> None:
        if locked.is_oauth or locked.is_manual:
            raise InvalidRequest("This member takes no credentials.")
        if locked.user_is_disabled:
            raise UserDisabled
        status = transition(MemberEvent.CREDENTIALS_CHANGED, locked.status)
        if status is None:
            raise ConstraintNotMet(why_not(locked.status))
        institution = self._institution(locked)
        values = entered(institution, credentials, await self._credentials(connection, locked))
        login_hash = self._login_hash(locked.user_guid, institution, values)
        twin = await member_rows.member_with_login(connection, locked.user_guid, institution.code, login_hash)
        if twin not in {None, locked.guid}:
            raise DuplicateMember(twin)
        await self._queue.clear(connection, locked, "The credentials were changed.")
        await member_rows.change_member(
            connection,
            locked.user_guid,
            locked.guid,
            {"login_hash": login_hash, "credential_failures": 0, "connection_status": status},
        )
        await self._keep_credentials(connection, locked.user_guid, locked.guid, values)

    async def _credentials(self, connection: Connection, locked: LockedMember) -> Mapping[str, str]:
        kept = await self._vault.disclose_secret(
            connection,
            owner_guid=locked.user_guid,
            record_guid=locked.guid,
            kind=SecretKind.CREDENTIALS,
            reader=WorkerReader(locked.guid, locked.client_guid),
        )
        return json.loads(kept) if kept else {}

    async def _keep_credentials(
        self, connection: Connection, user_guid: str, member_guid: str, values: Mapping[str, str]
    ) -> None:
        await self._vault.store_secret(
            connection,
            owner_guid=user_guid,
            record_guid=member_guid,
            kind=SecretKind.CREDENTIALS,
            value=json.dumps(values).encode(),
        )

    async def _is_too_early(self, connection: Connection, locked: LockedMember, request: JobRequest) -> bool:
        """Whether a throttled institution was asked the same just now.

        A member that is not CONNECTED may always be tried again: only what works is spared.
        """
        now, kind = self._clock.now(), request.kinds[0]
        if kind is JobKind.BALANCE:
            first = await job_rows.nth_newest_job(connection, locked, kind, BALANCE_CHECKS)
            if first and first > now - BALANCE_PERIOD:
                raise TooManyRequests(first + BALANCE_PERIOD - now)
        return (
            kind is JobKind.AGGREGATION
            and locked.status is ConnectionStatus.CONNECTED
            and await job_rows.was_aggregated_since(
                connection,
                locked,
                now - self._settings.aggregation_interval,
                with_transactions=request.include_transactions,
            )
        )

    def _login_hash(self, user_guid: str, institution: Institution, values: Mapping[str, str]) -> bytes:
        """Equal for the same login at the same institution; for OAuth for any: there is one such member."""
        first = institution.credentials[0].field_name if institution.credentials else "LOGIN"
        login = None if institution.supports_oauth else values.get("LOGIN", values.get(first, "")).casefold()
        named = json.dumps(["login", user_guid, institution.code, login]).encode()
        return hmac.digest(self._index_key, named, sha256)


async def _records_with_secrets(connection: Connection, locked: LockedMember) -> Sequence[str]:
    cursor = await connection.execute(
        """SELECT guid FROM member_job WHERE user_guid = %(user_guid)s AND member_guid = %(guid)s
           UNION ALL
           SELECT guid FROM statement WHERE user_guid = %(user_guid)s AND member_guid = %(guid)s""",
        {"user_guid": locked.user_guid, "guid": locked.guid},
    )
    return [locked.guid, *(row[0] for row in await cursor.fetchall())]
