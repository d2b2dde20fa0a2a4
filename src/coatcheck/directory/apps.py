"""Apps, which read by SimpleFIN.

Each is a processor of one client, without an API key. It is made with its first setup token.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.directory.clients import caller_name
from coatcheck.directory.processor_rows import add_app, enable_processor
from coatcheck.errors import InvalidRequest
from coatcheck.grants.restrictions import ExpiresIn, LookbackDays, MaxReads, Permission, Permissions
from coatcheck.grants.scope import Scope
from coatcheck.grants.setup_tokens import MAX_ACCOUNTS, SetupTokens
from coatcheck.model.accounts import find_accounts
from coatcheck.model.clients import Processor, find_app
from coatcheck.model.users import User

PERMISSIONS = frozenset({Permission.BALANCES, Permission.TRANSACTIONS})
"""SimpleFIN has no numbers and no owners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSetupToken:
    """What an app is to read."""

    account_guids: Sequence[str]
    """Of one user; a repeated one counts once."""
    app_name: str
    expires_in: int | None = None
    """Seconds from the claim. None: the setting `app_token_ttl`, which is also the most."""
    lookback_days: int | None = None
    max_reads: int | None = None
    """For each account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupToken:
    guid: str
    token: str = field(repr=False)
    """The claim URL in base64, as the user pastes it into the app."""
    expires_at: datetime
    app_name: str
    account_guids: Sequence[str]


class Apps:
    """Gives apps access to accounts of a user."""

    def __init__(self, settings: Settings, clock: Clock, journal: Journal, setup_tokens: SetupTokens) -> None:
        self._base_url = settings.base_url
        self._clock = clock
        self._journal = journal
        self._setup_tokens = setup_tokens

    async def create_setup_token(
        self, connection: Connection, user: User, new: NewSetupToken, *, actor: str
    ) -> SetupToken:
        """A setup token for accounts of the user. Accounts need no verification: their numbers are not read.

        Args:
            connection: the caller's transaction.
            user: whose accounts they are.
            new: what the app is to read.
            actor: the guid of who creates it, or `operator`.

        Raises:
            InvalidRequest: there is no account, there are too many, or the name cannot be used.
            NotFound: the user has no such account.
        And as `SetupTokens.issue`.
        """
        if not 0 < len(new.account_guids) <= MAX_ACCOUNTS:
            raise InvalidRequest(f"account_guids must name 1 to {MAX_ACCOUNTS} accounts.")
        accounts = await find_accounts(connection, user.guid, new.account_guids)
        app = await self._find_or_add(connection, user.client_guid, caller_name(new.app_name), actor)
        restrictions = (
            Permissions(PERMISSIONS),
            ExpiresIn(new.expires_in),
            LookbackDays(new.lookback_days),
            MaxReads(new.max_reads),
        )
        issued = await self._setup_tokens.issue(
            connection,
            client_guid=user.client_guid,
            processor_guid=app.guid,
            scopes=[Scope(user.guid, each.member_guid, each.guid, restrictions) for each in accounts],
            actor=actor,
        )
        # From the setting: whoever could choose the Host header would receive the claim.
        claim_url = f"{self._base_url}/simplefin/claim/{issued.secret}"
        return SetupToken(
            guid=issued.guid,
            token=b64encode(claim_url.encode()).decode(),
            expires_at=issued.expires_at,
            app_name=app.name,
            account_guids=[each.guid for each in accounts],
        )

    async def _find_or_add(
        self, connection: Connection, client_guid: str, name: str, actor: str
    ) -> Processor:
        """The client's app of this name. Only a new one is enabled: the operator may have disabled the other."""
        found = await find_app(connection, client_guid, name)
        if found is not None:
            return found
        now = self._clock.now()
        app = Processor(
            # The same in every cell, which adds the app without asking the others.
            guid=ids.derived("PPR", client_guid, name),
            name=name,
            owners_at_transactions=False,
            numbers_as_strings=False,
            is_disabled=False,
            created_at=now,
            app_of=client_guid,
        )
        # Another request made it since the look-up.
        if not await add_app(connection, app):
            found = await find_app(connection, client_guid, name)
            assert found is not None, "an app is not deleted"
            return found
        await enable_processor(connection, client_guid=client_guid, processor_guid=app.guid, now=now)
        await self._journal.record(
            connection, Entry(client_guid=client_guid, actor=actor, action="app.added", subject=app.guid)
        )
        return app
