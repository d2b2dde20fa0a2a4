"""The connection statuses of members (MX docs: member statuses). `mx_codes` has their numbers and texts."""

from enum import StrEnum


class ConnectionStatus(StrEnum):
    """The state of a member's connection. A manual member has none."""

    #: New; not read yet.
    CREATED = "CREATED"
    #: The credentials failed three times in a row. No job starts until they change.
    PREVENTED = "PREVENTED"
    #: The credentials were refused.
    DENIED = "DENIED"
    #: The institution asked a question and waits for the answer.
    CHALLENGED = "CHALLENGED"
    #: The answer was wrong.
    REJECTED = "REJECTED"
    #: The login is locked at the institution.
    LOCKED = "LOCKED"
    #: Read successfully.
    CONNECTED = "CONNECTED"
    #: The user has to do something at the institution's site first.
    IMPEDED = "IMPEDED"
    #: Connecting again after an error.
    RECONNECTED = "RECONNECTED"
    #: Failed because of trouble at the institution.
    DEGRADED = "DEGRADED"
    #: The consent or the connection was withdrawn.
    DISCONNECTED = "DISCONNECTED"
    #: The institution no longer offers this connection.
    DISCONTINUED = "DISCONTINUED"
    #: The user or the account is closed at the institution.
    CLOSED = "CLOSED"
    #: The institution took too long to answer.
    DELAYED = "DELAYED"
    #: Failed for another reason.
    FAILED = "FAILED"
    #: The credentials were changed and have not been used yet.
    UPDATED = "UPDATED"
    #: Reading is disabled.
    DISABLED = "DISABLED"
    #: Migrated without credentials.
    IMPORTED = "IMPORTED"
    #: The question was answered, and the job continues.
    RESUMED = "RESUMED"
    #: The question was not answered in time.
    EXPIRED = "EXPIRED"
    #: A credential is missing.
    IMPAIRED = "IMPAIRED"
    #: The user has not finished signing in at the institution's page.
    PENDING = "PENDING"
