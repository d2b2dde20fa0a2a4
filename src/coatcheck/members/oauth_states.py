"""Writes to the OAuth states. `model.oauth_states` reads them."""

from datetime import datetime, timedelta

from coatcheck import ids
from coatcheck.db.database import Connection, run
from coatcheck.model.members import Member
from coatcheck.model.oauth_states import AuthStatus, OAuthError, OAuthState

RETENTION = timedelta(days=1)


async def add_oauth_state(connection: Connection, member: Member, session_guid: str, now: datetime) -> str:
    """Writes a pending state and returns its guid. Deletes the user's states that are older than a day."""
    guid = ids.new("OAS")
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
            "auth_status": AuthStatus.PENDING,
            "now": now,
        },
    )
    # SKIP LOCKED: the deletion of another member, or another window, deletes what it has locked.
    await run(
        connection,
        """DELETE FROM oauth_state s USING (
               SELECT user_guid, guid FROM oauth_state
               WHERE user_guid = %(user_guid)s AND created_at < %(before)s FOR UPDATE SKIP LOCKED) AS old
           WHERE s.user_guid = old.user_guid AND s.guid = old.guid""",
        {"user_guid": member.user_guid, "before": now - RETENTION},
    )
    return guid


async def set_first_retrieved(connection: Connection, state: OAuthState, now: datetime) -> None:
    """Records the first time that the session read the state."""
    await run(
        connection,
        """UPDATE oauth_state SET first_retrieved_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND first_retrieved_at IS NULL""",
        {"user_guid": state.user_guid, "guid": state.guid, "now": now},
    )


async def set_result(
    connection: Connection, user_guid: str, guid: str, error: OAuthError | None, now: datetime
) -> None:
    """Ends a state: ERRORED with an error, SUCCESS without one."""
    await run(
        connection,
        """UPDATE oauth_state SET auth_status = %(auth_status)s, error_reason = %(error_reason)s,
                                  updated_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
        {
            "user_guid": user_guid,
            "guid": guid,
            "auth_status": AuthStatus.ERRORED if error else AuthStatus.SUCCESS,
            "error_reason": error,
            "now": now,
        },
    )
