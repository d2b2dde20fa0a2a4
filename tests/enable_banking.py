"""Enable Banking in the shapes of its documentation, in memory.

The shapes were written down from the public reference. Nothing here was recorded from the service, and no bank stands
behind it. It does not prove that Enable Banking accepts our requests, which fields a given bank fills, how often it may
be read, or how it words its errors.
"""

import json
import re
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

APPLICATION = "cf589be3-3755-465b-a8df-a90a16a31403"
KEY = RSAKey.generate_key(2048)
PEM = KEY.as_pem(private=True).decode()
PER_PAGE = 2
ACCOUNTS = {"hash-1": "uid-1", "hash-2": "uid-2"}
VALID_UNTIL = "2027-02-20T00:00:00Z"


def transaction(**more: Any) -> dict[str, Any]:
    return {
        "entry_reference": None,
        "transaction_amount": {"currency": "EUR", "amount": "12.50"},
        "credit_debit_indicator": "DBIT",
        "status": "BOOK",
        "booking_date": "2026-11-20",
        "creditor": {"name": "Cafe Aalto"},
        "remittance_information": ["Card purchase", "1234"],
        **more,
    }


class EnableBanking:
    def __init__(self) -> None:
        self.requests: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.is_deleted = False
        self.refuses: tuple[str, int, str] | None = None
        """The end of a path, the status and the error with which it is refused."""
        self.balances: dict[str, list[dict[str, Any]]] = dict.fromkeys(ACCOUNTS.values(), BALANCES)
        self.details = {
            "uid-1": {
                "account_id": {"iban": "FI2112345600000785"},
                "name": "Ann Example",
                "product": "Current account",
                "currency": "EUR",
                "cash_account_type": "CACC",
                "identification_hash": "hash-1",
            },
            "uid-2": {
                "account_id": {"iban": None, "other": {"identification": "SAV-77", "scheme_name": "BBAN"}},
                "name": None,
                "currency": "SEK",
                "cash_account_type": "SVGS",
                "identification_hash": "hash-2",
            },
        }
        self.transactions = [
            transaction(entry_reference="ref-1"),
            transaction(),
            transaction(),
            transaction(credit_debit_indicator="CRDT", debtor={"name": "Employer Oy"}, status="PDNG"),
            transaction(status="RJCT"),
        ]

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.params
        self.requests.append(f"{request.method} {path}")
        _check(request.headers["authorization"].removeprefix("Bearer "))
        if self.refuses is not None and path.endswith(self.refuses[0]):
            _, status, error = self.refuses
            return httpx.Response(status, json={"code": status, "message": "refused", "error": error})
        if self.is_deleted:
            return httpx.Response(401, json={"code": 401, "message": "gone", "error": "CLOSED_SESSION"})
        body = json.loads(request.content) if request.content else {}
        self.bodies.append(body)
        match request.method, path:
            case "GET", "/aspsps":
                listed = [each for each in ASPSPS if each["country"] == query.get("country", each["country"])]
                return httpx.Response(200, json={"aspsps": listed})
            case "POST", "/auth":
                return httpx.Response(200, json={"url": f"https://bank.example/?state={body['state']}"})
            case "POST", "/sessions" if body["code"] == "code":
                return httpx.Response(200, json=SESSION)
            case "POST", "/sessions":
                return httpx.Response(400, json={"error": "WRONG_AUTHORIZATION_CODE"})
            case "DELETE", "/sessions/session-1":
                self.is_deleted = True
                return httpx.Response(200, json={"message": "OK"})
        found = re.fullmatch(r"/accounts/([^/]+)/(details|balances|transactions)", path)
        assert found, path
        return self._account(found[1], found[2], int(query.get("continuation_key", "0")))

    def _account(self, uid: str, what: str, start: int) -> httpx.Response:
        if what == "details":
            return httpx.Response(200, json=self.details[uid])
        if what == "balances":
            return httpx.Response(200, json={"balances": self.balances.get(uid, BALANCES)})
        rows = self.transactions[start : start + PER_PAGE]
        following = start + PER_PAGE
        key = str(following) if following < len(self.transactions) else None
        return httpx.Response(200, json={"transactions": rows, "continuation_key": key})


def _check(token: str) -> None:
    decoded = jwt.decode(token, KEY, algorithms=["RS256"])
    assert decoded.header["kid"] == APPLICATION
    assert (decoded.claims["iss"], decoded.claims["aud"]) == ("enablebanking.com", "api.enablebanking.com")
    assert 0 < decoded.claims["exp"] - decoded.claims["iat"] <= 24 * 3600


ASPSPS = [
    {"name": "Nordea", "country": "FI", "psu_types": ["personal"], "maximum_consent_validity": 15552000},
    {"name": "Länsförsäkringar Bank", "country": "SE", "psu_types": ["personal"]},
]
SESSION = {
    "session_id": "session-1",
    "accounts": [{"uid": uid, "identification_hash": id} for id, uid in ACCOUNTS.items()],
    "access": {"valid_until": VALID_UNTIL},
}
BALANCES = [
    {"balance_type": "CLAV", "balance_amount": {"currency": "EUR", "amount": "90.10"}},
    {"balance_type": "ITBD", "balance_amount": {"currency": "EUR", "amount": "100.10"}},
]
