"""The answers of the widget's API, in MX's names and numbers (docs/reference/widget-api.md)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from coatcheck.http.csv_mapping import CsvMappingResponse


class Answer(Struct, frozen=True, kw_only=True):
    """A JSON object."""


class Instructions(Answer, frozen=True, kw_only=True):
    title: str | None
    description: str | None
    steps: Sequence[str] = ()


class Institution(Answer, frozen=True, kw_only=True):
    guid: str
    code: str
    name: str
    url: str
    login_url: str
    logo_url: str | None
    popularity: int
    supports_oauth: bool
    account_verification_is_enabled: bool
    account_identification_is_enabled: bool
    tax_statement_is_enabled: bool = False
    is_disabled_by_client: bool = False
    status: int = 0
    brand_color_hex_code: str | None = None
    instructional_text: str | None
    instructional_data: Instructions
    forgot_password_credential_recovery_url: str | None
    forgot_username_credential_recovery_url: str | None
    trouble_signing_credential_recovery_url: str | None
    oauth_predirect_instructions: Sequence[str] = ()


class Institutions(Answer, frozen=True, kw_only=True):
    institutions: Sequence[Institution]
    page: int
    total_pages: int


class Credential(Answer, frozen=True, kw_only=True):
    guid: str
    label: str
    field_name: str
    field_type: int
    display_order: int
    optional: bool = False


class Credentials(Answer, frozen=True, kw_only=True):
    credentials: Sequence[Credential]


class Option(Answer, frozen=True, kw_only=True):
    guid: str
    credential_guid: str
    label: str
    value: str
    data_uri: str | None


class Challenge(Answer, frozen=True, kw_only=True):
    guid: str
    external_id: str | None = None
    label: str
    field_name: str | None
    field_type: int
    options: Sequence[Option]
    image_data: str | None
    meta_data: str | None


class Mfa(Answer, frozen=True, kw_only=True):
    credentials: Sequence[Challenge]
    is_asked_again: bool
    """A job of the same request has finished already, and the bank asks for the next one too."""


class Failure(Answer, frozen=True, kw_only=True):
    """Why a member is not connected; `user_message` is the member's own message."""

    error_code: int
    error_message: str
    error_type: str
    locale: str
    user_message: str


class ActionButton(Answer, frozen=True, kw_only=True):
    action: str
    label: str


class Message(Answer, frozen=True, kw_only=True):
    title: str
    text: str
    primary_action: ActionButton | None
    secondary_action: ActionButton | None
    tertiary_action: ActionButton | None


class Progress(Answer, frozen=True, kw_only=True):
    wanted: Sequence[str]
    done: Sequence[str]


class Member(Answer, frozen=True, kw_only=True):
    guid: str
    user_guid: str
    institution_guid: str
    institution_code: str
    institution_name: str
    institution_url: str | None
    institution_logo_url: str | None
    name: str
    connection_status: int | None
    is_being_aggregated: bool
    is_manual: bool
    is_managed_by_user: bool = True
    is_oauth: bool
    oauth_window_uri: str | None
    verification_is_enabled: bool
    most_recent_job_guid: str | None
    last_update_time: datetime
    successfully_aggregated_at: datetime | None
    needs_updated_credentials: bool
    use_cases: Sequence[str] | None
    mfa: Mfa
    error: Failure | None
    step: str
    progress: Progress
    message: Message | None
    selected_account_guid: str | None
    """The account that is selected, if only one is."""
    selected_account_guids: Sequence[str]


class MemberAnswer(Answer, frozen=True, kw_only=True):
    member: Member


class Members(Answer, frozen=True, kw_only=True):
    members: Sequence[Member]


class Account(Answer, frozen=True, kw_only=True):
    guid: str
    name: str | None
    account_type: int | None
    """1 checking, 2 savings; null for any other."""
    account_type_name: str
    account_number: str | None
    """The last four digits."""
    balance: Decimal | None
    currency_code: str | None
    is_selected: bool
    """Whether the user selected it in an earlier session."""


class Accounts(Answer, frozen=True, kw_only=True):
    accounts: Sequence[Account]


class Job(Answer, frozen=True, kw_only=True):
    guid: str
    job_type: int
    status: int
    member_guid: str
    user_guid: str
    is_authenticated: bool
    has_processed_account_numbers: bool
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    error_message: str | None
    async_account_data_ready: bool


class OAuthWindow(Answer, frozen=True, kw_only=True):
    guid: str
    oauth_window_uri: str


class OAuthState(Answer, frozen=True, kw_only=True):
    guid: str
    auth_status: int
    error_reason: int | None
    error_reason_name: str | None
    inbound_member_guid: str
    outbound_member_guid: str
    user_guid: str
    first_retrieved_at: datetime | None
    created_at: datetime
    updated_at: datetime


class OAuthStates(Answer, frozen=True, kw_only=True):
    oauth_states: Sequence[OAuthState]


class MicroDeposit(Answer, frozen=True, kw_only=True):
    """The full account number and the holder are not included."""

    guid: str
    status: int
    status_name: str
    account_number: str | None
    account_type: int | None
    user_guid: str
    member_guid: str | None = None
    institution_guid: str | None
    institution_name: str | None
    can_auto_verify: bool = False
    deposit_expected_at: datetime | None
    attempts_left: int
    updated_at: datetime


class MicroDepositAnswer(Answer, frozen=True, kw_only=True):
    micro_deposit: MicroDeposit


class BlockedRoutingNumber(Answer, frozen=True, kw_only=True):
    guid: str | None = None
    reason: int
    reason_name: str


class RoutingNumber(Answer, frozen=True, kw_only=True, omit_defaults=True):
    blocked_routing_number: BlockedRoutingNumber | None = None
    institution: Institution | None = None


class FileRow(Answer, frozen=True, kw_only=True):
    date: date
    description: str
    amount: Decimal
    """Negative is money out of the account."""
    currency_code: str


class FileAccount(Answer, frozen=True, kw_only=True):
    name: str | None
    added: int
    already_known: int
    balance: Decimal | None
    currency_code: str | None


class StatementFile(Answer, frozen=True, kw_only=True):
    """What a statement file has; of an import what was imported."""

    guid: str | None
    """Of the import; null in a preview."""
    member_guid: str | None
    format: str
    accounts: Sequence[FileAccount]
    rows: Sequence[FileRow]
    """The first transactions."""
    warnings: Sequence[str]
    """`dates`, `account`, `ignored` or `check`: what the user should look at."""
    columns: Sequence[str]
    """The headers of a CSV file."""
    mapping: CsvMappingResponse | None
    """How a CSV file was read. Sent back with changes, it corrects the reading."""


class StatementFileAnswer(Answer, frozen=True, kw_only=True):
    statement_file: StatementFile


class Consent(Answer, frozen=True, kw_only=True):
    """The access to which the user consents."""

    shares: Sequence[str]
    selects_accounts: bool
    """Whether only the accounts are shared that the user selects later."""
    refreshes: str
    readers: Sequence[str]
    reading_days: int
    privacy_url: str | None


class Start(Answer, frozen=True, kw_only=True):
    step: str
    member: Member | None
    institution: Institution | None
    micro_deposit: MicroDeposit | None
    members: Sequence[Member]
    consent_needed: bool
    consent: Consent
    microdeposits_enabled: bool
    statement_files_enabled: bool


class Client(Answer, frozen=True, kw_only=True):
    guid: str
    name: str
    logo_url: str | None
    accent_color: str | None


class Boot(Answer, frozen=True, kw_only=True):
    """The data with which the page continues a session."""

    session_guid: str
    user_guid: str
    locale: str
    config: Mapping[str, Any]
    client: Client
    target_origins: Sequence[str]
    messages: Mapping[str, str]
    start: Start
    """The answer of `GET /start`, so that the first step needs no request."""


class OpenedBoot(Boot, frozen=True, kw_only=True):
    """The data with which the page begins a session."""

    session_token: str

    def __repr__(self) -> str:
        return f"OpenedBoot(session_guid={self.session_guid})"


class Problem(Answer, frozen=True, kw_only=True):
    message: str
    type: str


class ErrorAnswer(Answer, frozen=True, kw_only=True, omit_defaults=True):
    error: Problem
    guid: str | None = None
    """The guid of the member or micro-deposit that exists already."""
    line: int | None = None
    element: str | None = None
    columns: Sequence[str] = ()
    """Of a statement file: where the problem is, and the headers of a table."""
