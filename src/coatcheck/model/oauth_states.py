"""OAuth states: the status of a sign-in window, for the widget session that opened it (MX: OAuth state)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound


class AuthStatus(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    ERRORED = "ERRORED"


class OAuthError(StrEnum):
    """Why a sign-in failed (MX: `error_reason`)."""

    UNKNOWN_ERROR = "UNKNOWN_ERROR"
    CANCELLED = "CANCELLED"
    DENIED = "DENIED"
    IMPEDED = "IMPEDED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    SERVER_ERROR = "SERVER_ERROR"
    SESSION_ERROR = "SESSION_ERROR"


@dataclass(frozen=True, slots=True)
class OAuthState:
    guid: str
    user_guid: str
    session_guid: str
    """The widget session that opened the window, and the only one that may read the state."""
    member_guid: str
    auth_status: str
    """An `AuthStatus`."""
    error_reason: str | None
    """An `OAuthError`, where the status is ERRORED."""
    first_retrieved_at: datetime | None
    created_at: datetime
    updated_at: datetime


async def find_oauth_state(connection: Connection, user_guid: str, guid: str) -> OAuthState:
    """The user's OAuth state with this guid.

    Raises:
        NotFound: there is none, or its member was deleted.
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
    """The states of one widget session, newest first."""
    # Guids have the order of their creation.
    return await fetch_all(
        connection,
        OAuthState,
        f"""SELECT {columns(OAuthState)} FROM oauth_state
            WHERE user_guid = %(user_guid)s AND session_guid = %(session_guid)s
              AND (%(member_guid)s::text IS NULL OR member_guid = %(member_guid)s)
            ORDER BY guid DESC""",
        {"user_guid": user_guid, "session_guid": session_guid, "member_guid": member_guid},
    )
