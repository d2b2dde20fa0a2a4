"""Conditions over `event` in the form that its indexes serve."""

from coatcheck.db.guid_ends import is_guid


def is_event(alias: str, guid: str) -> str:
    """A condition: the row has this guid, an SQL expression."""
    return is_guid(f"{alias}.guid", guid)


def is_owner(alias: str, guid: str) -> str:
    """A condition: the event was announced to this client or processor."""
    return is_guid(f"{alias}.owner_guid", guid)
