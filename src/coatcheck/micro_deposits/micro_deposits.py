"""Micro-deposits: whoever can read two small amounts off an account may use it.

    create --> INITIATED --a worker sends--> REQUESTED --they arrive--> DEPOSITED --right--> VERIFIED
       |                         `--> ERRORED                              ^  |
       `--> PREINITIATED (a holder, no account yet)                        |  `--wrong--> DENIED --third--> PREVENTED
                                                                           `---try again----'
A verified account stands below a manual member of its user, with its numbers, so that a processor can have a token
for it. Account, holder and amounts are sealed (MX docs: microdeposits).
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal

import structlog
from stdnum.us import rtn

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import Deposits, Institution
from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection, fetch_all, run
from coatcheck.errors import (
    BankError,
    BankFailed,
    ConstraintNotMet,
    DuplicateMicroDeposit,
    InvalidRequest,
    JobNotSupported,
    NotFound,
)
from coatcheck.events import catalogue
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import member_rows
from coatcheck.members.account_rows import put_account
from coatcheck.members.dependencies import Dependencies
from coatcheck.model.accounts import Account
from coatcheck.model.clients import Client
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit, find_micro_deposit
from coatcheck.model.users import User, find_user
from coatcheck.vault.vault import AccountNumbers, SecretKind, WorkerReader

log = structlog.get_logger(__name__)

MAX_PER_EMAIL = 3
"""Accounts (MX docs: microdeposits)."""
MAX_WRONG = 3
"""Wrong answers; after the third nobody may try again."""
KEPT = timedelta(days=21)
"""How long one that was never verified is kept (MX docs: microdeposits)."""
SENDING = timedelta(hours=1)
"""After which a sending that nobody reported on has failed: money is sent once or not at all."""
TYPES = frozenset({"CHECKING", "SAVINGS"})
ANSWERABLE = frozenset({"DEPOSITED", "DENIED"})
NO_INSTITUTION = Institution(
    code="micro_deposits", guid="INS-5d0b2f0e-3a46-5d7b-9d57-0f4c1f6d2a10", name="Micro-deposits", url=""
)
"""Where no connector knows the routing number."""


@dataclass(frozen=True, slots=True)
class _Found:
    user_guid: str
    guid: str
    client_guid: str


class MicroDeposits:
    def __init__(self, dependencies: Dependencies, *, index_key: bytes) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._index_key = index_key

    async def create(
        self,
        connection: Connection,
        *,
        client: Client,
        user: User,
        account: DepositAccount,
        account_type: str | None,
    ) -> MicroDeposit:
        """Has two small amounts sent to the account; or, with a holder alone, notes who will name one later.

        Raises:
            InvalidRequest: neither an account nor a holder is given, or its numbers cannot be right.
            JobNotSupported: no connector can send money.
            DuplicateMicroDeposit: the user has micro-deposits to this account already.
            NotFound: so it was, and they were deleted at this very moment.
            ConstraintNotMet: the e-mail address stands for three accounts already.
        """
        is_complete = account.account_number is not None or account.routing_number is not None
        if is_complete:
            self._check_numbers(account, account_type)
            if self._registry.depositor() is None:
                raise JobNotSupported("No connector here can send micro-deposits.")
        elif not (account.email and account.first_name and account.last_name):
            raise InvalidRequest("Name the account, or the holder's email, first_name and last_name.")
        email_hash = self._hash("email", client.guid, (account.email or "").strip().casefold())
        if account.email and await _count_with_email(connection, client.guid, email_hash) >= MAX_PER_EMAIL:
            raise ConstraintNotMet(f"An e-mail address stands for at most {MAX_PER_EMAIL} accounts.")
        institution = self._institution(account.routing_number)
        now, deposit = self._clock.now(), _Found(user.guid, ids.new("MIC"), client.guid)
        account_hash = (
            self._hash("account", user.guid, account.routing_number, account.account_number)
            if is_complete
            else None
        )
        added = await run(
            connection,
            """INSERT INTO micro_deposit (user_guid, guid, client_guid, account_type, account_number,
                                          institution_code, institution_name, status, account_hash,
                                          email_hash, created_at, updated_at)
               VALUES (%(user_guid)s, %(guid)s, %(client_guid)s, %(account_type)s, %(account_number)s,
                       %(institution_code)s, %(institution_name)s, %(status)s, %(account_hash)s,
                       %(email_hash)s, %(now)s, %(now)s)
               ON CONFLICT (user_guid, account_hash) DO NOTHING""",
            {
                "user_guid": user.guid,
                "guid": deposit.guid,
                "client_guid": client.guid,
                "account_type": account_type if is_complete else None,
                "account_number": (account.account_number or "")[-4:] or None,
                "institution_code": institution and institution.code,
                "institution_name": institution and institution.name,
                "status": "INITIATED" if is_complete else "PREINITIATED",
                "account_hash": account_hash,
                "email_hash": email_hash if account.email else None,
                "now": now,
            },
        )
        if not added:
            raise DuplicateMicroDeposit(await _with_account(connection, user.guid, account_hash))
        await self._keep(connection, deposit, account, ())
        if is_complete:
            await notify_workers(connection, TaskKind.MICRO_DEPOSIT)
        return await self._tell(connection, deposit, catalogue.Action.CREATED)

    async def verify(
        self, connection: Connection, deposit: MicroDeposit, amounts: tuple[Decimal, Decimal]
    ) -> MicroDeposit:
        """Compares what the user read with what was sent, in either order.

        The right amounts verify the account and open it below a manual member; wrong ones deny it, and the
        third time for good. Which it was is in the status.

        Raises:
            ConstraintNotMet: the amounts have not arrived, or may not be answered any more.
            NotFound: it was deleted meanwhile.
        """
        locked = await self.refresh(connection, deposit)
        if locked.status not in ANSWERABLE:
            raise ConstraintNotMet(f"These micro-deposits are {locked.status}: no amounts are expected.")
        account, sent = await self._open(connection, locked)
        if sorted(amounts) == sorted(sent):
            await self._change(
                connection,
                locked,
                {"status": "VERIFIED", "verified_at": self._clock.now(), "error_message": None},
            )
            await self._open_account(connection, locked, account)
        else:
            wrong = locked.wrong_attempts + 1
            await self._change(
                connection,
                locked,
                {
                    "status": "DENIED" if wrong < MAX_WRONG else "PREVENTED",
                    "wrong_attempts": wrong,
                    "error_message": "The amounts are not those that were deposited.",
                },
            )
        return await self._tell(connection, locked, catalogue.Action.UPDATED)

    async def delete(self, connection: Connection, deposit: MicroDeposit) -> None:
        """Removes the micro-deposits; an account they verified stays."""
        await self._vault.delete(connection, owner_guid=deposit.user_guid, record_guid=deposit.guid)
        await run(
            connection,
            "DELETE FROM micro_deposit WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
            {"user_guid": deposit.user_guid, "guid": deposit.guid},
        )
        await self._journal.record(
            connection,
            Entry(
                client_guid=deposit.client_guid,
                actor=deposit.client_guid,
                action="micro_deposit.deleted",
                subject=deposit.guid,
            ),
        )

    async def account_of(self, connection: Connection, deposit: MicroDeposit) -> DepositAccount:
        """The account and its holder as the client sent them; discloses them to the client."""
        return (await self._open(connection, deposit))[0]

    async def refresh(self, connection: Connection, deposit: MicroDeposit | _Found) -> MicroDeposit:
        """The micro-deposits as they are now, locked: REQUESTED ones may have arrived.

        Raises:
            NotFound: they were deleted meanwhile.
        """
        await run(
            connection,
            "SELECT FROM micro_deposit WHERE user_guid = %(user_guid)s AND guid = %(guid)s FOR NO KEY UPDATE",
            {"user_guid": deposit.user_guid, "guid": deposit.guid},
        )
        locked = await find_micro_deposit(connection, deposit.client_guid, deposit.guid)
        now = self._clock.now()
        if locked.status == "REQUESTED" and locked.arrives_at is not None and locked.arrives_at <= now:
            await self._change(connection, locked, {"status": "DEPOSITED"})
            return await self._tell(connection, locked, catalogue.Action.UPDATED)
        return locked

    # --- for the worker -----------------------------------------------------------------------------------

    async def claim(self, limit: int) -> Sequence[MicroDeposit]:
        """Claims initiated micro-deposits to be sent.

        They are REQUESTED from now on and never claimed again, so that no amount is sent twice when a worker dies.
        """
        async with self._db.transaction() as connection:
            claimed = await fetch_all(
                connection,
                _Found,
                """WITH initiated AS (
                       SELECT user_guid, guid FROM micro_deposit WHERE status = 'INITIATED'
                       ORDER BY created_at, guid LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
                   UPDATE micro_deposit d SET status = 'REQUESTED', updated_at = %(now)s FROM initiated
                   WHERE d.user_guid = initiated.user_guid AND d.guid = initiated.guid
                   RETURNING d.user_guid, d.guid, d.client_guid""",
                {"limit": limit, "now": self._clock.now()},
            )
            return [await self._tell(connection, each, catalogue.Action.UPDATED) for each in claimed]

    async def send(self, deposit: MicroDeposit) -> None:
        """Sends the amounts of claimed micro-deposits."""
        async with self._db.transaction() as connection:
            account, _ = await self._open(connection, deposit)
        answer = await self._ask_bank(account)
        async with self._db.transaction() as connection:
            if isinstance(answer, Deposits):
                await self._keep(connection, deposit, account, answer.amounts)
                await self._change(connection, deposit, {"arrives_at": answer.arrive_at})
                await self.refresh(connection, deposit)
            else:
                await self._fail(connection, deposit, answer.problem)

    async def sweep(self) -> None:
        """Records deposits that arrived, fails those that were lost, removes those that were never verified."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            found = await fetch_all(
                connection,
                _Found,
                """SELECT user_guid, guid, client_guid FROM micro_deposit
                   WHERE status = 'REQUESTED'
                     AND (arrives_at <= %(now)s OR (arrives_at IS NULL AND updated_at < %(before)s))
                   LIMIT 500""",
                {"now": now, "before": now - SENDING},
            )
        for each in found:
            with contextlib.suppress(NotFound):
                async with self._db.transaction() as connection:
                    deposit = await self.refresh(connection, each)
                    if (
                        deposit.status == "REQUESTED"
                        and deposit.arrives_at is None
                        and deposit.updated_at < now - SENDING
                    ):
                        await self._fail(
                            connection, deposit, "It is not known whether the amounts were sent."
                        )
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                """DELETE FROM micro_deposit WHERE status <> 'VERIFIED' AND created_at < %(before)s
                   RETURNING user_guid, guid""",
                {"before": now - KEPT},
            )
            await self._vault.delete_records(connection, await cursor.fetchall())

    async def _ask_bank(self, account: DepositAccount) -> Deposits | BankError:
        connector = self._registry.depositor()
        if connector is None or account.routing_number is None or account.account_number is None:
            return BankFailed("No connector here can send micro-deposits.")
        try:
            return await connector.send_deposits(
                routing_number=account.routing_number,
                account_number=account.account_number,
                now=self._clock.now(),
            )
        except BankError as error:
            return error
        except Exception as error:  # noqa: BLE001 (a connector's own mistake must end this, not the worker)
            # Its name alone: what it says may hold the account's number.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400 (nor its traceback)
            return BankFailed()

    # --- what all of them do -----------------------------------------------------------------------------

    def knows_routing_number(self, routing_number: str) -> bool:
        """Whether money could be sent there: its check digit is right, or a bank here says it is its own."""
        return rtn.is_valid(routing_number) or self._institution(routing_number) is not None

    def _institution(self, routing_number: str | None) -> Institution | None:
        found = self._registry.search(routing_number=routing_number) if routing_number else ()
        return found[0] if found else None

    def _check_numbers(self, account: DepositAccount, account_type: str | None) -> None:
        number, routing = account.account_number or "", account.routing_number or ""
        if account_type not in TYPES:
            raise InvalidRequest("The account_type of micro-deposits is CHECKING or SAVINGS.")
        if not (number.isascii() and number.isdecimal() and 4 <= len(number) <= 17):
            raise InvalidRequest("The account_number has 4 to 17 digits.")
        if not self.knows_routing_number(routing):
            raise InvalidRequest("The routing_number is not a valid one.")

    def _hash(self, *dependencies: str | None) -> bytes:
        return keyed_hash(self._index_key, "micro-deposit", json.dumps(dependencies))

    async def _keep(
        self,
        connection: Connection,
        deposit: _Found | MicroDeposit,
        account: DepositAccount,
        amounts: Sequence[Decimal],
    ) -> None:
        sealed = {"account": asdict(account), "amounts": [str(amount) for amount in amounts]}
        await self._vault.store_secret(
            connection,
            owner_guid=deposit.user_guid,
            record_guid=deposit.guid,
            kind=SecretKind.MICRO_DEPOSIT,
            value=json.dumps(sealed).encode(),
        )

    async def _open(
        self, connection: Connection, deposit: MicroDeposit
    ) -> tuple[DepositAccount, Sequence[Decimal]]:
        """The account and the amounts; whose client it is counts as the reader."""
        sealed = await self._vault.disclose_secret(
            connection,
            owner_guid=deposit.user_guid,
            record_guid=deposit.guid,
            kind=SecretKind.MICRO_DEPOSIT,
            reader=WorkerReader(deposit.client_guid, deposit.client_guid),
        )
        if sealed is None:
            raise NotFound
        opened = json.loads(sealed)
        return DepositAccount(**opened["account"]), [Decimal(amount) for amount in opened["amounts"]]

    async def _change(
        self, connection: Connection, deposit: MicroDeposit, values: Mapping[str, object]
    ) -> None:
        """Writes these columns; the names are the code's own."""
        changes = ", ".join(f"{name} = %({name})s" for name in values)
        await run(
            connection,
            f"""UPDATE micro_deposit SET {changes}, updated_at = %(now)s
                WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
            {
                **values,
                "now": self._clock.now(),
                "user_guid": deposit.user_guid,
                "guid": deposit.guid,
            },
        )

    async def _fail(self, connection: Connection, deposit: MicroDeposit, reason: str) -> None:
        """Ends it without a verdict on the account, which may be tried anew."""
        await self._change(
            connection, deposit, {"status": "ERRORED", "error_message": reason, "account_hash": None}
        )
        await self._tell(connection, deposit, catalogue.Action.UPDATED)

    async def _tell(
        self, connection: Connection, deposit: _Found | MicroDeposit, action: catalogue.Action
    ) -> MicroDeposit:
        """The micro-deposits as they are now, of which the client and the audit log are told."""
        told = await find_micro_deposit(connection, deposit.client_guid, deposit.guid)
        user = await find_user(connection, told.client_guid, told.user_guid)
        institution_guid = None
        if told.institution_code:
            with contextlib.suppress(NotFound):
                institution_guid = self._registry.find(told.institution_code).guid
        event = catalogue.micro_deposit(action, told, user_id=user.id, institution_guid=institution_guid)
        await self._journal.record(
            connection,
            Entry(
                client_guid=told.client_guid,
                actor=told.client_guid,
                action=f"micro_deposit.{told.status.lower()}",
                subject=told.guid,
            ),
            event,
        )
        return told

    async def _open_account(
        self, connection: Connection, deposit: MicroDeposit, account: DepositAccount
    ) -> None:
        """The verified account, with its numbers, below a manual member of its own."""
        now, number = self._clock.now(), account.account_number or ""
        institution = self._institution(account.routing_number) or NO_INSTITUTION
        member_guid, account_guid = ids.new("MBR"), ids.new("ACT")
        await member_rows.add_member(
            connection,
            {
                "user_guid": deposit.user_guid,
                "guid": member_guid,
                "client_guid": deposit.client_guid,
                "institution_code": institution.code,
                "institution_guid": institution.guid,
                "name": institution.name,
                "is_manual": True,
                "created_at": now,
                "updated_at": now,
            },
        )
        opened = Account(
            guid=account_guid,
            user_guid=deposit.user_guid,
            client_guid=deposit.client_guid,
            member_guid=member_guid,
            id=deposit.guid,
            name=account.account_name or (deposit.account_type or "").title(),
            type=deposit.account_type or "CHECKING",
            account_number=number[-4:],
            is_manual=True,
            created_at=now,
            updated_at=now,
        )
        await put_account(connection, opened)
        await self._vault.store_numbers(
            connection,
            user_guid=deposit.user_guid,
            member_guid=member_guid,
            numbers=[
                AccountNumbers(
                    account_guid=account_guid, account_number=number, routing_number=account.routing_number
                )
            ],
        )


async def _with_account(connection: Connection, user_guid: str, account_hash: bytes | None) -> str:
    """The guid of the user's micro-deposits to this account."""
    cursor = await connection.execute(
        "SELECT guid FROM micro_deposit WHERE user_guid = %(user_guid)s AND account_hash = %(account_hash)s",
        {"user_guid": user_guid, "account_hash": account_hash},
    )
    row = await cursor.fetchone()
    if row is None:
        # Deleted since it stood in the way.
        raise NotFound
    return str(row[0])


async def _count_with_email(connection: Connection, client_guid: str, email_hash: bytes) -> int:
    cursor = await connection.execute(
        """SELECT count(*) FROM micro_deposit WHERE client_guid = %(client_guid)s
           AND email_hash = %(email_hash)s AND status NOT IN ('ERRORED', 'PREINITIATED')""",
        {"client_guid": client_guid, "email_hash": email_hash},
    )
    row = await cursor.fetchone()
    return row[0] if row else 0
