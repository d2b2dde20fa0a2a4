"""Conditions over `event` in the form that its indexes serve: they have the last 7 characters of a guid.

These are random. Of another guid with the same end the rows are read too, and left out by the whole.
"""


def is_event(alias: str, guid: str) -> str:
    """A condition: the row has this guid, an SQL expression."""
    return _is(f"{alias}.guid", guid)


def is_owner(alias: str, guid: str) -> str:
    """A condition: the event was announced to this client or processor."""
    return _is(f"{alias}.owner_guid", guid)


def _is(column: str, guid: str) -> str:
    return f"right({column}, 7) = right({guid}, 7) AND {column} = {guid}"
