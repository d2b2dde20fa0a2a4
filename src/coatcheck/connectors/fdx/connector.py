"""Institutions that speak FDX 6, each by its profile.

GET consents/{id}    where the institution names the consent
GET accounts         then for each account, concurrently: its details, and what the task asks for
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import httpx
from msgspec import structs

from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    Connector,
    ConnectorContext,
    Disconnection,
    Finished,
    Institution,
    JobKind,
    MemberSecrets,
    NeedsAnswers,
    Session,
)
from coatcheck.connectors.fdx import mapping
from coatcheck.connectors.fdx.api import ConsentTokens, Entity, FdxApi, decode_tokens
from coatcheck.connectors.fdx.authorization import AuthorizationClient, Tokens
from coatcheck.connectors.fdx.profiles import Profile, load_profile
from coatcheck.errors import ConsentRevoked, CredentialsMissing

TOKENS = "TOKENS"
"""The credential with the tokens of a new consent."""
ENDED = frozenset({"EXPIRED", "REVOKED"})
"""Statuses of a consent that opens nothing."""


@dataclass(frozen=True, slots=True)
class FdxSettings:
    profiles: tuple[str, ...] = ()
    """Files, one for each institution."""


class FdxConnector(Connector):
    settings_type = FdxSettings
    has_disconnect = True

    def __init__(self, context: ConnectorContext[FdxSettings]) -> None:
        super().__init__(context)
        self._clock = context.clock
        self._clients = {
            profile.institution_code: AuthorizationClient(profile, self._http_for(profile), context.clock)
            for profile in map(load_profile, context.settings.profiles)
        }

    def institutions(self) -> Sequence[Institution]:
        return [client.profile.institution() for client in self._clients.values()]

    async def authorize(self, request: AuthorizationRequest) -> str:
        return await self._clients[request.institution_code].sign_in_url(request)

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        client = self._clients[response.institution_code]
        tokens = await client.exchange(response)
        return {TOKENS: tokens.encode().decode()}

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        client = self._clients[session.task.institution_code]
        if TOKENS not in session.credentials:
            # The member signed in with another connector, before this one took over the institution.
            raise CredentialsMissing
        tokens = self._tokens(session, client)
        api = FdxApi(client.profile, client.http, tokens, is_background=session.task.is_background)
        await _check_consent(api)
        accounts, unread = await _add_accounts(session, api)
        await _add_numbers(session, api, _to_number(session, tokens.tokens, accounts))
        if session.task.kind is JobKind.IDENTIFICATION:
            await _add_owners(session, api, accounts)
        unread_transactions: Sequence[str] = ()
        if session.task.wants_transactions:
            unread_transactions = await _add_transactions(session, api, accounts)
        if session.task.kind is JobKind.STATEMENT:
            await _add_statements(session, api, accounts)
        return Finished(
            state=_numbered(tokens.tokens, accounts, unread),
            unread_accounts=unread,
            unread_transactions=unread_transactions,
        )

    async def disconnect(self, disconnection: Disconnection) -> None:
        client = self._clients[disconnection.member.institution_code]
        if TOKENS not in disconnection.credentials:
            return
        tokens = self._tokens(disconnection, client)
        api, consent_id = FdxApi(client.profile, client.http, tokens), tokens.tokens.consent_id
        if consent_id is None or not await api.revoke_consent(consent_id):
            await client.revoke(tokens.tokens)

    def _tokens(self, secrets: MemberSecrets, client: AuthorizationClient) -> ConsentTokens:
        # A refresh is saved in the state, and new credentials delete it: what is there is newer.
        sealed = secrets.state or secrets.credentials[TOKENS].encode()
        return ConsentTokens(secrets, client, self._clock, decode_tokens(sealed))

    def _http_for(self, profile: Profile) -> httpx.AsyncClient:
        if profile.certificate_file and profile.certificate_key_file:
            return self._http.with_certificate(profile.certificate_file, profile.certificate_key_file)
        return self._http.trusted


async def _check_consent(api: FdxApi) -> None:
    """Raises ConsentRevoked if the institution says that the consent has ended."""
    consent_id = api.tokens.tokens.consent_id
    if api.profile.reads_consent and consent_id is not None:
        consent = await api.read_if_shared(f"/consents/{consent_id}")
        if consent is not None and consent.get("status") in ENDED:
            raise ConsentRevoked


async def _add_accounts(session: Session, api: FdxApi) -> tuple[Sequence[BankAccount], Sequence[str]]:
    """Returns the accounts, and the ids of open ones that are listed without their data."""
    # The list may have descriptors only, which contain no balance (FDX 6: `resultType`).
    listed = await api.whole_list("/accounts", "accounts", is_required=True)

    async def details(row: Entity) -> Entity:
        id = mapping.account_id(row)
        found = await api.read_if_shared(f"/accounts/{_segment(id)}") if id else None
        return {**row, **found} if found else row

    accounts, unread = list[BankAccount](), list[str]()
    for row in await api.for_each(listed, details):
        if account := mapping.account(row):
            accounts.append(account)
        elif (id := mapping.account_id(row)) and not mapping.is_closed(row):
            unread.append(id)
    await session.add_accounts(accounts)
    return accounts, unread


def _to_number(session: Session, tokens: Tokens, accounts: Sequence[BankAccount]) -> Sequence[BankAccount]:
    """The accounts whose numbers the run reads.

    The first run of a consent that can read an account reads its numbers too, by which an account of another connector
    is recognised.
    """
    if session.task.kind is JobKind.VERIFICATION or not tokens.has_numbers:
        return accounts
    return [each for each in accounts if each.id in tokens.unnumbered]


def _numbered(tokens: Tokens, accounts: Sequence[BankAccount], unread: Sequence[str]) -> bytes | None:
    """The state after a run that has read the numbers; None if nothing changes."""
    if not tokens.has_numbers:
        return structs.replace(tokens, has_numbers=True, unnumbered=tuple(unread)).encode()
    read = {each.id for each in accounts}
    left = tuple(id for id in tokens.unnumbered if id not in read)
    return structs.replace(tokens, unnumbered=left).encode() if left != tokens.unnumbered else None


async def _add_numbers(session: Session, api: FdxApi, accounts: Sequence[BankAccount]) -> None:
    async def read(account: BankAccount) -> Sequence[BankNumbers]:
        path = f"/accounts/{_segment(account.id)}/payment-networks"
        return mapping.numbers(account.id, await api.whole_list(path, "paymentNetworks"))

    for numbers in await api.for_each(accounts, read):
        await session.add_numbers(numbers)


async def _add_owners(session: Session, api: FdxApi, accounts: Sequence[BankAccount]) -> None:
    async def read(account: BankAccount) -> Sequence[BankOwner]:
        contact = await api.read_if_shared(f"/accounts/{_segment(account.id)}/contact")
        return mapping.owners(account.id, contact or {})

    for owners in await api.for_each(accounts, read):
        await session.add_owners(owners)


async def _add_transactions(session: Session, api: FdxApi, accounts: Sequence[BankAccount]) -> Sequence[str]:
    """Returns the ids of the accounts whose transactions the institution did not share."""
    task = session.task
    # One day more: an institution's last day can begin before this server's.
    end = str(task.now.date() + timedelta(days=1))

    async def read(account: BankAccount) -> bool:
        is_shared = False
        path = f"/accounts/{_segment(account.id)}/transactions"
        period = {"startTime": str(task.since_of(account.id)), "endTime": end}
        async for page in api.pages(path, "transactions", period):
            rows = (mapping.transaction(account.id, row, account.currency_code) for row in page)
            await session.add_transactions([row for row in rows if row is not None])
            is_shared = True
        return is_shared

    are_shared = await api.for_each(accounts, read)
    return [each.id for each, is_shared in zip(accounts, are_shared, strict=True) if not is_shared]


async def _add_statements(session: Session, api: FdxApi, accounts: Sequence[BankAccount]) -> None:
    """Adds the PDFs one after the other, because each can have megabytes."""
    for account in accounts:
        path = f"/accounts/{_segment(account.id)}/statements"
        period = {"startTime": str(session.task.since)}
        for row in await api.whole_list(path, "statements", period):
            if (id := mapping.text(row, "statementId")) is None:
                continue
            pdf = await api.content(f"{path}/{_segment(id)}")
            if pdf:
                await session.add_statements([BankStatement(account_id=account.id, id=id, pdf=pdf)])


def _segment(id: str) -> str:
    """The id as one segment of a path: an institution's id can contain a slash."""
    return quote(id, safe="")
