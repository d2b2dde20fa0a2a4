"""A connector for an upstream that speaks MX's Platform API. docs/how-to/connect-mx.md explains it.

The upstream has a user for each of our end users and a member for each of our members, and keeps the login. This
connector keeps the guids of both as the member's state.
"""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from coatcheck.connectors.catalogue import read_institutions
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    BankStatement,
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
    Task,
)
from coatcheck.connectors.json_answers import Row, UpstreamRefused
from coatcheck.connectors.mx import rows
from coatcheck.connectors.mx.api import MxApi, Version
from coatcheck.connectors.mx.members import CHALLENGED, CONFLICT, CONNECTED, ERRORS, Members, UpstreamMember
from coatcheck.errors import ConsentRevoked, CredentialsDenied, CredentialsMissing

USER, MEMBER = "USER", "MEMBER"
"""The credentials of a member that signed in at its institution's own page: the guids at the upstream."""
RETURNED = "returned"
"""Our page expects a code. The upstream gives none: `complete` asks it for the status of the member."""
FETCHES = 8
"""Requests for credential fields that run at the same time."""


@dataclass(frozen=True)
class MxSettings:
    client_id: str
    api_key: Secret
    institutions_file: Path
    """Written by `coatcheck institution fetch mx`."""
    base_url: str = "https://int-api.mx.com"
    api_version: Version = "v20250224"
    code_prefix: str = ""
    """Is put before the upstream's institution codes, where another connector has the same."""
    verifies_first: bool = True
    """Whether the first run of a sign-in starts the upstream's verification too, for which the upstream may charge."""

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if not url.hostname or not (
            url.scheme == "https" or (url.scheme == "http" and _is_this_machine(url.hostname))
        ):
            raise ValueError("base_url must be an https URL")


class MxConnector(Connector):
    settings_type = MxSettings
    has_disconnect = True

    def __init__(self, context: ConnectorContext[MxSettings]) -> None:
        super().__init__(context)
        self._settings = settings = context.settings
        credentials = (settings.client_id, settings.api_key.reveal())
        self._api = MxApi(context.http.trusted, settings.base_url, credentials, settings.api_version)
        self._members = Members(self._api)

    @property
    def institutions_file(self) -> Path:
        return self._settings.institutions_file

    def institutions(self) -> Sequence[Institution]:
        return self._listed

    async def fetch_institutions(self, name: str | None = None) -> Sequence[Institution]:
        """Institutions without a sign-in are left out."""
        favorites = await self._api.get("/institutions/favorites")
        popularity = {
            row.get("code"): number
            for number, row in enumerate(reversed(favorites.get("institutions") or []), start=1)
        }
        slots = asyncio.Semaphore(FETCHES)

        async def with_credentials(row: Row) -> Institution:
            async with slots:
                path = f"/institutions/{row.get('code')}/credentials"
                fields = (
                    [] if row.get("supports_oauth") is True else await self._api.rows(path, "credentials")
                )
            return rows.institution(
                row,
                fields,
                code_prefix=self._settings.code_prefix,
                popularity=popularity.get(row.get("code"), 0),
            )

        listed = await self._api.rows("/institutions", "institutions", {"name": name} if name else None)
        found = await asyncio.gather(*map(with_credentials, listed))
        return [each for each in found if each.supports_oauth or each.credentials]

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        member, kind = await self._member(session), session.task.kind
        # A member that was created anew meanwhile has asked nothing yet.
        if session.answers and session.resume == member.encode():
            status = await self._members.answer(member, kind, session.answers)
        else:
            status = await self._members.read(member, kind)
            if status.connection_status == CONNECTED and self._verifies(session.task, member):
                status = await self._members.verify(member)
        if status.connection_status == CHALLENGED:
            return NeedsAnswers(status.questions, resume=member.encode())
        if error := ERRORS.get(status.connection_status or ""):
            raise error
        unread = await self._add(session, member)
        state = None if member.has_numbers else replace(member, has_numbers=True).encode()
        return Finished(state=state, unread_accounts=unread)

    async def authorize(self, request: AuthorizationRequest) -> SignInPage:
        user = await self._members.user(request.user_guid)
        code = self._upstream_code(request.institution_code)
        redirect_url = f"{request.redirect_uri}?{urlencode({'state': request.state, 'code': RETURNED})}"
        member = await self._members.find(user, request.member_guid) if request.member_guid else None
        if member is None:
            try:
                member, url = await self._members.create_oauth(user, code, redirect_url)
            except UpstreamRefused as error:
                # A sign-in that was broken off has left its member at the upstream.
                if error.status_code != CONFLICT or not (
                    member := await self._members.find_oauth(user, code)
                ):
                    raise
            else:
                return SignInPage(url, resume=member.encode().decode())
        return SignInPage(await self._members.window(member, redirect_url), resume=member.encode().decode())

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        # The member is the one that `authorize` created, and not one that the browser names.
        member = UpstreamMember.decode(response.resume)
        status = await self._members.status(member)
        if status is None:
            raise ConsentRevoked
        if error := ERRORS.get(status.connection_status or ""):
            # PENDING means here that the user broke the sign-in off, and not that a consent has ended.
            raise CredentialsDenied if error is ConsentRevoked else error
        return {USER: member.user_guid, MEMBER: member.guid}

    async def disconnect(self, disconnection: Disconnection) -> None:
        """Deletes the upstream's member. A run that was interrupted may have created it without saving it."""
        ours, members = disconnection.member, self._members
        if disconnection.state is not None:
            member = UpstreamMember.decode(disconnection.state)
        elif MEMBER in disconnection.credentials:
            member = UpstreamMember(disconnection.credentials[USER], disconnection.credentials[MEMBER])
        else:
            user = await members.find_user(ours.user_guid)
            found = await members.find(user, ours.guid) if user else None
            if found is None:
                return
            member = found
        await members.delete(member)

    # --- the member at the upstream ---------------------------------------------------------------------

    async def _member(self, session: Session) -> UpstreamMember:
        """The member at the upstream. It is created in the first run, and when the upstream has lost it."""
        if session.state is not None:
            member = UpstreamMember.decode(session.state)
            if await self._members.status(member) is not None:
                return member
        if MEMBER in session.credentials:
            member = await self._signed_in(session)
        else:
            member = await self._with_login(session)
        await session.save_state(member.encode())
        return member

    async def _signed_in(self, session: Session) -> UpstreamMember:
        """The member that signed in at the institution's own page, with our guid, by which it is found again."""
        member = UpstreamMember(session.credentials[USER], session.credentials[MEMBER])
        try:
            await self._members.change(member, id=session.task.member_guid)
        except UpstreamRefused as error:
            raise ConsentRevoked from error
        return member

    async def _with_login(self, session: Session) -> UpstreamMember:
        """The member with the login of the session. A run that was interrupted may have created it."""
        task, members = session.task, self._members
        credentials = self._by_guid(task.institution_code, session.credentials)
        user = await members.user(task.user_guid)
        if (member := await members.find(user, task.member_guid)) is not None:
            await members.change_credentials(member, credentials)
            return member
        code = self._upstream_code(task.institution_code)
        return await members.create(user, task.member_guid, code, credentials)

    def _by_guid(self, institution_code: str, credentials: Mapping[str, str]) -> Mapping[str, str]:
        fields = {each.field_name: each.guid for each in self._by_code[institution_code].credentials}
        if credentials.keys() - fields:
            raise CredentialsMissing
        return {fields[name]: value for name, value in credentials.items()}

    def _verifies(self, task: Task, member: UpstreamMember) -> bool:
        """Whether this run has the numbers read too, by which the accounts of another connector are recognised.

        Not after answers of the user: a bank that asked for one job asks for the next one again.
        """
        supported = self._by_code[task.institution_code].supports
        return (
            self._settings.verifies_first
            and not member.has_numbers
            and task.kind is not JobKind.VERIFICATION
            and JobKind.VERIFICATION in supported
        )

    # --- what a job has read ----------------------------------------------------------------------------

    async def _add(self, session: Session, member: UpstreamMember) -> Sequence[str]:
        """Returns the ids of the accounts that the upstream lists without their data."""
        task = session.task
        listed = await self._api.rows(f"{member.path}/accounts", "accounts")
        accounts = [each for each in map(rows.account, listed) if each is not None]
        await session.add_accounts(accounts)
        known = {each.id for each in accounts}
        if task.kind is JobKind.VERIFICATION or not member.has_numbers:
            found = map(
                rows.numbers, await self._api.rows(f"{member.path}/account_numbers", "account_numbers")
            )
            await session.add_numbers(each for each in found if each.account_id in known)
        if task.kind is JobKind.IDENTIFICATION:
            owners = map(rows.owner, await self._api.rows(f"{member.path}/account_owners", "account_owners"))
            await session.add_owners(each for each in owners if each.account_id in known)
        if task.kind is JobKind.STATEMENT:
            await self._add_statements(session, member)
        if task.wants_transactions:
            since = min((task.since_of(each.id) for each in accounts), default=task.since)
            query = {"from_date": since.isoformat()}
            async for page in self._api.pages(f"{member.path}/transactions", "transactions", query):
                await session.add_transactions(map(rows.transaction, page))
        return rows.unread_ids(listed)

    async def _add_statements(self, session: Session, member: UpstreamMember) -> None:
        for row in await self._api.rows(f"{member.path}/statements", "statements"):
            pdf = await self._api.content(f"{member.path}/statements/{row.get('guid')}.pdf")
            await session.add_statements(
                [BankStatement(str(row.get("account_guid")), str(row.get("guid")), pdf)]
            )

    # --- institutions -----------------------------------------------------------------------------------

    @cached_property
    def _listed(self) -> Sequence[Institution]:
        return read_institutions(self.name, self._settings.institutions_file)

    @cached_property
    def _by_code(self) -> Mapping[str, Institution]:
        return {each.code: each for each in self._listed}

    def _upstream_code(self, code: str) -> str:
        return code.removeprefix(self._settings.code_prefix)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
