"""Recognises accounts that have got other ids: read by another connector, or connected again after a deletion.

    an id that the member does not have
      |- the number of an account of the member that the run does not list: it is that account, under its new id
      `- the id or the number of an account that the user deleted within 30 days: its guid comes back, and no token

Numbers and ids are compared as keyed hashes. An account whose number two accounts share is not recognised.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from coatcheck.connectors.contract import BankNumbers
from coatcheck.crypto import keyed_hash
from coatcheck.db.batches import delete_in_batches
from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.db.lockstep import ask
from coatcheck.members.records import LockedMember, MemberJob
from coatcheck.model.accounts import IGNORED_IDS
from coatcheck.model.moving_users import is_settled

KEPT = timedelta(days=30)
"""How long the guid of a deleted account is kept."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Hashes an account is recognised by. The hash of an id belongs to one institution, that of a number to none."""

    index_key: bytes = field(repr=False)

    def of_id(self, user_guid: str, institution_code: str, id: str) -> bytes:
        # As JSON: ids are the bank's, and joined as they are, two different triples could give the same text.
        return keyed_hash(self.index_key, "account-id", json.dumps([user_guid, institution_code, id]))

    def of_numbers(self, user_guid: str, numbers: Iterable[BankNumbers]) -> Mapping[str, Sequence[bytes]]:
        """The hashes of the numbers of each account, by its id. A number without its bank has none."""
        found: defaultdict[str, list[bytes]] = defaultdict(list)
        for each in numbers:
            bank = (each.routing_number, each.institution_number, each.transit_number)
            # Banks number their accounts alone: the same account number exists at several of them.
            if each.account_number is not None and any(bank):
                parts = json.dumps([user_guid, *bank, each.account_number])
                found[each.account_id].append(keyed_hash(self.index_key, "account-number", parts))
        return found


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account that the member has before a run is written."""

    guid: str
    id: str | None
    number_hashes: Sequence[bytes] | None
    is_manual: bool
    is_closed: bool
    foreign_before: date | None
    """Transactions of earlier days came from another connector (`foreign_transactions`)."""


@dataclass(frozen=True, slots=True)
class ReadAccount(KnownAccount):
    """What a run must know of an account of its member."""

    pending_ids: Sequence[str | None]
    """The ids of its pending transactions."""


@dataclass(frozen=True, slots=True)
class _Found(ReadAccount):
    is_ignored: bool
    """Only `id` has a meaning: the institution's id of an account that is not read."""


@dataclass(frozen=True, slots=True)
class _Former:
    identity: bytes
    guid: str


_ASKED = Asked({"user_guid": "text", "member_guid": "text"})
# OFFSET 0 keeps the look-up for each row of `asked`.
_ACCOUNTS_OF_RUN = CoalescedStatement(
    _ASKED,
    f"""WITH {_ASKED.cte}
        SELECT asked.caller, {columns(KnownAccount, "a.")},
               ARRAY(SELECT t.id FROM transaction t WHERE t.user_guid = a.user_guid AND t.account_guid = a.guid
                                                      AND t.status = 'PENDING') AS pending_ids, false AS is_ignored
        FROM asked CROSS JOIN LATERAL (
            SELECT * FROM account WHERE user_guid = asked.user_guid AND member_guid = asked.member_guid OFFSET 0) AS a
        UNION ALL
        SELECT asked.caller, '', id, NULL, false, false, NULL, '{{}}', true
        FROM asked CROSS JOIN LATERAL ({_ASKED.of("asked", IGNORED_IDS)}) AS ignored""",
    (_Found,),
)


async def known_accounts(connection: Connection, user_guid: str, member_guid: str) -> Sequence[KnownAccount]:
    """The accounts of a member, which is locked."""
    return await fetch_all(
        connection,
        KnownAccount,
        f"""SELECT {columns(KnownAccount)} FROM account
            WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


async def accounts_of_run(
    connection: Connection, job: MemberJob
) -> tuple[Sequence[ReadAccount], frozenset[str]]:
    """The accounts of the job's member, which is locked, and the institution's ids of those that are not read."""
    member = {"user_guid": job.user_guid, "member_guid": job.member_guid}
    found = [_Found(*row) for row in await ask(connection, _ACCOUNTS_OF_RUN.answers, member)]
    return [each for each in found if not each.is_ignored], frozenset(
        each.id for each in found if each.is_ignored and each.id is not None
    )


async def take_over(
    connection: Connection,
    job: MemberJob,
    known: Sequence[KnownAccount],
    listed: Sequence[str],
    hashes: Mapping[str, Sequence[bytes]],
) -> Mapping[str, str]:
    """Gives accounts of the member the ids under which this run lists them, found by their numbers.

    Their transactions are still those of the connector that read them before.

    Args:
        connection: the transaction of the ingest.
        job: whose member it is.
        known: the member's accounts.
        listed: the ids of the run.
        hashes: as `Identities.of_numbers`.

    Returns:
        The new ids of these accounts, by their guids.
    """
    read = [each for each in known if each.id is not None and not each.is_manual]
    known_ids = {each.id for each in read}
    unlisted = [(each.guid, each.number_hashes or ()) for each in read if each.id not in listed]
    unknown = [(id, hashes.get(id, ())) for id in listed if id not in known_ids]
    guid_of = _by_unique_hash(unlisted)
    found = {guid_of[each]: id for each, id in _by_unique_hash(unknown).items() if each in guid_of}
    if found:
        await run(
            connection,
            # Every stored transaction is still the other connector's. `replace_foreign` lowers the day with each run.
            """UPDATE account a SET id = taken.id, foreign_before = '9999-12-31'
               FROM unnest(%(guids)s::text[], %(ids)s::text[]) AS taken (guid, id)
               WHERE a.user_guid = %(user_guid)s AND a.guid = taken.guid""",
            {"user_guid": job.user_guid, "guids": list(found), "ids": list(found.values())},
        )
    return found


async def former_guids(
    connection: Connection, job: MemberJob, identities: Mapping[str, Sequence[bytes]], now: datetime
) -> Mapping[str, str]:
    """The guids that new accounts had before they were deleted, by their ids. They are used up.

    Args:
        connection: the transaction of the ingest.
        job: whose member it is.
        identities: the hashes of each account by its id, the most reliable first.
        now: the current time.
    """
    # FOR UPDATE: two members of the user may be read at once, and only one of their accounts may get the guid. In one
    # transaction (`db.lockstep`) the second fails to write its account, and each job is saved alone. Every
    # row of the guids in one order, because all of them are deleted: each run may recognise an account by another one.
    found = await fetch_all(
        connection,
        _Former,
        """SELECT identity, guid FROM former_account f
           WHERE user_guid = %(user_guid)s AND deleted_at > %(after)s
             AND guid IN (SELECT guid FROM former_account
                          WHERE user_guid = %(user_guid)s AND identity = ANY (%(identities)s))
             AND NOT EXISTS (SELECT FROM account a WHERE a.user_guid = f.user_guid AND a.guid = f.guid)
             -- Its old transactions would appear again.
             AND NOT EXISTS (SELECT FROM deleted_account d WHERE d.user_guid = f.user_guid AND d.guid = f.guid)
           ORDER BY identity FOR UPDATE OF f""",
        {
            "user_guid": job.user_guid,
            "identities": [each for of_account in identities.values() for each in of_account],
            "after": now - KEPT,
        },
    )
    guid_of = {each.identity: each.guid for each in found}
    guids: dict[str, str] = {}
    for id, of_account in identities.items():
        guid = next((guid_of[each] for each in of_account if each in guid_of), None)
        if guid is not None and guid not in guids.values():
            guids[id] = guid
    if guids:
        await run(
            connection,
            "DELETE FROM former_account WHERE user_guid = %(user_guid)s AND guid = ANY (%(guids)s)",
            {"user_guid": job.user_guid, "guids": list(guids.values())},
        )
    return guids


async def store_number_hashes(
    connection: Connection, user_guid: str, hashes: Mapping[str, Sequence[bytes]]
) -> None:
    """Replaces the hashes of accounts, by their guids."""
    # Only where they differ: every daily aggregation would leave a dead row of each account otherwise.
    for guid, of_account in hashes.items():
        await run(
            connection,
            """UPDATE account SET number_hashes = %(hashes)s WHERE user_guid = %(user_guid)s AND guid = %(guid)s
               AND number_hashes IS DISTINCT FROM %(hashes)s""",
            {"user_guid": user_guid, "guid": guid, "hashes": list(of_account)},
        )


async def remember_accounts(
    connection: Connection, member: LockedMember, identities: Identities, now: datetime
) -> None:
    """Keeps the guids of the accounts of a member that is about to be deleted."""
    accounts = await known_accounts(connection, member.user_guid, member.guid)
    rows = [
        (hash_, account.guid)
        for account in accounts
        if account.id is not None and not account.is_manual
        for hash_ in (
            identities.of_id(member.user_guid, member.institution_code, account.id),
            *(account.number_hashes or ()),
        )
    ]
    await run(
        connection,
        # DISTINCT, because two accounts may share a number, and ON CONFLICT DO UPDATE cannot change one row twice.
        """INSERT INTO former_account (user_guid, identity, guid, deleted_at)
           SELECT DISTINCT ON (identity) %(user_guid)s, identity, guid, %(now)s
           FROM unnest(%(identities)s::bytea[], %(guids)s::text[]) AS former (identity, guid)
           ON CONFLICT (user_guid, identity) DO UPDATE
           SET guid = excluded.guid, deleted_at = excluded.deleted_at""",
        {
            "user_guid": member.user_guid,
            "now": now,
            "identities": [identity for identity, _ in rows],
            "guids": [guid for _, guid in rows],
        },
    )


async def forget_accounts(connection: Connection, user_guid: str) -> None:
    """Deletes the kept guids of a user, so that its next accounts are new ones."""
    await run(
        connection, "DELETE FROM former_account WHERE user_guid = %(user_guid)s", {"user_guid": user_guid}
    )


async def delete_former_accounts(connection: Connection, now: datetime) -> None:
    """Deletes the guids that have been kept for `KEPT`."""
    await delete_in_batches(
        connection,
        "former_account",
        f"deleted_at <= %(before)s AND {is_settled('former_account.user_guid')}",
        {"before": now - KEPT},
    )


def _by_unique_hash(accounts: Sequence[tuple[str, Sequence[bytes]]]) -> Mapping[bytes, str]:
    """The accounts by the hashes that no two of them share."""
    count = Counter(each for _, hashes in accounts for each in set(hashes))
    # A guess would give the guid of one account, and with it the grants on it, to the data of another.
    return {each: key for key, hashes in accounts for each in hashes if count[each] == 1}
