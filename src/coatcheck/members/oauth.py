"""OAuth at an institution: the user signs in at the institution's own page and returns with a code.

    prepare_window --> open_window --> GET /oauth/window: start --> the institution's page --> GET /oauth/callback
    the callback |- error:                       claim --> refuse
                 `- code:  returned --> the user is asked |- Connect: claim --> finish --> complete --> jobs
                                                          `- Cancel:  claim --> cancel

    PENDING --complete--> CREATED
       `------refuse----> DENIED

The `state` parameter is the secret of a link: it can be used once and expires after `link_ttl` (RFC 9700 4.7).
The PKCE verifier and the options of the window are sealed under the guid of the link until it is claimed.

The state is bound to a browser (RFC 9700 4.7): `start` gives the browser a cookie, and only a browser with that cookie
can end the sign-in. Someone who is sent the institution's URL by another cannot connect accounts to the other's user.
Someone who is sent the window's own URL is asked whose the connection will be.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from types import MappingProxyType

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    JobKind,
    SignInPage,
)
from coatcheck.db.database import Connection
from coatcheck.errors import (
    ActionNeeded,
    BankError,
    ConstraintNotMet,
    CredentialsDenied,
    NotFound,
    UserDisabled,
    WrongBrowser,
)
from coatcheck.events import mx_events
from coatcheck.grants.links import Link, LinkKind, Links
from coatcheck.grants.widget_sessions import WidgetSessions
from coatcheck.members import member_rows
from coatcheck.members.announcements import status_changed
from coatcheck.members.credentials import store_credentials
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.oauth_states import add_oauth_state, set_result
from coatcheck.members.oauth_windows import (
    ClaimedWindow,
    OAuthAttempt,
    OAuthWindow,
    PreparedWindow,
    ReturnedWindow,
    SignInPlace,
    StartedWindow,
    hash_of_browser,
)
from coatcheck.members.records import JobRequest, LockedMember
from coatcheck.members.return_target import ReturnTarget, check_redirect
from coatcheck.members.status import MemberEvent, transition
from coatcheck.members.validation import check_availability
from coatcheck.model.clients import find_client
from coatcheck.model.institution_statuses import availability
from coatcheck.model.members import Member, find_member
from coatcheck.model.oauth_states import OAuthError, find_oauth_state
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.users import find_user
from coatcheck.model.widgets import widget_appearance
from coatcheck.vault.vault import SecretKind, WorkerReader

RETURN_PATH = "/oauth/callback"
"""The path of the redirect URI that institutions are given."""
START_PATH = "/oauth/window/"
"""The path at which a window begins, before the state."""
BROWSER_BYTES = 32
"""Random bytes of the cookie that binds a window to a browser."""
OWN_PAGE = "same-origin"
"""The `Sec-Fetch-Site` of a window that our own page opens (W3C Fetch Metadata 2.3)."""
VERIFIER_BYTES = 32
"""43 characters in base64url (RFC 7636 4.1)."""
NOT_OAUTH = "The member signs in with credentials, not at the institution's own page."

ERRORS: Mapping[str, OAuthError] = MappingProxyType(
    {
        "access_denied": OAuthError.DENIED,
        "server_error": OAuthError.PROVIDER_ERROR,
        "temporarily_unavailable": OAuthError.PROVIDER_ERROR,
    }
)
"""MX's reason for each `error` of RFC 6749 4.1.2.1. The others mean that our request was wrong."""


class OAuth:
    def __init__(self, dependencies: Dependencies, links: Links, widget_sessions: WidgetSessions) -> None:
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._journal = dependencies.journal
        self._queue = JobQueue(dependencies)
        self._links = links
        self._widget_sessions = widget_sessions
        self._redirect_uri = dependencies.settings.base_url + RETURN_PATH
        self._start_url = dependencies.settings.base_url + START_PATH
        self._lifetime = dependencies.settings.link_ttl

    async def prepare_window(self, place: SignInPlace) -> PreparedWindow:
        """Asks the institution for the URL of its sign-in page. Call it outside of any transaction.

        Raises:
            NotFound: no connector offers the institution any more.
            JobNotSupported: the institution takes credentials.
            BankError: the institution refused or failed.
        """
        link, code_verifier = self._links.generate(), secrets.token_urlsafe(VERIFIER_BYTES)
        page = await self.sign_in_page(place, state=link.secret.text, code_verifier=code_verifier)
        return PreparedWindow(link, page, code_verifier)

    async def open_window(
        self, connection: Connection, member: Member, window: OAuthWindow, prepared: PreparedWindow | None
    ) -> str:
        """The URL that leads the member's user to the institution's sign-in page. It works in one browser.

        Args:
            connection: the caller's transaction.
            member: whose user signs in.
            window: its options.
            prepared: the page of the member's institution; None if it has none.

        Raises:
            ConstraintNotMet: the member signs in with credentials.
            InstitutionRefused: the operator permits no job at the institution.
            InvalidRequest: the client's end users may not be sent to `client_redirect_url`.
            NotFound: the member was deleted meanwhile.
        """
        if not member.is_oauth or prepared is None:
            raise ConstraintNotMet(NOT_OAUTH)
        await member_rows.prevent_deletion(connection, member.user_guid, member.guid)
        check_availability(await availability(connection, member.client_guid, member.institution_code))
        await check_redirect(connection, member.client_guid, window.return_target)
        link = Link(ids.timed("LNK"), member.client_guid, member.user_guid, member.guid)
        await self._links.store(connection, LinkKind.OAUTH, link, prepared.link)
        oauth_state_guid = None
        if window.session_guid is not None:
            oauth_state_guid = await add_oauth_state(
                connection, member, window.session_guid, self._clock.now()
            )
        page = prepared.page
        await self._store(
            connection,
            link,
            OAuthAttempt(window, prepared.code_verifier, oauth_state_guid, page.url, resume=page.resume),
        )
        return self._start_url + prepared.link.secret.text

    async def start(
        self, connection: Connection, state: str, browser: str | None, *, site: str | None
    ) -> StartedWindow:
        """Binds the window to a browser, and leads it to the institution.

        Args:
            connection: the caller's transaction.
            state: the secret of the window.
            browser: the cookie of the browser; None without one, which gives it a new one.
            site: the request's `Sec-Fetch-Site`; None from a browser that does not send it.

        Raises:
            NotFound: the state is unknown, expired or used, or its user was deleted.
            WrongBrowser: the window was opened in another browser, or only the widget may open it.
        """
        link = await self._links.find(connection, LinkKind.OAUTH, state)
        # `find` has locked the link, so that of two browsers that open the window at once only the first is bound.
        attempt = await self._attempt(connection, link)
        if attempt.window.is_opened_by_widget and site not in {None, OWN_PAGE}:
            raise WrongBrowser
        if attempt.browser_hash is not None and not attempt.is_opened_in(browser):
            raise WrongBrowser
        # A browser has one cookie for all its windows: a new one would break those that are open.
        # One this short is not ours, and could be guessed.
        if browser is None or len(browser) < BROWSER_BYTES:
            browser = secrets.token_urlsafe(BROWSER_BYTES)
        await self._store(connection, link, replace(attempt, browser_hash=hash_of_browser(browser)))
        return StartedWindow(attempt.url, browser, self._lifetime)

    async def sign_in_page(self, place: SignInPlace, *, state: str, code_verifier: str) -> SignInPage:
        """The page of the authorization request (RFC 6749 4.1.1, RFC 7636 with S256).

        Args:
            place: where the user signs in.
            state: the secret that identifies the attempt in the callback.
            code_verifier: the PKCE verifier. The institution receives its hash.

        Raises:
            NotFound: no connector offers the institution any more.
            JobNotSupported: the institution takes credentials.
            BankError: the institution refused or failed.
        """
        challenge = urlsafe_b64encode(sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        connector = self._registry.connector_for(place.institution_code)
        page = await connector.authorize(
            AuthorizationRequest(
                institution_code=place.institution_code,
                redirect_uri=self._redirect_uri,
                state=state,
                code_challenge=challenge,
                user_guid=place.user_guid,
                member_guid=place.member_guid,
                client_name=place.client_name,
                kinds=place.kinds,
                language=place.language,
            )
        )
        return SignInPage(page) if isinstance(page, str) else page

    async def returned(self, connection: Connection, state: str, browser: str | None) -> ReturnedWindow:
        """The window to which the institution returned. The state stays usable.

        Raises:
            NotFound: as `claim`.
            WrongBrowser: as `claim`.
        """
        link = await self._links.find(connection, LinkKind.OAUTH, state)
        attempt = await self._usable(connection, link, state, browser)
        client = await find_client(connection, link.client_guid)
        user = await find_user(connection, link.client_guid, link.user_guid)
        member = await find_member(connection, link.user_guid, link.member_guid or "")
        return ReturnedWindow(member, attempt, client.name, user.email or user.id or user.guid)

    async def claim(self, connection: Connection, state: str, browser: str | None) -> ClaimedWindow:
        """The window that this state was issued for. A second claim of the same state fails.

        Args:
            connection: the caller's transaction.
            state: the secret of the window.
            browser: the cookie of the browser.

        Raises:
            NotFound: the state is unknown, expired or used; the member is deleted; the client or the user is
                deleted or disabled; or the widget session that opened the window has ended.
            WrongBrowser: the window was not opened in this browser. The state is used up.
        """
        link = await self._links.find(connection, LinkKind.OAUTH, state)
        attempt = await self._usable(connection, link, state, browser)
        member = await find_member(connection, link.user_guid, link.member_guid or "")
        await self._use_up(connection, link, state)
        return ClaimedWindow(
            member, attempt, await _origins(connection, member, attempt.window.return_target)
        )

    async def _usable(
        self, connection: Connection, link: Link, state: str, browser: str | None
    ) -> OAuthAttempt:
        client = await find_client(connection, link.client_guid)
        user = await find_user(connection, link.client_guid, link.user_guid)
        if link.member_guid is None or client.is_disabled or user.is_disabled:
            raise NotFound
        attempt = await self._attempt(connection, link)
        if attempt.oauth_state_guid:
            oauth_state = await find_oauth_state(connection, link.user_guid, attempt.oauth_state_guid)
            if not await self._widget_sessions.is_live(connection, oauth_state.session_guid):
                raise NotFound
        if not attempt.is_opened_in(browser):
            await self._refuse_browser(connection, link, state, attempt)
            raise WrongBrowser
        return attempt

    async def _refuse_browser(
        self, connection: Connection, link: Link, state: str, attempt: OAuthAttempt
    ) -> None:
        """Ends the window: its state is known to someone for whom it was not opened."""
        # Before what the link seals, as the deletion of the user.
        if attempt.oauth_state_guid:
            await set_result(
                connection,
                link.user_guid,
                attempt.oauth_state_guid,
                OAuthError.SESSION_ERROR,
                self._clock.now(),
            )
        await self._use_up(connection, link, state)
        await self._journal.record(
            connection,
            Entry(
                client_guid=link.client_guid,
                actor="browser",
                action="member.oauth_browser_refused",
                subject=link.member_guid or link.guid,
                detail={"link_guid": link.guid},
            ),
        )

    async def _use_up(self, connection: Connection, link: Link, state: str) -> None:
        await self._links.open(connection, LinkKind.OAUTH, state)
        await self._vault.delete(connection, owner_guid=link.user_guid, record_guid=link.guid)

    async def _attempt(self, connection: Connection, link: Link) -> OAuthAttempt:
        sealed = await self._vault.disclose_secret(
            connection,
            owner_guid=link.user_guid,
            record_guid=link.guid,
            kind=SecretKind.LINK,
            reader=WorkerReader(link.guid, link.client_guid),
        )
        if sealed is None:
            raise NotFound
        return OAuthAttempt.decode(sealed)

    async def _store(self, connection: Connection, link: Link, attempt: OAuthAttempt) -> None:
        await self._vault.store_secret(
            connection,
            owner_guid=link.user_guid,
            record_guid=link.guid,
            kind=SecretKind.LINK,
            value=attempt.encode(),
        )

    async def cancel(self, claimed: ClaimedWindow) -> OAuthError:
        """Records that the user did not confirm the connection. The institution's code is not used.

        Raises:
            NotFound: the member was deleted meanwhile.
        """
        async with self._db.transaction() as connection:
            await self.refuse(
                connection, claimed.member, callback_payload=claimed.attempt.window.callback_payload
            )
            if guid := claimed.attempt.oauth_state_guid:
                await set_result(
                    connection, claimed.member.user_guid, guid, OAuthError.CANCELLED, self._clock.now()
                )
        return OAuthError.CANCELLED

    async def finish(
        self, claimed: ClaimedWindow, *, code: str | None, error: str | None, issuer: str | None = None
    ) -> OAuthError | None:
        """Processes the institution's answer and records the result for the widget session.

        It opens its own transactions, because it calls the institution between them.

        Returns:
            Why the sign-in failed, or None.

        Raises:
            NotFound: the member was deleted meanwhile.
            UserDisabled: the client disabled the user.
        """
        # The widget polls the OAuth state, so it must get a result after any failure.
        reason: OAuthError | None = OAuthError.SERVER_ERROR
        try:
            reason = await self._process_answer(claimed, code, error, issuer)
        finally:
            if guid := claimed.attempt.oauth_state_guid:
                async with self._db.connection() as connection:
                    await set_result(connection, claimed.member.user_guid, guid, reason, self._clock.now())
        return reason

    async def _process_answer(
        self, claimed: ClaimedWindow, code: str | None, error: str | None, issuer: str | None
    ) -> OAuthError | None:
        member, attempt = claimed.member, claimed.attempt
        if error or not code:
            async with self._db.transaction() as connection:
                await self.refuse(connection, member, callback_payload=attempt.window.callback_payload)
            return ERRORS.get(error or "", OAuthError.SERVER_ERROR)
        try:
            await self.complete(member, attempt, code, issuer)
        except CredentialsDenied:
            return OAuthError.DENIED
        except ActionNeeded:
            return OAuthError.IMPEDED
        except BankError:
            return OAuthError.PROVIDER_ERROR
        return None

    async def complete(
        self, member: Member, attempt: OAuthAttempt, code: str, issuer: str | None = None
    ) -> Member:
        """Exchanges the code, stores the credentials that the institution issued, and starts the pending jobs.

        It opens its own transactions, because it calls the institution between them.

        Raises:
            BankError: the institution refused the code, and the member is DENIED if it was PENDING; or the
                institution had a temporary failure, and the member is unchanged.
            NotFound: the member was deleted meanwhile, or no connector offers the institution any more.
            UserDisabled: the client disabled the user.
        """
        connector = self._registry.connector_for(member.institution_code)
        # No transaction is open during the call: the institution may take long to answer.
        try:
            credentials = await connector.complete(
                AuthorizationResponse(
                    institution_code=member.institution_code,
                    redirect_uri=self._redirect_uri,
                    code=code,
                    code_verifier=attempt.code_verifier,
                    resume=attempt.resume,
                    issuer=issuer,
                )
            )
        except BankError as error:
            if not error.may_pass:
                async with self._db.transaction() as connection:
                    await self.refuse(connection, member, callback_payload=attempt.window.callback_payload)
            raise
        async with self._db.transaction() as connection:
            # The member can be deleted or its user disabled while the institution answers.
            locked_member = await member_rows.lock_member(connection, member.user_guid, member.guid)
            if locked_member.user_is_disabled:
                raise UserDisabled
            await store_credentials(
                self._vault, connection, locked_member.user_guid, locked_member.guid, credentials
            )
            return await self._start_jobs(connection, locked_member, attempt.window)

    async def refuse(
        self, connection: Connection, member: Member, *, callback_payload: str | None = None
    ) -> Member:
        """Records that the user or the institution refused access. A member that is not PENDING keeps its status.

        Raises:
            NotFound: the member was deleted meanwhile.
            ConstraintNotMet: the member signs in with credentials.
        """
        locked_member = await member_rows.lock_member(connection, member.user_guid, member.guid)
        return await self._apply(connection, locked_member, MemberEvent.OAUTH_REFUSED, callback_payload)

    async def _start_jobs(
        self, connection: Connection, locked_member: LockedMember, window: OAuthWindow
    ) -> Member:
        # A run that is under way may have signed in with another login.
        await self._queue.cancel(connection, locked_member, "The user signed in again.")
        member = await self._apply(
            connection, locked_member, MemberEvent.OAUTH_COMPLETED, window.callback_payload
        )
        kinds = tuple(JobKind(kind) for kind in locked_member.pending_kinds)
        if not kinds and locked_member.status is not ConnectionStatus.PENDING:
            # The jobs of the first sign-in have run. After a repeated one the data is read anew.
            kinds = (JobKind.AGGREGATION,)
        if window.skip_aggregation or not kinds:
            return member
        request = JobRequest(
            kinds=kinds,
            requested_by=locked_member.client_guid,
            callback_payload=window.callback_payload,
            include_transactions=window.include_transactions,
        )
        assert member.connection_status is not None
        await self._queue.enqueue(
            connection, locked_member, request, ConnectionStatus(member.connection_status)
        )
        return await find_member(connection, locked_member.user_guid, locked_member.guid)

    async def _apply(
        self,
        connection: Connection,
        locked_member: LockedMember,
        member_event: MemberEvent,
        callback_payload: str | None,
    ) -> Member:
        now, status = self._clock.now(), transition(member_event, locked_member.status)
        if not locked_member.is_oauth or status is None:
            raise ConstraintNotMet(NOT_OAUTH)
        changes = {"connection_status": status, "updated_at": now}
        if member_event is MemberEvent.OAUTH_COMPLETED:
            changes |= {"credential_failures": 0, "pending_kinds": []}
        await member_rows.change_member(connection, locked_member.user_guid, locked_member.guid, changes)
        member = await find_member(connection, locked_member.user_guid, locked_member.guid)
        changed = mx_events.connection_status(member, status, callback_payload=callback_payload)
        await self._journal.record(
            connection,
            Entry(
                client_guid=locked_member.client_guid,
                actor=locked_member.client_guid,
                action=f"member.{member_event.lower()}",
                subject=locked_member.guid,
            ),
            changed if status is not locked_member.status else None,
            status_changed(locked_member.status, member),
        )
        return member


async def _origins(connection: Connection, member: Member, return_target: ReturnTarget) -> Sequence[str]:
    """The origin of this window's redirect URL, else the origins that may embed the client's widget.

    Origins with the port `*` are omitted, because `postMessage` needs an exact origin.
    """
    if return_target.origin:
        return [return_target.origin]
    appearance = await widget_appearance(connection, member.client_guid)
    return [origin for origin in appearance.origins if not origin.endswith(":*")]
