"""What linking hands out, and what it holds in its hands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck.connectors.contract import JobKind
from coatcheck.model.statuses import ConnectionStatus


@dataclass(frozen=True, slots=True)
class ChallengeOption:
    guid: str
    label: str
    value: str
    data_uri: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One question of a bank, waiting for the end user."""

    guid: str
    key: str
    """The connector's own name for it, under which it gets the answer."""
    type: str
    label: str
    options: Sequence[ChallengeOption] = ()
    """What can be chosen, for OPTIONS."""
    image_options: Sequence[ChallengeOption] = ()
    """What can be chosen, for IMAGE_OPTIONS."""
    image_data: str | None = None
    field_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositAccount:
    """The account two small deposits go to, and who holds it. Sealed in the vault; the end user's own words."""

    account_number: str | None = field(default=None, repr=False)
    routing_number: str | None = field(default=None, repr=False)
    account_name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)


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

    @property
    def status(self) -> ConnectionStatus | None:
        return ConnectionStatus(self.connection_status) if self.connection_status else None


@dataclass(frozen=True, slots=True)
class MemberJob:
    """A job that a worker has claimed. Nothing is saved but by the holder of the newest `attempt`."""

    user_guid: str
    guid: str
    client_guid: str
    member_guid: str
    institution_code: str
    kind: str
    attempt: int
    """The fence: grows with every claim, and never again has the same value."""
    pickups: int
    """How often this sitting was claimed; an answer starts a new sitting."""
    is_background: bool
    include_transactions: bool
    follow_ups: list[str]
    callback_payload: str | None
    requested_by: str

    @property
    def key(self) -> str:
        """How wake-ups name it."""
        return f"{self.user_guid}/{self.guid}"

    @property
    def wants_transactions(self) -> bool:
        return self.kind == JobKind.HISTORY or (
            self.kind == JobKind.AGGREGATION and self.include_transactions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is wanted of a member's bank, and by whom."""

    kinds: Sequence[JobKind]
    """The first is the job, the others follow when it succeeded."""
    requested_by: str
    """The guid of a client, a processor or a link; or `coatcheck` for the daily aggregation."""
    callback_payload: str | None = None
    include_transactions: bool = True
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a sitting ended, as its job's row will say."""

    state: str
    outcome: str | None = None
    """The connection status it led to."""
    reason: str | None = None
    """For people. No secret."""
    ended_at: datetime | None = None
    waits_until: datetime | None = None
    questions: str | None = None
    """JSON."""
    is_authenticated: bool = False
    has_processed_accounts: bool = False
    has_processed_account_numbers: bool = False
    has_processed_transactions: bool = False
