"""The sessions of staff in the dashboard.

    signed in --> session --confirmed again--> the same session with a new secret
                     `--idle for 30 minutes, 12 hours old, signed out, or the person removed--> ended

The browser keeps the secret in a cookie; the database has its keyed hash. Every sign-in and every confirmation issues a
new secret, so that one from before is worth nothing (OWASP: session fixation). A session ends with its person, and with
their client or processor: every request checks that it is not disabled.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.crypto import keyed_hash, masked
from coatcheck.db.database import Connection, fetch_one, run
from coatcheck.errors import InvalidToken
from coatcheck.grants.secrets import Kind, generate, parse_secret
from coatcheck.ids import new
from coatcheck.staff.roles import Role, client_of

IDLE_TIMEOUT = timedelta(minutes=30)
"""After this time without a request, a session ends."""
MAX_AGE = timedelta(hours=12)
"""After this time, every session ends."""
CONFIRMATION_TTL = timedelta(minutes=5)
"""How long after signing in or confirming a person may use keys and revoke access."""
EXTENSION_INTERVAL = timedelta(minutes=1)
"""A session is extended at most this often."""


@dataclass(frozen=True, slots=True)
class StaffSession:
    guid: str
    staff_guid: str
    name: str
    email: str
    role: Role
    organisation_guid: str | None
    organisation_name: str | None
    authenticated_at: datetime
    idle_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StartedSession:
    guid: str
    secret: str = field(repr=False)


class StaffSessions:
    def __init__(self, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal

    async def start(self, connection: Connection, staff_guid: str, *, method: str) -> StartedSession:
        """Starts a session of a person who has signed in.

        Args:
            connection: the caller's transaction.
            staff_guid: the person.
            method: how, such as `passkey`; for the audit log.

        Raises:
            InvalidToken: the person does not exist, or their client or processor is disabled.
        """
        now = self._clock.instant()
        # Nothing else deletes them: a sign-in is rare, and no job is needed.
        await run(connection, "DELETE FROM staff_session WHERE expires_at <= %(now)s", {"now": now})
        secret, guid = generate(Kind.STAFF_SESSION, self._hash_key), new("SSN")
        await run(
            connection,
            """INSERT INTO staff_session (session_hash, guid, staff_guid, created_at, authenticated_at, idle_at,
                                          expires_at)
               VALUES (%(hash)s, %(guid)s, %(staff_guid)s, %(now)s, %(now)s, %(idle_at)s, %(expires_at)s)""",
            {
                "hash": secret.hash,
                "guid": guid,
                "staff_guid": staff_guid,
                "now": now,
                "idle_at": now + IDLE_TIMEOUT,
                "expires_at": now + MAX_AGE,
            },
        )
        session = await self.find(connection, secret.text)
        await self._record(connection, session, "staff.signed_in", method=method)
        return StartedSession(guid, secret.text)

    async def find(self, connection: Connection, secret: str) -> StaffSession:
        """The session with this secret. It extends the session.

        Raises:
            InvalidToken: there is none, it has ended, or the client or processor of its person is disabled.
        """
        presented = parse_secret(Kind.STAFF_SESSION, secret, self._hash_key)
        if presented is None:
            raise InvalidToken
        now = self._clock.instant()
        session = await fetch_one(
            connection,
            StaffSession,
            # Outer joins: staff of the operator has no organisation. Of anybody else, one of both must be found.
            """SELECT n.guid, n.staff_guid, s.name, s.email, s.role, s.organisation_guid,
                      coalesce(c.name, p.name) AS organisation_name, n.authenticated_at, n.idle_at, n.expires_at
               FROM staff_session n JOIN staff s ON s.guid = n.staff_guid
               LEFT JOIN client c ON c.guid = s.organisation_guid AND NOT c.is_disabled
               LEFT JOIN processor p ON p.guid = s.organisation_guid AND NOT p.is_disabled
               WHERE n.session_hash = %(hash)s AND n.idle_at > %(now)s AND n.expires_at > %(now)s
                 AND (s.organisation_guid IS NULL OR c.guid IS NOT NULL OR p.guid IS NOT NULL)""",
            {"hash": presented.hash, "now": now},
        )
        if session is None:
            raise InvalidToken
        if session.idle_at < now + IDLE_TIMEOUT - EXTENSION_INTERVAL:
            await run(
                connection,
                "UPDATE staff_session SET idle_at = %(idle_at)s WHERE guid = %(guid)s",
                {"guid": session.guid, "idle_at": now + IDLE_TIMEOUT},
            )
        return replace(session, role=Role(session.role))

    def is_confirmed(self, session: StaffSession) -> bool:
        """Whether the person has signed in or confirmed who they are a short time ago."""
        return self._clock.instant() < session.authenticated_at + CONFIRMATION_TTL

    async def confirm(self, connection: Connection, session: StaffSession, *, method: str) -> StartedSession:
        """Records that the person of the session has authenticated again. The session gets a new secret."""
        secret = generate(Kind.STAFF_SESSION, self._hash_key)
        await run(
            connection,
            """UPDATE staff_session SET session_hash = %(hash)s, authenticated_at = %(now)s
               WHERE guid = %(guid)s""",
            {"guid": session.guid, "hash": secret.hash, "now": self._clock.instant()},
        )
        await self._record(connection, session, "staff.confirmed", method=method)
        return StartedSession(session.guid, secret.text)

    async def end(self, connection: Connection, session: StaffSession) -> None:
        await run(connection, "DELETE FROM staff_session WHERE guid = %(guid)s", {"guid": session.guid})
        await self._record(connection, session, "staff.signed_out")

    async def end_secret(self, connection: Connection, secret: str) -> None:
        """Ends the session of a cookie that another sign-in replaces, if there is one."""
        if presented := parse_secret(Kind.STAFF_SESSION, secret, self._hash_key):
            await run(
                connection,
                "DELETE FROM staff_session WHERE session_hash = %(hash)s",
                {"hash": presented.hash},
            )

    def form_token(self, secret: str) -> str:
        """What a form of a session contains, masked. Another site cannot know it (OWASP: synchronizer token)."""
        return masked(keyed_hash(self._hash_key, "staff_form", secret))

    async def _record(
        self, connection: Connection, session: StaffSession, action: str, **detail: str
    ) -> None:
        entry = Entry(
            client_guid=client_of(session.organisation_guid),
            actor=session.staff_guid,
            action=action,
            subject=session.guid,
            detail={"actor_name": session.name, **detail},
        )
        await self._journal.record(connection, entry)
