"""Manual accounts, what a client sets of accounts and transactions, and the blocking and merge of accounts."""

from collections.abc import Mapping, Sequence
from typing import Any

from coatcheck import ids, text
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.events.catalogue import EventType
from coatcheck.grants.announcements import LiveGrant, about_grants, live_grants_of_accounts
from coatcheck.grants.deletion import end_tokens_of_accounts
from coatcheck.members.account_rows import (
    block_account,
    change_account,
    delete_account,
    describe_transaction,
    merge_accounts,
    put_account,
)
from coatcheck.members.member_rows import lock_member, manual_member
from coatcheck.model.accounts import Account, find_account, find_accounts
from coatcheck.model.transactions import Transaction
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers, ClientReader, Vault

UPDATABLE = ("is_business", "is_hidden", "metadata")
"""The fields of an aggregated account that a client can update (MX docs: update account)."""

KEPT_OF_BLOCKED = (
    "guid",
    "id",
    "user_guid",
    "user_id",
    "client_guid",
    "member_guid",
    "member_id",
    "institution_code",
    "institution_guid",
    "type",
    "created_at",
    "updated_at",
)
"""The fields of a blocked account that its last answer has."""


class Accounts:
    """Each method writes in the caller's transaction, with its audit entry. `actor` is who makes the change."""

    def __init__(self, clock: Clock, vault: Vault, journal: Journal) -> None:
        self._clock = clock
        self._vault = vault
        self._journal = journal

    async def create(
        self, connection: Connection, user: User, values: Mapping[str, Any], *, actor: str
    ) -> Account:
        """Creates a manual account of the user's manual member, which is created with the first account.

        Args:
            connection: the caller's transaction.
            user: the owner.
            values: fields of `Account` that a client can set; `type` and `name` are required.
            actor: who creates it.
        """
        now = self._clock.now()
        member = await manual_member(connection, user, now)
        account = Account(
            guid=ids.new("ACT"),
            user_guid=user.guid,
            client_guid=user.client_guid,
            member_guid=member.guid,
            is_manual=True,
            created_at=now,
            updated_at=now,
            **values,
        )
        await put_account(connection, account)
        await self._record(connection, [account], "account.created", actor)
        # Read again, for the columns of the user and the member.
        return await find_account(connection, user.guid, account.guid)

    async def update(
        self, connection: Connection, account: Account, changes: Mapping[str, Any], *, actor: str
    ) -> Account:
        """Updates any field of a manual account, and `UPDATABLE` of an aggregated one; ignores other fields.

        Raises:
            ConstraintNotMet: none of the fields can be updated.
            NotFound: the account was deleted meanwhile.
        """
        if not account.is_manual:
            changes = {name: value for name, value in changes.items() if name in UPDATABLE}
        if not changes:
            raise ConstraintNotMet(f"Of an aggregated account only {', '.join(UPDATABLE)} can be updated.")
        await change_account(connection, account.user_guid, account.guid, changes, self._clock.now())
        await self._record(connection, [account], "account.updated", actor)
        return await find_account(connection, account.user_guid, account.guid)

    async def delete(self, connection: Connection, account: Account, *, actor: str) -> None:
        """Deletes a manual account. Tokens on it end at once.

        Raises:
            ConstraintNotMet: the account is aggregated.
            NotFound: it was deleted meanwhile.
        """
        if not account.is_manual:
            raise ConstraintNotMet("Only a manual account can be deleted; delete the member instead.")
        await _lock(connection, account)
        grants = await self._end_grants(connection, [account])
        await delete_account(connection, account.user_guid, account.guid)
        await self._record(connection, [account], "account.deleted", actor, grants)

    async def block(self, connection: Connection, account: Account, *, actor: str) -> Account:
        """Deletes an aggregated account with all its data. Tokens on it end at once, and no later job reads it again.

        Another member at the institution reads it (MX docs: block an account). Returns what identifies the account,
        without its data.

        Raises:
            InvalidRequest: the account is manual.
            NotFound: it was deleted meanwhile, or merged.
        """
        if account.is_manual:
            raise InvalidRequest("A manual account cannot be blocked; delete it instead.")
        await _lock(connection, account)
        grants = await self._end_grants(connection, [account])
        statements = await block_account(connection, account, self._clock.now())
        await self._vault.delete_records(connection, [(account.user_guid, guid) for guid in statements])
        await self._record(connection, [account], "account.blocked", actor, grants)
        return Account(**{name: getattr(account, name) for name in KEPT_OF_BLOCKED})

    async def merge(self, connection: Connection, user: User, guids: Sequence[str], *, actor: str) -> Account:
        """Merges the user's accounts into the first of them, which keeps its guid, its numbers and its tokens.

        The other accounts are deleted and their tokens end. Their transactions and statements move to the
        first account, except those that it already has. Later data for the deleted accounts is ignored.

        Raises:
            InvalidRequest: fewer than two accounts are given.
            NotFound: the user has no such account.
        """
        accounts = await find_accounts(connection, user.guid, guids)
        if len(accounts) < 2:
            raise InvalidRequest("account_guids must contain at least two accounts.")
        target, *others = accounts
        # Members before tokens, as `_lock` has it: a block of one of the accounts at once would be a deadlock.
        for member_guid in sorted({each.member_guid for each in accounts}):
            await lock_member(connection, user.guid, member_guid)
        grants = await self._end_grants(connection, others)
        statements = await merge_accounts(connection, target, others, self._clock.now())
        await self._vault.delete_records(connection, [(user.guid, guid) for guid in statements])
        await self._record(connection, others, "account.merged", actor, grants)
        return await find_account(connection, user.guid, target.guid)

    async def describe(
        self,
        connection: Connection,
        client_guid: str,
        transaction: Transaction,
        description: str,
        *,
        actor: str,
    ) -> Transaction:
        """Replaces the description of a transaction. The audit log gets neither the old one nor the new one."""
        described = await describe_transaction(
            connection,
            transaction.user_guid,
            transaction.guid,
            description=description,
            now=self._clock.now(),
        )
        await self._journal.record(
            connection,
            Entry(
                client_guid=client_guid, actor=actor, action="transaction.updated", subject=transaction.guid
            ),
        )
        return described

    async def reveal_numbers(
        self, connection: Connection, account: Account, *, reason: str, actor: str
    ) -> Sequence[AccountNumbers]:
        """The full numbers of an account, for a person of the client's staff.

        The disclosure names the person as the reader, and the audit entry the reason.

        Raises:
            InvalidRequest: there is no reason, or it is too long or contains characters that are not allowed.
        """
        stated = stated_reason(reason)
        reader = ClientReader(
            account.client_guid, account.user_guid, account.member_guid, account.guid, reader_guid=actor
        )
        numbers = await self._vault.disclose_numbers(connection, reader)
        await self._journal.record(
            connection,
            Entry(
                client_guid=account.client_guid,
                actor=actor,
                action="account_numbers.revealed",
                subject=account.guid,
                detail={"reason": stated},
            ),
        )
        return numbers.items

    async def _end_grants(self, connection: Connection, accounts: Sequence[Account]) -> Sequence[LiveGrant]:
        """Ends the tokens of accounts that are about to be deleted. Returns the grants that were live until now."""
        guids, now = [each.guid for each in accounts], self._clock.instant()
        # Before their accounts are gone, with which the view loses the grants.
        grants = await live_grants_of_accounts(connection, guids, now)
        await end_tokens_of_accounts(connection, guids, now)
        return grants

    async def _record(
        self,
        connection: Connection,
        accounts: Sequence[Account],
        action: str,
        actor: str,
        ended: Sequence[LiveGrant] = (),
    ) -> None:
        """Records the change of each account, and announces the end of the grants on them."""
        entries = [
            Entry(client_guid=each.client_guid, actor=actor, action=action, subject=each.guid)
            for each in accounts
        ]
        await self._journal.record_each(connection, entries)
        # All at once: a second statement would lock the sequences of objects out of their order.
        await self._journal.announce(
            connection, *about_grants(EventType.TOKEN_REVOKED, ended, revoked_by=None)
        )


async def _lock(connection: Connection, account: Account) -> None:
    """Locks the member of an account that is about to be deleted. A job saves what it read while it holds this lock.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    await lock_member(connection, account.user_guid, account.member_guid)
    # Of two requests at once, the second waited for the lock. Otherwise it would record the deletion again.
    await find_account(connection, account.user_guid, account.guid)


def stated_reason(reason: str) -> str:
    """The reason for which a person reads what is masked otherwise, in its canonical form.

    Raises:
        InvalidRequest: it is empty, too long or contains characters that are not allowed.
    """
    stated = text.name(reason)
    if not stated:
        raise InvalidRequest("Give a reason. The audit log keeps it.")
    return stated
