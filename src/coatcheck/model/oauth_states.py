"""How a window in which somebody signs in at a bank stands, for the page that opened it (MX: OAuth state)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.ids import new
from coatcheck.model.members import Member

PENDING, SUCCESS, ERRORED = "PENDING", "SUCCESS", "ERRORED"
KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OAuthState:
    guid: str
    user_guid: str
    session_guid: str
    """The widget's session that opened the window; nobody else is told."""
    member_guid: str
    auth_status: str
    """PENDING, SUCCESS or ERRORED."""
    error_reason: str | None
    """DENIED, IMPEDED, PROVIDER_ERROR or SERVER_ERROR, with ERRORED."""
    first_retrieved_at: datetime | None
    created_at: datetime
    updated_at: datetime


async def put_oauth_state(connection: Connection, member: Member, session_guid: str, now: datetime) -> str:
    """The guid of a new, pending one. The user's old ones go."""
    await run(
        connection,
        "DELETE FROM oauth_state WHERE user_guid = %(user_guid)s AND created_at < %(before)s",
        {"user_guid": member.user_guid, "before": now - KEPT},
    )
    guid = new("OAS")
    await run(
        connection,
        """INSERT INTO oauth_state (user_guid, guid, session_guid, member_guid, auth_status, created_at,
                                    updated_at)
           VALUES (%(user_guid)s, %(guid)s, %(session_guid)s, %(member_guid)s, %(auth_status)s, %(now)s, %(now)s)""",
        {
            "user_guid": member.user_guid,
            "guid": guid,
            "session_guid": session_guid,
            "member_guid": member.guid,
            "auth_status": PENDING,
            "now": now,
        },
    )
    return guid


async def find_oauth_state(connection: Connection, user_guid: str, guid: str) -> OAuthState:
    """One of the user's.

    Raises:
        NotFound: it is not there, or its member is gone.
    """
    state = await fetch_one(
        connection,
        OAuthState,
        f"""SELECT {columns(OAuthState)} FROM oauth_state
            WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
        {"user_guid": user_guid, "guid": guid},
    )
    if state is None:
        raise NotFound
    return state


async def list_oauth_states(
    connection: Connection, user_guid: str, session_guid: str, *, member_guid: str | None = None
) -> Sequence[OAuthState]:
    """Those of one session, newest first."""
    return await fetch_all(
        connection,
        OAuthState,
        f"""SELECT {columns(OAuthState)} FROM oauth_state
            WHERE user_guid = %(user_guid)s AND session_guid = %(session_guid)s
              AND (%(member_guid)s::text IS NULL OR member_guid = %(member_guid)s)
            ORDER BY guid DESC""",
        {"user_guid": user_guid, "session_guid": session_guid, "member_guid": member_guid},
    )


async def note_retrieval(connection: Connection, state: OAuthState, now: datetime) -> None:
    await run(
        connection,
        """UPDATE oauth_state SET first_retrieved_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND first_retrieved_at IS NULL""",
        {"user_guid": state.user_guid, "guid": state.guid, "now": now},
    )


async def settle_oauth_state(
    connection: Connection, user_guid: str, guid: str, error_reason: str | None, now: datetime
) -> None:
    """How the window ended: well, without a reason."""
    await run(
        connection,
        """UPDATE oauth_state SET auth_status = %(auth_status)s, error_reason = %(error_reason)s,
                                  updated_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
        {
            "user_guid": user_guid,
            "guid": guid,
            "auth_status": ERRORED if error_reason else SUCCESS,
            "error_reason": error_reason,
            "now": now,
        },
    )
