"""Answers each request in the cell of its user.

    a guid or a secret of a user in path, query, header or form --> its digit --> that cell, or the one it names
    none, but the guid of a client in HTTP Basic                --> the digit of that guid
    a page or an endpoint that changes the directory, the rest  --> cell 0

The first name decides: all that a request names belongs to one user. A guid or a secret that is made up leads to a cell
that does not have it. The cell verifies it like any other.
"""

import asyncio
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_plus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck.cell_digit import FIRST, GUID, digit_of_guid, in_cell
from coatcheck.cells.cell import Cell, Directions
from coatcheck.cells.directory import copy_to_reachable
from coatcheck.errors import UserMoving
from coatcheck.grants.secrets import Kind, digit_of_secret, parse_secret
from coatcheck.http.endpoint import FOLLOWS

OF_USERS = frozenset(
    {
        *("USR", "MBR", "ACT", "TRN", "JOB", "STA", "MIC", "IMP", "OAS", "DSC", "TKN", "LNK", "WSN", "PSN"),
        *("SUT", "SFA", "REV", "ATT", "EVT"),
    }
)
"""The prefixes of guids that are in one cell. Events stay where they were published."""
# What follows the prefix has 52 characters, and 53 since secrets name a cell.
SECRETS = re.compile(r"(c[a-z]{2})_[0-9A-Za-z]{52,53}(?![0-9A-Za-z])")
SECRETS_OF_USERS = frozenset(
    {
        Kind.CODE,
        Kind.RENEWAL_CODE,
        Kind.TOKEN,
        Kind.LINK,
        Kind.WIDGET_SESSION,
        Kind.PORTAL_SESSION,
        Kind.SETUP_TOKEN,
        Kind.APP_KEY,
    }
)
HEADERS = ("authorization", "x-widget-session", "cookie")
IN_BODIES = frozenset(
    {
        "/token",
        "/payment_processor_token",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/introspect",
        "/authorization_code",
        "/payment_processor_authorization_code",
        "/coatcheck/revocations",
    }
)
"""The paths whose requests name the user in the body alone."""
MAX_READ_BYTES = 64 * 1024
"""What is searched of a body."""
OF_DIRECTORY = ("/dashboard", "/coatcheck/webhook_endpoints")
"""The beginnings of the paths that read and change the directory."""
SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class ServedCell:
    cell: Cell
    app: ASGIApp


class Name(NamedTuple):
    """What a request calls its user."""

    digit: str
    name: str


class CellRouting:
    """The application of several cells."""

    def __init__(self, served: Mapping[str, ServedCell], hash_key: bytes, *, body_seconds: float) -> None:
        """`body_seconds` is how long a body may take to arrive whose names are searched."""
        self._served = served
        self._hash_key = hash_key
        self._body_seconds = body_seconds
        self._cells = {digit: each.cell for digit, each in served.items()}
        self._directions = Directions(self._cells)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(OF_DIRECTORY):
            if scope["method"] not in SAFE:
                # Before the answer is sent, so that whoever it gives a key can use the key in every cell.
                send = _after(lambda: copy_to_reachable(self._cells), send)
            await self._answer(FIRST, scope, receive, send)
            return
        texts = list(_head(scope))
        name = self._first_name(texts)
        if name is None and scope["path"] in IN_BODIES:
            body, receive = await self._read(receive)
            name = self._first_name([unquote_plus(body)])
        if name is None:
            await self._answer(self._cell_of_client(texts), scope, receive, send)
            return
        digit = await self._find(name)
        if scope["method"] in SAFE:
            with suppress(UserMoving):
                await self._answer(digit, {**scope, FOLLOWS: True}, _empty_body(receive), send)
                return
            # A read that is counted, in the moment of the switch. Nothing was answered or counted.
            digit = await self._find(name)
            receive = _empty_body(receive)
        await self._answer(digit, scope, receive, send)

    async def _answer(self, digit: str, scope: Scope, receive: Receive, send: Send) -> None:
        with in_cell(digit):
            await self._served[digit].app(scope, receive, send)

    async def _find(self, name: Name) -> str:
        return (await self._directions.find(*name)).digit

    def _first_name(self, texts: list[str]) -> Name | None:
        return next((name for text in texts for name in self._names(text)), None)

    def _names(self, text: str) -> Iterator[Name]:
        for found in GUID.finditer(text):
            guid = found.group()
            if guid[:3] in OF_USERS:
                yield Name(digit_of_guid(guid), guid)
        for found in SECRETS.finditer(text):
            if found.group(1) in SECRETS_OF_USERS:
                secret = found.group()
                presented = parse_secret(Kind(found.group(1)), secret, self._hash_key)
                if presented is not None:
                    yield Name(digit_of_secret(secret), presented.hash.hex())

    def _cell_of_client(self, texts: list[str]) -> str:
        for text in texts:
            for found in GUID.finditer(text):
                if found.group().startswith("CLT-"):
                    digit = digit_of_guid(found.group())
                    return digit if digit in self._served else FIRST
        return FIRST

    async def _read(self, receive: Receive) -> tuple[str, Receive]:
        """The beginning of the body, and a function that gives the whole request again."""
        messages: list[Message] = []
        body = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._body_seconds):
                while len(body) < MAX_READ_BYTES:
                    messages.append(await receive())
                    body += messages[-1].get("body", b"")
                    if not messages[-1].get("more_body"):
                        break
        return body.decode("utf-8", "replace"), _again(messages, receive)


def _head(scope: Scope) -> Iterator[str]:
    """The texts in which a request can name its user, in the order in which they count."""
    yield scope["path"]
    yield unquote_plus(scope["query_string"].decode("latin-1"))
    headers = Headers(scope=scope)
    for header in HEADERS:
        for value in headers.getlist(header):
            yield value
            scheme, _, encoded = value.partition(" ")
            if scheme.lower() == "basic":
                with suppress(ValueError):
                    yield unquote_plus(b64decode(encoded.strip()).decode())


def _again(messages: list[Message], receive: Receive) -> Receive:
    pending = iter(messages)

    async def again() -> Message:
        message = next(pending, None)
        return await receive() if message is None else message

    return again


def _empty_body(receive: Receive) -> Receive:
    return _again([{"type": "http.request", "body": b"", "more_body": False}], receive)


def _after(action: Callable[[], Awaitable[None]], send: Send) -> Send:
    """Sends an answer once the action has ended, which begins when the answer is ready."""
    is_done = False

    async def send_later(message: Message) -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            await action()
        await send(message)

    return send_later
