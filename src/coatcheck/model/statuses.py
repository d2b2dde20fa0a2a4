"""The connection statuses of a member, their numbers and what an end user is told (MX docs: member statuses)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ConnectionStatus(StrEnum):
    """How a member's connection stands. A manual member has none."""

    #: New, and not read yet.
    CREATED = "CREATED"
    #: The credentials failed three times in a row; nothing is tried until they are changed.
    PREVENTED = "PREVENTED"
    #: The credentials were refused.
    DENIED = "DENIED"
    #: The bank asked something and waits for the answer.
    CHALLENGED = "CHALLENGED"
    #: The answer was wrong.
    REJECTED = "REJECTED"
    #: The login is locked at the institution.
    LOCKED = "LOCKED"
    #: Read successfully.
    CONNECTED = "CONNECTED"
    #: The user has to do something on the institution's own site first.
    IMPEDED = "IMPEDED"
    #: Was broken, and is being connected again.
    RECONNECTED = "RECONNECTED"
    #: Failed several times for the institution's own trouble.
    DEGRADED = "DEGRADED"
    #: The consent or the connection was withdrawn.
    DISCONNECTED = "DISCONNECTED"
    #: The institution no longer offers this connection.
    DISCONTINUED = "DISCONTINUED"
    #: The user or the account is closed at the institution.
    CLOSED = "CLOSED"
    #: Takes longer than it should.
    DELAYED = "DELAYED"
    #: Failed without a better word for it.
    FAILED = "FAILED"
    #: The credentials were changed and are about to be used.
    UPDATED = "UPDATED"
    #: Not to be read.
    DISABLED = "DISABLED"
    #: Came from elsewhere without credentials.
    IMPORTED = "IMPORTED"
    #: The question was answered and the job goes on.
    RESUMED = "RESUMED"
    #: The question was not answered in time.
    EXPIRED = "EXPIRED"
    #: A credential is missing.
    IMPAIRED = "IMPAIRED"
    #: The user has not finished at the institution's own sign-in page.
    PENDING = "PENDING"


STATUS_IDS: Mapping[ConnectionStatus, int] = MappingProxyType(
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
"""Those the end user can do something about; reaching one is announced (MX docs: connection status webhook)."""

MESSAGES: Mapping[ConnectionStatus, str] = MappingProxyType(
    {
        ConnectionStatus.CREATED: "{name} is being connected.",
        ConnectionStatus.PREVENTED: "The sign-in to {name} failed three times. Enter the credentials again.",
        ConnectionStatus.DENIED: "{name} did not accept the credentials. Enter them again.",
        ConnectionStatus.CHALLENGED: "{name} wants an answer before it goes on.",
        ConnectionStatus.REJECTED: "{name} did not accept the answer. Try again.",
        ConnectionStatus.LOCKED: "The login is locked at {name}. Unlock it there first.",
        ConnectionStatus.CONNECTED: "{name} is connected.",
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
        ConnectionStatus.RESUMED: "{name} has the answer and goes on.",
        ConnectionStatus.EXPIRED: "The question of {name} was not answered in time. Start again.",
        ConnectionStatus.IMPAIRED: "A credential for {name} is missing. Enter it.",
        ConnectionStatus.PENDING: "Finish signing in at {name}.",
    }
)


def message(status: ConnectionStatus, name: str) -> str:
    """What the end user is told; `name` is the member's."""
    return MESSAGES[status].format(name=name)
