"""MX's tables: the numbers, texts and sets that its API, widget and webhooks share.

Sources: connect-widget `src/const/` and the pages of docs.mx.com on member statuses, microdeposits and webhooks.
Keys are names as on the wire.
"""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.model.jobs import JobState
from coatcheck.model.micro_deposits import DepositStatus
from coatcheck.model.oauth_states import AuthStatus, OAuthError
from coatcheck.model.statuses import ConnectionStatus

# --- members ---

CONNECTION_STATUS_IDS: Mapping[ConnectionStatus, int] = MappingProxyType(
    {
        ConnectionStatus.CREATED: 0,
        ConnectionStatus.PREVENTED: 1,
        ConnectionStatus.DENIED: 2,
        ConnectionStatus.CHALLENGED: 3,
        ConnectionStatus.REJECTED: 4,
        ConnectionStatus.LOCKED: 5,
        ConnectionStatus.CONNECTED: 6,
        ConnectionStatus.IMPEDED: 7,
        ConnectionStatus.RECONNECTED: 8,
        ConnectionStatus.DEGRADED: 9,
        ConnectionStatus.DISCONNECTED: 10,
        ConnectionStatus.DISCONTINUED: 11,
        ConnectionStatus.CLOSED: 12,
        ConnectionStatus.DELAYED: 13,
        ConnectionStatus.FAILED: 14,
        ConnectionStatus.UPDATED: 15,
        ConnectionStatus.DISABLED: 16,
        ConnectionStatus.IMPORTED: 17,
        ConnectionStatus.RESUMED: 18,
        ConnectionStatus.EXPIRED: 19,
        ConnectionStatus.IMPAIRED: 20,
        ConnectionStatus.PENDING: 21,
    }
)

ACTIONABLE = frozenset(
    {
        ConnectionStatus.CHALLENGED,
        ConnectionStatus.DENIED,
        ConnectionStatus.EXPIRED,
        ConnectionStatus.IMPAIRED,
        ConnectionStatus.IMPEDED,
        ConnectionStatus.LOCKED,
        ConnectionStatus.PREVENTED,
        ConnectionStatus.REJECTED,
    }
)
"""The statuses that the end user can resolve. A change to one sends a webhook (MX docs: connection status)."""

STATUS_MESSAGES: Mapping[ConnectionStatus, str] = MappingProxyType(
    {
        ConnectionStatus.CREATED: "{name} is being connected.",
        ConnectionStatus.PREVENTED: "The sign-in to {name} failed three times. Enter the credentials again.",
        ConnectionStatus.DENIED: "{name} did not accept the credentials. Enter them again.",
        ConnectionStatus.CHALLENGED: "{name} asks a question before it continues.",
        ConnectionStatus.REJECTED: "{name} did not accept the answer. Try again.",
        ConnectionStatus.LOCKED: "The login is locked at {name}. Unlock it there first.",
        # As in the example of MX's OpenAPI documents, which has no full stop.
        ConnectionStatus.CONNECTED: "Connected to {name}",
        ConnectionStatus.IMPEDED: "{name} wants something done on its own site first.",
        ConnectionStatus.RECONNECTED: "{name} is being connected again.",
        ConnectionStatus.DEGRADED: "{name} has trouble at the moment. Try again later.",
        ConnectionStatus.DISCONNECTED: "{name} is no longer connected.",
        ConnectionStatus.DISCONTINUED: "{name} no longer offers this connection.",
        ConnectionStatus.CLOSED: "The account is closed at {name}.",
        ConnectionStatus.DELAYED: "{name} takes longer than usual. Try again later.",
        ConnectionStatus.FAILED: "{name} could not be read. Try again later.",
        ConnectionStatus.UPDATED: "{name} is being connected with the new credentials.",
        ConnectionStatus.DISABLED: "{name} is not being read.",
        ConnectionStatus.IMPORTED: "Sign in to {name} to connect it again.",
        ConnectionStatus.RESUMED: "{name} has the answer and continues.",
        ConnectionStatus.EXPIRED: "The question of {name} was not answered in time. Start again.",
        ConnectionStatus.IMPAIRED: "A credential for {name} is missing. Enter it.",
        ConnectionStatus.PENDING: "Finish signing in at {name}.",
    }
)

NEEDS_CREDENTIALS = frozenset(
    {
        ConnectionStatus.PREVENTED,
        ConnectionStatus.DENIED,
        ConnectionStatus.IMPORTED,
        ConnectionStatus.IMPAIRED,
    }
)
"""The statuses that only new credentials end: `needs_updated_credentials`."""

MEMBER_ERRORS: Mapping[ConnectionStatus, tuple[int, str]] = MappingProxyType(
    {
        ConnectionStatus.DENIED: (2005, "INVALID_CREDENTIALS"),
        ConnectionStatus.PREVENTED: (2005, "INVALID_CREDENTIALS"),
        ConnectionStatus.IMPAIRED: (2005, "INVALID_CREDENTIALS"),
        ConnectionStatus.REJECTED: (2002, "INCORRECT_MFA"),
        ConnectionStatus.EXPIRED: (2003, "MFA_TIMEOUT"),
        ConnectionStatus.DISCONNECTED: (2004, "REAUTHORIZATION_REQUIRED"),
        ConnectionStatus.IMPORTED: (2004, "REAUTHORIZATION_REQUIRED"),
        ConnectionStatus.LOCKED: (1002, "ACCESS_DENIED"),
        ConnectionStatus.IMPEDED: (1002, "ACCESS_DENIED"),
        ConnectionStatus.CLOSED: (1002, "ACCESS_DENIED"),
        ConnectionStatus.DISABLED: (1002, "ACCESS_DENIED"),
        ConnectionStatus.DEGRADED: (3000, "INSTITUTION_DOWN"),
        ConnectionStatus.DELAYED: (3002, "UNAVAILABLE"),
        ConnectionStatus.FAILED: (3002, "UNAVAILABLE"),
        ConnectionStatus.DISCONTINUED: (3002, "UNAVAILABLE"),
    }
)
"""`error_code` and `error_message` of a member in the widget."""
NO_ELIGIBLE_ACCOUNTS, NO_ACCOUNTS = (1000, "NO_ELIGIBLE_ACCOUNTS"), (1001, "NO_ACCOUNTS")

# --- jobs, credentials and challenges ---

JOB_TYPE_IDS: Mapping[str, int] = MappingProxyType(
    {"AGGREGATION": 0, "VERIFICATION": 1, "IDENTIFICATION": 2, "HISTORY": 3, "STATEMENT": 4, "BALANCE": 7}
)
JOB_STATE_IDS: Mapping[str, int] = MappingProxyType(
    {JobState.QUEUED: 0, JobState.RUNNING: 1, JobState.WAITING: 2, JobState.ENDED: 3}
)
FIELD_TYPE_IDS: Mapping[str, int] = MappingProxyType(
    {
        "TEXT": 0,
        "PASSWORD": 1,
        "OPTIONS": 2,
        "LOGIN": 3,
        "TOKEN": 12,
        "IMAGE_DATA": 13,
        "IMAGE_OPTIONS": 14,
    }
)
"""Types of credential fields and of challenges."""

# --- accounts ---

VERIFIABLE_ACCOUNT_TYPE_IDS: Mapping[str, int] = MappingProxyType({"CHECKING": 1, "SAVINGS": 2})
"""The account types that have an account number and can receive micro-deposits."""

# --- OAuth ---

AUTH_STATUS_IDS: Mapping[str, int] = MappingProxyType(
    {AuthStatus.PENDING: 1, AuthStatus.SUCCESS: 2, AuthStatus.ERRORED: 3}
)
OAUTH_ERROR_IDS: Mapping[str, int] = MappingProxyType(
    {
        OAuthError.UNKNOWN_ERROR: 0,
        OAuthError.CANCELLED: 1,
        OAuthError.DENIED: 2,
        OAuthError.IMPEDED: 3,
        OAuthError.PROVIDER_ERROR: 4,
        OAuthError.SERVER_ERROR: 5,
        OAuthError.SESSION_ERROR: 6,
    }
)

# --- micro-deposits ---

DEPOSIT_STATUS_IDS: Mapping[str, int] = MappingProxyType(
    {
        DepositStatus.INITIATED: 0,
        DepositStatus.REQUESTED: 1,
        DepositStatus.DEPOSITED: 2,
        DepositStatus.VERIFIED: 3,
        DepositStatus.ERRORED: 4,
        DepositStatus.DENIED: 5,
        DepositStatus.PREVENTED: 6,
        DepositStatus.CONFLICTED: 7,
        DepositStatus.REJECTED: 8,
        DepositStatus.PREINITIATED: 9,
    }
)


def status_message(status: ConnectionStatus, name: str) -> str:
    """`connection_status_message` of a member with this name."""
    return STATUS_MESSAGES[status].format(name=name)
