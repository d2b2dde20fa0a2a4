"""The payloads of events, in MX's format (MX docs: webhooks). Times are Unix seconds. No I/O.

No event contains an account number, an owner or a balance. Where MX's format has a field for one, it is null.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck import ids
from coatcheck.model.members import Member
from coatcheck.model.micro_deposits import MicroDeposit
from coatcheck.model.mx_codes import (
    ACTIONABLE,
    CONNECTION_STATUS_IDS,
    DEPOSIT_STATUS_IDS,
    NEEDS_CREDENTIALS,
    VERIFIABLE_ACCOUNT_TYPE_IDS,
    status_message,
)
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.users import User


class Action(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class MxEventType(StrEnum):
    """The names that clients subscribe to."""

    AGGREGATION = "AGGREGATION"
    BALANCE = "BALANCE"
    CONNECTION_STATUS = "CONNECTION_STATUS"
    HISTORY = "HISTORY"
    INITIAL_DATA_READY = "INITIAL_DATA_READY"
    MEMBER = "MEMBER"
    MICRO_DEPOSIT = "MICRO_DEPOSIT"
    STATEMENT = "STATEMENT"
    USER = "USER"
    VERIFICATION = "VERIFICATION"


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    """Payloads about a member, user or micro-deposit do not contain it."""
    payload: str
    """The body, which is signed and sent unchanged at every attempt."""
    callback_payload: str | None = None
    """The X-CALLBACK-PAYLOAD of the originating request."""


@dataclass(frozen=True, slots=True)
class TransactionCounts:
    """How many transactions a job created and updated."""

    created: int
    updated: int


def aggregation(
    member: Member,
    job_guid: str,
    completed_at: datetime,
    *,
    is_background: bool,
    transactions: TransactionCounts,
    callback_payload: str | None = None,
) -> Event:
    return _data_updated(
        MxEventType.AGGREGATION,
        member,
        completed_at,
        {
            "is_background": is_background,
            "job_guid": job_guid,
            "transactions_created_count": transactions.created,
            "transactions_updated_count": transactions.updated,
            "user_id": member.user_id,
        },
        callback_payload,
    )


def balance(member: Member, completed_at: datetime, *, callback_payload: str | None = None) -> Event:
    return _data_updated(MxEventType.BALANCE, member, completed_at, {}, callback_payload)


def history(
    member: Member,
    completed_at: datetime,
    *,
    transactions: TransactionCounts,
    callback_payload: str | None = None,
) -> Event:
    return _data_updated(
        MxEventType.HISTORY,
        member,
        completed_at,
        {
            "transactions_created_count": transactions.created,
            "transactions_updated_count": transactions.updated,
        },
        callback_payload,
    )


def statement(
    member: Member,
    completed_at: datetime,
    *,
    statements_created_count: int,
    callback_payload: str | None = None,
) -> Event:
    return _data_updated(
        MxEventType.STATEMENT,
        member,
        completed_at,
        {"statements_created_count": statements_created_count},
        callback_payload,
    )


def verification(
    member: Member,
    job_guid: str,
    completed_at: datetime,
    *,
    account_guids: Sequence[str],
    callback_payload: str | None = None,
) -> Event:
    return _data_updated(
        MxEventType.VERIFICATION,
        member,
        completed_at,
        {"accounts": list(account_guids), "job_guid": job_guid, "user_id": member.user_id},
        callback_payload,
    )


def initial_data_ready(member: Member, *, callback_payload: str | None = None) -> Event:
    """The first data of a member can be read. MX sends it for v20250224 alone, with a type in lower case."""
    payload = {
        "client_guid": member.client_guid,
        # Of the webhook. As in MX's documents it has no prefix.
        "guid": ids.new("EVT").removeprefix("EVT-"),
        "member_guid": member.guid,
        "type": MxEventType.INITIAL_DATA_READY.lower(),
        "user_guid": member.user_guid,
    }
    return Event(MxEventType.INITIAL_DATA_READY, _encode(payload), callback_payload)


def connection_status(
    member: Member, status: ConnectionStatus, *, callback_payload: str | None = None
) -> Event | None:
    """None for a status that the end user cannot act on: MX sends no event for it."""
    if status not in ACTIONABLE:
        return None
    payload = {
        "action": "CHANGED",
        "connection_status": status.value,
        "connection_status_id": CONNECTION_STATUS_IDS[status],
        "connection_status_message": status_message(status, member.name),
        "member_guid": member.guid,
        "type": MxEventType.CONNECTION_STATUS,
        "user_guid": member.user_guid,
    }
    return Event(MxEventType.CONNECTION_STATUS, _encode(payload), callback_payload)


def member(action: Action, member: Member, *, callback_payload: str | None = None) -> Event:
    """All fields of the member, as the API returns them."""
    status = ConnectionStatus(member.connection_status) if member.connection_status else None
    payload = {
        "action": action.value,
        "member": {
            "aggregated_at": _unix(member.aggregated_at),
            "background_aggregation_is_disabled": member.background_aggregation_is_disabled,
            "connection_status": status,
            "connection_status_id": CONNECTION_STATUS_IDS[status] if status else None,
            "connection_status_message": status_message(status, member.name) if status else None,
            "created_at": _unix(member.created_at),
            "guid": member.guid,
            "id": member.id,
            "institution_code": member.institution_code,
            "institution_guid": member.institution_guid,
            "is_being_aggregated": member.is_being_aggregated,
            "is_managed_by_user": True,
            "is_manual": member.is_manual,
            "is_oauth": member.is_oauth,
            "metadata": member.metadata,
            # The detail of a job is always null, as in the API.
            "most_recent_job_detail_code": None,
            "most_recent_job_detail_text": None,
            "most_recent_job_guid": member.most_recent_job_guid,
            "name": member.name,
            "needs_updated_credentials": status in NEEDS_CREDENTIALS,
            # Whoever opens it connects an account, so only the answer to the request has it.
            "oauth_window_uri": None,
            "revision": member.revision,
            "successfully_aggregated_at": _unix(member.successfully_aggregated_at),
            "updated_at": _unix(member.updated_at),
            "use_cases": list(member.use_cases or ()),
            "user_guid": member.user_guid,
            "user_id": member.user_id,
        },
    }
    return Event(MxEventType.MEMBER, _encode(payload), callback_payload)


def user(action: Action, user: User) -> Event:
    """All fields of the user but the e-mail address."""
    payload = {
        "action": action.value,
        "user": {
            "email": None,
            "guid": user.guid,
            "id": user.id,
            "is_disabled": user.is_disabled,
            "metadata": user.metadata,
            "revision": user.revision,
        },
    }
    return Event(MxEventType.USER, _encode(payload))


def micro_deposit(
    action: Action, deposit: MicroDeposit, *, user_id: str | None, institution_guid: str | None = None
) -> Event:
    """Its times are ISO 8601, as MX documents for this event alone. It contains no account number."""
    payload = {
        "action": action.value,
        "version": 1,
        "micro_deposit": {
            "account_number": None,
            "account_type": VERIFIABLE_ACCOUNT_TYPE_IDS.get(deposit.account_type or ""),
            "created_at": _iso(deposit.created_at),
            "guid": deposit.guid,
            "institution_guid": institution_guid,
            "routing_number": None,
            "status": DEPOSIT_STATUS_IDS[deposit.status],
            "status_name": deposit.status,
            "updated_at": _iso(deposit.updated_at),
            "user_guid": deposit.user_guid,
            "user_id": user_id,
            "verified_at": _iso(deposit.verified_at),
        },
    }
    return Event(MxEventType.MICRO_DEPOSIT, _encode(payload))


def _data_updated(
    name: MxEventType,
    member: Member,
    completed_at: datetime,
    fields: Mapping[str, object],
    callback_payload: str | None,
) -> Event:
    payload = {
        "action": "member_data_updated",
        "completed_at": _unix(completed_at),
        "completed_on": completed_at.date().isoformat(),
        "member_guid": member.guid,
        "type": name,
        "user_guid": member.user_guid,
        **fields,
    }
    return Event(name, _encode(payload), callback_payload)


def _encode(payload: Mapping[str, object]) -> str:
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _unix(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _iso(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%S}.000+00:00"
