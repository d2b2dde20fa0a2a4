"""The simulated institution. Who presents a spent secret loses the connection for good, as at many real ones."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

API_KEY = "key-of-the-operator"
ACCOUNTS = [
    {"id": "a1", "name": "Everyday", "type": "CHECKING", "balance": "120.50", "number": "1234500001"},
    {"id": "a2", "name": "Rainy Day", "type": "SAVINGS", "balance": "9000.00", "number": "1234500002"},
]
PAGES = [
    [
        {
            "account": "a1",
            "id": f"t{number}",
            "amount": f"-{number}.10",
            "date": "2026-11-20",
            "text": f"Shop {number}",
        }
        for number in numbers
    ]
    for numbers in ((1, 2), (3, 4), (5,))
]
UNUSABLE = [
    {"account": "a1", "id": "t6", "amount": "-6.10", "date": "2026-11-20", "text": "A NUL \0 inside"},
    {"account": "a1", "id": "t7", "amount": "-7.10", "date": "2026-11-20", "text": "long " * 1_000},
    {"account": "a1", "id": "t7", "amount": "-7.10", "date": "2026-11-20", "text": "long " * 1_000},
    {"account": "a1", "id": "", "amount": "-8.10", "date": "2026-11-20", "text": "Without an id"},
    {"account": "a1", "id": "t9", "amount": "NaN", "date": "2026-11-20", "text": "Without an amount"},
]


@dataclass
class _Connection:
    token: str
    secret: str
    previous: str | None = None
    """Accepted if `accepts_previous` is set, until the current secret is used."""
    is_broken: bool = False


@dataclass
class RotatingInstitution:
    """Answers the connector's calls; an ASGI application besides.

    A setup token works once. `mfa...` asks a question, `empty...` has no accounts, `odd...` unusable rows.
    """

    accepts_previous: bool = False
    """The previous secret works until the current one is used, so that a lost answer breaks nothing."""
    calls: list[str] = field(default_factory=list)
    _connections: list[_Connection] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def answer(self, path: str, api_key: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.calls.append(path)
        if api_key != API_KEY:
            return 401, {}
        if path == "/questions":
            return 200, {"question": "Which code did we send?" if body["token"].startswith("mfa") else None}
        if path == "/claim":
            return self._claim(body)
        connection = self._spend(body["secret"])
        if connection is None:
            return 401, {}
        return 200, {**self._data(path, connection.token), "secret": connection.secret}

    def _claim(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        token = body["token"]
        if not token or any(each.token == token for each in self._connections):
            return 403, {}
        if token.startswith("mfa") and body.get("answer") != "4711":
            return 422, {}
        connection = _Connection(token, self._new_secret())
        self._connections.append(connection)
        return 200, {"secret": connection.secret}

    def _spend(self, secret: str) -> _Connection | None:
        for connection in self._connections:
            if connection.is_broken:
                continue
            if secret == connection.secret:
                connection.previous, connection.secret = secret, self._new_secret()
                return connection
            if self.accepts_previous and secret == connection.previous:
                connection.secret = self._new_secret()
                return connection
            if secret.startswith("secret-"):
                connection.is_broken = True
        return None

    def _new_secret(self) -> str:
        return f"secret-{next(self._numbers)}"

    def _data(self, path: str, token: str) -> dict[str, Any]:
        accounts = [] if token.startswith("empty") else ACCOUNTS
        match path.split("/")[1:]:
            case ["accounts"]:
                return {"accounts": accounts}
            case ["numbers"]:
                numbers = [
                    {
                        "account_id": each["id"],
                        "account_number": each["number"],
                        "routing_number": "091000019",
                    }
                    for each in accounts
                ]
                return {"numbers": numbers}
            case ["transactions", number]:
                page, is_last = int(number), int(number) == len(PAGES)
                rows = PAGES[page - 1] if accounts else []
                if token.startswith("odd") and is_last:
                    rows = [*rows, *UNUSABLE]
                return {"transactions": rows, "next_page": None if is_last else page + 1}
        raise AssertionError(f"no such path: {path}")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        api_key = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        status, answer = self.answer(scope["path"], api_key, json.loads(body))
        head = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json")],
        }
        await send(head)
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
