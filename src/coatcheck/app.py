"""Builds the services of Coatcheck from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

import httpx

from coatcheck.audit import journal as audit_journal
from coatcheck.audit.journal import Journal
from coatcheck.cell_digit import FIRST
from coatcheck.clock import Clock, MovableClock, SystemClock
from coatcheck.config import Settings
from coatcheck.connectors.installed import load_connectors
from coatcheck.connectors.registry import Registry
from coatcheck.db.database import Connection, Database
from coatcheck.directory.accounts import Accounts
from coatcheck.directory.apps import Apps
from coatcheck.directory.attestations import Attestations
from coatcheck.directory.clients import Clients
from coatcheck.directory.deletions import Deletions
from coatcheck.directory.export import UserExport
from coatcheck.directory.processors import Processors
from coatcheck.directory.users import Users
from coatcheck.directory.webhook_endpoints import WebhookEndpoints
from coatcheck.events import partitions as event_partitions
from coatcheck.events.publisher import EventPublisher
from coatcheck.events.ssrf import public_only
from coatcheck.grants import partitions
from coatcheck.grants.access import Access
from coatcheck.grants.access_urls import AccessUrls
from coatcheck.grants.api_keys import ApiKeys
from coatcheck.grants.authorization_disclosures import AuthorizationDisclosures
from coatcheck.grants.dpop_nonces import DPoPNonces
from coatcheck.grants.exchange import CodeExchange
from coatcheck.grants.issue import CodeIssuer
from coatcheck.grants.key_uses import KeyUses
from coatcheck.grants.links import Links
from coatcheck.grants.listing import Grants
from coatcheck.grants.narrowing import Narrowing
from coatcheck.grants.portal_sessions import RETURN_PATH, PortalSessions
from coatcheck.grants.processor_authentication import ProcessorAuthentication
from coatcheck.grants.processor_tokens import ProcessorTokens
from coatcheck.grants.receipts import Receipts
from coatcheck.grants.revocation import Revocations
from coatcheck.grants.setup_tokens import SetupTokens
from coatcheck.grants.tokens import Tokens
from coatcheck.grants.widget_sessions import WidgetSessions
from coatcheck.identity_provider import EMAIL, IdentityProvider, Registration
from coatcheck.imports.imports import Imports
from coatcheck.jobs.gate import TaskGate
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.freshness import Freshness
from coatcheck.members.institutions import Institutions
from coatcheck.members.members import Members
from coatcheck.members.oauth import OAuth
from coatcheck.members.widget_links import WidgetLinks
from coatcheck.micro_deposits.micro_deposits import MicroDeposits
from coatcheck.rate_limits.limits import RateLimits
from coatcheck.sandbox_bank import record_reader
from coatcheck.sandbox_clock import count_start, following
from coatcheck.seeding import Seeding
from coatcheck.staff.addresses import OIDC_RETURN_PATH, origin
from coatcheck.staff.passkeys import Passkeys
from coatcheck.staff.people import People
from coatcheck.staff.sessions import StaffSessions
from coatcheck.staff.sign_ins import SignIns
from coatcheck.vault.keys import Keyring, open_keyring, read_keyring
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.vault.signing_keys import SigningKeys
from coatcheck.vault.vault import Vault
from coatcheck.vault.vault import prepare_partitions as prepare_disclosures


@dataclass(frozen=True, slots=True)
class OAuthServer:
    """What the OAuth endpoints use beside the exchange, and reads with bound tokens."""

    authentication: ProcessorAuthentication
    tokens: ProcessorTokens
    nonces: DPoPNonces


@dataclass(frozen=True, slots=True)
class StaffServices:
    """What the dashboard's sign-in and its pages about staff use."""

    people: People
    sessions: StaffSessions
    sign_ins: SignIns
    passkeys: Passkeys
    identity_provider: IdentityProvider


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    clock: Clock
    seeding: Seeding
    db: Database
    vault: Vault
    signing_keys: SigningKeys
    publisher: EventPublisher
    journal: Journal
    registry: Registry
    task_gate: TaskGate
    """Closed while the emulator moves the clock."""
    dependencies: Dependencies
    """The services that `members` and `micro_deposits` use. The worker builds its own objects from them."""
    members: Members
    institutions: Institutions
    oauth: OAuth
    freshness: Freshness
    micro_deposits: MicroDeposits
    imports: Imports
    issuer: CodeIssuer
    exchange: CodeExchange
    tokens: Tokens
    narrowing: Narrowing
    receipts: Receipts
    authorization_disclosures: AuthorizationDisclosures
    grants: Grants
    revocations: Revocations
    access: Access
    setup_tokens: SetupTokens
    access_urls: AccessUrls
    api_keys: ApiKeys
    key_uses: KeyUses
    rate_limits: RateLimits
    oauth_server: OAuthServer
    links: Links
    widget_links: WidgetLinks
    widget_sessions: WidgetSessions
    portal_sessions: PortalSessions
    portal_identity_provider: IdentityProvider
    staff: StaffServices
    clients: Clients
    processors: Processors
    attestations: Attestations
    deletions: Deletions
    apps: Apps
    users: Users
    user_export: UserExport
    accounts: Accounts
    webhook_endpoints: WebhookEndpoints


async def prepare_partitions(connection: Connection, now: datetime, settings: Settings) -> None:
    """Creates the upcoming partitions of every partitioned table. Must not run inside a transaction."""
    await partitions.prepare_partitions(connection, now, settings)
    await prepare_months(connection, now)


async def prepare_months(connection: Connection, now: datetime) -> None:
    """Creates the partitions of this month and the next two. Must not run inside a transaction."""
    await prepare_disclosures(connection, now)
    await audit_journal.prepare_partitions(connection, now)
    await event_partitions.prepare_partitions(connection, now)


@asynccontextmanager
async def build(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Services]:
    """Opens the database and builds the services. Closes both on exit.

    Raises:
        ConfigurationError: a setting or the master key is missing or unusable.
        MasterKeyMissing: the keyring is encrypted with a key that is not configured.
        Unavailable: the database does not answer.
    """
    clock = clock or (MovableClock() if settings.sandbox else SystemClock())
    master_keys = MasterKeys.load(settings)
    guard = _any_address if settings.webhook_allow_private else public_only
    db = Database(settings.database_url, pool_size=settings.pool_size, pooling=settings.database_pooling)
    registry = Registry(load_connectors(settings, clock, guard=guard, read_record=record_reader(db)))
    await db.open()
    try:
        async with db.transaction() as connection:
            # The keys of the installation are those of the first cell.
            open_ = open_keyring if settings.cell == FIRST else read_keyring
            keyring = await open_(connection, master_keys)
            seeding = Seeding()
            if settings.seed is not None:
                seeding = Seeding(settings.seed, await count_start(connection))
            with seeding.caller("installation"):
                await SigningKeys(clock, master_keys).create_missing(connection)
        async with (
            following(db, clock) if isinstance(clock, MovableClock) and settings.sandbox else nullcontext()
        ):
            yield _assemble(_Ground(settings, clock, db, registry, master_keys, keyring, seeding))
    finally:
        # The connectors first: until they are closed, they may read records.
        await registry.close()
        await db.close()


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the services are built from."""

    settings: Settings
    clock: Clock
    db: Database
    registry: Registry
    master_keys: MasterKeys
    keyring: Keyring
    seeding: Seeding


class _GrantServices(TypedDict):
    """The services of `grants` that are built together."""

    issuer: CodeIssuer
    exchange: CodeExchange
    narrowing: Narrowing
    receipts: Receipts
    authorization_disclosures: AuthorizationDisclosures
    grants: Grants
    revocations: Revocations
    access: Access
    setup_tokens: SetupTokens
    access_urls: AccessUrls
    key_uses: KeyUses


def _grant_services(
    ground: _Ground, journal: Journal, vault: Vault, signing_keys: SigningKeys
) -> _GrantServices:
    settings, clock, hash_key = ground.settings, ground.clock, ground.keyring.hash_key
    receipts = Receipts(settings, clock, signing_keys)
    return {
        "issuer": CodeIssuer(settings, clock, ground.db, hash_key, journal),
        "exchange": CodeExchange(settings, clock, ground.db, hash_key, journal, receipts),
        "narrowing": Narrowing(clock, journal),
        "receipts": receipts,
        "authorization_disclosures": AuthorizationDisclosures(settings, clock, signing_keys),
        "grants": Grants(clock),
        "revocations": Revocations(clock, ground.db, journal, receipts),
        "access": Access(clock, ground.db, hash_key, vault, journal),
        "setup_tokens": SetupTokens(settings, clock, hash_key, journal),
        "access_urls": AccessUrls(clock, hash_key),
        "key_uses": KeyUses(clock, ground.db, hash_key),
    }


class _MemberServices(TypedDict):
    members: Members
    freshness: Freshness
    institutions: Institutions
    micro_deposits: MicroDeposits
    imports: Imports


def _member_services(dependencies: Dependencies, access: Access) -> _MemberServices:
    members = Members(dependencies)
    return {
        "members": members,
        "freshness": Freshness(dependencies, members, access),
        "institutions": Institutions(dependencies),
        "micro_deposits": MicroDeposits(dependencies),
        "imports": Imports(dependencies, members),
    }


class _DirectoryServices(TypedDict):
    clients: Clients
    processors: Processors
    apps: Apps
    accounts: Accounts
    webhook_endpoints: WebhookEndpoints


def _directory_services(
    dependencies: Dependencies, api_keys: ApiKeys, setup_tokens: SetupTokens
) -> _DirectoryServices:
    settings, clock, vault, journal = (
        dependencies.settings,
        dependencies.clock,
        dependencies.vault,
        dependencies.journal,
    )
    return {
        "clients": Clients(settings, clock, vault, journal, api_keys),
        "processors": Processors(clock, journal, api_keys),
        "apps": Apps(settings, clock, journal, setup_tokens),
        "accounts": Accounts(clock, vault, journal),
        "webhook_endpoints": WebhookEndpoints(settings, clock, dependencies.db, vault, journal),
    }


class _UserServices(TypedDict):
    attestations: Attestations
    deletions: Deletions
    users: Users
    user_export: UserExport


def _user_services(
    dependencies: Dependencies, tokens: Tokens, signing_keys: SigningKeys, grant_services: _GrantServices
) -> _UserServices:
    attestations = Attestations(dependencies.settings, dependencies.clock, signing_keys)
    return {
        "attestations": attestations,
        "deletions": Deletions(dependencies.db, attestations),
        "users": Users(dependencies, tokens, attestations),
        "user_export": UserExport(
            dependencies.db,
            dependencies.vault,
            dependencies.journal,
            grant_services["grants"],
            grant_services["authorization_disclosures"],
        ),
    }


class _PageServices(TypedDict):
    """The services of the pages for end users."""

    links: Links
    widget_links: WidgetLinks
    widget_sessions: WidgetSessions
    portal_sessions: PortalSessions
    portal_identity_provider: IdentityProvider


def _page_services(
    settings: Settings, clock: Clock, hash_key: bytes, vault: Vault, journal: Journal
) -> _PageServices:
    links = Links(settings, clock, hash_key)
    return {
        "links": links,
        "widget_links": WidgetLinks(settings, vault, links, journal),
        "widget_sessions": WidgetSessions(clock, hash_key),
        "portal_sessions": PortalSessions(settings, clock, hash_key, links, journal),
        "portal_identity_provider": _portal_identity_provider(settings, clock),
    }


def _assemble(ground: _Ground) -> Services:
    settings, clock, db, registry = ground.settings, ground.clock, ground.db, ground.registry
    keyring, vault = ground.keyring, Vault(clock, ground.master_keys)
    signing_keys = SigningKeys(clock, ground.master_keys)
    publisher = EventPublisher(clock, ground.seeding)
    journal = Journal(clock, publisher)
    tokens = Tokens(clock)
    pages = _page_services(settings, clock, keyring.hash_key, vault, journal)
    api_keys = ApiKeys(settings, clock, keyring.hash_key, journal)
    dependencies = Dependencies(
        settings, clock, db, vault, registry, journal, ground.seeding, keyring.index_key
    )
    grant_services = _grant_services(ground, journal, vault, signing_keys)
    return Services(
        **grant_services,
        **pages,
        settings=settings,
        clock=clock,
        seeding=ground.seeding,
        db=db,
        vault=vault,
        signing_keys=signing_keys,
        publisher=publisher,
        journal=journal,
        registry=registry,
        task_gate=TaskGate(),
        dependencies=dependencies,
        **_member_services(dependencies, grant_services["access"]),
        oauth=OAuth(dependencies, pages["links"], pages["widget_sessions"]),
        tokens=tokens,
        api_keys=api_keys,
        rate_limits=RateLimits(settings, clock, db),
        oauth_server=_oauth_server(settings, clock, keyring.hash_key, journal),
        staff=_staff(settings, clock, keyring.hash_key, journal),
        **_directory_services(dependencies, api_keys, grant_services["setup_tokens"]),
        **_user_services(dependencies, tokens, signing_keys, grant_services),
    )


def _oauth_server(settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> OAuthServer:
    return OAuthServer(
        authentication=ProcessorAuthentication(settings, clock, hash_key, journal),
        tokens=ProcessorTokens(clock, hash_key, journal),
        nonces=DPoPNonces(hash_key),
    )


def _staff(settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> StaffServices:
    people = People(settings, clock, hash_key, journal)
    return StaffServices(
        people=people,
        sessions=StaffSessions(clock, hash_key, journal),
        sign_ins=SignIns(clock, hash_key),
        passkeys=Passkeys(settings, clock, people),
        identity_provider=IdentityProvider(
            Registration(
                issuer=settings.staff_oidc_issuer,
                client_id=settings.staff_oidc_client_id,
                client_secret=settings.staff_oidc_client_secret,
                return_url=origin(settings) + OIDC_RETURN_PATH,
                claim=EMAIL,
            ),
            clock,
        ),
    )


def _portal_identity_provider(settings: Settings, clock: Clock) -> IdentityProvider:
    return IdentityProvider(
        Registration(
            issuer=settings.portal_oidc_issuer,
            client_id=settings.portal_oidc_client_id,
            client_secret=settings.portal_oidc_client_secret,
            return_url=settings.base_url + RETURN_PATH,
            claim=settings.portal_oidc_claim,
        ),
        clock,
    )


def _any_address(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The guard of a development server, which may call private addresses."""
    return client
