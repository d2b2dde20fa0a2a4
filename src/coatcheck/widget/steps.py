"""Which step comes next. Pure: the server decides it here, and the page shows it.

consent -> search -> enterCreds | oauth -> connecting <-> mfa
                                               |-> enterCreds, oauth, actionableError   and back
                                               `-> accountSelect, noEligibleAccounts -> connected
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from coatcheck.connectors.contract import JobKind
from coatcheck.model.jobs import Job
from coatcheck.model.members import Member
from coatcheck.model.statuses import ConnectionStatus as Status


class Step(StrEnum):
    """MX's names, and ours where it has none."""

    CONSENT = "consent"
    SEARCH = "search"
    ENTER_CREDS = "enterCreds"
    OAUTH = "oauth"
    CONNECTING = "connecting"
    MFA = "mfa"
    ACCOUNT_SELECT = "accountSelect"
    NO_ELIGIBLE_ACCOUNTS = "noEligibleAccounts"
    ACTIONABLE_ERROR = "actionableError"
    CONNECTED = "connected"
    MICRO_DEPOSITS = "microdeposits"
    VERIFY_EXISTING_MEMBER = "verifyExistingMember"


PROCESSING = frozenset({Status.CREATED, Status.RECONNECTED, Status.UPDATED, Status.RESUMED})
TRIED_AGAIN = frozenset({Status.REJECTED, Status.EXPIRED})
"""Whose user comes back to try again, so that a start does not stop to say what went wrong."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A member, with what its step depends on beside its own row."""

    member: Member
    jobs: Sequence[Job]
    """Newest first."""
    missing: Sequence[JobKind]
    """What the session wants of the bank and nothing has brought yet, in order."""
    has_accounts: bool
    eligible: Collection[str] | None
    """Guids of the accounts that could be verified; None where the session is not for that."""
    selected: str | None
    """The guid of the one that the user chose."""


def step_of(standing: Standing) -> Step:
    """Where the member's user is."""
    member = standing.member
    status = Status(member.connection_status) if member.connection_status else None
    if status is Status.PENDING:
        return Step.OAUTH
    if status is Status.CHALLENGED:
        return Step.MFA
    if member.is_being_aggregated or status in PROCESSING:
        return Step.CONNECTING
    if status is Status.DENIED:
        return how_to_sign_in(is_oauth=member.is_oauth)
    if status not in {None, Status.CONNECTED}:
        return Step.ACTIONABLE_ERROR
    if standing.missing:
        return Step.CONNECTING
    if standing.eligible is not None:
        return _of_verified(standing)
    return Step.CONNECTED if standing.has_accounts else Step.ACTIONABLE_ERROR


def selected_account(standing: Standing) -> str | None:
    """The one that is meant: what the user chose, or the only one that there is; None where nothing is verified."""
    eligible = standing.eligible or ()
    if standing.selected in eligible:
        return standing.selected
    return next(iter(eligible)) if len(eligible) == 1 else None


def _of_verified(standing: Standing) -> Step:
    if not standing.eligible:
        return Step.NO_ELIGIBLE_ACCOUNTS
    return Step.CONNECTED if selected_account(standing) else Step.ACCOUNT_SELECT


def how_to_sign_in(*, is_oauth: bool) -> Step:
    return Step.OAUTH if is_oauth else Step.ENTER_CREDS


def step_on_return(standing: Standing, *, is_update: bool) -> Step:
    """Where the widget starts that was opened for this member.

    Args:
        standing: the member.
        is_update: its user came to enter other credentials.
    """
    status = standing.member.connection_status
    if is_update and status != Status.CHALLENGED:
        return how_to_sign_in(is_oauth=standing.member.is_oauth)
    if status in TRIED_AGAIN:
        return Step.CONNECTING
    return step_of(standing)


# --- progress --------------------------------------------------------------------------------------------

PHASES = ("started", "authenticated", "accounts", "numbers", "identity", "transactions", "statements")
"""In the order they are shown."""
ALWAYS = frozenset({"started", "authenticated", "accounts"})
BROUGHT: Mapping[str, str] = MappingProxyType(
    {
        JobKind.VERIFICATION: "numbers",
        JobKind.IDENTIFICATION: "identity",
        JobKind.AGGREGATION: "transactions",
        JobKind.HISTORY: "transactions",
        JobKind.STATEMENT: "statements",
    }
)
"""By a job of the kind that succeeded."""


@dataclass(frozen=True, slots=True)
class Progress:
    wanted: Sequence[str]
    done: Sequence[str]


def progress(jobs: Sequence[Job], *, include_transactions: bool) -> Progress:
    """How far the newest attempt has come.

    Args:
        jobs: the member's, newest first.
        include_transactions: an aggregation reads them.
    """
    chain = attempt(jobs)
    if not chain:
        return Progress((), ())
    kinds = [chain[0].kind, *chain[0].follow_ups]
    ignored = set() if include_transactions else {JobKind.AGGREGATION.value}
    wanted = ALWAYS | {BROUGHT[kind] for kind in kinds if kind in BROUGHT.keys() - ignored}
    done = {phase for job in chain for phase in _done_by(job)} & wanted
    return Progress(_in_order(wanted), _in_order(done))


def attempt(jobs: Sequence[Job]) -> Sequence[Job]:
    """The newest job with those it followed on, oldest first; nothing where there is none."""
    chain = list(jobs[:1])
    for job in jobs[1:]:
        if job.outcome != Status.CONNECTED or job.follow_ups != [chain[0].kind, *chain[0].follow_ups]:
            break
        chain.insert(0, job)
    return chain


def _done_by(job: Job) -> set[str]:
    done = {
        "started": job.started_at is not None,
        "authenticated": job.is_authenticated,
        "accounts": job.has_processed_accounts,
    }
    if job.kind in BROUGHT:
        done[BROUGHT[job.kind]] = job.outcome == Status.CONNECTED
    return {phase for phase, is_done in done.items() if is_done}


def _in_order(phases: Collection[str]) -> Sequence[str]:
    return tuple(phase for phase in PHASES if phase in phases)
