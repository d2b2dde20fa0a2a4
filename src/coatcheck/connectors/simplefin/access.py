"""Calls of a SimpleFIN server: the claim of a setup token, and reads within the daily budget.

Every request is counted in the state before it is sent, so that no failure and no restart exceeds the budget.
"""

import binascii
import ipaddress
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from coatcheck.connectors.contract import Session
from coatcheck.connectors.json_answers import Row, json_object
from coatcheck.connectors.session import MAX_STATE_BYTES
from coatcheck.connectors.simplefin.rows import connection, text
from coatcheck.connectors.simplefin.state import AccessState
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankError,
    BankFailed,
    BankRateLimited,
    BankUnavailable,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
)

SETUP_TOKEN = "SETUP_TOKEN"  # noqa: S105 (the name of a field)
NOT_READABLE = "This is no SimpleFIN setup token."
CLAIMED = "The setup token is unknown or was claimed before. Create a new one."
ONE_ATTEMPT = {"attempts": 1}
"""The extension of a request that is not repeated: the server counts every one."""
LONGEST_WAIT = timedelta(days=1)
DEFAULT_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many requests a member may send on one day, in UTC."""

    daily: int
    reserved: int
    """Of these, only for runs that a user waits for."""

    def allows(self, state: AccessState, now: datetime, *, is_background: bool) -> bool:
        most = self.daily - (self.reserved if is_background else 0)
        return state.requests_on(now.date()) < most


async def claimed_state(session: Session, http: httpx.AsyncClient) -> AccessState:
    """The state of the member. In its first run the setup token is claimed.

    Raises:
        CredentialsMissing: the member has no setup token.
        CredentialsDenied: the setup token is none, or cannot be claimed.
        BankError: the server failed. The claim is tried again by the next run.
    """
    if session.state is not None:
        state = AccessState.decode(session.state)
        if state.access_url is None:
            raise CredentialsDenied(CLAIMED)
        return state
    if SETUP_TOKEN not in session.credentials:
        # The member signed in with another connector, before this one took over the institution.
        raise CredentialsMissing
    claim_url = _claim_url(session.credentials[SETUP_TOKEN])

    async def claim() -> bytes:
        response = await http.post(claim_url, headers={"content-length": "0"})
        # A setup token is claimed once. The state without a URL keeps every later run from claiming it again.
        if response.status_code == 403:
            return AccessState().encode()
        _raise_unless_ok(response)
        return AccessState(_access_url(response)).counted(session.task.now).encode()

    # The URL must not be lost between its answer and the end of the run: a second claim is refused.
    state = AccessState.decode(await session.rotate(claim))
    if state.access_url is None:
        raise CredentialsDenied(CLAIMED)
    return state


class Access:
    """Reads with an access URL."""

    def __init__(self, session: Session, http: httpx.AsyncClient, state: AccessState, budget: Budget) -> None:
        self._session = session
        self._http = http
        self._state = state
        self._budget = budget

    async def accounts(self, query: Sequence[tuple[str, str]]) -> Row:
        """The account set.

        Raises:
            BankRateLimited: the budget of the day is used up, or the server asks to wait.
            ConsentRevoked: the user revoked the access.
            ActionNeeded: the user has to pay at the server.
            BankError: the server failed.
        """
        task, state = self._session.task, self._state
        if task.now.timestamp() < state.not_before:
            raise BankRateLimited("The SimpleFIN server asked to wait.")
        if not self._budget.allows(state, task.now, is_background=task.is_background):
            raise BankRateLimited("The daily budget of requests to the SimpleFIN server is used up.")
        await self._save(state.counted(task.now))
        assert state.access_url is not None
        url = urlsplit(state.access_url)
        response = await self._http.get(
            url._replace(netloc=_host(url), path=f"{url.path.rstrip('/')}/accounts").geturl(),
            params=list(query),
            # Not in the URL, because httpx logs URLs.
            auth=(unquote(url.username or ""), unquote(url.password or "")),
            extensions=ONE_ATTEMPT,
        )
        if response.status_code == 429:
            wait = _wait(response, task.now)
            await self._save(replace(self._state, not_before=(task.now + wait).timestamp()))
        _raise_unless_ok(response)
        return json_object(response)

    async def with_ids(self, accounts: Sequence[Row]) -> Sequence[tuple[str, Row]]:
        """The accounts of an answer, each with its id among all accounts of the access.

        An id that accounts of several connections have stays that of the account that had it alone before. This is
        remembered: when one of the accounts goes, the id must not come to stand for another one.

        Raises:
            BankDataUnusable: there are more such ids than can be remembered.
        """
        connections: dict[str, set[str]] = {}
        for each in accounts:
            connections.setdefault(text(each.get("id")), set()).add(connection(each))
        state = self._state.with_connections(connections)
        if len(state.encode()) > MAX_STATE_BYTES:
            raise BankDataUnusable
        if state != self._state:
            await self._save(state)
        return [(state.id_of(text(each.get("id")), connection(each)), each) for each in accounts]

    async def _save(self, state: AccessState) -> None:
        self._state = state
        await self._session.save_state(state.encode())


def _claim_url(setup_token: str) -> str:
    # A double click on the token selects it without the `=` at its end.
    token = "".join(setup_token.split()).rstrip("=")
    try:
        url = b64decode(token + "=" * (-len(token) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise CredentialsDenied(NOT_READABLE) from None
    if not _is_permitted(url):
        raise CredentialsDenied(NOT_READABLE)
    return url


def _access_url(response: httpx.Response) -> str:
    url = response.text.strip()
    if not (_is_permitted(url) and urlsplit(url).username and urlsplit(url).password):
        raise BankDataUnusable("The SimpleFIN server answered a claim without an access URL.")
    return url


def _is_permitted(url: str) -> bool:
    """Whether it is an https URL; http on this machine only, which the guard of the client refuses in production."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(url: SplitResult) -> str:
    """Host and port, without the user name and the password."""
    return url.netloc.rpartition("@")[2]


def _raise_unless_ok(response: httpx.Response) -> None:
    if response.status_code != 200:
        raise _error(response.status_code)


def _error(status: int) -> BankError:
    match status:
        case 402:
            return ActionNeeded("The SimpleFIN server requires a payment.")
        case 403:
            return ConsentRevoked("The access was revoked at the SimpleFIN server.")
        case 429:
            return BankRateLimited()
        case 502 | 503 | 504:
            return BankUnavailable()
    return BankFailed(detail=f"The SimpleFIN server answered {status}.")


def _wait(response: httpx.Response, now: datetime) -> timedelta:
    """What `Retry-After` asks for, within a day: seconds, or a date that is compared with that of the answer."""
    value = response.headers.get("retry-after", "")
    try:
        wait = timedelta(seconds=int(value))
    except (ValueError, OverflowError):
        try:
            sent = response.headers.get("date")
            wait = parsedate_to_datetime(value) - (parsedate_to_datetime(sent) if sent else now)
        except (ValueError, TypeError):
            return DEFAULT_WAIT
    return min(max(wait, timedelta()), LONGEST_WAIT)
