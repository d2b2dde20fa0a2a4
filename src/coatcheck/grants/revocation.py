"""Revocation: a client ends the grants of its users, one by guid or all that a selector names.

It takes effect with the commit: every read that begins later is refused. Only then is the receipt signed.

A selector also ends the codes that were issued before and not redeemed yet. Otherwise a code that was stolen together
with a token would give a new token a moment later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from coatcheck.audit.entries import Entry, insert_from
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.events.catalogue import EventType
from coatcheck.grants.announcements import AnnouncedGrant, about_grants
from coatcheck.grants.receipts import Receipts, RevocationReceipt
from coatcheck.grants.secrets import day_of
from coatcheck.grants.token_indexes import is_grant, is_of
from coatcheck.signatures import format_instant
from coatcheck.vault.disclosures import last_read_with

BATCH = 2000
"""How many grants one transaction revokes: their rows are locked, and reads with them wait, until its commit."""

REVOKE = f"""
WITH found AS (
    SELECT {columns(AnnouncedGrant)} FROM access_token t WHERE {is_of("client_guid")} AND {is_grant()}
), revoked AS (
    UPDATE access_token t SET revoked_at = %(now)s, revoked_by = %(actor)s, revoked_because = %(reason)s
    WHERE {is_of("client_guid")} AND {is_grant()} AND revoked_at IS NULL
    RETURNING client_guid, guid AS subject
), audited AS (
    {insert_from("revoked")}
)
SELECT {columns(AnnouncedGrant, "f.")}, r.subject IS NOT NULL AS is_new FROM found f LEFT JOIN revoked r ON true
"""

# Before the tokens: a code that is redeemed at the same time has given a token by then, which the batches find. Not to
# `now`: an exchange that waits for this statement could have read its clock earlier. In the order in which
# `redeem_together` locks codes: otherwise both could wait for each other, and PostgreSQL could end this one.
END_CODES = """
WITH found AS (
    SELECT t.expires_day, t.code_hash FROM authorization_code t
    WHERE t.client_guid = %(client_guid)s AND t.expires_at > %(now)s
      AND t.expires_at > t.created_at AND t.expires_day >= %(today)s AND {condition}
    ORDER BY t.code_hash FOR UPDATE
)
UPDATE authorization_code t SET expires_at = t.created_at
FROM found f WHERE t.expires_day = f.expires_day AND t.code_hash = f.code_hash
"""

# Two revocations can lock the same grants of a client, each in another order, and deadlock. So one waits for the other.
ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(hashtextextended(%(client_guid)s, 0))"

LAST_READ = f"""
SELECT max({last_read_with("t.guid", since="t.created_at")}) AS at FROM access_token t
WHERE {is_of("client_guid")} AND {{condition}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which grants of a client to revoke: those that satisfy every given field. At least one is given."""

    processor_guid: str | None = None
    account_guid: str | None = None
    member_guid: str | None = None
    user_guid: str | None = None
    issued_before: datetime | None = None

    @property
    def given(self) -> Mapping[str, object]:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}

    def __str__(self) -> str:
        return " AND ".join(f"{CONDITIONS[name]}" for name in self.given)

    def described(self) -> Mapping[str, str]:
        """The fields as they stand in the receipt and in the audit log."""
        return {
            name: format_instant(value) if isinstance(value, datetime) else str(value)
            for name, value in self.given.items()
        }


CONDITIONS = {
    "processor_guid": is_of("processor_guid"),
    "account_guid": is_of("account_guid"),
    "member_guid": is_of("member_guid"),
    "user_guid": is_of("user_guid"),
    "issued_before": "t.created_at < %(issued_before)s",
}
"""The condition of each field of a `Selector`, over the alias `t` of `access_token` or of `authorization_code`."""


@dataclass(frozen=True, slots=True)
class _Revoked(AnnouncedGrant):
    is_new: bool
    """Whether this call revoked it. Otherwise it was revoked before."""


@dataclass(frozen=True, slots=True)
class _Reason:
    reason: str | None


@dataclass(frozen=True, slots=True)
class _LastRead:
    at: datetime | None


@dataclass(frozen=True, slots=True)
class _Revocation:
    """A request to revoke what a selector names."""

    client_guid: str
    actor: str
    selector: Selector
    reason: str | None
    now: datetime

    @property
    def parameters(self) -> Mapping[str, object]:
        values = {name: getattr(self, name) for name in ("client_guid", "actor", "reason", "now")}
        return {**self.selector.given, **values}

    def entry(self, action: str, **detail: str) -> Entry:
        """An entry about everything that the selector named."""
        return Entry(
            client_guid=self.client_guid,
            actor=self.actor,
            action=action,
            subject=self.client_guid,
            detail={**self.selector.described(), **detail},
        )


class Revocations:
    """Revokes grants of a client, and gives the receipts."""

    def __init__(self, clock: Clock, db: Database, journal: Journal, receipts: Receipts) -> None:
        self._clock = clock
        self._db = db
        self._journal = journal
        self._receipts = receipts

    async def revoke(
        self,
        connection: Connection,
        *,
        client_guid: str,
        guid: str,
        reason: str | None = None,
        actor: str | None = None,
    ) -> RevocationReceipt:
        """Revokes one grant at once. A second revocation changes nothing and gives the same receipt.

        Args:
            connection: in autocommit mode.
            client_guid: whose grant it is.
            guid: the grant.
            reason: why, in the words of who revokes.
            actor: who revokes; by default the client.

        Raises:
            NotFound: the client has no such grant.
            Unavailable: the grant is revoked, and a read that began before still runs. A repetition of the call gives
                the receipt.
        """
        actor = actor or client_guid
        values = {"client_guid": client_guid, "guid": guid, "reason": reason, "actor": actor}
        revoked = await self._revoke_one(connection, actor, values)
        if revoked is None or not revoked.is_new:
            # Grants are deleted some weeks after they expire, receipts after three years. What a stored receipt states
            # never changes, and to make another would wait for reads again.
            receipt = await self._receipts.stored(connection, client_guid, guid)
            if receipt is not None:
                return receipt
            if revoked is None:
                raise NotFound
            # A statement of its own: the one above does not see the reason of a concurrent revocation.
            reason = await self._reason(connection, client_guid, guid)

        async def last_read_at(connection: Connection) -> datetime | None:
            return await self._last_read(connection, is_grant(), client_guid, {"guid": guid})

        return await self._receipts.for_revoked_grant(
            connection,
            client_guid=client_guid,
            grant_guid=guid,
            reason=reason,
            last_read=last_read_at,
        )

    async def _revoke_one(
        self, connection: Connection, actor: str, values: Mapping[str, object]
    ) -> _Revoked | None:
        """Revokes the grant that the parameters of `REVOKE` name, and commits; None if there is none."""
        draft = self._journal.draft(actor=actor, action="token.revoked")
        async with connection.transaction():
            revoked = await fetch_one(
                connection, _Revoked, REVOKE, {**values, "now": self._clock.instant(), **draft}
            )
            if revoked is not None and revoked.is_new:
                await self._journal.announce(
                    connection, *about_grants(EventType.TOKEN_REVOKED, [revoked], revoked_by=actor)
                )
        return revoked

    async def revoke_all(
        self, *, client_guid: str, selector: Selector, reason: str | None = None, actor: str | None = None
    ) -> RevocationReceipt:
        """Revokes every grant that the selector names and that is not revoked yet, in batches.

        It also ends the codes that the selector names. A selector of a processor names the codes that only this
        processor may redeem.

        If it fails in between, the grants of the finished batches stay revoked. A repetition of the call revokes the
        rest; its receipt counts the rest only.

        Args:
            client_guid: whose grants they are.
            selector: which of them.
            reason: why, in the words of who revokes.
            actor: who revokes; by default the client.

        Raises:
            Unavailable: as `revoke`.
        """
        # One instant for all batches: it identifies the grants of this call, and `issued_before` does not move on.
        now = self._clock.instant()
        wanted = _Revocation(client_guid, actor or client_guid, selector, reason, now)
        await self._end_codes(wanted)
        total = 0
        # A batch that others ended before it was locked is empty, and there may be more.
        while (revoked := await self._revoke_batch(wanted)) or await self._are_left(wanted):
            total += revoked

        async def last_read_at(connection: Connection) -> datetime | None:
            # Exactly the grants of this call: no other has this instant, to the microsecond, and this selector.
            condition = f"t.revoked_at = %(now)s AND {selector}"
            return await self._last_read(connection, condition, client_guid, {**selector.given, "now": now})

        async with self._db.connection() as connection:
            return await self._receipts.for_selector(
                connection,
                client_guid=client_guid,
                selector=selector.described(),
                revoked=total,
                reason=reason,
                last_read=last_read_at,
            )

    async def _end_codes(self, wanted: _Revocation) -> None:
        async with self._db.transaction() as connection:
            await connection.execute(ONE_AFTER_THE_OTHER, wanted.parameters)
            ended = await run(
                connection,
                END_CODES.format(condition=wanted.selector),
                {**wanted.parameters, "today": day_of(wanted.now)},
            )
            if ended:
                await self._journal.record(connection, wanted.entry("codes.revoked", revoked=str(ended)))

    async def _revoke_batch(self, wanted: _Revocation) -> int:
        """How many grants it revoked, at most `BATCH`."""
        async with self._db.transaction() as connection:
            # For this batch only: between two, another revocation of the client goes on.
            await connection.execute(ONE_AFTER_THE_OTHER, wanted.parameters)
            revoked = await fetch_all(
                connection,
                AnnouncedGrant,
                # Chosen first and locked afterwards, in the order in which a deletion locks them. To sort all that the
                # selector names for each batch would take the longer, the more there are.
                f"""WITH batch AS (
                        SELECT t.expires_week, t.token_hash FROM access_token t
                        WHERE {is_of("client_guid")} AND t.revoked_at IS NULL AND {wanted.selector}
                        LIMIT {BATCH}
                    ), locked AS (
                        SELECT t.expires_week, t.token_hash
                        FROM batch b
                        JOIN access_token t ON t.expires_week = b.expires_week AND t.token_hash = b.token_hash
                        WHERE t.revoked_at IS NULL
                        ORDER BY t.expires_week, t.token_hash FOR UPDATE OF t
                    ), revoked AS (
                        UPDATE access_token t
                        SET revoked_at = %(now)s, revoked_by = %(actor)s, revoked_because = %(reason)s
                        FROM locked l WHERE t.expires_week = l.expires_week AND t.token_hash = l.token_hash
                        RETURNING {columns(AnnouncedGrant, "t.")}
                    )
                    SELECT {columns(AnnouncedGrant)} FROM revoked ORDER BY guid""",
                wanted.parameters,
            )
            if revoked:
                # The guids too: the log must say of each grant who ended it, not only how many were.
                guids = " ".join(each.guid for each in revoked)
                await self._journal.record(
                    connection,
                    wanted.entry("tokens.revoked", revoked=str(len(revoked)), grants=guids),
                    *about_grants(EventType.TOKEN_REVOKED, revoked, revoked_by=wanted.actor),
                )
        return len(revoked)

    async def _are_left(self, wanted: _Revocation) -> bool:
        """Whether the selector names a grant that is not revoked."""
        async with self._db.connection() as connection:
            cursor = await connection.execute(
                f"""SELECT EXISTS (SELECT FROM access_token t
                                   WHERE {is_of("client_guid")} AND t.revoked_at IS NULL
                                     AND {wanted.selector})""",
                wanted.parameters,
            )
            return await cursor.fetchone() == (True,)

    async def _reason(self, connection: Connection, client_guid: str, guid: str) -> str | None:
        found = await fetch_one(
            connection,
            _Reason,
            f"""SELECT revoked_because AS reason FROM access_token t
                WHERE {is_of("client_guid")} AND {is_grant()}""",
            {"client_guid": client_guid, "guid": guid},
        )
        return found.reason if found else None

    async def _last_read(
        self, connection: Connection, condition: str, client_guid: str, values: Mapping[str, object]
    ) -> datetime | None:
        found = await fetch_one(
            connection,
            _LastRead,
            LAST_READ.format(condition=condition),
            {**values, "client_guid": client_guid},
        )
        return found.at if found else None
