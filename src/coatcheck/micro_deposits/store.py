"""Reads and writes micro-deposits for requests and for the worker: the row, the sealed account and the journal."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TypeAlias

from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import Institution
from coatcheck.db.database import Connection
from coatcheck.errors import NotFound
from coatcheck.events import mx_events
from coatcheck.members.dependencies import Dependencies
from coatcheck.micro_deposits.deposit_rows import DepositKey, change_deposit, lock_deposit
from coatcheck.model.micro_deposits import DepositAccount, DepositStatus, MicroDeposit, find_micro_deposit
from coatcheck.model.users import find_user
from coatcheck.vault.vault import SecretKind, WorkerReader

Opened: TypeAlias = tuple[DepositAccount, tuple[Decimal, ...]]
"""The account and the amounts, which are empty until they were sent."""


class DepositStore:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._seeding = dependencies.seeding

    async def seal(
        self,
        connection: Connection,
        deposit: MicroDeposit | DepositKey,
        account: DepositAccount,
        amounts: Sequence[Decimal],
    ) -> None:
        """Seals the account and the amounts under the guid of the micro-deposits."""
        sealed = {"account": asdict(account), "amounts": [str(amount) for amount in amounts]}
        await self._vault.store_secret(
            connection,
            owner_guid=deposit.user_guid,
            record_guid=deposit.guid,
            kind=SecretKind.MICRO_DEPOSIT,
            value=json.dumps(sealed).encode(),
        )

    async def disclose(self, connection: Connection, deposit: MicroDeposit) -> Opened:
        """The account and the amounts. Writes a disclosure to the client.

        Raises:
            NotFound: they were deleted meanwhile.
        """
        opened = await self.disclose_all(connection, [deposit])
        if deposit.guid not in opened:
            raise NotFound
        return opened[deposit.guid]

    async def disclose_all(
        self, connection: Connection, deposits: Sequence[MicroDeposit]
    ) -> Mapping[str, Opened]:
        """As `disclose` for several of a user and in one statement, by their guids. Deleted ones are left out."""
        if not deposits:
            return {}
        client_guid = deposits[0].client_guid
        disclosed = await self._vault.disclose_secrets(
            connection,
            owner_guid=deposits[0].user_guid,
            secrets=[(each.guid, SecretKind.MICRO_DEPOSIT) for each in deposits],
            reader=WorkerReader(client_guid, client_guid),
        )
        return {guid: _open(sealed) for (guid, _), sealed in disclosed.items()}

    async def refresh(self, connection: Connection, deposit: MicroDeposit | DepositKey) -> MicroDeposit:
        """Locks the micro-deposits, sets them to DEPOSITED if they have arrived, and returns them.

        Raises:
            NotFound: they were deleted meanwhile.
        """
        await lock_deposit(connection, deposit)
        locked_deposit = await find_micro_deposit(connection, deposit.client_guid, deposit.guid)
        has_arrived = locked_deposit.arrives_at is not None and locked_deposit.arrives_at <= self._clock.now()
        if locked_deposit.status == DepositStatus.REQUESTED and has_arrived:
            await self.change(connection, locked_deposit, {"status": DepositStatus.DEPOSITED})
            return await self.record(connection, locked_deposit, mx_events.Action.UPDATED)
        return locked_deposit

    async def change(
        self, connection: Connection, deposit: MicroDeposit, values: Mapping[str, object]
    ) -> None:
        await change_deposit(connection, deposit, values, self._clock.now())

    async def record(
        self, connection: Connection, deposit: MicroDeposit | DepositKey, action: mx_events.Action
    ) -> MicroDeposit:
        """Records a change in the journal. Returns the current micro-deposits."""
        current = await find_micro_deposit(connection, deposit.client_guid, deposit.guid)
        user = await find_user(connection, current.client_guid, current.user_guid)
        institution_guid = None
        if current.institution_code:
            with contextlib.suppress(NotFound):
                institution_guid = self._registry.find(current.institution_code).guid
        event = mx_events.micro_deposit(action, current, user_id=user.id, institution_guid=institution_guid)
        entry = Entry(
            client_guid=current.client_guid,
            actor=current.client_guid,
            action=f"micro_deposit.{current.status.lower()}",
            subject=current.guid,
        )
        with self._seeding.about(current.guid):
            await self._journal.record(connection, entry, event)
        return current

    def institution(self, routing_number: str | None) -> Institution | None:
        """The institution that has this routing number, if a connector knows it."""
        found = self._registry.search(routing_number=routing_number) if routing_number else ()
        return found[0] if found else None


def _open(sealed: bytes) -> Opened:
    opened = json.loads(sealed)
    return DepositAccount(**opened["account"]), tuple(Decimal(amount) for amount in opened["amounts"])
