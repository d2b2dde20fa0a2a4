"""What the staff of each role may do: the only place that says so. Each route names one permission.

The table in `docs/how-to/dashboard.md` is compared with this one.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from coatcheck.staff.roles import Role


class Permission(StrEnum):
    USE_DASHBOARD = "use the dashboard, and change one's own passkeys"
    SEE_STAFF = "see the staff of one's organisation"
    MANAGE_STAFF = "invite and remove staff, and change roles"


OPERATOR = frozenset({Role.OPERATOR})
ADMINS = frozenset({Role.OPERATOR, Role.CLIENT_ADMIN, Role.PROCESSOR_ADMIN})

PERMISSIONS: Mapping[Permission, frozenset[Role]] = MappingProxyType(
    {
        Permission.USE_DASHBOARD: frozenset(Role),
        Permission.SEE_STAFF: ADMINS | {Role.CLIENT_AUDITOR},
        Permission.MANAGE_STAFF: ADMINS,
    }
)


def may(role: Role, permission: Permission) -> bool:
    return role in PERMISSIONS[permission]
