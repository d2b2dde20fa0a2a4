"""OAuth at a bank: the user signs in on the bank's own page, and comes back with a code or a refusal.

connect(is_oauth) --> PENDING --authorize--> the bank's page --> code ----> complete --> credentials, jobs
`--> refusal --> refuse  --> DENIED
"""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, ConstraintNotMet, UserDisabled
from coatcheck.events import catalogue
from coatcheck.members import member_rows
from coatcheck.members.dependencies import Parts
from coatcheck.members.job_queue import Queue
from coatcheck.members.records import HeldMember, JobRequest
from coatcheck.members.status import Step, after
from coatcheck.model.members import Member, find_member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.vault.vault import SecretKind

RETURN_PATH = "/oauth/callback"
"""Where banks send the user back to; the web process serves it."""


class Consent:
    def __init__(self, parts: Parts) -> None:
        self._clock = parts.clock
        self._db = parts.db
        self._vault = parts.vault
        self._registry = parts.registry
        self._announcer = parts.announcer
        self._audit = parts.audit
        self._queue = Queue(parts)
        self._redirect_uri = parts.settings.base_url + RETURN_PATH

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
            held = await member_rows.hold_member(connection, member.user_guid, member.guid)
            if held.user_is_disabled:
                raise UserDisabled
            await self._vault.keep_secret(
                connection,
                owner_guid=held.user_guid,
                record_guid=held.guid,
                kind=SecretKind.CREDENTIALS,
                value=json.dumps(dict(credentials)).encode(),
            )
            return await self._go_on(
                connection,
                held,
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
        held = await member_rows.hold_member(connection, member.user_guid, member.guid)
        return await self._step(connection, held, Step.OAUTH_REFUSED, callback_payload)

    async def _go_on(
        self,
        connection: Connection,
        held: HeldMember,
        callback_payload: str | None,
        *,
        skip_aggregation: bool,
        include_transactions: bool,
    ) -> Member:
        await self._queue.clear(connection, held, "The user gave consent anew.")
        member = await self._step(connection, held, Step.OAUTH_COMPLETED, callback_payload)
        kinds = tuple(JobKind(kind) for kind in held.pending_kinds)
        if not kinds and held.status is not ConnectionStatus.PENDING:
            kinds = (JobKind.AGGREGATION,)
        if skip_aggregation or not kinds:
            return member
        request = JobRequest(
            kinds=kinds,
            requested_by=held.client_guid,
            callback_payload=callback_payload,
            include_transactions=include_transactions,
        )
        assert member.connection_status is not None
        await self._queue.put(connection, held, request, ConnectionStatus(member.connection_status))
        return await find_member(connection, held.user_guid, held.guid)

    async def _step(
        self, connection: Connection, held: HeldMember, step: Step, callback_payload: str | None
    ) -> Member:
        now, status = self._clock.now(), after(step, held.status)
        if not held.is_oauth or status is None:
            raise ConstraintNotMet("The member is connected with credentials, not at the bank's own page.")
        changes = {"connection_status": status, "updated_at": now}
        if step is Step.OAUTH_COMPLETED:
            changes |= {"credential_failures": 0, "pending_kinds": []}
        await member_rows.change_member(connection, held.user_guid, held.guid, changes)
        member = await find_member(connection, held.user_guid, held.guid)
        await self._audit.record(
            connection,
            client_guid=held.client_guid,
            actor=held.client_guid,
            action=f"member.{step.lower()}",
            subject=held.guid,
        )
        changed = catalogue.connection_status(member, status, callback_payload=callback_payload)
        if status is not held.status:
            await self._announcer.announce(connection, client_guid=held.client_guid, event=changed)
        return member
