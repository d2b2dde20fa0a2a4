"""Micro-deposits: a user who can name two small amounts paid into an account is its holder (MX docs: microdeposits).

    create --> INITIATED --a worker sends--> REQUESTED --they arrive--> DEPOSITED --right--> VERIFIED
       |                         `--> ERRORED                              ^  |
       `--> PREINITIATED (a holder without an account)                     |  `--wrong--> DENIED --third--> PREVENTED
                                                                           `---try again----'

The account, its holder and the amounts are sealed.
"""

import json
from collections.abc import Sequence
from decimal import Decimal

from coatcheck import ids, text
from coatcheck.audit.entries import Entry
from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection
from coatcheck.errors import (
    ConstraintNotMet,
    DuplicateMicroDeposit,
    InvalidRequest,
    JobNotSupported,
    NotFound,
)
from coatcheck.events import mx_events
from coatcheck.imports.import_rows import accounts_with_hash
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.micro_deposits import deposit_rows
from coatcheck.micro_deposits.deposit_rows import DepositKey
from coatcheck.micro_deposits.store import DepositStore
from coatcheck.micro_deposits.validation import (
    are_equal,
    canonical_account,
    check_account_type,
    check_holder,
    is_complete,
)
from coatcheck.micro_deposits.verified_account import add_verified_account
from coatcheck.model.micro_deposits import DepositAccount, DepositStatus, MicroDeposit, account_hash
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers

MAX_ACCOUNTS_PER_EMAIL = 3
"""MX docs: microdeposits."""
MAX_WRONG_ATTEMPTS = 3
ACCEPTS_AMOUNTS = frozenset({DepositStatus.DEPOSITED, DepositStatus.DENIED})


class MicroDeposits:
    """Every method writes in the caller's transaction."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._store = DepositStore(dependencies)
        self._index_key = dependencies.index_key

    async def create(
        self, connection: Connection, user: User, account: DepositAccount, account_type: str | None
    ) -> MicroDeposit:
        """Creates micro-deposits. A worker sends them to the account; without an account they are PREINITIATED.

        Raises:
            InvalidRequest: neither an account nor a holder is given, or a value is not valid.
            JobNotSupported: no connector can send money.
            DuplicateMicroDeposit: the user has micro-deposits to this account.
            NotFound: the existing micro-deposits to this account were deleted at the same time.
            ConstraintNotMet: the e-mail address has three accounts already.
        """
        account = canonical_account(account)
        if is_complete(account):
            self._check_account(account, account_type)
        else:
            check_holder(account)
        email_hash = await self._email_hash(connection, user, account.email)
        deposit = DepositKey(user.guid, ids.new("MIC"), user.client_guid)
        await self._add(connection, deposit, account, account_type, email_hash)
        await self._store.seal(connection, deposit, account, ())
        if is_complete(account):
            await notify_workers(connection, TaskKind.MICRO_DEPOSIT)
        return await self._store.record(connection, deposit, mx_events.Action.CREATED)

    async def verify(
        self, connection: Connection, deposit: MicroDeposit, amounts: tuple[Decimal, Decimal]
    ) -> MicroDeposit:
        """Compares the amounts, in either order, with those that were sent. The result is in the status.

        The right amounts create a verified account. No attempt is accepted after the third wrong one.

        Raises:
            ConstraintNotMet: the amounts have not arrived, or no attempt is left.
            NotFound: the micro-deposits were deleted meanwhile.
        """
        # The account that they verify gets a new member, which references the user.
        await member_rows.prevent_user_deletion(connection, deposit.user_guid)
        # The lock makes simultaneous attempts count one after the other, so that there are never more than three.
        locked_deposit = await self._store.refresh(connection, deposit)
        if locked_deposit.status not in ACCEPTS_AMOUNTS:
            raise ConstraintNotMet(
                f"The micro-deposits are {locked_deposit.status}: no amounts are expected."
            )
        account, sent = await self._store.disclose(connection, locked_deposit)
        now = self._clock.now()
        if are_equal(amounts, sent):
            success = {"status": DepositStatus.VERIFIED, "verified_at": now, "error_message": None}
            await self._store.change(connection, locked_deposit, success)
            institution = self._store.institution(account.routing_number)
            await add_verified_account(connection, self._vault, locked_deposit, account, institution, now)
            await self._validate_imported(connection, locked_deposit.user_guid, account)
        else:
            wrong = locked_deposit.wrong_attempts + 1
            failure = {
                "status": DepositStatus.DENIED if wrong < MAX_WRONG_ATTEMPTS else DepositStatus.PREVENTED,
                "wrong_attempts": wrong,
                "error_message": "The amounts are not those that were deposited.",
            }
            await self._store.change(connection, locked_deposit, failure)
        return await self._store.record(connection, locked_deposit, mx_events.Action.UPDATED)

    async def delete(self, connection: Connection, deposit: MicroDeposit) -> None:
        """Deletes the micro-deposits. An account that they verified remains.

        Raises:
            NotFound: they were deleted meanwhile.
        """
        # The row before what it seals, as the deletion of the user.
        if not await deposit_rows.delete_deposit(connection, deposit):
            raise NotFound
        await self._vault.delete(connection, owner_guid=deposit.user_guid, record_guid=deposit.guid)
        entry = Entry(
            client_guid=deposit.client_guid,
            actor=deposit.client_guid,
            action="micro_deposit.deleted",
            subject=deposit.guid,
        )
        await self._journal.record(connection, entry)

    async def account_of(self, connection: Connection, deposit: MicroDeposit) -> DepositAccount:
        """The account and its holder. Writes a disclosure to the client."""
        account, _ = await self._store.disclose(connection, deposit)
        return account

    async def accounts_of(
        self, connection: Connection, deposits: Sequence[MicroDeposit]
    ) -> Sequence[tuple[MicroDeposit, DepositAccount]]:
        """As `account_of` for several of a user, in one statement. Those that were deleted meanwhile are left out."""
        opened = await self._store.disclose_all(connection, deposits)
        return [(each, opened[each.guid][0]) for each in deposits if each.guid in opened]

    async def refresh(self, connection: Connection, deposit: MicroDeposit) -> MicroDeposit:
        """Locks the micro-deposits, sets them to DEPOSITED if they have arrived, and returns them.

        Raises:
            NotFound: they were deleted meanwhile.
        """
        return await self._store.refresh(connection, deposit)

    async def _validate_imported(
        self, connection: Connection, user_guid: str, account: DepositAccount
    ) -> None:
        """The numbers of the user's statement files that are those of the account count as validated from now on."""
        number, routing = account.account_number or "", account.routing_number or ""
        hashed = account_hash(self._index_key, user_guid, routing, number)
        for each in await accounts_with_hash(connection, user_guid, hashed):
            numbers = AccountNumbers(
                account_guid=each.account_guid, account_number=number, routing_number=routing
            )
            await self._vault.store_numbers(
                connection, user_guid=user_guid, member_guid=each.member_guid, numbers=[numbers]
            )

    def is_known_routing_number(self, routing_number: str) -> bool:
        """Whether a bank can have a canonical routing number, or an institution of a connector has it."""
        return (
            text.is_possible_routing_number(routing_number)
            or self._store.institution(routing_number) is not None
        )

    def _check_account(self, account: DepositAccount, account_type: str | None) -> None:
        check_account_type(account_type)
        if not self.is_known_routing_number(account.routing_number or ""):
            raise InvalidRequest("The routing_number is not valid.")
        if self._registry.depositor() is None:
            raise JobNotSupported("No connector can send micro-deposits.")

    async def _email_hash(self, connection: Connection, user: User, email: str | None) -> bytes | None:
        if email is None:
            return None
        # Keyed, because e-mail addresses can be guessed from a plain hash.
        parts = json.dumps(("email", user.client_guid, email.casefold()))
        email_hash = keyed_hash(self._index_key, "micro-deposit", parts)
        # Otherwise simultaneous requests would all count the same micro-deposits, and exceed the limit together.
        await deposit_rows.lock_email(connection, email_hash)
        count = await deposit_rows.count_with_email(connection, user.client_guid, email_hash)
        if count >= MAX_ACCOUNTS_PER_EMAIL:
            raise ConstraintNotMet(f"An e-mail address can have at most {MAX_ACCOUNTS_PER_EMAIL} accounts.")
        return email_hash

    async def _add(
        self,
        connection: Connection,
        deposit: DepositKey,
        account: DepositAccount,
        account_type: str | None,
        email_hash: bytes | None,
    ) -> None:
        now, has_account = self._clock.now(), is_complete(account)
        institution = self._store.institution(account.routing_number)
        hashed = (
            account_hash(
                self._index_key, deposit.user_guid, account.routing_number or "", account.account_number or ""
            )
            if has_account
            else None
        )
        row = {
            "user_guid": deposit.user_guid,
            "guid": deposit.guid,
            "client_guid": deposit.client_guid,
            "account_type": account_type if has_account else None,
            "account_number": (account.account_number or "")[-4:] or None,
            "institution_code": institution and institution.code,
            "institution_name": institution and institution.name,
            "status": DepositStatus.INITIATED if has_account else DepositStatus.PREINITIATED,
            "account_hash": hashed,
            "email_hash": email_hash,
            "created_at": now,
            "updated_at": now,
        }
        if not await deposit_rows.add_deposit(connection, row):
            existing = await deposit_rows.deposit_with_account(connection, deposit.user_guid, hashed)
            raise DuplicateMicroDeposit(existing)
