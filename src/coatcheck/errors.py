"""All errors, in one tree.

    CoatcheckError
    |- Refusal                      the caller may read its message
    |  |- InvalidRequest            .. InvalidScope, UnsupportedGrantType, JobNotSupported,
    |  |   `- InstitutionRefused     .. InstitutionInMaintenance, InstitutionUnavailable, InstitutionPrevented,
    |  |                               InstitutionPreventsNew, InstitutionPreventsVerification
    |  |- InvalidGrant
    |  |- Unauthenticated           .. InvalidClient, InvalidToken, TokenRevoked, TokenExpired,
    |  |                               UnconfirmedToken, InvalidDPoPProof, DPoPNonceRequired,
    |  |                               SignInFailed, ClonedPasskey, UnknownUser
    |  |- Forbidden                 .. InsufficientScope, ReadsExhausted, ConnectionBroken, UserDisabled,
    |  |                               ConsentRequired, WrongBrowser
    |  |- NotFound                  does not exist, or belongs to another owner
    |  |- ConstraintNotMet
    |  |- UnknownVersion
    |  |- Conflict                  .. DuplicateMember, DuplicateMicroDeposit, JobRunning
    |  |- TooLarge, RequestTimeout, EncodedBody
    |  |- Unprocessable             .. NotVerified, NotSelected, GrantWidened, GrantEnded, UnreadableFile
    |  |- TooManyRequests
    |  `- Unavailable              .. NotFresh
    |- BankError                    a connector failed; each class has the member status it leads to
    `- OperatorError                .. ConfigurationError, MasterKeyMissing, SealBroken,
                                       DatabaseUnreachable, DatabaseRefused, NotMigrated, NotGenuine,
                                       CheckpointConflict, SandboxNotRunning, ProcessorNotRunning

The docstring of a class is its message. `problem` replaces the message and may be returned to the caller.
`detail` is for the operator's log only. Neither contains a secret.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar


class CoatcheckError(Exception):
    """Something went wrong."""

    keeps_changes: ClassVar[bool] = False
    """True if the transaction must be committed before the error is raised (RFC 6749 4.1.2: revoke on replay)."""

    def __init__(self, problem: str | None = None, *, detail: str | None = None) -> None:
        self.problem = problem or (type(self).__doc__ or "").strip().splitlines()[0]
        self.detail = detail
        super().__init__(self.problem)


class Refusal(CoatcheckError):
    """The request was refused."""


class InvalidRequest(Refusal):
    """The request is malformed, or a required part is missing."""


class InvalidScope(InvalidRequest):
    """The scope must contain one user, one member and one account, and no unknown part."""


class UnsupportedGrantType(InvalidRequest):
    """The only grant type is authorization_code."""


class JobNotSupported(InvalidRequest):
    """The institution does not support this job."""


class InstitutionRefused(InvalidRequest):
    """The institution cannot be read now."""


class InstitutionInMaintenance(InstitutionRefused):
    """The institution is under maintenance. Try again when it is over."""


class InstitutionUnavailable(InstitutionRefused):
    """The institution has a technical problem. Try again later."""


class InstitutionPrevented(InstitutionRefused):
    """Nothing may be read from this institution."""


class InstitutionPreventsNew(InstitutionRefused):
    """No new connection to this institution may be made."""


class InstitutionPreventsVerification(InstitutionRefused):
    """No account numbers may be read from this institution."""


class InvalidGrant(Refusal):
    """The authorization code is invalid, expired or already used."""

    keeps_changes = True


class Unauthenticated(Refusal):
    """Authentication failed."""


class InvalidClient(Unauthenticated):
    """The id or the API key is wrong."""

    def __init__(
        self, problem: str | None = None, *, detail: str | None = None, is_recorded: bool = False
    ) -> None:
        super().__init__(problem, detail=detail)
        self.is_recorded = is_recorded
        """Whether the audit log has this refusal with its reason, or has as many of the caller's as it takes."""


class InvalidToken(Unauthenticated):
    """The access token is missing, expired or revoked."""


class TokenRevoked(InvalidToken):
    """The access token was revoked. Ask for a new authorization code."""


class TokenExpired(InvalidToken):
    """The access token has expired. Ask for a new authorization code."""


class UnconfirmedToken(InvalidToken):
    """The access token is missing, expired or revoked."""

    # The audit log records it: someone may have stolen the token. The caller learns no more than of any invalid token.
    keeps_changes = True


class InvalidDPoPProof(Unauthenticated):
    """The DPoP proof is missing or invalid, or was used before."""


class DPoPNonceRequired(InvalidDPoPProof):
    """The DPoP proof must contain the nonce in the header DPoP-Nonce."""

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


class SignInFailed(Unauthenticated):
    """The sign-in failed."""


class ClonedPasskey(SignInFailed):
    """The passkey was copied. It is disabled."""

    keeps_changes = True  # the passkey is disabled and the audit log records it


class UnknownUser(SignInFailed):
    """No user belongs to the identity that signed in."""


class Forbidden(Refusal):
    """The request is not allowed."""


class InsufficientScope(Forbidden):
    """The scope of the access token does not include this data."""

    def __init__(
        self, problem: str | None = None, *, detail: str | None = None, needed_scope: str | None = None
    ) -> None:
        super().__init__(problem, detail=detail)
        self.needed_scope = needed_scope
        """The atoms of a scope that includes the data."""


class ReadsExhausted(Forbidden):
    """The grant allows no more reads: its max_reads is used up. Ask for a new authorization code."""


class ConnectionBroken(Forbidden):
    """The connection to the institution is broken. The token reads again when the user has repaired it."""


class UserDisabled(Forbidden):
    """The user is disabled."""


class ConsentRequired(Forbidden):
    """The user has not given consent yet."""


class WrongBrowser(Forbidden):
    """The sign-in was begun in another browser."""

    keeps_changes = True


class NotFound(Refusal):
    """The object does not exist."""


class ConstraintNotMet(Refusal):
    """The state of the object does not allow the request."""


class MethodNotAllowed(Refusal):
    """The path does not support this method."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self.allowed = allowed


class UnknownVersion(Refusal):
    """Accept-Version must be v20111101 or v20250224, and Accept must allow JSON."""


class Conflict(Refusal):
    """The object already exists."""


class DuplicateMember(Conflict):
    """The user already has a member with these credentials at this institution."""

    def __init__(self, member_guid: str) -> None:
        super().__init__(f"The user already has a member with this login at this institution: {member_guid}.")
        self.member_guid = member_guid


class DuplicateMicroDeposit(Conflict):
    """The user already has micro-deposits to this account."""

    def __init__(self, guid: str) -> None:
        super().__init__()
        self.guid = guid


class JobRunning(Conflict):
    """Another job is running on this member."""


class UrlTooLong(Refusal):
    """The URL is too long."""


class HeadTooLarge(Refusal):
    """The head of the request is too large."""


class TooLarge(Refusal):
    """The request is too large."""


class EncodedBody(Refusal):
    """The body is compressed. Send it without Content-Encoding."""


class RequestTimeout(Refusal):
    """The body did not arrive in time."""


class Unprocessable(Refusal):
    """The data cannot be processed."""


class NotVerified(Unprocessable):
    """The account has no account numbers yet. Run a verification job on its member first. Cards and loans have none."""


class NotSelected(Unprocessable):
    """The user selected other accounts in the widget. Open the widget for the member again to ask for this one."""


class GrantWidened(Unprocessable):
    """A grant can only be narrowed. Widening it needs a renewal, which is a new authorization."""


class GrantEnded(Unprocessable):
    """The grant has ended."""


class UnreadableFile(Unprocessable):
    """The file cannot be read as a statement."""

    def __init__(
        self, problem: str | None = None, *, line: int | None = None, element: str | None = None
    ) -> None:
        super().__init__(problem)
        self.line = line
        """The line with the problem, from 1."""
        self.element = element
        """The element with the problem, and those around it: `Document/BkToCstmrStmt/Stmt`."""
        self.columns: Sequence[str] = ()
        """The headers of a table, if the file is one."""


class TooManyRequests(Refusal):
    """Too many requests."""

    def __init__(self, retry_after: timedelta, problem: str | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """The service is temporarily unavailable. Try again shortly."""

    retry_after: ClassVar[timedelta] = timedelta(seconds=2)


class UserMoving(Unavailable):
    """The user is being moved. Try again shortly."""


class NotFresh(Unavailable):
    """The institution could not be read. Without max_age, the stored data is returned."""

    retry_after = timedelta(seconds=5)


class BankError(CoatcheckError):
    """The bank could not be read."""

    status: ClassVar[str] = "FAILED"
    """The member's connection status after this error (MX docs: connection statuses)."""
    may_pass: ClassVar[bool] = False
    """Whether a later retry can succeed."""


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
    """The institution requires the user to act on its website first."""

    status = "IMPEDED"


class CredentialsMissing(BankError):
    """A credential that the institution requires is missing."""

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
    """The operator must act."""


class ConfigurationError(OperatorError):
    """The configuration is invalid."""


class MasterKeyMissing(OperatorError):
    """A master key that the database needs is not configured. Add it to the key file, below the others."""


class SealBroken(OperatorError):
    """A sealed value could not be opened: it was altered, moved or sealed under another key."""


class DatabaseUnreachable(OperatorError):
    """The database cannot be reached."""


class DatabaseRefused(OperatorError):
    """The database refused a statement."""


class NotMigrated(OperatorError):
    """The database does not have this version's schema. Run `coatcheck migrate`."""


class NotGenuine(OperatorError):
    """The text is not a document that this server signed, or it was altered."""


class CheckpointConflict(OperatorError):
    """The published checkpoints are not those of the database, which was rolled back or rewritten."""


class SandboxNotRunning(OperatorError):
    """No sandbox runs on the data directory."""


class ProcessorNotRunning(OperatorError):
    """Nothing answers at the address of the processor under test."""
