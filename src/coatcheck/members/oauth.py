"""OAuth at a bank: the user signs in on the bank's own page, and comes back with a code or a refusal.

connect(is_oauth) --> PENDING --authorize--> the bank's page --> code ----> complete --> credentials, jobs
`--> refusal --> refuse  --> DENIED
"""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, ConstraintNotMet, UserDisabled
from coatcheck.events import catalogue
from coatcheck.members import member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_queue import Queue
from coatcheck.members.records import JobRequest, LockedMember
from coatcheck.members.status import MemberEvent, transition
from coatcheck.model.members import Member, find_member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.vault.vault import SecretKind

RETURN_PATH = "/oauth/callback"
"""Where banks send the user back to; the web process serves it."""


class Consent:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._queue = Queue(dependencies)
        self._redirect_uri = dependencies.settings.base_url + RETURN_PATH

    def authorize(self, member: Member, *, state: str, code_verifier: str) -> str:
        """The bank's page for this attempt (RFC 6749 4.1.1; RFC 7636 with S256).

        Args:
            member: who signs in.
            state: a secret that lives once, to know the attempt by when the user comes back.
            code_verifier: kept for `complete`; the bank sees its hash alone.

        Raises:
            ConstraintNotMet: the member is not an OAuth member.
            NotFound: no connector offers the institution any more.
        """
        if not member.is_oauth:
            raise ConstraintNotMet("The member is connected with credentials, not at the bank's own page.")
        challenge = urlsafe_b64encode(sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        return self._registry.connector_for(member.institution_code).authorize(
            institution_code=member.institution_code,
            state=state,
            redirect_uri=self._redirect_uri,
            code_challenge=challenge,
        )

    async def complete(
        self,
        member: Member,
        *,
        code: str,
        code_verifier: str,
        skip_aggregation: bool = False,
        include_transactions: bool = True,
        callback_payload: str | None = None,
    ) -> Member:
        """Exchanges the bank's code, keeps what it gives as credentials, and starts the jobs that waited for it.

        Talks to the bank, so it has no transaction of the caller's: it makes its own.

        Raises:
            BankError: the bank refused the code. The member's status says so already.
            NotFound: the member was deleted meanwhile, or no connector offers the institution any more.
            UserDisabled: the client disabled the user.
        """
        connector = self._registry.connector_for(member.institution_code)
        try:
            credentials = await connector.complete(
                institution_code=member.institution_code,
                code=code,
                code_verifier=code_verifier,
                redirect_uri=self._redirect_uri,
            )
        except BankError as error:
            if not error.may_pass:
                async with self._db.transaction() as connection:
                    await self.refuse(connection, member, callback_payload=callback_payload)
            raise
        async with self._db.transaction() as connection:
            locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
            if locked.user_is_disabled:
                raise UserDisabled
            await self._vault.store_secret(
                connection,
                owner_guid=locked.user_guid,
                record_guid=locked.guid,
                kind=SecretKind.CREDENTIALS,
                value=json.dumps(dict(credentials)).encode(),
            )
            return await self._go_on(
                connection,
                locked,
                callback_payload,
                skip_aggregation=skip_aggregation,
                include_transactions=include_transactions,
            )

    async def refuse(
        self, connection: Connection, member: Member, *, callback_payload: str | None = None
    ) -> Member:
        """The user or the bank said no. Only a member that never had consent is the worse for it.

        Raises:
            NotFound: the member was deleted meanwhile.
        """
        locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
        return await self._step(connection, locked, MemberEvent.OAUTH_REFUSED, callback_payload)

    async def _go_on(
        self,
        connection: Connection,
        locked: LockedMember,
        callback_payload: str | None,
        *,
        skip_aggregation: bool,
        include_transactions: bool,
    ) -> Member:
        await self._queue.clear(connection, locked, "The user gave consent anew.")
        member = await self._step(connection, locked, MemberEvent.OAUTH_COMPLETED, callback_payload)
        kinds = tuple(JobKind(kind) for kind in locked.pending_kinds)
        if not kinds and locked.status is not ConnectionStatus.PENDING:
            kinds = (JobKind.AGGREGATION,)
        if skip_aggregation or not kinds:
            return member
        request = JobRequest(
            kinds=kinds,
            requested_by=locked.client_guid,
            callback_payload=callback_payload,
            include_transactions=include_transactions,
        )
        assert member.connection_status is not None
        await self._queue.put(connection, locked, request, ConnectionStatus(member.connection_status))
        return await find_member(connection, locked.user_guid, locked.guid)

    async def _step(
        self,
        connection: Connection,
        locked: LockedMember,
        member_event: MemberEvent,
        callback_payload: str | None,
    ) -> Member:
        now, status = self._clock.now(), transition(member_event, locked.status)
        if not locked.is_oauth or status is None:
            raise ConstraintNotMet("The member is connected with credentials, not at the bank's own page.")
        changes = {"connection_status": status, "updated_at": now}
        if member_event is MemberEvent.OAUTH_COMPLETED:
            changes |= {"credential_failures": 0, "pending_kinds": []}
        await member_rows.change_member(connection, locked.user_guid, locked.guid, changes)
        member = await find_member(connection, locked.user_guid, locked.guid)
        changed = catalogue.connection_status(member, status, callback_payload=callback_payload)
        await self._journal.record(
            connection,
            Entry(
                client_guid=locked.client_guid,
                actor=locked.client_guid,
                action=f"member.{member_event.lower()}",
                subject=locked.guid,
            ),
            changed if status is not locked.status else None,
        )
        return member
