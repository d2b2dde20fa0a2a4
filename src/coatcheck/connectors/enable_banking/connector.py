"""A connector for Enable Banking. docs/how-to/connect-enable-banking.md explains it.

    authorize: POST /auth --> the user signs in at the bank --> complete: POST /sessions --> the session's accounts
    run: GET /accounts/{uid}/details, balances, transactions      until the consent ends, 90 days by default
    disconnect: DELETE /sessions/{session_id}

The `uid` of an account is that of the session. Its `identification_hash` is the same in every session, and is our id.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from coatcheck.connectors.catalogue import read_institutions
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    BankAccount,
    Connector,
    ConnectorContext,
    Disconnection,
    Finished,
    Institution,
    JobKind,
    NeedsAnswers,
    Secret,
    Session,
)
from coatcheck.connectors.enable_banking import rows
from coatcheck.connectors.json_answers import (
    Row,
    UpstreamRefused,
    check_status,
    json_object,
    object_of,
    rows_of,
    text_of,
)
from coatcheck.errors import BankDataUnusable, ConsentRevoked, CredentialsDenied, CredentialsMissing

SESSION, ACCOUNTS, VALID_UNTIL = "SESSION", "ACCOUNTS", "VALID_UNTIL"
"""The credentials of a member: its session, the accounts in it, and when the consent ends."""
TOKEN_LIFETIME = timedelta(hours=1)
MAX_PAGES = 1_000
SESSION_ENDED = frozenset({"EXPIRED_SESSION", "CLOSED_SESSION", "REVOKED_SESSION", "SESSION_DOES_NOT_EXIST"})


@dataclass(frozen=True)
class EnableBankingSettings:
    application_id: str
    private_key: Secret
    """The PEM of the application's RSA key."""
    institutions_file: Path
    """Written by `coatcheck institution fetch enable_banking`."""
    countries: tuple[str, ...] = ()
    """The countries whose banks are listed, such as `FI`. Empty: all."""
    consent_days: int = 90
    base_url: str = "https://api.enablebanking.com"

    def __post_init__(self) -> None:
        try:
            _rsa_key(self.private_key.reveal())
        except (JoseError, ValueError):
            raise ValueError("private_key must be the PEM of an RSA key") from None


class EnableBankingConnector(Connector):
    settings_type = EnableBankingSettings
    has_disconnect = True

    def __init__(self, context: ConnectorContext[EnableBankingSettings]) -> None:
        super().__init__(context)
        self._settings = context.settings
        self._clock = context.clock
        self._client = context.http.trusted
        self._key = _rsa_key(context.settings.private_key.reveal())
        self._token, self._signed_at = "", datetime.min.replace(tzinfo=UTC)

    @property
    def institutions_file(self) -> Path:
        return self._settings.institutions_file

    def institutions(self) -> Sequence[Institution]:
        return tuple(self._by_code.values())

    async def fetch_institutions(self, name: str | None = None) -> Sequence[Institution]:
        found: dict[str, Institution] = {}
        for query in [{"country": country} for country in self._settings.countries] or [{}]:
            for row in rows_of(await self._get("/aspsps", query), "aspsps"):
                listed = rows.institution(row)
                found.setdefault(listed.code, listed)
        return [each for each in found.values() if (name or "").casefold() in each.name.casefold()]

    async def authorize(self, request: AuthorizationRequest) -> str:
        bank = self._by_code[request.institution_code]
        ends_at = self._clock.now() + timedelta(days=self._settings.consent_days)
        answer = await self._post(
            "/auth",
            {
                "access": {"valid_until": ends_at.isoformat()},
                "aspsp": {"name": bank.name, "country": bank.iso_country_code},
                "psu_type": "personal",
                "redirect_url": request.redirect_uri,
                "state": request.state,
            },
        )
        return text_of(answer, "url")

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        try:
            answer = await self._post("/sessions", {"code": response.code})
        except UpstreamRefused as error:
            raise CredentialsDenied from error
        # The hashes are in this answer only.
        accounts = {
            # An account that cannot be read, such as a blocked one, has no uid.
            text_of(row, "identification_hash"): str(row.get("uid") or "")
            for row in rows_of(answer, "accounts")
        }
        return {
            SESSION: text_of(answer, "session_id"),
            ACCOUNTS: json.dumps(accounts),
            VALID_UNTIL: text_of(object_of(answer, "access"), "valid_until"),
        }

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        if not session.credentials.keys() >= {ACCOUNTS, VALID_UNTIL}:
            # The member signed in with another connector, before this one took over the institution.
            raise CredentialsMissing
        # The bank lists no accounts after the sign-in: these are all that the user chose there.
        accounts: Mapping[str, str] = json.loads(session.credentials[ACCOUNTS])
        if _time(session.credentials[VALID_UNTIL]) <= session.task.now:
            raise ConsentRevoked
        refusals: list[UpstreamRefused] = []
        for id, uid in accounts.items():
            if not uid:
                continue
            path = f"/accounts/{quote(uid, safe='')}"
            try:
                account, details = await self._account(id, path)
            except UpstreamRefused as refusal:
                refusals.append(refusal)
            else:
                if account is not None:
                    await self._add(session, account, details, path)
        unread = accounts.keys() - {each.id for each in session.data.accounts}
        # The bank refuses one account and gives another. If it gives none, it is the run that it refuses.
        if refusals and unread == accounts.keys():
            raise refusals[0]
        return Finished(unread_accounts=unread)

    async def disconnect(self, disconnection: Disconnection) -> None:
        """Deletes the session, which ends the consent at the bank."""
        # A member of an earlier version has no session in its credentials. Its consent ends by itself.
        if session_id := disconnection.credentials.get(SESSION):
            path = f"{self._settings.base_url}/sessions/{quote(session_id, safe='')}"
            self._answer(await self._client.delete(path, headers=self._authentication()))

    async def _account(self, id: str, path: str) -> tuple[BankAccount | None, Row]:
        """The account, or None without a balance; and its details."""
        details = await self._get(f"{path}/details")
        balances = rows_of(await self._get(f"{path}/balances"), "balances")
        return rows.account(id, details, balances), details

    async def _add(self, session: Session, account: BankAccount, details: Row, path: str) -> None:
        id, kind = account.id, session.task.kind
        await session.add_accounts([account])
        if kind is JobKind.VERIFICATION and (numbers := rows.numbers(id, details)):
            await session.add_numbers([numbers])
        if kind is JobKind.IDENTIFICATION and (owner := rows.owner(id, details)):
            await session.add_owners([owner])
        if session.task.wants_transactions:
            transactions = rows.Transactions(id)
            async for page in self._transactions(path, session.task.since_of(id).isoformat()):
                converted = map(transactions.convert, page)
                await session.add_transactions(each for each in converted if each is not None)

    async def _transactions(self, path: str, since: str) -> AsyncIterator[list[Row]]:
        query = {"date_from": since}
        for _ in range(MAX_PAGES):
            answer = await self._get(f"{path}/transactions", query)
            yield rows_of(answer, "transactions")
            if not (key := answer.get("continuation_key")):
                return
            query["continuation_key"] = str(key)
        raise BankDataUnusable("The upstream's list has too many pages.")

    # --- HTTP -------------------------------------------------------------------------------------------

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Row:
        return self._answer(
            await self._client.get(
                self._settings.base_url + path, params=query, headers=self._authentication()
            )
        )

    async def _post(self, path: str, body: Mapping[str, Any]) -> Row:
        return self._answer(
            await self._client.post(self._settings.base_url + path, json=body, headers=self._authentication())
        )

    def _answer(self, response: httpx.Response) -> Row:
        """The object in the answer.

        Raises:
            ConsentRevoked: the session has ended.
            UpstreamRefused: the answer is 4xx.
            BankError: the upstream failed.
        """
        code = "" if response.is_success else str(_object_or_empty(response).get("error") or "")
        if code in SESSION_ENDED:
            raise ConsentRevoked
        check_status(response, code)
        return json_object(response)

    def _authentication(self) -> Mapping[str, str]:
        """The header with a token, which is signed again after half of its lifetime."""
        now = self._clock.now()
        # Also after the clock was moved back, because a token from the future is refused.
        if not self._signed_at <= now < self._signed_at + TOKEN_LIFETIME / 2:
            claims = {
                "iss": "enablebanking.com",
                "aud": "api.enablebanking.com",
                "iat": int(now.timestamp()),
                "exp": int((now + TOKEN_LIFETIME).timestamp()),
            }
            header = {"typ": "JWT", "alg": "RS256", "kid": self._settings.application_id}
            self._token, self._signed_at = jwt.encode(header, claims, self._key), now
        return {"authorization": f"Bearer {self._token}"}

    @cached_property
    def _by_code(self) -> Mapping[str, Institution]:
        listed = read_institutions(self.name, self._settings.institutions_file)
        return {each.code: each for each in listed}


@cache
def _rsa_key(pem: str) -> RSAKey:
    """Imported once: the check of an RSA key takes a tenth of a second."""
    return RSAKey.import_key(pem)


def _object_or_empty(response: httpx.Response) -> Row:
    try:
        return json_object(response)
    except BankDataUnusable:
        return {}


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BankDataUnusable from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
