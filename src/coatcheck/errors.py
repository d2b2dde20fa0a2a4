"""Everything that can go wrong, as one tree.

    CoatcheckError
    |- Refusal                      the caller may read it
    |  |- InvalidRequest            .. InvalidScope, UnsupportedGrantType, JobNotSupported, InstitutionBlocked
    |  |- InvalidGrant
    |  |- Unauthenticated           .. InvalidClient, InvalidToken
    |  |- Forbidden                 .. InsufficientScope, UserDisabled, ConsentRequired
    |  |- NotFound                  not there, or not yours
    |  |- ConstraintNotMet
    |  |- UnknownVersion
    |  |- Conflict                  .. DuplicateMember, DuplicateMicroDeposit, JobRunning
    |  |- TooLarge
    |  |- Unprocessable             .. NotVerified
    |  |- TooManyRequests
    |  `- Unavailable
    |- BankError                    a connector could not finish; each names the status it leads to
    `- OperatorError                .. ConfigurationError, MasterKeyMissing, SealBroken, NotMigrated

A class's docstring is its message. `problem`, where given, replaces it and may be shown to the caller;
`detail` is for the operator's log and never leaves the house. Neither ever holds a secret.
"""

from datetime import timedelta
from typing import ClassVar


class CoatcheckError(Exception):
    """Something went wrong."""

    keeps_changes: ClassVar[bool] = False
    """True where the refusal itself left a trace that must be committed (RFC 6749 4.1.2: revoke on replay)."""

    def __init__(self, problem: str | None = None, *, detail: str | None = None) -> None:
        self.problem = problem or (type(self).__doc__ or "").strip().splitlines()[0]
        self.detail = detail
        super().__init__(self.problem)


class Refusal(CoatcheckError):
    """The request was refused."""


class InvalidRequest(Refusal):
    """The request is malformed or misses a required part."""


class InvalidScope(InvalidRequest):
    """The scope must name one user, one member and one account, and nothing unknown."""


class UnsupportedGrantType(InvalidRequest):
    """The only grant type is authorization_code."""


class JobNotSupported(InvalidRequest):
    """The institution does not support this job."""


class InstitutionBlocked(InvalidRequest):
    """The institution cannot be connected at the moment."""

    def __init__(self, kind: str, problem: str | None = None) -> None:
        super().__init__(problem)
        self.kind = kind
        """MX's published error type, such as `institution_maintenance_error`."""


class InvalidGrant(Refusal):
    """The authorization code is invalid, expired or already used."""

    keeps_changes = True


class Unauthenticated(Refusal):
    """Authentication failed."""


class InvalidClient(Unauthenticated):
    """The id or the API key is wrong."""


class InvalidToken(Unauthenticated):
    """The access token is missing, expired or revoked."""


class Forbidden(Refusal):
    """This is not allowed."""


class InsufficientScope(Forbidden):
    """The access token does not cover this data."""


class UserDisabled(Forbidden):
    """The user is disabled."""


class ConsentRequired(Forbidden):
    """The user has not agreed yet to what is shared."""


class NotFound(Refusal):
    """There is no such thing here."""


class ConstraintNotMet(Refusal):
    """The thing is not in a state that allows this."""


class MethodNotAllowed(Refusal):
    """This path does not take this method."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self.allowed = allowed


class UnknownVersion(Refusal):
    """Accept-Version is v20111101 or v20250224, and Accept takes JSON."""


class Conflict(Refusal):
    """This already exists."""


class DuplicateMember(Conflict):
    """The user already has a member with these credentials at this institution."""

    def __init__(self, member_guid: str) -> None:
        super().__init__(f"The user already has a member with this login at this institution: {member_guid}.")
        self.member_guid = member_guid


class DuplicateMicroDeposit(Conflict):
    """The user has micro-deposits to this account already."""

    def __init__(self, guid: str) -> None:
        super().__init__()
        self.guid = guid


class JobRunning(Conflict):
    """Another job is running on this member."""


class TooLarge(Refusal):
    """The request is too large."""


class Unprocessable(Refusal):
    """The data cannot be processed."""


class NotVerified(Unprocessable):
    """No numbers of this account are known: run a verification job on its member first. Cards and loans have none."""


class TooManyRequests(Refusal):
    """Too many requests."""

    def __init__(self, retry_after: timedelta, problem: str | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """The service is not available at the moment. Try again shortly."""

    retry_after: ClassVar[timedelta] = timedelta(seconds=2)


class BankError(CoatcheckError):
    """The bank could not be read."""

    status: ClassVar[str] = "FAILED"
    """The member's connection status this leads to (mx-contract section 5)."""
    may_pass: ClassVar[bool] = False
    """Whether trying the same thing again later can help."""


class CredentialsDenied(BankError):
    """The credentials do not match those on record at the institution."""

    status = "DENIED"


class AnswerRejected(BankError):
    """The answer to the security question was wrong."""

    status = "REJECTED"


class LoginLocked(BankError):
    """The account is locked at the institution."""

    status = "LOCKED"


class ActionNeeded(BankError):
    """The institution wants the user to act on its own site first."""

    status = "IMPEDED"


class CredentialsMissing(BankError):
    """A credential the institution needs is missing."""

    status = "IMPAIRED"


class ConsentRevoked(BankError):
    """The user has withdrawn the consent at the institution."""

    status = "DISCONNECTED"


class LoginClosed(BankError):
    """The user or the account is closed at the institution."""

    status = "CLOSED"


class ConnectionDiscontinued(BankError):
    """The institution no longer offers this connection."""

    status = "DISCONTINUED"


class BankFailed(BankError):
    """The institution answered with an error."""

    may_pass = True


class BankDataUnusable(BankFailed):
    """The institution sent data that cannot be stored."""


class BankRateLimited(BankError):
    """The institution limits how often it may be read."""

    may_pass = True


class BankUnavailable(BankError):
    """The institution is unavailable."""

    may_pass = True


class BankTimedOut(BankError):
    """The institution took too long to answer."""

    status = "DELAYED"
    may_pass = True


class OperatorError(CoatcheckError):
    """The installation needs its operator."""


class ConfigurationError(OperatorError):
    """The configuration is not usable."""


class MasterKeyMissing(OperatorError):
    """No master key with this id is configured."""


class SealBroken(OperatorError):
    """A sealed value did not open: it was altered, moved or sealed under another key."""


class NotMigrated(OperatorError):
    """The database is not at this version's schema. Run `coatcheck migrate`."""
