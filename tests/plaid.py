"""Plaid in the shapes of its API reference, in memory.

The shapes were written down from the public reference and from what PyPI's `plaid-python` names. Nothing was recorded
from the service. It does not prove that Plaid accepts our requests or what its hosted page returns.
"""

import json
from typing import Any

import httpx

TOKEN = "access-sandbox-1"
PER_PAGE = 2


def transaction(id: str, **more: Any) -> dict[str, Any]:
    return {
        "transaction_id": id,
        "account_id": "acc-1",
        "amount": 12.5,
        "iso_currency_code": "USD",
        "date": "2026-11-20",
        "authorized_date": None,
        "name": "SQ *COFFEE",
        "merchant_name": "Coffee",
        "pending": False,
        "pending_transaction_id": None,
        "location": {"city": "Lehi", "region": "UT"},
        **more,
    }


def account(id: str, kind: str, subtype: str, current: float | None, **balances: Any) -> dict[str, Any]:
    return {
        "account_id": id,
        "name": id,
        "official_name": None,
        "mask": "0000",
        "type": kind,
        "subtype": subtype,
        "balances": {"current": current, "available": None, "iso_currency_code": "USD", **balances},
    }


class Plaid:
    def __init__(self) -> None:
        self.requests: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.refuses: dict[str, tuple[int, str]] = {}
        """The status and the error code with which a path is refused."""
        self.refusals_left = 1_000
        self.is_removed = False
        self.link_results: list[dict[str, Any]] = [{"public_token": "public-1"}]
        self.changes: list[tuple[str, dict[str, Any]]] = [
            ("added", transaction("t-1")),
            ("added", transaction("t-2", amount=-900, pending=True)),
            ("added", transaction("t-3")),
        ]
        self.accounts = [
            account("acc-1", "depository", "checking", 110.1, available=100),
            account("acc-2", "credit", "credit card", 20, limit=500),
            account("acc-3", "depository", "cd", None),
        ]

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content)
        assert (request.headers["plaid-client-id"], request.headers["plaid-secret"]) == ("client", "key")
        self.requests.append(path)
        self.bodies.append(body)
        if path in self.refuses and self.refusals_left:
            self.refusals_left -= 1
            status, code = self.refuses[path]
            error = {"error_type": "ERROR", "error_code": code, "error_message": f"about {TOKEN}"}
            return httpx.Response(status, json=error)
        if self.is_removed and "access_token" in body:
            return httpx.Response(400, json={"error_type": "ITEM_ERROR", "error_code": "ITEM_NOT_FOUND"})
        return httpx.Response(200, json=self._answer(path, body))

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        match path:
            case "/link/token/create":
                return {"link_token": "link-1", "hosted_link_url": "https://secure.plaid.com/hl/1"}
            case "/link/token/get":
                assert body["link_token"] == "link-1"
                return {"link_sessions": [{"results": {"item_add_results": self.link_results}}]}
            case "/item/public_token/exchange":
                return {"access_token": TOKEN, "item_id": "item-1"}
        assert body["access_token"] == TOKEN
        if path == "/item/remove":
            self.is_removed = True
            return {"request_id": "1"}
        if path == "/transactions/sync":
            return self._sync(int(body["cursor"] or 0))
        answer: dict[str, Any] = {"accounts": self.accounts}
        if path == "/auth/get":
            answer["numbers"] = NUMBERS
        if path == "/identity/get":
            answer["accounts"] = [{**each, "owners": OWNERS} for each in self.accounts]
        return answer

    def _sync(self, start: int) -> dict[str, Any]:
        end = min(start + PER_PAGE, len(self.changes))
        page: dict[str, Any] = {"added": [], "modified": [], "removed": []}
        for kind, row in self.changes[start:end]:
            page[kind].append(row)
        return {**page, "next_cursor": str(end), "has_more": end < len(self.changes)}


NUMBERS = {
    "ach": [
        {
            "account_id": "acc-1",
            "account": "0001111222233330",
            "routing": "011401533",
            "is_tokenized_account_number": True,
        }
    ],
    "eft": [{"account_id": "acc-2", "account": "111122223333", "institution": "021", "branch": "01140"}],
    "bacs": [],
    "international": [{"account_id": "acc-9", "iban": "GB29NWBK60161331926819", "bic": "NWBKGB21"}],
}
OWNERS = [
    {
        "names": ["Ann Example", "A. Example"],
        "emails": [
            {"data": "old@example.com", "primary": False},
            {"data": "ann@example.com", "primary": True},
        ],
        "phone_numbers": [],
        "addresses": [{"primary": True, "data": {"street": "1 Main St", "city": "Lehi", "region": "UT"}}],
    }
]
