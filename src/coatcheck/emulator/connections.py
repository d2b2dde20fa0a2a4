"""Connections and tokens of a sandbox in one call, through the same steps that a client and a processor take."""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coatcheck.app import Services
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.connectors.sandbox.bank_side import BankSide
from coatcheck.connectors.sandbox.controls import InvalidControl, parse_controls
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest, NotFound, Unprocessable
from coatcheck.grants.exchange import Redeemer
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import job_rows
from coatcheck.members.credentials import login_hash
from coatcheck.members.member_rows import member_with_login
from coatcheck.members.oauth_windows import OAuthAttempt, OAuthWindow, SignInPlace
from coatcheck.members.records import NewMember
from coatcheck.model.accounts import Account, accounts_of_member, find_client_account
from coatcheck.model.clients import Client, enabled_processors
from coatcheck.model.members import Member, count_members
from coatcheck.model.users import User, find_user
from coatcheck.sandbox_bank import store_record
from coatcheck.vault.vault import accounts_with_numbers
from coatcheck.worker_services import build_worker

CONNECTOR = "sandbox"
PASSWORD = "correct"  # noqa: S105 (every password that names no failure connects)
CONCURRENT_TASKS = 8
POLL_INTERVAL = timedelta(milliseconds=50)
DEFAULT_SCOPE = "read-protected"
"""What a token reads where no scope is given: everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnection:
    user_guid: str | None = None
    """An existing user. None: a new one."""
    institution_code: str = "mxbank"
    persona: str | None = None
    controls: Sequence[str] = ()
    verify: bool = True
    """Whether the account numbers are read."""
    identify: bool = True
    """Whether the owners are read."""


@dataclass(frozen=True, slots=True)
class Connected:
    user_guid: str
    member_guid: str
    account_guids: Sequence[str]


@dataclass(frozen=True, slots=True)
class NewToken:
    processor_guid: str
    account_guid: str | None = None
    """An existing account. None: the first of `connection` that has numbers."""
    scope: str | None = None
    """The atoms after the guids."""
    connection: NewConnection = field(default_factory=NewConnection)


@dataclass(frozen=True, slots=True)
class Granted:
    access_token: str = field(repr=False)
    account: Account
    grant_guid: str
    expires_at: datetime


async def connect(services: Services, client: Client, new: NewConnection) -> Connected:
    """Connects a member at the sandbox bank and runs its jobs.

    A control that makes the bank fail gives a member with that status and perhaps no accounts.

    Raises:
        NotFound: the client has no such user, or the sandbox bank has no such institution.
        InvalidRequest: a control or the persona is unknown.
        DuplicateMember: the user has a member at the institution, and signs in there on its own page.
        UserDisabled: the user is disabled.
    """
    side = BankSide(controls=check_controls(new.persona, new.controls))
    institution = services.registry.find(new.institution_code)
    bank = services.registry.connector_for(institution.code)
    if not isinstance(bank, SandboxBank):
        raise NotFound("The sandbox bank has no such institution.")
    kinds = [JobKind.AGGREGATION]
    kinds += [JobKind.VERIFICATION] if new.verify else []
    kinds += [JobKind.IDENTIFICATION] if new.identify else []
    async with services.db.transaction() as connection:
        user = await _user(services, connection, client, new.user_guid)
        login = await _new_login(services, connection, user, institution)
        values = {"LOGIN": login, "PASSWORD": PASSWORD}
        credentials = {each.guid: values[each.field_name] for each in institution.credentials}
        connected = await services.members.connect(
            connection,
            user,
            NewMember(
                institution_code=institution.code,
                credentials=credentials,
                kinds=kinds,
                is_oauth=institution.supports_oauth,
            ),
        )
        member = connected.member
        await store_record(connection, user_guid=user.guid, member_guid=member.guid, record=side.encode())
    if member.is_oauth:
        await _sign_in(services, bank, member, login)
    await run_jobs(services, [member])
    async with services.db.connection() as connection:
        accounts = await accounts_of_member(connection, user.guid, member.guid)
    return Connected(user.guid, member.guid, [account.guid for account in accounts])


async def _sign_in(services: Services, bank: SandboxBank, member: Member, login: str) -> None:
    """Does what a user does in the window of the institution, and starts the member's jobs."""
    window = await services.oauth.prepare_window(SignInPlace(member.institution_code, member.user_guid))
    attempt = OAuthAttempt(OAuthWindow(), window.code_verifier, resume=window.page.resume)
    await services.oauth.complete(member, attempt, bank.allow(window.page.url, login))


async def grant(services: Services, client: Client, new: NewToken) -> Granted:
    """A token, by a code that the processor redeems at once.

    Raises:
        NotFound: the client has no such account.
        Unprocessable: the new connection has no account with numbers, or the processor is not enabled for the client.
        InvalidScope: the scope is invalid.
    And as `connect`, where no account is given.
    """
    guid = new.account_guid
    if guid is None:
        # Otherwise a refusal would leave a user behind.
        await _check_grant(services, client, new)
        guid = await _first_verified(services, await connect(services, client, new.connection))
    async with services.db.connection() as connection:
        account = await find_client_account(connection, client.guid, guid)
        code = await services.issuer.issue_authenticated(
            connection,
            client_guid=client.guid,
            scope=_scope(new, account.user_guid, account.member_guid, account.guid),
            processor_guid=new.processor_guid,
        )
        issued = await services.exchange.redeem_authenticated(
            connection, redeemer=Redeemer(new.processor_guid, None), code=code
        )
    return Granted(issued.access_token, account, issued.grant_guid, issued.expires_at)


async def _check_grant(services: Services, client: Client, new: NewToken) -> None:
    """Refuses what does not depend on the account, as `grant`."""
    _scope(new, "new", "new", "new")
    async with services.db.connection() as connection:
        enabled = await enabled_processors(connection, client.guid)
    if not any(each.guid == new.processor_guid and not each.is_disabled for each in enabled):
        raise Unprocessable("The processor does not exist or is not enabled for this client.")


def _scope(new: NewToken, user_guid: str, member_guid: str, account_guid: str) -> Scope:
    atoms = DEFAULT_SCOPE if new.scope is None else new.scope
    return parse_scope(f"user-guid:{user_guid} member-guid:{member_guid} account-guid:{account_guid} {atoms}")


async def run_jobs(services: Services, members: Iterable[Member]) -> None:
    """Runs the members' jobs until none is left, or they wait for answers. Meanwhile the worker claims nothing."""
    claim = build_worker(services).claims[TaskKind.MEMBER_JOB]
    async with services.task_gate.closed():
        for member in members:
            while await _has_runnable_job(services, member):
                tasks = await claim(CONCURRENT_TASKS)
                await asyncio.gather(*(task() for task in tasks))
                if not tasks:
                    # The worker of another process runs the job, or the institution's slots are taken.
                    await asyncio.sleep(POLL_INTERVAL.total_seconds())


async def _has_runnable_job(services: Services, member: Member) -> bool:
    async with services.db.connection() as connection:
        live = await job_rows.live_job(connection, member.user_guid, member.guid)
    return live is not None and live.is_runnable


def check_controls(persona: str | None, controls: Sequence[str]) -> tuple[str, ...]:
    """The persona and the controls, as the bank records them.

    Raises:
        InvalidRequest: one is unknown, or its argument is not usable.
    """
    words = (*([f"persona={persona}"] if persona else []), *controls)
    try:
        parse_controls(words)
    except InvalidControl as error:
        raise InvalidRequest(f"controls: {error}.") from None
    return words


async def _user(services: Services, connection: Connection, client: Client, guid: str | None) -> User:
    if guid is None:
        return await services.users.create(connection, client.guid, {}, actor=client.guid)
    return await find_user(connection, client.guid, guid, lock=True)


async def _new_login(services: Services, connection: Connection, user: User, institution: Institution) -> str:
    """A name that the user has not connected yet: a login connects once at each institution."""
    if institution.supports_oauth:
        return f"{user.guid[-12:]}-0"  # nothing but the first member connects, whatever its login
    index_key = services.dependencies.index_key
    # From the number of members on: after a deletion, a remaining member can have the login of that number.
    for number in itertools.count(await count_members(connection, user.guid)):
        login = f"{user.guid[-12:]}-{number}"
        hashed = login_hash(index_key, user.guid, institution, {"LOGIN": login})
        if await member_with_login(connection, user.guid, institution.code, hashed) is None:
            return login
    raise AssertionError("a user has few members")


async def _first_verified(services: Services, connected: Connected) -> str:
    async with services.db.connection() as connection:
        verified = await accounts_with_numbers(connection, connected.user_guid, connected.member_guid)
    if not verified:
        raise Unprocessable(
            "The connection has no account with numbers: its controls or its persona prevent it."
        )
    return next(guid for guid in connected.account_guids if guid in verified)
