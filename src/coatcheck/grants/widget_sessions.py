"""Sessions of the widget: the page exchanges its link for one and presents it with every request.

    link --opened--> session --idle for 30 minutes, or two hours old--> expired

A session ends with its user and client: every request checks that neither is deleted or disabled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import InvalidToken
from coatcheck.grants.links import Link
from coatcheck.grants.secrets import Kind, day_of, generate, parse_secret
from coatcheck.ids import new

IDLE_TIMEOUT = timedelta(minutes=30)
"""After this time without a request, a session expires."""
MAX_AGE = timedelta(hours=2)
"""After this time, every session expires."""
EXTENSION_INTERVAL = timedelta(minutes=1)
"""A session is extended at most this often: a page that waits sends a request every second."""

LIVE = """widget_session s
          JOIN client c ON c.guid = s.client_guid AND NOT c.is_disabled
          JOIN end_user u ON u.guid = s.user_guid AND u.client_guid = s.client_guid AND NOT u.is_disabled
          WHERE s.idle_at > %(now)s AND s.expires_at > %(now)s"""


@dataclass(frozen=True, slots=True)
class WidgetSession:
    guid: str
    client_guid: str
    user_guid: str
    options: str
    """The options of the link, as the widget encodes them."""
    locale: str
    consented_at: datetime | None
    earlier_disclosure_guid: str | None
    """What the user agreed to in an earlier session, if that counts in this one."""
    selected_account_guids: list[str]
    created_at: datetime
    idle_at: datetime
    expires_at: datetime


class WidgetSessions:
    def __init__(self, clock: Clock, hash_key: bytes) -> None:
        self._clock = clock
        self._hash_key = hash_key

    async def start(
        self, connection: Connection, link: Link, *, options: str, locale: str
    ) -> tuple[WidgetSession, str]:
        """A session for an opened link, and its secret.

        Raises:
            InvalidToken: the link's user or client is deleted or disabled.
        """
        now = self._clock.instant()
        expires_at = now + MAX_AGE
        secret = generate(Kind.WIDGET_SESSION, self._hash_key, period=day_of(expires_at))
        await run(
            connection,
            """INSERT INTO widget_session (expires_day, session_hash, guid, client_guid, user_guid, options,
                                           locale, created_at, idle_at, expires_at)
               VALUES (%(expires_day)s, %(session_hash)s, %(guid)s, %(client_guid)s, %(user_guid)s,
                       %(options)s, %(locale)s, %(now)s, %(idle_at)s, %(expires_at)s)""",
            {
                "expires_day": secret.period,
                "session_hash": secret.hash,
                "guid": new("WSN"),
                "client_guid": link.client_guid,
                "user_guid": link.user_guid,
                "options": options,
                "locale": locale,
                "now": now,
                "idle_at": now + IDLE_TIMEOUT,
                "expires_at": expires_at,
            },
        )
        # Through `find`: a user who was disabled after the link was issued gets no session.
        return await self.find(connection, secret.text), secret.text

    async def find(self, connection: Connection, secret: str) -> WidgetSession:
        """The session of a presented secret. It extends the session.

        Raises:
            InvalidToken: the session is unknown or expired, or its user or client is deleted or disabled.
        """
        presented = parse_secret(Kind.WIDGET_SESSION, secret, self._hash_key)
        # Before the query: text that no server issued costs the database nothing.
        if presented is None:
            raise InvalidToken
        now = self._clock.instant()
        key = {"day": presented.period, "hash": presented.hash, "now": now}
        session = await fetch_one(
            connection,
            WidgetSession,
            f"""SELECT {columns(WidgetSession, "s.")} FROM {LIVE}
                AND s.expires_day = %(day)s AND s.session_hash = %(hash)s""",
            key,
        )
        if session is None:
            raise InvalidToken
        # Whether it is alive is not asked again, as it is of a portal session: nothing ends one of the widget early.
        if session.idle_at < now + IDLE_TIMEOUT - EXTENSION_INTERVAL:
            await run(
                connection,
                """UPDATE widget_session SET idle_at = %(idle_at)s
                   WHERE expires_day = %(day)s AND session_hash = %(hash)s""",
                {**key, "idle_at": now + IDLE_TIMEOUT},
            )
        return session

    async def is_live(self, connection: Connection, guid: str) -> bool:
        """Whether the session of this guid is valid."""
        cursor = await connection.execute(
            f"SELECT EXISTS (SELECT FROM {LIVE} AND s.guid = %(guid)s)",
            {"guid": guid, "now": self._clock.instant()},
        )
        return await cursor.fetchone() == (True,)

    async def record_consent(self, connection: Connection, session: WidgetSession) -> WidgetSession:
        """Stores that the user consented, and returns the changed session."""
        now = self._clock.instant()
        await run(
            connection,
            # By the guid alone, so every partition is looked at. It happens once in a session.
            "UPDATE widget_session SET consented_at = %(now)s WHERE guid = %(guid)s",
            {"guid": session.guid, "now": now},
        )
        return replace(session, consented_at=now)

    async def continue_consent(
        self, connection: Connection, session: WidgetSession, disclosure_guid: str, signed_at: datetime
    ) -> WidgetSession:
        """Stores that what the user agreed to in an earlier session counts, and returns the changed session."""
        await run(
            connection,
            """UPDATE widget_session
               SET consented_at = %(signed_at)s, earlier_disclosure_guid = %(disclosure_guid)s
               WHERE guid = %(guid)s""",
            {"guid": session.guid, "signed_at": signed_at, "disclosure_guid": disclosure_guid},
        )
        return replace(session, consented_at=signed_at, earlier_disclosure_guid=disclosure_guid)

    async def record_accounts(
        self, connection: Connection, session: WidgetSession, account_guids: Sequence[str]
    ) -> WidgetSession:
        """Stores which accounts the user selected for verification, and returns the changed session."""
        selected = list(account_guids)
        await run(
            connection,
            "UPDATE widget_session SET selected_account_guids = %(selected)s WHERE guid = %(guid)s",
            {"guid": session.guid, "selected": selected},
        )
        return replace(session, selected_account_guids=selected)
