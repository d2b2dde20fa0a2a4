"""Objects of one user and client, and requests for them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from coatcheck.app import Services
from coatcheck.http.route import Caller, Route
from coatcheck.ids import new
from coatcheck.model.users import User
from coatcheck.server import GROUPS
from tests.api_client import HEADERS, LOGIN, V1, connecting
from tests.factories import (
    Keyed,
    make_account,
    make_attestation,
    make_client,
    make_disclosure,
    make_job,
    make_processor,
    make_statement,
    make_token,
    make_transaction,
    make_user,
)
from tests.statement_samples import OFX

ROUTES = [route for group in GROUPS for route in group.routes]
"""The routes of all surfaces."""

OWNED = {
    "user": "USR",
    "member": "MBR",
    "account": "ACT",
    "transaction": "TRN",
    "statement": "STA",
    "micro_deposit": "MIC",
    "job": "JOB",
    "grant": "TKN",
    "statement_import": "IMP",
    "disclosure": "DSC",
    "attestation": "ATT",
    "webhook_endpoint": "WHE",
    "event": "EVT",
    "delivery": "DLV",
}
"""The path parameters of objects that belong to a client, with the prefix of their guids."""

PUBLIC = {
    "institution": "mxbank",
    "category": "CAT-unknown",
    "merchant": "MCH-unknown",
    "merchant_location": "MCL-unknown",
    "setup_token": "ccf_unknown",
}
"""The path parameters of objects that are the same for every client, with a value."""

AnyRoute = Route[Any]
Guids = Mapping[str, str]
Body = Callable[[Guids], Any]


def _nothing(_: Guids) -> None:
    return None


def _scope(guids: Guids) -> dict[str, str]:
    names = ("user", "member", "account")
    return {"scope": " ".join(f"{name}-guid:{guids[name]}" for name in names) + " read-protected"}


def _named(guids: Guids) -> dict[str, str]:
    return {f"{name}_guid": guids[name] for name in ("user", "member", "account")}


HOOK = "https://hooks.example.com/"
DESCRIPTION: Body = lambda _: {"transaction": {"description": "mine"}}  # noqa: E731 (one row of a table, twice)

BODIES: dict[str, Body] = {
    "requestAuthorizationCode": lambda guids: {"authorization_code": _scope(guids)},
    "deprecatedRequestPaymentProcessorAuthorizationCode": lambda guids: {
        "payment_processor_authorization_code": _named(guids)
    },
    "createUser": lambda _: {"user": {"metadata": "x"}},
    "updateUser": lambda _: {"user": {"metadata": "x"}},
    "createMember": lambda _: connecting(skip_aggregation=True, metadata="x"),
    "updateMember": lambda _: {"member": {"metadata": "x"}},
    "resumeAggregation": lambda _: {"member": {"challenges": [{"guid": LOGIN, "value": "correct"}]}},
    "aggregateAllMembers": _nothing,
    "aggregateMember": _nothing,
    "verifyMember": _nothing,
    "identifyMember": _nothing,
    "checkBalances": _nothing,
    "extendHistory": _nothing,
    "fetchStatements": _nothing,
    "mergeAccounts": lambda guids: {"account": {"account_guids": [guids["account"], guids["account_2"]]}},
    "createManualAccount": lambda _: {"account": {"name": "Jar", "account_type": "CASH"}},
    "blockAccount": _nothing,
    "updateAccountByMember": lambda _: {"account": {"is_hidden": True}},
    "updateTransaction": DESCRIPTION,
    "updateTransactionByAccount": DESCRIPTION,
    "createMicrodeposit": lambda _: {
        "micro_deposit": {"email": "a@example.com", "first_name": "A", "last_name": "B"}
    },
    "verifyMicrodeposit": lambda _: {"micro_deposit": {"deposit_amount_1": 0.01, "deposit_amount_2": 0.02}},
    "requestWidgetURL": lambda guids: {
        "widget_url": {"widget_type": "connect_widget", "current_member_guid": guids["member"]}
    },
    "narrowGrant": lambda _: {"grant": {"lookback_days": 30}},
    "renewGrant": _nothing,
    "revokeGrant": lambda _: {"reason": "a test"},
    "revokeGrants": lambda guids: {"revocation": {"user_guid": guids["user"]}},
    "createPortalUrl": _nothing,
    "createSetupToken": lambda guids: {
        "setup_token": {"account_guids": [guids["account"]], "app_name": "Actual"}
    },
    "createWebhookEndpoint": lambda _: {"webhook_endpoint": {"url": HOOK}},
    "updateWebhookEndpoint": lambda _: {"webhook_endpoint": {"events": ["*"]}},
    "rotateWebhookSecret": _nothing,
    "testWebhookEndpoint": lambda _: {"type": "token.revoked"},
    "redeliverEvents": lambda _: {"since": "2026-01-01T00:00:00Z"},
    "redeliver": _nothing,
    "requestConnectWidgetURL": lambda guids: {"config": {"current_member_guid": guids["member"]}},
}
"""The body of every POST and PUT of a client; it is valid, so that only the guids decide."""

FILES = {"importStatementFile": OFX}
"""The file of every form with a file."""


@dataclass(frozen=True)
class Owner:
    """A user with one object of every kind, its client, and a processor with a token for its account."""

    client: Keyed
    processor: Keyed
    access_token: str
    guids: Guids

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


async def make_owner(services: Services, http: httpx.AsyncClient, client: Keyed | None = None) -> Owner:
    """A user with objects of every kind.

    Args:
        services: of the test.
        http: to the API.
        client: the client of the user; a new one by default.
    """
    client = client or await make_client(services)
    processor = await make_processor(services, client)
    user = await make_user(services, client)
    account, other = await make_account(services, user), await make_account(services, user)
    access_token = await make_token(services, account, processor)
    answer = await http.post(
        f"/users/{user.guid}/micro_deposits", json=BODIES["createMicrodeposit"]({}), auth=client.auth
    )
    grants = await http.get("/coatcheck/grants", params={"user_guid": user.guid}, auth=client.auth)
    guids = {
        "user": user.guid,
        "member": account.member_guid,
        "account": account.guid,
        "account_2": other.guid,
        "transaction": await make_transaction(services, account),
        "statement": await make_statement(services, account),
        "job": await make_job(services, account),
        "micro_deposit": answer.json()["micro_deposit"][0]["guid"],
        "grant": grants.json()["grants"][0]["guid"],
        "disclosure": await make_disclosure(services, user, processor),
        "attestation": await make_attestation(services, client),
        "statement_import": await _import(http, client, await make_user(services, client)),
        **await _webhooks(http, client),
    }
    return Owner(client, processor, access_token, guids)


async def _import(http: httpx.AsyncClient, client: Keyed, user: User) -> str:
    answer = await http.post(
        f"/coatcheck/users/{user.guid}/statement_files",
        files={"file": ("statement.ofx", OFX)},
        auth=client.auth,
    )
    return str(answer.json()["import"]["guid"])


async def _webhooks(http: httpx.AsyncClient, client: Keyed) -> Guids:
    """An endpoint, an event and a delivery of the client."""
    body = BODIES["createWebhookEndpoint"]({})
    created = await http.post("/coatcheck/webhook_endpoints", json=body, auth=client.auth)
    endpoint = created.json()["webhook_endpoint"]["guid"]
    user = {"user": {"metadata": "announced"}}
    await http.post("/users", json=user, auth=client.auth, headers=HEADERS[V1])
    events = await http.get("/coatcheck/events", auth=client.auth)
    deliveries = await http.get("/coatcheck/deliveries", params={"endpoint": endpoint}, auth=client.auth)
    return {
        "webhook_endpoint": endpoint,
        "event": events.json()["events"][0]["guid"],
        "delivery": deliveries.json()["deliveries"][0]["guid"],
    }


def unknown_guids() -> Guids:
    """Guids that no object has."""
    return {name: new(OWNED[name.removesuffix("_2")]) for name in (*OWNED, "account_2")}


def parameters(route: AnyRoute) -> list[str]:
    return re.findall(r"{(\w+)}", route.path)


def path_of(route: AnyRoute, guids: Guids) -> str:
    return route.path.format_map({**PUBLIC, **guids})


def routes_of(*callers: Caller) -> list[AnyRoute]:
    return [route for route in ROUTES if route.caller in callers]


def routes_of_clients() -> list[AnyRoute]:
    return routes_of(Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR)


def versions_of(route: AnyRoute) -> Sequence[str]:
    """Only MX's API has versions."""
    return getattr(route, "versions", (V1,))


def is_in_spec(route: AnyRoute) -> bool:
    """Whether MX's OpenAPI documents have the operation."""
    return getattr(route, "is_in_spec", False)


def body_of(route: AnyRoute, guids: Guids) -> dict[str, Any]:
    """The body to send. A new endpoint with a body needs a row in `BODIES`."""
    if route.method in {"GET", "DELETE"}:
        return {}
    if route.operation in FILES:
        return {"files": {"file": ("statement.ofx", FILES[route.operation])}}
    body = BODIES[route.operation](guids)
    return {} if body is None else {"json": body}


async def send(
    http: httpx.AsyncClient,
    route: AnyRoute,
    guids: Guids,
    *,
    auth: Any = None,
    version: str = V1,
    **more: Any,
) -> httpx.Response:
    headers = {
        **HEADERS[version if version in versions_of(route) else versions_of(route)[0]],
        **more.pop("headers", {}),
    }
    return await http.request(route.method, path_of(route, guids), auth=auth, headers=headers, **more)
