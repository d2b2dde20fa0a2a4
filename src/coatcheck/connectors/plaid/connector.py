"""A connector for Plaid. docs/how-to/connect-plaid.md explains it.

authorize: /link/token/create --> the user connects a bank on Plaid's hosted page
complete: /link/token/get --> /item/public_token/exchange --> the access token of the item
run: /accounts, /auth, /identity, /transactions/sync from the cursor of the last run
disconnect: /item/remove
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    Connector,
    ConnectorContext,
    Disconnection,
    Finished,
    Institution,
    JobKind,
    NeedsAnswers,
    Secret,
    Session,
    SignInPage,
)
from coatcheck.connectors.json_answers import (
    Row,
    UpstreamRefused,
    check_status,
    json_object,
    object_of,
    rows_of,
    text_of,
)
from coatcheck.connectors.plaid import rows
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankError,
    BankFailed,
    BankTimedOut,
    BankUnavailable,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    LoginLocked,
)

ACCESS_TOKEN = "ACCESS_TOKEN"  # noqa: S105 (the name of the credential)
RETURNED = "returned"
"""Our page expects a code. Plaid gives none: `complete` asks it how the sign-in ended."""
READS: Mapping[JobKind, str] = {
    JobKind.VERIFICATION: "/auth/get",
    JobKind.IDENTIFICATION: "/identity/get",
    JobKind.BALANCE: "/accounts/balance/get",
}
"""What is asked for the accounts; `/accounts/get` for any other kind."""
ERRORS: Mapping[str, type[BankError]] = {
    "ITEM_LOGIN_REQUIRED": ConsentRevoked,
    "ITEM_NOT_FOUND": ConsentRevoked,
    "INVALID_ACCESS_TOKEN": ConsentRevoked,
    "ACCESS_NOT_GRANTED": ConsentRevoked,
    "USER_PERMISSION_REVOKED": ConsentRevoked,
    "INVALID_CREDENTIALS": CredentialsDenied,
    "ITEM_LOCKED": LoginLocked,
    "USER_SETUP_REQUIRED": ActionNeeded,
    "INSTITUTION_DOWN": BankUnavailable,
    "INSTITUTION_NOT_RESPONDING": BankUnavailable,
    "PRODUCT_NOT_READY": BankTimedOut,
}
"""Plaid's error codes; any other is `BankFailed`."""
CHANGED_MEANWHILE = "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"
PAGE_SIZE, MAX_PAGES, ATTEMPTS = 500, 500, 3
KEPT_IDS = 400
"""Posted transactions whose pending id the state keeps: 80 bytes each, of the 64 KiB that a state may have."""
KEPT_ACCOUNTS = 400
"""Accounts that the state names, of 50 bytes each."""
HISTORY_DAYS = 730
_INSTITUTION = uuid.UUID("8b0f2a8e-77d3-5f0e-9a3d-53c5c9f2b7c1")


@dataclass(frozen=True)
class PlaidSettings:
    client_id: str
    secret: Secret
    environment: Literal["sandbox", "production"] = "sandbox"
    client_name: str = "Coatcheck"
    """What Plaid's page calls the application."""
    institution_name: str = "Your bank, through Plaid"
    """What the user finds in the search; the bank itself is chosen on Plaid's page."""
    country_codes: tuple[str, ...] = ("US",)
    language: str = "en"


@dataclass(frozen=True)
class Progress:
    """The member's state: how far its transactions were read."""

    cursor: str = ""
    posted: Mapping[str, str] = field(default_factory=dict)
    """The id of a transaction when it was pending, by the id under which Plaid names it since it posted."""

    accounts: Collection[str] = ()
    """The ids of the accounts whose transactions were read. A state of an earlier version names none."""

    def encode(self) -> bytes:
        posted = dict(list(self.posted.items())[-KEPT_IDS:])
        accounts = sorted(self.accounts)[:KEPT_ACCOUNTS]
        return json.dumps({"cursor": self.cursor, "posted": posted, "accounts": accounts}).encode()

    @classmethod
    def decode(cls, state: bytes | None) -> "Progress":
        return cls(**json.loads(state)) if state else cls()


class PlaidConnector(Connector):
    settings_type = PlaidSettings
    has_disconnect = True

    def __init__(self, context: ConnectorContext[PlaidSettings]) -> None:
        super().__init__(context)
        self._settings = context.settings
        self._client = context.http.trusted
        self._institution = Institution(
            code=self.name,
            guid=f"INS-{uuid.uuid5(_INSTITUTION, self.name)}",
            name=context.settings.institution_name,
            url="https://plaid.com",
            iso_country_code=next(iter(context.settings.country_codes), "US"),
            supports=frozenset(JobKind) - {JobKind.STATEMENT},
            supports_oauth=True,
        )

    def institutions(self) -> Sequence[Institution]:
        return [self._institution]

    async def authorize(self, request: AuthorizationRequest) -> SignInPage:
        settings = self._settings
        returns_to = f"{request.redirect_uri}?{urlencode({'state': request.state, 'code': RETURNED})}"
        answer = await self._post(
            "/link/token/create",
            client_name=settings.client_name,
            language=settings.language,
            country_codes=settings.country_codes,
            user={"client_user_id": request.user_guid},
            products=["auth", "identity", "transactions"],
            # The most that Plaid gives. It cannot be raised once the item exists.
            transactions={"days_requested": HISTORY_DAYS},
            hosted_link={"completion_redirect_uri": returns_to},
        )
        return SignInPage(text_of(answer, "hosted_link_url"), resume=text_of(answer, "link_token"))

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        found = await self._post("/link/token/get", link_token=response.resume)
        added = [
            result
            for session in rows_of(found, "link_sessions")
            for result in object_of(session, "results").get("item_add_results") or ()
        ]
        if not added:
            raise CredentialsDenied
        public_token = text_of(added[-1], "public_token")
        exchanged = await self._post("/item/public_token/exchange", public_token=public_token)
        return {ACCESS_TOKEN: text_of(exchanged, "access_token")}

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        token, kind = session.credentials.get(ACCESS_TOKEN), session.task.kind
        if token is None:
            # The member signed in with another connector, before this one took over the institution.
            raise CredentialsMissing
        answer = await self._post(READS.get(kind, "/accounts/get"), access_token=token)
        listed = rows_of(answer, "accounts")
        await session.add_accounts(each for each in map(rows.account, listed) if each is not None)
        known = {each.id for each in session.data.accounts}
        unread = {str(row.get("account_id")) for row in listed} - known
        if kind is JobKind.VERIFICATION:
            await session.add_numbers(each for each in rows.numbers(answer) if each.account_id in known)
        if kind is JobKind.IDENTIFICATION:
            owners = (owner for row in listed for owner in rows.owners(row))
            await session.add_owners(each for each in owners if each.account_id in known)
        if not session.task.wants_transactions:
            # The cursor stays where it is: a run without transactions has read none of the changes.
            return Finished(unread_accounts=unread, lists_all_transactions=False)
        progress = await self._add_transactions(session, token, unread)
        return Finished(
            state=progress.encode(),
            unread_accounts=unread,
            lists_all_transactions=False,
        )

    async def disconnect(self, disconnection: Disconnection) -> None:
        """Removes the item. Plaid refuses its token from then on, and stops charging for it."""
        if token := disconnection.credentials.get(ACCESS_TOKEN):
            await self._post("/item/remove", access_token=token)

    async def _add_transactions(self, session: Session, token: str, unread: Collection[str]) -> Progress:
        """Adds what has changed since the last run. The new progress counts when the run has finished.

        The cursor stays where it is if something changed in an account that an earlier run has read, and that this one
        could not: the next run reads the changes again.
        """
        progress = Progress.decode(session.state)
        known, behind = {each.id for each in session.data.accounts}, {*progress.accounts} & {*unread}
        read, posted = known | behind, dict(progress.posted)
        if progress.cursor and (first := known - {*progress.accounts}):
            await self._add_history(session, token, first, posted)
        changes = await self._changes(token, progress.cursor)
        present: set[str] = set()
        is_behind = False
        for page in changes:
            changed = [*rows_of(page, "added"), *rows_of(page, "modified")]
            posted |= _posted(changed)
            present |= {rows.transaction_id(row) for row in changed}
            is_behind |= any(row.get("account_id") in behind for row in (*changed, *rows_of(page, "removed")))
            await session.add_transactions(map(rows.transaction, changed))
        # After all additions: the removal of a pending transaction can be on an earlier page than its posted
        # successor.
        for page in changes:
            for row in rows_of(page, "removed"):
                id = text_of(row, "transaction_id")
                # A pending transaction that has posted is removed too; it was added again under the same id.
                if (id := posted.pop(id, id)) not in present:
                    await session.remove_transactions(row.get("account_id") or "", [id])
        if is_behind:
            return Progress(progress.cursor, progress.posted, read)
        return Progress(str(changes[-1].get("next_cursor") or progress.cursor), posted, read)

    async def _add_history(
        self, session: Session, token: str, accounts: Collection[str], posted: dict[str, str]
    ) -> None:
        """Adds all transactions of accounts that had no balance before, and notes the ids of those that posted.

        Their changes were passed over. The changes of the other accounts are read from the cursor all the same: a list
        from the start does not name what was removed.
        """
        for page in await self._changes(token, ""):
            added = [row for row in rows_of(page, "added") if row.get("account_id") in accounts]
            posted |= _posted(added)
            await session.add_transactions(map(rows.transaction, added))

    async def _changes(self, token: str, cursor: str) -> list[Row]:
        """The pages of changes since the cursor. They are read again if the data changes meanwhile."""
        for _ in range(ATTEMPTS):
            try:
                # From the first cursor again, as Plaid demands: the cursors of the pages that were read are void.
                return await self._pages(token, cursor)
            except UpstreamRefused as error:
                if error.code != CHANGED_MEANWHILE:
                    raise
        raise BankFailed(detail="The transactions change all the time.")

    async def _pages(self, token: str, cursor: str) -> list[Row]:
        pages: list[Row] = []
        while len(pages) < MAX_PAGES:
            page = await self._post("/transactions/sync", access_token=token, cursor=cursor, count=PAGE_SIZE)
            pages.append(page)
            if page.get("has_more") is not True:
                return pages
            cursor = text_of(page, "next_cursor")
        raise BankDataUnusable("The upstream's list has too many pages.")

    async def _post(self, path: str, **body: Any) -> Row:
        """The object in the answer.

        Raises:
            BankError: Plaid or the bank refused, or failed.
        """
        response = await self._client.post(
            f"https://{self._settings.environment}.plaid.com{path}",
            json=body,
            headers={
                "plaid-client-id": self._settings.client_id,
                "plaid-secret": self._settings.secret.reveal(),
            },
        )
        code = ""
        if not response.is_success:
            try:
                code = str(json_object(response).get("error_code") or "")
            except BankDataUnusable:
                code = ""
            if error := ERRORS.get(code):
                raise error
        check_status(response, code)
        return json_object(response)


def _posted(changed: Collection[Row]) -> Mapping[str, str]:
    """`Progress.posted` of the transactions that have posted."""
    return {
        text_of(row, "transaction_id"): rows.transaction_id(row)
        for row in changed
        if row.get("pending_transaction_id")
    }
