"""Users that move to another cell. Triggers refuse their changes, so the worker leaves them out."""


def is_settled(user_guid: str) -> str:
    """A condition: the user that this expression names is not moving, and has not moved away."""
    # A scalar query, because PostgreSQL looks it up for each row and keeps the order of the index. For NOT EXISTS it
    # may read everything and sort it.
    return f"(SELECT true FROM cell_move moving WHERE moving.user_guid = {user_guid}) IS NULL"
