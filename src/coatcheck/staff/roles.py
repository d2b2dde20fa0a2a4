"""The roles of staff. What each may do is a table of the dashboard."""

from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    CLIENT_ADMIN = "client_admin"
    CLIENT_DEVELOPER = "client_developer"
    CLIENT_SUPPORT = "client_support"
    CLIENT_AUDITOR = "client_auditor"
    PROCESSOR_ADMIN = "processor_admin"
    PROCESSOR_DEVELOPER = "processor_developer"


CLIENT_ROLES = tuple(role for role in Role if role.startswith("client_"))
PROCESSOR_ROLES = tuple(role for role in Role if role.startswith("processor_"))
ROLES_BY_PREFIX = {"CLT": CLIENT_ROLES, "PPR": PROCESSOR_ROLES}
"""By the prefix of the organisation's guid."""


def client_of(organisation_guid: str | None) -> str | None:
    """The client in whose audit log an act of its staff is. The operator and processors have no log of their own."""
    return organisation_guid if (organisation_guid or "").startswith("CLT-") else None


def roles_of(organisation_guid: str | None) -> tuple[Role, ...]:
    """The roles that staff of an organisation can have. None: of the operator."""
    if organisation_guid is None:
        return (Role.OPERATOR,)
    return ROLES_BY_PREFIX[organisation_guid.partition("-")[0]]
