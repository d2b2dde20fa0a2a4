"""Requests, results and locked rows of the operations on members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InstitutionRefused, JobNotSupported
from coatcheck.model.jobs import JobState
from coatcheck.model.members import Member
from coatcheck.model.statuses import ConnectionStatus

CHANGEABLE = frozenset({"id", "metadata", "use_cases", "background_aggregation_is_disabled"})
"""The attributes of a member that a client may change (MX docs: update member)."""


@dataclass(frozen=True, slots=True)
class ChallengeOption:
    guid: str
    label: str
    value: str
    data_uri: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question of the bank that the end user has to answer."""

    guid: str
    key: str
    """The connector's name for the question and its answer."""
    type: str
    label: str
    options: Sequence[ChallengeOption] = ()
    """The options of an OPTIONS challenge. Of a TOKEN challenge: what can be asked for instead of entering the code."""
    image_options: Sequence[ChallengeOption] = ()
    """The options of an IMAGE_OPTIONS challenge."""
    image_data: str | None = None
    field_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A request to connect a user to an institution."""

    institution_code: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The values that the end user entered, by credential guid. Empty for OAuth."""
    id: str | None = None
    """The client's own identifier of the member, unique among the user's members."""
    metadata: str | None = None
    use_cases: Sequence[str] | None = None
    is_oauth: bool = False
    """The user signs in on the institution's own page. The jobs start after the sign-in."""
    background_aggregation_is_disabled: bool = False
    skip_aggregation: bool = False
    """Start no job."""
    kinds: Sequence[JobKind] = ()
    """The jobs to run, in this order. Empty for an aggregation."""
    omits_refused_jobs: bool = False
    """Create the member without the jobs that the institution does not offer or the operator does not permit."""
    include_transactions: bool = True
    """Whether an aggregation reads transactions."""
    callback_payload: str | None = None
    """Returned with the webhooks of this request."""
    skip_webhook: bool = False
    """Do not notify the client of the new member."""
    announces_initial_data: bool = False
    """Notify the client when the first data of the member can be read, as MX does in v20250224."""

    @property
    def job_kinds(self) -> Sequence[JobKind]:
        """The jobs to run, each once."""
        return tuple(dict.fromkeys(self.kinds)) or (JobKind.AGGREGATION,)


@dataclass(frozen=True, slots=True)
class ConnectedMember:
    """A member that was created."""

    member: Member
    has_started: bool
    """Whether a job was started."""
    refusal: JobNotSupported | InstitutionRefused | None
    """Why a job was omitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChanges:
    """A request to change a member. New credentials replace any live job and start an aggregation."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """New values of `id`, `metadata`, `use_cases` and `background_aggregation_is_disabled`, by name."""
    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    """New values by credential guid; a field that is not named keeps its value."""
    skip_aggregation: bool = False
    kinds: Sequence[JobKind] = ()
    """The jobs that follow new credentials, in this order. Empty for an aggregation."""
    include_transactions: bool = True
    callback_payload: str | None = None
    skip_webhook: bool = False

    def __post_init__(self) -> None:
        if unknown := self.attributes.keys() - CHANGEABLE:
            raise ValueError(f"not attributes that can change: {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class LockedMember:
    """A member whose row is locked until the caller's transaction ends."""

    guid: str
    user_guid: str
    client_guid: str
    institution_code: str
    connection_status: str | None
    credential_failures: int
    is_oauth: bool
    is_manual: bool
    pending_kinds: list[str]
    user_is_disabled: bool
    is_broken: bool
    """The institution ended the connection, and no job has succeeded since."""
    revision: int
    awaits_initial_data: bool
    """The client is notified of the first job that succeeds."""

    @property
    def status(self) -> ConnectionStatus | None:
        return ConnectionStatus(self.connection_status) if self.connection_status else None


@dataclass(frozen=True, slots=True)
class JobKey:
    user_guid: str
    guid: str


@dataclass(frozen=True, slots=True)
class MemberJob:
    """A job that a worker has claimed. Only the holder of the newest `attempt` saves results."""

    user_guid: str
    guid: str
    client_guid: str
    member_guid: str
    institution_code: str
    kind: str
    attempt: int
    """Increases with every claim and is never reset, so that it identifies the lease."""
    claims: int
    """The number of claims since the job was enqueued or its questions answered."""
    is_background: bool
    include_transactions: bool
    follow_ups: list[str]
    callback_payload: str | None
    requested_by: str

    @property
    def wants_transactions(self) -> bool:
        return self.kind == JobKind.HISTORY or (
            self.kind == JobKind.AGGREGATION and self.include_transactions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to start on a member."""

    kinds: Sequence[JobKind]
    """The first is started now. Each of the others starts after the previous job succeeded."""
    requested_by: str
    """The guid of a client, a processor or a widget session; `coatcheck` for the daily aggregation."""
    callback_payload: str | None = None
    include_transactions: bool = True
    is_background: bool = False
    is_budgeted: bool = False
    """A processor asks for it: it counts against `limit_refreshes_of_member` and `limit_refreshes_of_processor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The new values of a job's row after an attempt."""

    state: JobState
    outcome: str | None = None
    """The connection status after the job."""
    reason: str | None = None
    """A message for the client and the operator. It contains no secret."""
    ended_at: datetime | None = None
    waits_until: datetime | None = None
    questions: str | None = None
    """JSON."""
    is_authenticated: bool = False
    has_processed_accounts: bool = False
    has_processed_account_numbers: bool = False
    has_processed_transactions: bool = False
