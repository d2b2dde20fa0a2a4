"""Conditions for indexes that have the last 7 characters of a guid, which are random, in place of all 40.

Rows of another guid with the same end are read too. The comparison of the whole guid leaves them out.
"""


def is_guid(column: str, guid: str) -> str:
    """A condition: the column has this guid. Both are SQL expressions."""
    return f"right({column}, 7) = right({guid}, 7) AND {column} = {guid}"


def is_any_guid(column: str, guids: str) -> str:
    """As `is_guid`, for one of several guids: `guids` is an array, SQL."""
    ends = f"ARRAY(SELECT right(each, 7) FROM unnest({guids}::text[]) AS each)"
    return f"right({column}, 7) = ANY ({ends}) AND {column} = ANY ({guids})"
