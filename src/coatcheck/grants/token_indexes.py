"""Conditions over `access_token` in the form that its indexes serve.

A guid takes 40 bytes as text. An index has the end of the guid of an object (`db/guid_ends.py`), and the 16 bytes of
the guid of the token, which have the order of the guids. So an entry takes a third of the space.
"""

from coatcheck.db.guid_ends import is_any_guid, is_guid

PLACE = "right(t.guid, 36)::uuid"
"""The place of a token `t` in the order of its creation."""
_IS_GUID = "'^TKN-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"


def is_of(column: str, value: str | None = None, *, alias: str = "t") -> str:
    """A condition: the token is of the object.

    Args:
        column: which object, such as `user_guid`.
        value: its guid, SQL; by default the parameter that is called as the column.
        alias: of `access_token`.
    """
    return is_guid(f"{alias}.{column}", value or f"%({column})s")


def is_of_any(column: str, values: str) -> str:
    """As `is_of`, of one of several objects: `values` is an array of their guids, SQL."""
    return is_any_guid(f"t.{column}", values)


def is_grant() -> str:
    """A condition: the token has the guid `%(guid)s`, which may be any text. Its client or processor is another one."""
    return f"{PLACE} = {_place_of('guid')} AND t.guid = %(guid)s"


def is_older(parameter: str) -> str:
    """A condition: the token was issued before the one with this guid."""
    return f"{PLACE} < {_place_of(parameter)}"


# Any other text has no place: to read it as a UUID would be an error.
def _place_of(parameter: str) -> str:
    given = f"%({parameter})s::text"
    return f"CASE WHEN {given} ~ {_IS_GUID} THEN right({given}, 36)::uuid END"
