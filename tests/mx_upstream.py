"""An upstream in the shapes of MX's Platform API, in memory, for runs of the connector `mx` without a network.

It ends a job at the first question for its status. It proves nothing about MX itself: the tests with a second server
and with a mock of MX's OpenAPI document do that.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx

FIELDS = {"LOGIN": "CRD-login", "PASSWORD": "CRD-password"}
JOBS = {"aggregate", "verify", "identify", "check_balance", "extend_history", "fetch_statements"}
PASSWORDS = {
    "wrong": "DENIED",
    "locked": "LOCKED",
    "closed": "CLOSED",
    "impeded": "IMPEDED",
    "failing": "FAILED",
}
"""The status to which a password leads."""
QUESTION = {
    "guid": "CRD-pet",
    "type": "OPTIONS",
    "label": "Which pet?",
    "options": [
        {"guid": "CRD-o1", "label": "Dog", "value": "dog"},
        {"guid": "CRD-o2", "label": "Cat", "value": "cat"},
    ],
}
ACCOUNTS: list[dict[str, Any]] = [
    {
        "guid": "ACT-1",
        "name": "Checking",
        "type": "CHECKING",
        "balance": 120.55,
        "account_number": "XXXXX6789",
    },
    {"guid": "ACT-2", "name": "Savings", "type": "SAVINGS", "balance": 7, "account_number": None},
    {"guid": "ACT-3", "name": "Life", "type": "INSURANCE", "balance": None},
]


def transaction(number: int, **more: Any) -> dict[str, Any]:
    return {
        "guid": f"TRN-{number}",
        "account_guid": "ACT-1",
        "amount": 12.1,
        "type": "DEBIT",
        "status": "POSTED",
        "date": "2026-11-20",
        "description": "Coffee",
        "original_description": "COFFEE 1",
        **more,
    }


class MxUpstream:
    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.members: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.accounts: list[dict[str, Any]] = [dict(each) for each in ACCOUNTS]
        self.asks_for = ""
        """A job for which the bank asks its question, whatever the password is."""
        self.refuses: dict[str, int] = {}
        """The status with which a path is refused, by its end."""

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if status := next(
            (code for end, code in self.refuses.items() if request.url.path.endswith(end)), None
        ):
            return httpx.Response(status, json={"error": {"message": "refused"}})
        body = json.loads(request.content) if request.content else {}
        for method, pattern, handler in self._routes():
            if request.method == method and (found := re.fullmatch(pattern, request.url.path)):
                return handler(*found.groups(), body=body, query=request.url.params)
        return httpx.Response(404, json={"error": {"message": "not found"}})

    def _routes(self) -> list[tuple[str, str, Callable[..., httpx.Response]]]:
        member = "/users/([^/]+)/members/([^/]+)"
        return [
            ("GET", "/institutions/favorites", lambda **_: _list("institutions", INSTITUTIONS[1:])),
            ("GET", "/institutions", lambda **_: _list("institutions", INSTITUTIONS)),
            ("GET", "/institutions/[^/]+/credentials", lambda **_: _list("credentials", CREDENTIALS)),
            ("GET", "/users", self._list_users),
            ("POST", "/users", self._create_user),
            ("GET", "/users/([^/]+)/members", self._list_members),
            ("POST", "/users/([^/]+)/members", self._create_member),
            ("PUT", member, self._change),
            ("DELETE", member, self._delete),
            ("GET", f"{member}/oauth_window_uri", self._window),
            ("GET", f"{member}/status", self._status),
            ("PUT", f"{member}/resume", self._resume),
            (
                "GET",
                f"{member}/statements/[^/]+.pdf",
                lambda *_, **__: httpx.Response(200, content=b"%PDF-1.7"),
            ),
            ("POST", f"{member}/([a-z_]+)", self._start),
            ("GET", f"{member}/([a-z_]+)", self._read),
        ]

    def _list_users(self, query: Mapping[str, str], **_: Any) -> httpx.Response:
        rows = [{"guid": guid, "id": id} for id, guid in self.users.items() if id == query.get("id", id)]
        return _list("users", rows)

    def _create_user(self, body: Any, **_: Any) -> httpx.Response:
        id = body["user"]["id"]
        if id in self.users:
            return httpx.Response(409, json={})
        self.users[id] = f"USR-{len(self.users) + 1}"
        return httpx.Response(200, json={"user": {"guid": self.users[id], "id": id}})

    def _list_members(self, user: str, **_: Any) -> httpx.Response:
        return _list("members", [each for each in self.members.values() if each["user_guid"] == user])

    def _create_member(self, user: str, body: Any, **_: Any) -> httpx.Response:
        guid = f"MBR-{len(self.members) + 1}"
        fields = body["member"]
        values = {each["guid"]: each["value"] for each in fields["credentials"]}
        self.members[guid] = {
            "guid": guid,
            "user_guid": user,
            "id": fields.get("id"),
            "institution_code": fields["institution_code"],
            "is_oauth": fields.get("is_oauth", False),
            "connection_status": "PENDING" if fields.get("is_oauth") else "CREATED",
            "values": values,
            "redirect": body.get("client_redirect_url"),
            "oauth_window_uri": f"https://upstream.example/{guid}" if fields.get("is_oauth") else None,
        }
        return httpx.Response(200, json={"member": self.members[guid]})

    def _change(self, _user: str, member: str, body: Any, **_: Any) -> httpx.Response:
        fields = body["member"]
        if "credentials" in fields:
            self.members[member]["values"] = {each["guid"]: each["value"] for each in fields["credentials"]}
            self.members[member]["connection_status"] = "UPDATED"
        self.members[member]["id"] = fields.get("id", self.members[member]["id"])
        return httpx.Response(200, json={"member": self.members[member]})

    def _delete(self, _user: str, member: str, **_: Any) -> httpx.Response:
        return httpx.Response(204 if self.members.pop(member, None) else 404)

    def _window(self, _user: str, member: str, query: Mapping[str, str], **_: Any) -> httpx.Response:
        self.members[member]["redirect"] = query["client_redirect_url"]
        return httpx.Response(200, json={"member": self.members[member]})

    def _start(self, _user: str, member: str, job: str, **_: Any) -> httpx.Response:
        if job not in JOBS:
            return httpx.Response(404, json={})
        found = self.members[member]
        password = found["values"].get(FIELDS["PASSWORD"])
        asks = password == "mfa" or job == self.asks_for
        found["connection_status"] = PASSWORDS.get(password, "CHALLENGED" if asks else "CONNECTED")
        return httpx.Response(202, json={"member": found})

    def _status(self, _user: str, member: str, **_: Any) -> httpx.Response:
        if member not in self.members:
            return httpx.Response(404, json={})
        status = self.members[member]["connection_status"]
        asked = [QUESTION] if status == "CHALLENGED" else []
        body = {"connection_status": status, "is_being_aggregated": False, "challenges": asked}
        return httpx.Response(200, json={"member": body})

    def _resume(self, _user: str, member: str, body: Any, **_: Any) -> httpx.Response:
        found = self.members[member]
        if found["connection_status"] != "CHALLENGED":
            return httpx.Response(405, json={})
        (answer,) = body["member"]["challenges"]
        found["connection_status"] = "CONNECTED" if answer["value"] == "dog" else "REJECTED"
        return httpx.Response(202, json={"member": found})

    def _read(self, _user: str, member: str, what: str, query: Mapping[str, str], **_: Any) -> httpx.Response:
        if self.members[member]["values"].get(FIELDS["LOGIN"]) == "new":
            return _list(what, [])
        return _list(what, self.rows_of(what), int(query.get("page", "1")))

    def rows_of(self, what: str) -> list[dict[str, Any]]:
        return {
            "accounts": self.accounts,
            "account_numbers": [
                {
                    "account_guid": "ACT-1",
                    "account_number": "000123456789",
                    "routing_number": "091000019",
                    "is_tokenized": True,
                },
                {"account_guid": "ACT-9", "account_number": "1", "routing_number": None},
            ],
            "account_owners": [{"account_guid": "ACT-1", "owner_name": "Ann Example", "email": None}],
            "transactions": [transaction(number) for number in range(1, 4)],
            "statements": [{"account_guid": "ACT-1", "guid": "STA-1"}],
        }[what]


PER_PAGE = 2
"""Fewer than are asked for, as a server may give."""
CREDENTIALS = [
    {"guid": guid, "field_name": name, "field_type": "TEXT", "label": name.title(), "display_order": number}
    for number, (name, guid) in enumerate(FIELDS.items(), start=1)
]
INSTITUTIONS = [
    {
        "code": "tidewater",
        "name": "Tidewater Bank",
        "supports_oauth": False,
        "supported_products": [
            "account_verification",
            "identity_verification",
            "transaction_history",
            "statements",
        ],
    },
    {
        "code": "heron",
        "name": "Heron Union",
        "supports_oauth": True,
        "supports_account_verification": True,
        "url": "javascript:alert(1)",
        "instructional_text": 'Read <a href="https://x.example">this</a>.',
    },
]


def _list(key: str, rows: list[dict[str, Any]], page: int = 1) -> httpx.Response:
    pages = max(1, -(-len(rows) // PER_PAGE))
    start = PER_PAGE * (page - 1)
    pagination = {"current_page": page, "total_pages": pages}
    return httpx.Response(200, json={key: rows[start : start + PER_PAGE], "pagination": pagination})
