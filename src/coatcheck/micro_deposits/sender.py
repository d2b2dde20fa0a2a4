"""Sends micro-deposits, in the worker. Each is claimed before it is sent, so that no money is sent twice."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import stamina
import structlog

from coatcheck.connectors.contract import Deposits
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, BankFailed, NotFound, Unavailable
from coatcheck.events import mx_events
from coatcheck.members.dependencies import Dependencies
from coatcheck.micro_deposits import deposit_rows
from coatcheck.micro_deposits.store import DepositStore
from coatcheck.model.micro_deposits import DepositAccount, DepositStatus, MicroDeposit

log = structlog.get_logger(__name__)

RETENTION = timedelta(days=21)
"""How long micro-deposits that were never verified are kept (MX docs: microdeposits)."""
SENDING_TIMEOUT = timedelta(hours=1)
"""The transfer counts as failed if no result is known after this time. It is never repeated."""
LONGEST_BACKOFF = 2.0
"""Seconds between two attempts to reach the database."""


class DepositSender:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._store = DepositStore(dependencies)

    async def claim(self, limit: int) -> Sequence[MicroDeposit]:
        """Sets initiated micro-deposits to REQUESTED, so that no worker claims them again, and returns them."""
        async with self._db.transaction() as connection:
            claimed = await deposit_rows.claim_initiated(connection, limit, self._clock.now())
            return [await self._store.record(connection, each, mx_events.Action.UPDATED) for each in claimed]

    async def send(self, deposit: MicroDeposit) -> None:
        """Sends claimed micro-deposits, once, and stores the result, even if the database is away for a while."""
        async for attempt in _retrying():
            with attempt:
                async with self._db.transaction() as connection:
                    account, _ = await self._store.disclose(connection, deposit)
        # No transaction is open during the call to the bank.
        # The money is on its way after this call. Only this worker knows the amounts, so it does not give up saving
        # them.
        result = await self._send(account)
        async for attempt in _retrying():
            with attempt:
                async with self._db.transaction() as connection:
                    await self._save(connection, deposit, account, result)

    async def sweep(self) -> None:
        """Updates deposits that arrived, ends unconfirmed ones with an error, and deletes old unverified ones."""
        now = self._clock.now()
        lost_before = now - SENDING_TIMEOUT
        async with self._db.connection() as connection:
            due = await deposit_rows.due_deposits(connection, now, lost_before)
        for each in due:
            # NotFound: deleted since the query.
            with contextlib.suppress(NotFound):
                async with self._db.transaction() as connection:
                    # Checked again under the lock: the result may have been saved since the query.
                    deposit = await self._store.refresh(connection, each)
                    is_unconfirmed = deposit.arrives_at is None and deposit.updated_at < lost_before
                    if deposit.status == DepositStatus.REQUESTED and is_unconfirmed:
                        await self._fail(
                            connection, deposit, "It is not known whether the amounts were sent."
                        )
        async with self._db.transaction() as connection:
            for each in await deposit_rows.delete_unverified(connection, now - RETENTION):
                await self._vault.delete(connection, owner_guid=each.user_guid, record_guid=each.guid)

    async def _send(self, account: DepositAccount) -> Deposits | BankError:
        connector = self._registry.depositor()
        if connector is None or account.routing_number is None or account.account_number is None:
            return BankFailed("No connector can send micro-deposits.")
        try:
            return await connector.send_deposits(
                routing_number=account.routing_number,
                account_number=account.account_number,
                now=self._clock.now(),
            )
        except BankError as error:
            return error
        except Exception as error:  # noqa: BLE001 (an error of the connector must not stop the worker)
            # The text of the exception may contain the account number.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400 (nor its traceback)
            return BankFailed()

    async def _save(
        self,
        connection: Connection,
        deposit: MicroDeposit,
        account: DepositAccount,
        result: Deposits | BankError,
    ) -> None:
        # The row before what it seals, as the deletion of the user. Raises NotFound if they were deleted meanwhile:
        # nothing may be sealed for a user who is gone.
        await self._store.refresh(connection, deposit)
        if isinstance(result, Deposits):
            await self._store.seal(connection, deposit, account, result.amounts)
            await self._store.change(connection, deposit, {"arrives_at": result.arrive_at})
            # Sets DEPOSITED at once if the deposits arrive immediately.
            await self._store.refresh(connection, deposit)
        else:
            await self._fail(connection, deposit, result.problem)

    async def _fail(self, connection: Connection, deposit: MicroDeposit, reason: str) -> None:
        """Sets ERRORED. The hash of the account is deleted, so that the user can request new micro-deposits to it."""
        failure = {"status": DepositStatus.ERRORED, "error_message": reason, "account_hash": None}
        await self._store.change(connection, deposit, failure)
        await self._store.record(connection, deposit, mx_events.Action.UPDATED)


def _retrying() -> AsyncIterator[stamina.Attempt]:
    """Attempts while the database is away, until the sending counts as lost."""
    return stamina.retry_context(
        on=Unavailable, attempts=None, timeout=SENDING_TIMEOUT, wait_max=LONGEST_BACKOFF
    )
