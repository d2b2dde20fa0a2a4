"""A grant as a consent of the Financial Data Exchange (FDX 6.3, ConsentGrant). No I/O.

numbers = PAYMENT_SUPPORT   transactions = TRANSACTIONS   balances = ACCOUNT_DETAILED   statements = STATEMENTS
owners  = CUSTOMER_CONTACT, of the customer instead of the account
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coatcheck.model.tokens import Grant, GrantStatus

ACCOUNT_CLUSTERS = {
    "balances": "ACCOUNT_DETAILED",
    "numbers": "PAYMENT_SUPPORT",
    "transactions": "TRANSACTIONS",
    "statements": "STATEMENTS",
}
CUSTOMER_CLUSTERS = {"owners": "CUSTOMER_CONTACT"}
DAY = timedelta(days=1)


class FdxStatus(StrEnum):
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


STATUSES = {
    GrantStatus.ACTIVE: FdxStatus.ACTIVE,
    # The consent is valid; only the connection to the bank is broken.
    GrantStatus.SUSPENDED: FdxStatus.ACTIVE,
    GrantStatus.EXPIRED: FdxStatus.EXPIRED,
    # FDX has no status for a consent whose reads are used up. It ends without anybody withdrawing it.
    GrantStatus.EXHAUSTED: FdxStatus.EXPIRED,
    GrantStatus.REVOKED: FdxStatus.REVOKED,
}


class PartyType(StrEnum):
    RECIPIENT = "DATA_RECIPIENT"
    PLATFORM = "DATA_ACCESS_PLATFORM"
    PROVIDER = "DATA_PROVIDER"


class DurationType(StrEnum):
    ONE_TIME = "ONE_TIME"
    TIME_BOUND = "TIME_BOUND"


@dataclass(frozen=True, slots=True)
class FdxParty:
    """A company that takes part in a consent. This server is the registry of its processors and clients."""

    name: str
    type: PartyType
    home_uri: str
    registered_entity_id: str

    @property
    def registry(self) -> str:
        return "PRIVATE"

    @property
    def registered_entity_name(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class FdxResource:
    resource_type: str
    resource_id: str
    data_clusters: Sequence[str]


@dataclass(frozen=True, slots=True)
class FdxConsent:
    id: str
    status: FdxStatus
    parties: Sequence[FdxParty]
    created_time: datetime
    expiration_time: datetime
    updated_time: datetime | None
    duration_type: DurationType
    duration_period: int | None
    """Days from the grant, for a consent that is bound to a time."""
    lookback_period: int | None
    """Days before the request."""
    resources: Sequence[FdxResource]


def fdx_consent_id(grant_guid: str) -> str:
    """The id of the grant as a consent: the UUID of its guid, so that either finds the other."""
    return grant_guid.partition("-")[2]


def fdx_consent(grant: Grant, parties: Sequence[FdxParty]) -> FdxConsent:
    """The grant as a consent.

    Args:
        grant: the grant.
        parties: its processor, its client, and the bank while the member exists.
    """
    is_one_time = grant.max_reads == 1
    return FdxConsent(
        id=fdx_consent_id(grant.guid),
        status=STATUSES[GrantStatus(grant.status)],
        parties=parties,
        created_time=grant.created_at,
        expiration_time=grant.expires_at,
        updated_time=grant.revoked_at,
        duration_type=DurationType.ONE_TIME if is_one_time else DurationType.TIME_BOUND,
        # Rounded up: a grant of 36 hours lasts into the second day.
        duration_period=None if is_one_time else -((grant.created_at - grant.expires_at) // DAY),
        lookback_period=grant.lookback_days,
        resources=_resources(grant),
    )


def _resources(grant: Grant) -> Sequence[FdxResource]:
    resources = [
        FdxResource("ACCOUNT", grant.account_guid, _clusters(grant, ACCOUNT_CLUSTERS)),
        FdxResource("CUSTOMER", grant.user_guid, _clusters(grant, CUSTOMER_CLUSTERS)),
    ]
    return [each for each in resources if each.data_clusters]


def _clusters(grant: Grant, clusters: dict[str, str]) -> Sequence[str]:
    return [cluster for permission, cluster in clusters.items() if permission in grant.permissions]
