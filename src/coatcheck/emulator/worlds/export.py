"""Writes the present world of a sandbox. The same world gives the same text."""

from collections.abc import AsyncIterator
from typing import TypeVar, cast

import msgspec

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.connectors.sandbox.bank_side import BankSide, decode_bank_side
from coatcheck.connectors.sandbox.challenges import QUESTIONS, REFUSALS
from coatcheck.connectors.sandbox.sign_in import decode_sign_in
from coatcheck.db.database import Connection
from coatcheck.emulator.bank_events import is_at_sandbox_bank, sign_in_state
from coatcheck.emulator.worlds.document import dump_world
from coatcheck.emulator.worlds.schema import (
    Happened,
    SignInEnd,
    World,
    WorldAccount,
    WorldClient,
    WorldMember,
    WorldProcessor,
    WorldUser,
)
from coatcheck.errors import Conflict, CredentialsDenied
from coatcheck.members import job_rows, member_rows
from coatcheck.members.credentials import load_credentials
from coatcheck.model.accounts import Account, accounts_of_member
from coatcheck.model.clients import Client, enabled_processors, list_clients, list_processors
from coatcheck.model.members import Member, find_manual_member, list_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User, list_users
from coatcheck.sandbox_bank import read_record

PAGE_SIZE = 100
StructT = TypeVar("StructT", bound=msgspec.Struct)


async def export_world(services: Services) -> str:
    """The world as YAML. It contains no key, no token and no password but those that choose what the bank does.

    Raises:
        Conflict: two processors have one name, by which a world refers to them.
    """
    async with services.db.connection() as connection:
        processors = await list_processors(connection)
        clients = sorted(
            await list_clients(connection), key=lambda each: (each.name, each.created_at, each.guid)
        )
    names = [each.name for each in processors]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise Conflict(f"Two processors have the name {repeated!r}. A world refers to processors by name.")
    world = World(
        version=1,
        processors=tuple(
            WorldProcessor(
                name=each.name,
                is_disabled=each.is_disabled,
                owners_at_transactions=each.owners_at_transactions,
                numbers_as_strings=each.numbers_as_strings,
            )
            for each in sorted(processors, key=lambda each: each.name)
        ),
        clients=tuple([await _client(services, each) for each in clients]),
    )
    return dump_world(world)


async def _client(services: Services, client: Client) -> WorldClient:
    async with services.db.connection() as connection:
        enabled = await enabled_processors(connection, client.guid)
    return WorldClient(
        name=client.name,
        is_disabled=client.is_disabled,
        webhook_url=client.webhook_url,
        processors=tuple(sorted(each.name for each in enabled)),
        users=_sorted([await _user(services, user) async for user in _users(services, client)]),
    )


async def _users(services: Services, client: Client) -> AsyncIterator[User]:
    number = 1
    while True:
        async with services.db.connection() as connection:
            page = await list_users(connection, client.guid, PageRequest(number=number, size=PAGE_SIZE))
        for user in page.items:
            yield user
        if number * PAGE_SIZE >= page.total:
            return
        number += 1


async def _user(services: Services, user: User) -> WorldUser:
    async with services.db.transaction() as connection:
        members = (await list_members(connection, user.guid, PageRequest(size=PAGE_SIZE))).items
        at_bank = [
            each
            for each in members
            # A manual one has an account that micro-deposits verified, and no login.
            if is_at_sandbox_bank(services, each.institution_code) and not (each.is_oauth or each.is_manual)
        ]
        manual = await find_manual_member(connection, user.guid)
        accounts = await accounts_of_member(connection, user.guid, manual.guid) if manual else ()
        return WorldUser(
            id=user.id,
            email=user.email,
            metadata=user.metadata,
            is_disabled=user.is_disabled,
            members=_sorted([await _member(services, connection, each) for each in at_bank]),
            accounts=_sorted([_account(each) for each in accounts]),
        )


async def _member(services: Services, connection: Connection, member: Member) -> WorldMember:
    locked = await member_rows.lock_member(connection, member.user_guid, member.guid)
    credentials = await load_credentials(services.vault, connection, locked)
    sign_in = decode_sign_in(await sign_in_state(services, connection, locked))
    side = decode_bank_side(await read_record(connection, member.guid))
    bank = services.registry.connector_for(member.institution_code)
    assert isinstance(bank, SandboxBank), "other members are not in a world"
    login, password = credentials["LOGIN"], credentials["PASSWORD"]
    persona, accounts = _household(bank, member.institution_code, login, side)
    jobs = await job_rows.requested_kinds(connection, member.user_guid, member.guid)
    return WorldMember(
        institution=member.institution_code,
        login=login,
        password=password if password in {*REFUSALS, *QUESTIONS} else None,
        id=member.id,
        metadata=member.metadata,
        persona=persona,
        accounts=accounts,
        controls=tuple(each for each in side.controls if not each.startswith("persona=")),
        happened=Happened(
            numbers_changed=side.numbers_changed,
            owner_changed=side.owner_changed,
            new_transactions=side.new_transactions,
            sign_in_ended=cast("SignInEnd | None", sign_in.ended and sign_in.ended.value),
        ),
        verify=JobKind.VERIFICATION in jobs,
        identify=JobKind.IDENTIFICATION in jobs,
    )


def _household(
    bank: SandboxBank, institution_code: str, login: str, side: BankSide
) -> tuple[str | None, tuple[str, ...] | None]:
    """The persona and the accounts; None if the bank refuses the login."""
    try:
        return bank.accounts_of(institution_code, login, side)
    except CredentialsDenied:
        return None, side.accounts


def _account(account: Account) -> WorldAccount:
    return WorldAccount(**{name: getattr(account, name) for name in WorldAccount.__struct_fields__})


def _sorted(rows: list[StructT]) -> tuple[StructT, ...]:
    """In an order that depends on nothing but what the file says of them."""
    return tuple(sorted(rows, key=msgspec.json.encode))
