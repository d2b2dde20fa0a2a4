"""Reads the API of one institution with the tokens of one consent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import httpx
import msgspec

from coatcheck.clock import Clock
from coatcheck.connectors.contract import MemberSecrets
from coatcheck.connectors.fdx.authorization import AuthorizationClient, Tokens
from coatcheck.connectors.fdx.profiles import Profile
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankFailed,
    BankRateLimited,
    BankTimedOut,
    BankUnavailable,
    ConsentRevoked,
    LoginClosed,
)

Entity = Mapping[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")

CUSTOMER_NOT_FOUND = 601
"""FDX's code of an error."""
NOT_SHARED = frozenset({403, 404, 405, 409, 501})
"""Statuses of a resource that the consent does not include, or that the account or the institution does not have."""
NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
MAX_PAGES = 10_000
"""Pages of one list, for an institution whose pages never end."""


@dataclass
class ConsentTokens:
    """The tokens of the member's consent. A refresh is saved at once, and concurrent ones are one."""

    secrets: MemberSecrets
    authorization: AuthorizationClient
    clock: Clock
    tokens: Tokens
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bearer(self) -> str:
        """A token that has not expired."""
        if not self.tokens.is_fresh(self.clock.now()):
            await self.replace(self.tokens.bearer)
        return self.tokens.bearer

    async def replace(self, refused: str) -> None:
        """Replaces the token, unless another call has done so since it was used.

        Raises:
            ConsentRevoked: the consent has ended.
            BankError: the institution refused or failed.
        """
        async with self._lock:
            # Several calls were refused with one token. The second refresh would use a refresh token that the first
            # has replaced.
            if self.tokens.bearer == refused:
                state = await self.secrets.rotate(self._refreshed)
                self.tokens = decode_tokens(state)

    async def _refreshed(self) -> bytes:
        return (await self.authorization.refresh(self.tokens)).encode()


@dataclass
class FdxApi:
    profile: Profile
    http: httpx.AsyncClient
    tokens: ConsentTokens
    is_background: bool = False
    """No user is waiting (FDX's actor type BATCH)."""

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.profile.concurrent_reads)

    async def read(self, path: str, parameters: Mapping[str, str] = NO_PARAMETERS) -> Entity:
        """An entity.

        Raises:
            BankError: the institution refused or failed, or the answer is no JSON object.
        """
        response = await self._get(path, parameters)
        if response.status_code != 200:
            _refuse(response)
        return _entity(response)

    async def read_if_shared(self, path: str, parameters: Mapping[str, str] = NO_PARAMETERS) -> Entity | None:
        """An entity, or None if the consent does not include it or the account does not have it.

        Raises:
            BankError: the institution failed, or the answer is no JSON object.
        """
        response = await self._get(path, parameters)
        if response.status_code in NOT_SHARED:
            return None
        if response.status_code != 200:
            _refuse(response)
        # An account without payment networks may be answered with an empty body (FDX 6).
        return _entity(response) if response.content else None

    async def pages(
        self,
        path: str,
        name: str,
        parameters: Mapping[str, str] = NO_PARAMETERS,
        *,
        is_required: bool = False,
    ) -> AsyncIterator[Sequence[Entity]]:
        """The pages of a list (FDX 6, offset paging). A list that is not required and not shared has none.

        Raises:
            BankError: the institution refused or failed, or its pages do not end.
        """
        parameters = {**parameters, "limit": str(self.profile.page_size)}
        read = self.read if is_required else self.read_if_shared
        offsets: set[str] = set()
        page = await read(path, parameters)
        while page is not None:
            yield entities(page.get(name))
            offset = str(entity_of(page.get("page")).get("nextOffset") or "")
            if not offset:
                return
            if offset in offsets or len(offsets) == MAX_PAGES:
                raise BankDataUnusable("The pages of the institution do not end.")
            offsets.add(offset)
            # Not `read_if_shared`: of a list that breaks off, the missing rows would look as if the bank had removed
            # them.
            page = await self.read(path, {**parameters, "offset": offset})

    async def whole_list(
        self,
        path: str,
        name: str,
        parameters: Mapping[str, str] = NO_PARAMETERS,
        *,
        is_required: bool = False,
    ) -> Sequence[Entity]:
        pages = self.pages(path, name, parameters, is_required=is_required)
        return [each async for page in pages for each in page]

    async def for_each(
        self, items: Sequence[Item], call: Callable[[Item], Coroutine[Any, Any, Result]]
    ) -> Sequence[Result]:
        """The results of concurrent calls, in the order of the items. The profile limits the concurrent requests.

        Raises:
            BankError: the first that a call raised. The other calls are cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(call(each)) for each in items]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def content(self, path: str) -> bytes | None:
        """A document; None if it is not shared.

        Raises:
            BankError: the institution refused or failed.
        """
        response = await self._get(path, NO_PARAMETERS, accept="application/pdf")
        if response.status_code in NOT_SHARED:
            return None
        if response.status_code != 200:
            _refuse(response)
        return response.content

    async def revoke_consent(self, consent_id: str) -> bool:
        """Revokes the consent (FDX 6.3). Returns False if the institution has no such resource.

        Raises:
            ConsentRevoked: the token opens nothing any more.
            BankError: the institution refused or failed.
        """
        path = f"/consents/{consent_id}/revocation"
        body = {"reason": "USER_ACTION", "initiator": "DATA_ACCESS_PLATFORM"}
        response = await self._send("PUT", path, json=body)
        if response.status_code == 405:  # some providers have it as PATCH
            response = await self._send("PATCH", path, json=body)
        if response.status_code in {404, 405, 501}:
            return False
        # 409: the consent has ended.
        if response.status_code not in {204, 409}:
            _refuse(response)
        return True

    async def _get(
        self, path: str, parameters: Mapping[str, str], accept: str = "application/json"
    ) -> httpx.Response:
        return await self._send("GET", path, params=dict(parameters), accept=accept)

    async def _send(
        self, method: str, path: str, *, accept: str = "application/json", **content: Any
    ) -> httpx.Response:
        """An answer. One that refuses the token is asked for again with a new token, once."""
        async with self._slots:
            for attempt in (1, 2):
                bearer = await self.tokens.bearer()
                response = await self.http.request(
                    method,
                    f"{self.profile.api_url}{path}",
                    headers={
                        "authorization": f"Bearer {bearer}",
                        "accept": accept,
                        "x-fapi-interaction-id": str(uuid4()),
                        "fdx-api-actor-type": "BATCH" if self.is_background else "USER",
                    },
                    **content,
                )
                # A token can be refused before it expires, such as after the institution has rotated its keys.
                if response.status_code != 401 or attempt == 2:
                    break
                await self.tokens.replace(bearer)
        return response


def decode_tokens(sealed: bytes) -> Tokens:
    return msgspec.json.decode(sealed, type=Tokens)


def entity_of(value: Any) -> Entity:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def entities(value: Any) -> Sequence[Entity]:
    """The objects of a list; none if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _entity(response: httpx.Response) -> Entity:
    try:
        # Amounts keep their digits: they never become floats.
        found = json.loads(response.content, parse_float=Decimal)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BankDataUnusable("The institution's answer is not JSON.")
    return found


def _refuse(response: httpx.Response) -> NoReturn:
    """Raises the error of an answer. Its body need not be an error of FDX."""
    try:
        code = entity_of(response.json()).get("code")
    except (ValueError, RecursionError):
        code = None
    match response.status_code:
        case 401:
            raise ConsentRevoked
        case 404 if code == CUSTOMER_NOT_FOUND:
            raise LoginClosed
        case 403:
            raise ActionNeeded
        case 429:
            raise BankRateLimited
        case 503:
            raise BankUnavailable
        case 504:
            raise BankTimedOut
    raise BankFailed(detail=f"status {response.status_code}, code {str(code)[:20]}")
