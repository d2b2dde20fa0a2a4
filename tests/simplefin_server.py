"""A small SimpleFIN server, written from the protocol's text and not from ours: an upstream for tests."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from coatcheck.testing.connectors import NOW

DAY = 86400
"""Seconds."""
HOST = "https://bridge.example"
USER, PASSWORD = "user-1", "pass-1"


def transaction(number: int, posted: int, amount: str = "-1.00", **more: Any) -> dict[str, Any]:
    return {"id": f"T{number}", "posted": posted, "amount": amount, "description": f"SHOP {number}", **more}


def account(number: int, *transactions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "org": {"domain": "bank.example", "name": "Bank", "sfin-url": HOST},
        "conn_id": "CON-1",
        "id": f"A{number}",
        "name": "Checking",
        "currency": "USD",
        "balance": "100.23",
        "available-balance": "75.23",
        "balance-date": 1795000000,
        "transactions": list(transactions),
        **more,
    }


@dataclass
class SimplefinServer:
    """Answers as the protocol says, and counts every request."""

    accounts: Sequence[dict[str, Any]] = ()
    errors: Sequence[str] = ()
    errlist: Sequence[dict[str, Any]] = ()
    refusal: httpx.Response | None = None
    """The answer to every read."""
    now: float = NOW.timestamp()
    is_claimed: bool = False
    claims: int = 0
    reads: list[httpx.QueryParams] = field(default_factory=list)

    @property
    def setup_token(self) -> str:
        return b64encode(f"{HOST}/simplefin/claim/token-1".encode()).decode()

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == "/simplefin/claim/token-1":
            return self._claim()
        if request.method == "GET" and request.url.path == "/simplefin/accounts":
            return self._read(request)
        return httpx.Response(404)

    def _claim(self) -> httpx.Response:
        self.claims += 1
        if self.is_claimed:
            return httpx.Response(403, text="Forbidden")
        self.is_claimed = True
        return httpx.Response(200, text=f"https://{USER}:{PASSWORD}@bridge.example/simplefin")

    def _read(self, request: httpx.Request) -> httpx.Response:
        self.reads.append(request.url.params)
        sent = request.headers.get("authorization", "").removeprefix("Basic ")
        if b64decode(sent).decode() != f"{USER}:{PASSWORD}":
            return httpx.Response(403, json={"errors": ["wrong credentials"], "accounts": []})
        if self.refusal is not None:
            return self.refusal
        query = request.url.params
        start, end = int(query.get("start-date", 0)), int(query.get("end-date", 2**40))
        assert "balances-only" in query or min(end, self.now) - start <= 90 * DAY, "a window is too long"

        def is_wanted(row: dict[str, Any]) -> bool:
            if "balances-only" in query:
                return False
            if row.get("pending") or row["posted"] == 0:
                return query.get("pending") == "1"
            return bool(start <= row["posted"] < end)

        rows = [
            {**each, "transactions": [row for row in each["transactions"] if is_wanted(row)]}
            for each in self.accounts
        ]
        return httpx.Response(
            200, json={"errors": list(self.errors), "errlist": list(self.errlist), "accounts": rows}
        )
