"""The step of the widget. The server computes it and the page shows it. Pure.

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
    """MX's names, and our own for steps that MX does not have."""

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
RETRIED = frozenset({Status.REJECTED, Status.EXPIRED})
"""The statuses for which a widget opened for the member starts a job immediately, without a message."""


@dataclass(frozen=True, slots=True)
class MemberContext:
    """A member with the data that its step depends on."""

    member: Member
    jobs: Sequence[Job]
    """Newest first."""
    missing: Sequence[JobKind]
    """The requested kinds of job of which no job has succeeded yet, in order."""
    has_accounts: bool
    eligible: Collection[str] | None
    """Guids of the accounts that can be verified; None if the session is not for verification."""
    selected: Collection[str]
    """Guids of the accounts that the user chose in this session."""
    selects_several: bool = False
    """Whether the user chooses one or several accounts, and none is chosen without the user."""


def step_of(context: MemberContext) -> Step:
    """The step for the member."""
    member = context.member
    status = Status(member.connection_status) if member.connection_status else None
    if status is Status.PENDING:
        return Step.OAUTH
    if status is Status.CHALLENGED:
        return Step.MFA
    if member.is_being_aggregated or status in PROCESSING:
        return Step.CONNECTING
    if status is Status.DENIED:
        return sign_in_step(is_oauth=member.is_oauth)
    if status not in {None, Status.CONNECTED}:
        return Step.ACTIONABLE_ERROR
    if context.missing:
        return Step.CONNECTING
    if context.eligible is not None:
        return _step_for_accounts(context)
    return Step.CONNECTED if context.has_accounts else Step.ACTIONABLE_ERROR


def selected_accounts(context: MemberContext) -> Sequence[str]:
    """The accounts that the user chose, or the only eligible one."""
    eligible = context.eligible or ()
    chosen = [each for each in eligible if each in context.selected]
    is_chosen_alone = len(eligible) == 1 and not context.selects_several
    return list(eligible) if is_chosen_alone else chosen


def _step_for_accounts(context: MemberContext) -> Step:
    if not context.eligible:
        return Step.NO_ELIGIBLE_ACCOUNTS
    return Step.CONNECTED if selected_accounts(context) else Step.ACCOUNT_SELECT


def sign_in_step(*, is_oauth: bool) -> Step:
    return Step.OAUTH if is_oauth else Step.ENTER_CREDS


def step_for_current_member(context: MemberContext, *, is_update: bool) -> Step:
    """The first step of a widget that was opened for this member.

    Args:
        context: the member.
        is_update: whether the widget was opened to enter new credentials.
    """
    status = context.member.connection_status
    if is_update and status != Status.CHALLENGED:
        return sign_in_step(is_oauth=context.member.is_oauth)
    if status in RETRIED:
        return Step.CONNECTING
    return step_of(context)


# --- progress --------------------------------------------------------------------------------------------

PHASES = ("started", "authenticated", "accounts", "numbers", "identity", "transactions", "statements")
"""In the order in which the page shows them."""
ALWAYS = frozenset({"started", "authenticated", "accounts"})
PHASE_OF: Mapping[str, str] = MappingProxyType(
    {
        JobKind.VERIFICATION: "numbers",
        JobKind.IDENTIFICATION: "identity",
        JobKind.AGGREGATION: "transactions",
        JobKind.HISTORY: "transactions",
        JobKind.STATEMENT: "statements",
    }
)
"""The phase that a successful job of the kind completes."""


@dataclass(frozen=True, slots=True)
class Progress:
    wanted: Sequence[str]
    done: Sequence[str]


def progress(jobs: Sequence[Job], *, include_transactions: bool) -> Progress:
    """The progress of the newest attempt.

    Args:
        jobs: the member's, newest first.
        include_transactions: whether an aggregation reads transactions.
    """
    chain = attempt(jobs)
    if not chain:
        return Progress((), ())
    kinds = [chain[0].kind, *chain[0].follow_ups]
    ignored = set() if include_transactions else {JobKind.AGGREGATION.value}
    wanted = ALWAYS | {PHASE_OF[kind] for kind in kinds if kind in PHASE_OF.keys() - ignored}
    done = {phase for job in chain for phase in _done_by(job)} & wanted
    return Progress(_in_order(wanted), _in_order(done))


def attempt(jobs: Sequence[Job]) -> Sequence[Job]:
    """The newest job and the jobs before it in the same request, oldest first."""
    chain = list(jobs[:1])
    for job in jobs[1:]:
        # Jobs of one request have no number in common: each lists those that follow it.
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
    if job.kind in PHASE_OF:
        done[PHASE_OF[job.kind]] = job.outcome == Status.CONNECTED
    return {phase for phase, is_done in done.items() if is_done}


def _in_order(phases: Collection[str]) -> Sequence[str]:
    return tuple(phase for phase in PHASES if phase in phases)
