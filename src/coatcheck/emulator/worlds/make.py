"""Makes the world of a file: everything or nothing.

check the file --> one transaction: delete all users, add what is missing, connect the members --> run their jobs
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coatcheck.app import Services
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.connectors.sandbox.bank_side import BankEvent, BankSide
from coatcheck.db.database import Connection
from coatcheck.directory.processors import ProcessorOptions
from coatcheck.emulator.bank_events import end_sign_in, is_at_sandbox_bank, start_notice
from coatcheck.emulator.connections import PASSWORD, run_jobs
from coatcheck.emulator.reset import delete_users
from coatcheck.emulator.worlds.document import WorldFile, parse_world
from coatcheck.emulator.worlds.schema import (
    WorldAccount,
    WorldClient,
    WorldMember,
    WorldProcessor,
    WorldUser,
    logins_of,
)
from coatcheck.errors import CredentialsDenied, InvalidRequest
from coatcheck.events.ssrf import check_url
from coatcheck.members import member_rows
from coatcheck.members.records import NewMember
from coatcheck.members.status import status_after_start
from coatcheck.model.accounts import accounts_of_member
from coatcheck.model.clients import Client, Processor, enabled_processors, list_clients, list_processors
from coatcheck.model.members import Member, find_member
from coatcheck.model.users import User
from coatcheck.model.widgets import LOCAL, WidgetAppearance
from coatcheck.sandbox_bank import store_record


@dataclass(frozen=True, slots=True)
class MadeMember:
    member: Member
    ended: BankEvent | None
    account_guids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class MadeUser:
    user: User
    members: Sequence[MadeMember]
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class MadeClient:
    guid: str
    name: str
    api_key: str | None = field(repr=False)
    """None if the client was there before: its keys stay."""
    users: Sequence[MadeUser]


@dataclass(frozen=True, slots=True)
class MadeProcessor:
    guid: str
    name: str
    api_key: str | None = field(repr=False)
    """None if the processor was there before."""


@dataclass(frozen=True, slots=True)
class Made:
    """The world as it was made."""

    processors: Sequence[MadeProcessor]
    clients: Sequence[MadeClient]


async def make_world(services: Services, content: bytes, *, actor: str) -> Made:
    """Makes the world of a file in place of the present one.

    All users are deleted, with their members and tokens. Clients and processors are found by their names, and keep
    their guids and keys; those that are missing are added, and no other is deleted.

    Args:
        services: those of a sandbox.
        content: the file.
        actor: the guid of who makes it, or `operator`.

    Raises:
        InvalidRequest: the file cannot be used; the message names the line and the key. Nothing was changed.
    """
    file = await asyncio.to_thread(parse_world, content)
    _check(services, file)
    async with services.task_gate.closed(), services.db.transaction() as connection:
        made = await _Making(services, connection, file, actor).make()
    users = [user for client in made.clients for user in client.users]
    members = [each for user in users for each in user.members]
    await run_jobs(services, [each.member for each in members])
    # After the jobs, because the bank then refuses the credentials with which they read.
    await _end_sign_ins(services, members)
    await _disable(services, [each.user for each in users if each.is_disabled], actor)
    return await _as_it_is_now(services, made)


def _check(services: Services, file: WorldFile) -> None:
    for number, client in enumerate(file.world.clients):
        if client.webhook_url is not None:
            _check_webhook_url(services, file, f"clients[{number}].webhook_url", client.webhook_url)
        for count, user in enumerate(client.users):
            logins = logins_of(user, count + 1)
            for position, (member, login) in enumerate(zip(user.members, logins, strict=True)):
                path = f"clients[{number}].users[{count}].members[{position}]"
                _check_member(services, file, path, member, login)


def _check_webhook_url(services: Services, file: WorldFile, path: str, url: str) -> None:
    try:
        check_url(url, allow_private=services.settings.webhook_allow_private)
    except InvalidRequest as error:
        raise file.refusal(path, error.problem) from None


def _check_member(services: Services, file: WorldFile, path: str, member: WorldMember, login: str) -> None:
    if not is_at_sandbox_bank(services, member.institution):
        raise file.refusal(f"{path}.institution", f"the sandbox bank has no {member.institution!r}.")
    institution = services.registry.find(member.institution)
    if institution.supports_oauth:
        raise file.refusal(
            f"{path}.institution", "its users sign in on a page, which takes a browser. Choose another."
        )
    for key, kind in (("verify", JobKind.VERIFICATION), ("identify", JobKind.IDENTIFICATION)):
        if getattr(member, key) and kind not in institution.supports:
            raise file.refusal(
                f"{path}.{key}", f"the institution does not support {kind.lower()}. Set {key}: false."
            )
    bank = services.registry.connector_for(institution.code)
    assert isinstance(bank, SandboxBank), "checked above"
    try:
        persona, labels = bank.accounts_of(institution.code, login, BankSide(controls=member.side.controls))
    except CredentialsDenied:
        return  # the login has an unknown control, which the bank refuses
    for count, label in enumerate(member.accounts or ()):
        if label not in labels:
            raise file.refusal(
                f"{path}.accounts[{count}]", f"a {persona} has no such account, but {', '.join(labels)}."
            )


@dataclass(frozen=True, slots=True)
class _Making:
    """The changes of one transaction."""

    services: Services
    connection: Connection
    file: WorldFile
    actor: str

    async def make(self) -> Made:
        for client in await list_clients(self.connection):
            await delete_users(self.services, self.connection, client, actor=self.actor)
        present = {each.name: each for each in reversed(await list_processors(self.connection))}
        processors = [
            await self._processor(f"processors[{number}]", wanted, present.get(wanted.name))
            for number, wanted in enumerate(self.file.world.processors)
        ]
        guids = {each.name: each.guid for each in processors}
        # Names are not unique: the second client of a name in the file is the second of the sandbox.
        by_name: dict[str, list[Client]] = defaultdict(list)
        for client in await list_clients(self.connection):
            by_name[client.name].append(client)
        clients = [
            await self._client(wanted, by_name[wanted.name].pop(0) if by_name[wanted.name] else None, guids)
            for wanted in self.file.world.clients
        ]
        return Made(processors, clients)

    async def _processor(self, path: str, wanted: WorldProcessor, present: Processor | None) -> MadeProcessor:
        processors, connection = self.services.processors, self.connection
        api_key = None
        if present is None:
            options = ProcessorOptions(wanted.owners_at_transactions, wanted.numbers_as_strings)
            added = await processors.add(connection, wanted.name, options, actor=self.actor)
            present, api_key = added.processor, added.api_key
        for option in ("owners_at_transactions", "numbers_as_strings"):
            if getattr(present, option) is not getattr(wanted, option):
                raise self.file.refusal(f"{path}.{option}", "the processor exists with another value.")
        if wanted.is_disabled and not present.is_disabled:
            await processors.disable(connection, present.guid, actor=self.actor)
        elif present.is_disabled and not wanted.is_disabled:
            await processors.enable(connection, present.guid, actor=self.actor)
        return MadeProcessor(present.guid, present.name, api_key)

    async def _client(
        self, wanted: WorldClient, present: Client | None, processors: Mapping[str, str]
    ) -> MadeClient:
        clients, connection = self.services.clients, self.connection
        api_key = None
        if present is None:
            added = await clients.add(connection, wanted.name, actor=self.actor)
            present, api_key = added.client, added.api_key
            appearance = WidgetAppearance(list(LOCAL))
            await clients.set_widget_appearance(connection, present.guid, appearance, actor=self.actor)
        if present.webhook_url != wanted.webhook_url:
            await clients.set_webhook_url(connection, present.guid, wanted.webhook_url, actor=self.actor)
        if wanted.is_disabled and not present.is_disabled:
            await clients.disable(connection, present.guid, actor=self.actor)
        elif present.is_disabled and not wanted.is_disabled:
            await clients.enable(connection, present.guid, actor=self.actor)
        await self._enable(present.guid, {processors[name] for name in wanted.processors})
        users = [await self._user(present.guid, each, count) for count, each in enumerate(wanted.users, 1)]
        return MadeClient(present.guid, present.name, api_key, users)

    async def _enable(self, client_guid: str, wanted: set[str]) -> None:
        """Enables exactly these processors for the client."""
        processors = self.services.processors
        present = {each.guid for each in await enabled_processors(self.connection, client_guid)}
        for guid in sorted(wanted - present):
            await processors.enable_for(self.connection, guid, client_guid, actor=self.actor)
        for guid in sorted(present - wanted):
            await processors.disable_for(self.connection, guid, client_guid, actor=self.actor)

    async def _user(self, client_guid: str, wanted: WorldUser, number: int) -> MadeUser:
        values = {"id": wanted.id, "email": wanted.email, "metadata": wanted.metadata}
        user = await self.services.users.create(
            self.connection, client_guid, values, actor=self.actor, notify=False
        )
        logins = zip(wanted.members, logins_of(wanted, number), strict=True)
        members = [await self._member(user, member, login) for member, login in logins]
        for account in wanted.accounts:
            await self.services.accounts.create(
                self.connection, user, _manual_account(account), actor=self.actor
            )
        return MadeUser(user, members, wanted.is_disabled)

    async def _member(self, user: User, wanted: WorldMember, login: str) -> MadeMember:
        institution = self.services.registry.find(wanted.institution)
        connected = await self.services.members.connect(
            self.connection,
            user,
            NewMember(
                institution_code=institution.code,
                credentials=_credentials(institution, login, wanted.password or PASSWORD),
                id=wanted.id,
                metadata=wanted.metadata,
                kinds=_kinds(wanted),
                skip_webhook=True,
            ),
        )
        member = connected.member
        await store_record(
            self.connection, user_guid=user.guid, member_guid=member.guid, record=wanted.side.encode()
        )
        return MadeMember(member, wanted.ended)


def _kinds(member: WorldMember) -> Sequence[JobKind]:
    wanted = (
        (JobKind.AGGREGATION, True),
        (JobKind.VERIFICATION, member.verify),
        (JobKind.IDENTIFICATION, member.identify),
    )
    return tuple(kind for kind, is_wanted in wanted if is_wanted)


def _credentials(institution: Institution, login: str, password: str) -> Mapping[str, str]:
    values = {"LOGIN": login, "PASSWORD": password}
    return {each.guid: values[each.field_name] for each in institution.credentials}


def _manual_account(account: WorldAccount) -> Mapping[str, object]:
    values = {name: getattr(account, name) for name in account.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


async def _end_sign_ins(services: Services, members: Sequence[MadeMember]) -> None:
    """Lets the bank refuse the credentials of those members, which notice it."""
    ended = [(each.member, each.ended) for each in members if each.ended is not None]
    for member, event in ended:
        async with services.db.transaction() as connection:
            locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
            await end_sign_in(services, connection, locked, event)
            # A member that waits for an answer starts no job. It notices the event with the answer.
            if status_after_start(locked.status) is not None:
                await start_notice(services, connection, locked, event)
    await run_jobs(services, [member for member, _ in ended])


async def _disable(services: Services, users: Sequence[User], actor: str) -> None:
    """Disables users, which had to be enabled to be connected."""
    for user in users:
        async with services.db.transaction() as connection:
            await services.users.update(connection, user, {"is_disabled": True}, actor=actor, notify=False)


async def _as_it_is_now(services: Services, made: Made) -> Made:
    clients = [
        MadeClient(
            client.guid,
            client.name,
            client.api_key,
            [await _user_now(services, each) for each in client.users],
        )
        for client in made.clients
    ]
    return Made(made.processors, clients)


async def _user_now(services: Services, made: MadeUser) -> MadeUser:
    members = []
    async with services.db.connection() as connection:
        for each in made.members:
            member = await find_member(connection, made.user.guid, each.member.guid)
            accounts = await accounts_of_member(connection, made.user.guid, member.guid)
            members.append(MadeMember(member, each.ended, [account.guid for account in accounts]))
    return MadeUser(made.user, members, made.is_disabled)
