"""The portal of an end user: single-use links to it, and its sessions.

    link --opened--> session --idle for 15 minutes, one hour old, or left--> ended
    sign-in ---------'

The browser keeps the secret of a session in a cookie. Whoever presents it must also name the session, so that two
sessions in one browser do not replace each other. A session ends with its user and client: every request checks that
neither is deleted or disabled.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.crypto import keyed_hash, masked
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import InvalidToken, UnknownUser
from coatcheck.grants.links import Link, LinkKind, Links
from coatcheck.grants.secrets import Kind, day_of, generate, parse_secret
from coatcheck.ids import new
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User, list_users

OPEN_PATH = "/portal/open/"
SIGN_IN_PATH = "/portal/sign-in"
RETURN_PATH = f"{SIGN_IN_PATH}/return"
"""To which the operator's identity provider leads back."""
OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""What the `id` of a user can be. Other text is not sent to the database, which refuses some of it."""
IDLE_TIMEOUT = timedelta(minutes=15)
"""After this time without a request, a session ends."""
MAX_AGE = timedelta(hours=1)
"""After this time, every session ends."""
EXTENSION_INTERVAL = timedelta(minutes=1)
"""A session is extended at most this often."""


@dataclass(frozen=True, slots=True)
class PortalSession:
    guid: str
    client_guid: str
    user_guid: str
    locale: str
    idle_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StartedSession:
    session: PortalSession
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PortalUrl:
    url: str = field(repr=False)
    expires_at: datetime


class PortalSessions:
    def __init__(
        self, settings: Settings, clock: Clock, hash_key: bytes, links: Links, journal: Journal
    ) -> None:
        self._base_url = settings.base_url
        self._clock = clock
        self._hash_key = hash_key
        self._links = links
        self._journal = journal

    async def create_url(self, connection: Connection, user: User, *, locale: str | None = None) -> PortalUrl:
        """A URL that opens the portal for the user once, within `link_ttl`.

        Args:
            connection: the caller's transaction.
            user: whose portal it is.
            locale: the language of its pages; by default that of the browser.
        """
        new_link = self._links.generate()
        link = Link(new("LNK"), user.client_guid, user.guid, member_guid=None)
        await self._links.store(connection, LinkKind.PORTAL, link, new_link)
        # Whoever has the URL acts as the user, so the log says who asked for it.
        await self._journal.record(
            connection,
            Entry(
                client_guid=user.client_guid,
                actor=user.client_guid,
                action="portal_url.issued",
                subject=link.guid,
                detail={"user_guid": user.guid},
            ),
        )
        query = f"?locale={locale}" if locale else ""
        return PortalUrl(f"{self._base_url}{OPEN_PATH}{new_link.secret.text}{query}", new_link.expires_at)

    async def open(self, connection: Connection, secret: str, *, locale: str) -> StartedSession:
        """Opens a link, which works once, and starts a session.

        Raises:
            NotFound: the link is unknown, expired, or has been opened before.
            InvalidToken: its user or client is deleted or disabled.
        """
        link = await self._links.open(connection, LinkKind.PORTAL, secret)
        return await self._start(connection, link.client_guid, link.user_guid, locale)

    async def sign_in(
        self, connection: Connection, client_guid: str, claim: str | None, *, locale: str
    ) -> StartedSession:
        """Starts a session of the user whose `id` an identity provider claims.

        Raises:
            UnknownUser: the client has no user with this `id`, or the user or the client is disabled.
        """
        user = await claimed_user(connection, client_guid, claim)
        if user is None:
            raise UnknownUser(detail="no user has this id")
        detail = {"method": "identity provider"}
        try:
            return await self._start(connection, client_guid, user.guid, locale, detail)
        except InvalidToken:
            raise UnknownUser(detail="the user or the client is disabled") from None

    async def _start(
        self,
        connection: Connection,
        client_guid: str,
        user_guid: str,
        locale: str,
        detail: Mapping[str, str] = MappingProxyType({}),
    ) -> StartedSession:
        now = self._clock.instant()
        generated = generate(Kind.PORTAL_SESSION, self._hash_key, period=day_of(now + MAX_AGE))
        guid = new("PSN")
        await run(
            connection,
            """INSERT INTO portal_session (expires_day, session_hash, guid, client_guid, user_guid, locale,
                                           created_at, idle_at, expires_at)
               VALUES (%(expires_day)s, %(session_hash)s, %(guid)s, %(client_guid)s, %(user_guid)s, %(locale)s,
                       %(now)s, %(idle_at)s, %(expires_at)s)""",
            {
                "expires_day": generated.period,
                "session_hash": generated.hash,
                "guid": guid,
                "client_guid": client_guid,
                "user_guid": user_guid,
                "locale": locale,
                "now": now,
                "idle_at": now + IDLE_TIMEOUT,
                "expires_at": now + MAX_AGE,
            },
        )
        started = StartedSession(await self.find(connection, guid, generated.text), generated.text)
        await self._journal.record(
            connection,
            Entry(
                client_guid=client_guid, actor=user_guid, action="portal.opened", subject=guid, detail=detail
            ),
        )
        return started

    async def find(self, connection: Connection, guid: str, secret: str) -> PortalSession:
        """The session with this guid and secret. It extends the session.

        Raises:
            InvalidToken: there is none, it has ended, or its user or client is deleted or disabled.
        """
        presented = parse_secret(Kind.PORTAL_SESSION, secret, self._hash_key)
        if presented is None:
            raise InvalidToken
        now = self._clock.instant()
        key = {"day": presented.period, "hash": presented.hash, "guid": guid, "now": now}
        session = await fetch_one(
            connection,
            PortalSession,
            f"""SELECT {columns(PortalSession, "s.")}
                FROM portal_session s
                JOIN client c ON c.guid = s.client_guid AND NOT c.is_disabled
                JOIN end_user u ON u.guid = s.user_guid AND u.client_guid = s.client_guid AND NOT u.is_disabled
                WHERE s.expires_day = %(day)s AND s.session_hash = %(hash)s AND s.guid = %(guid)s
                  AND s.idle_at > %(now)s AND s.expires_at > %(now)s""",
            key,
        )
        if session is None:
            raise InvalidToken
        if session.idle_at < now + IDLE_TIMEOUT - EXTENSION_INTERVAL:
            await self._set_idle_at(connection, session, now + IDLE_TIMEOUT, now)
        return session

    async def end(self, connection: Connection, session: PortalSession) -> None:
        """Ends the session at once, for every request that begins after the commit."""
        now = self._clock.instant()
        await self._set_idle_at(connection, session, now, now)

    def form_token(self, secret: str) -> str:
        """What a form of a session contains, masked. Another site cannot know it (OWASP: synchronizer token)."""
        return masked(keyed_hash(self._hash_key, "portal_form", secret))

    async def _set_idle_at(
        self, connection: Connection, session: PortalSession, idle_at: datetime, now: datetime
    ) -> None:
        # Only while it is alive: a request that found the session before the user left must not extend it afterwards.
        await run(
            connection,
            """UPDATE portal_session SET idle_at = %(idle_at)s
               WHERE expires_day = %(day)s AND guid = %(guid)s AND idle_at > %(now)s""",
            {"day": day_of(session.expires_at), "guid": session.guid, "idle_at": idle_at, "now": now},
        )


async def claimed_user(connection: Connection, client_guid: str, claim: str | None) -> User | None:
    """The user of the client with the `id` that an identity provider claims.

    Raises:
        UnknownUser: no user can have this `id`.
    """
    if claim is None or not OWN_ID.fullmatch(claim):
        raise UnknownUser(detail="the claim is missing, or cannot be the id of a user")
    # By `id` alone: people can choose some claims themselves, and must not choose the guid of another user.
    users = await list_users(connection, client_guid, PageRequest(1, 1), id=claim)
    return users.items[0] if users.items else None
