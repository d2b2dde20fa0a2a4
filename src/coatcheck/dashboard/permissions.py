"""What the staff of each role may do: the only place that says so. Each route names one permission.

The table in `docs/how-to/dashboard.md` is compared with this one.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from coatcheck.staff.roles import CLIENT_ROLES, PROCESSOR_ROLES, Role


class Permission(StrEnum):
    USE_DASHBOARD = "use the dashboard, and change one's own passkeys"
    SEE_STAFF = "see the staff of one's organisation"
    MANAGE_STAFF = "invite and remove staff, and change roles"
    SEE_ORGANISATIONS = "see clients and processors"
    MANAGE_ORGANISATIONS = "add and switch clients and processors, say who works for whom, rotate their keys"
    SEE_INSTITUTIONS = "see connectors, institutions and their status"
    MANAGE_INSTITUTIONS = "set the status of institutions"
    SEE_INSTALLATION = "see findings, the database, keys, checkpoints and metrics"
    ROTATE_SIGNING_KEYS = "rotate the keys that sign receipts"
    SEE_JOBS = "see jobs"
    RETRY_JOBS = "start jobs that failed again"
    SEE_KEYS = "see the API keys of one's organisation"
    MANAGE_KEYS = "rotate the API keys of one's organisation, and set from where they are accepted"
    SEE_WEBHOOKS = "see webhook endpoints and deliveries"
    MANAGE_WEBHOOKS = "change webhook endpoints, and deliver again"
    SEE_PROCESSOR_GRANTS = "see the grants of one's processor"
    TEST_PROCESSOR = "read conformance reports, and get tokens of a sandbox"
    MANAGE_WIDGET = "set how the client's widget looks, and which pages embed it"
    SEE_USERS = "see the client's users, their connections and their grants"
    SEE_CONNECTION_SUCCESS = "see institutions as the client does, and how often connections succeed"
    SEE_AUDIT_LOG = "search the client's audit log"
    EXPORT_USERS = "export the client's users, connections, accounts, grants and reads"
    REVEAL_NUMBERS = "read account numbers of users, with a reason"
    REVOKE_GRANTS = "revoke grants"


OPERATOR = frozenset({Role.OPERATOR})
ADMINS = frozenset({Role.OPERATOR, Role.CLIENT_ADMIN, Role.PROCESSOR_ADMIN})
DEVELOPERS = frozenset(
    {Role.CLIENT_ADMIN, Role.CLIENT_DEVELOPER, Role.PROCESSOR_ADMIN, Role.PROCESSOR_DEVELOPER}
)
PROCESSOR = frozenset(PROCESSOR_ROLES)
CLIENT = frozenset(CLIENT_ROLES)
SUPPORTERS = frozenset({Role.CLIENT_ADMIN, Role.CLIENT_SUPPORT})

PERMISSIONS: Mapping[Permission, frozenset[Role]] = MappingProxyType(
    {
        Permission.USE_DASHBOARD: frozenset(Role),
        Permission.SEE_STAFF: ADMINS | {Role.CLIENT_AUDITOR},
        Permission.MANAGE_STAFF: ADMINS,
        Permission.SEE_ORGANISATIONS: OPERATOR,
        Permission.MANAGE_ORGANISATIONS: OPERATOR,
        Permission.SEE_INSTITUTIONS: OPERATOR,
        Permission.MANAGE_INSTITUTIONS: OPERATOR,
        Permission.SEE_INSTALLATION: OPERATOR,
        Permission.ROTATE_SIGNING_KEYS: OPERATOR,
        Permission.SEE_JOBS: OPERATOR,
        Permission.RETRY_JOBS: OPERATOR,
        Permission.SEE_KEYS: DEVELOPERS,
        Permission.MANAGE_KEYS: frozenset({Role.CLIENT_ADMIN, Role.PROCESSOR_ADMIN}),
        Permission.SEE_WEBHOOKS: DEVELOPERS,
        Permission.MANAGE_WEBHOOKS: DEVELOPERS,
        Permission.SEE_PROCESSOR_GRANTS: PROCESSOR,
        Permission.TEST_PROCESSOR: PROCESSOR,
        Permission.MANAGE_WIDGET: frozenset({Role.CLIENT_ADMIN, Role.CLIENT_DEVELOPER}),
        Permission.SEE_USERS: CLIENT,
        Permission.SEE_CONNECTION_SUCCESS: CLIENT,
        Permission.SEE_AUDIT_LOG: frozenset({Role.CLIENT_ADMIN, Role.CLIENT_AUDITOR}),
        Permission.EXPORT_USERS: SUPPORTERS | {Role.CLIENT_AUDITOR},
        Permission.REVEAL_NUMBERS: SUPPORTERS,
        Permission.REVOKE_GRANTS: SUPPORTERS,
    }
)


def may(role: Role, permission: Permission) -> bool:
    return role in PERMISSIONS[permission]
