"""A small OpenAPI document of the core reads of FDX 6, for a mock server. It is ours: the standard's own is not copied.

It says what each request must have and what each answer looks like.
"""

from typing import Any

ACCOUNT = {
    "accountCategory": "DEPOSIT_ACCOUNT",
    "accountId": "a-1",
    "accountType": "CHECKING",
    "accountNumberDisplay": "0001",
    "productName": "Everyday",
    "status": "OPEN",
    "currency": {"currencyCode": "USD"},
    "currentBalance": 120.5,
    "aFieldThatTheStandardDoesNotHave": {"nested": [1]},
}
TRANSACTION = {
    "transactionId": "t-1",
    "transactionTimestamp": "2026-11-20T23:30:00-05:00",
    "postedTimestamp": "2026-11-21T00:00:00Z",
    "description": "SHOP",
    "debitCreditMemo": "DEBIT",
    "status": "POSTED",
    "amount": 12.34,
}
NETWORK = {
    "bankId": "091000019",
    "identifier": "1234567801",
    "identifierType": "TOKENIZED_ACCOUNT_NUMBER",
    "type": "US_ACH",
    "transferIn": True,
    "transferOut": True,
}
CONTACT = {
    "holders": [{"relationship": "SOLE_OWNER", "name": {"first": "Ann", "last": "Example"}}],
    "emails": ["ann@example.com"],
}


def _header(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string", **schema}}


def _query(name: str, *, is_required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": is_required, "schema": schema}


HEADERS = [
    _header("x-fapi-interaction-id", format="uuid"),
    _header("fdx-api-actor-type", enum=["BATCH", "USER"]),
]
PAGE = [
    _query("limit", is_required=True, type="integer", minimum=1),
    _query("offset", type="string"),
]
PERIOD = [
    _query("startTime", is_required=True, type="string", format="date"),
    _query("endTime", type="string", format="date"),
]


def _read(example: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {
        "get": {
            "parameters": [*HEADERS, *parameters],
            "responses": {"200": {"description": "Found.", "content": content}},
        }
    }


def document() -> dict[str, Any]:
    account = {"name": "accountId", "in": "path", "required": True, "schema": {"type": "string"}}
    pdf = _read({}, account, {**account, "name": "statementId"})
    pdf["get"]["responses"]["200"]["content"] = {"application/pdf": {"example": "%PDF-1.4"}}
    one = "/accounts/{accountId}"
    return {
        "openapi": "3.0.3",
        "info": {"title": "Core reads", "version": "6"},
        "components": {"securitySchemes": {"consent": {"type": "http", "scheme": "bearer"}}},
        "security": [{"consent": []}],
        "paths": {
            "/accounts": _read({"page": {}, "accounts": [ACCOUNT]}, *PAGE),
            one: _read(ACCOUNT, account),
            f"{one}/transactions": _read({"transactions": [TRANSACTION]}, account, *PAGE, *PERIOD),
            f"{one}/payment-networks": _read({"paymentNetworks": [NETWORK]}, account, *PAGE),
            f"{one}/contact": _read(CONTACT, account),
            f"{one}/statements": _read({"statements": [{"statementId": "s-1"}]}, account, *PAGE, PERIOD[0]),
            f"{one}/statements/{{statementId}}": pdf,
        },
    }
