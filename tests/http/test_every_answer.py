"""Every route, in both dialects, on what the sandbox's bank gave: each good answer against MX's own spec.

A route without a row in `DRIVES` fails, so that none can be added without being driven.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import pytest

from coatcheck.api.routes.route import Caller, Route
from coatcheck.api.routes.table import ROUTES
from coatcheck.app import Services
from coatcheck.model.accounts import find_account
from tests.api_client import DIALECTS, HEADERS, PASSWORD, Api, connecting
from tests.factories import Keyed, make_client, make_code, make_processor, make_token
from tests.http.mx_spec import FOLDER, MISSING, spec, validate

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)

Values: TypeAlias = dict[str, Any]

OURS = {"readAccountOwners": "getAccountOwnerInfo"}
"""Of no spec, and answered as an operation that is."""
UNSPECIFIED = {
    "exchangeCode": {"access_token", "expires_at", "scope", "token_type"},
    "listGrants": {"tokens"},
    "exchangeCodeLegacy": {"access_token", "scope", "token_type"},
    "health": {"status"},
}
"""Of no spec: the keys that are documented elsewhere."""


@dataclass(frozen=True)
class World:
    api: Api
    processor: Keyed
    token: str
    values: Values
    """What paths and bodies are filled with."""

    async def member(self, *, works: bool = True, **more: Any) -> str:
        """Another member of the user."""
        login = f"user-{self.api.version}-{await self._count('member')}"
        guid = await self.api.connect(self.values["user"], login=login, **more)
        if works:
            await self.api.work()
        return guid

    async def _count(self, table: str) -> int:
        async with self.api.services.db.connection() as connection:
            cursor = await connection.execute(
                f"SELECT count(*) FROM {table} WHERE client_guid = %s", (self.api.caller.guid,)
            )
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def code(self) -> str:
        async with self.api.services.db.connection() as connection:
            account = await find_account(connection, self.values["user"], self.values["account"])
        return await make_code(self.api.services, account)

    async def micro_deposit(self, **more: Any) -> str:
        number = f"3333{await self._count('micro_deposit'):06}42"
        account = {"account_number": number, "account_type": "CHECKING", "routing_number": "091000019"}
        answer = await self.api.post(
            f"/users/{self.values['user']}/micro_deposits", json={"micro_deposit": {**account, **more}}
        )
        await self.api.work()
        return str(answer.json()["micro_deposit"][0]["guid"])

    async def manual_account(self) -> Values:
        answer = await self.api.post(f"/users/{self.values['user']}/accounts", json={"account": JAR})
        account = answer.json()["account"]
        return {"account": account["guid"], "member": account["member_guid"]}


Making: TypeAlias = Callable[[World], Awaitable[Values]]


@dataclass(frozen=True)
class Drive:
    """One request that succeeds."""

    status: int = 200
    body: Callable[[Values], Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    making: Making | None = None
    """Makes what only this request needs, or uses up, first."""


JAR = {"name": "Jar", "account_type": "CASH", "balance": 12.5, "currency_code": "USD"}
EVERYTHING = {"includes": "repeating_transactions,merchants,classifications,geolocations"}
DESCRIBE = Drive(body=lambda _: {"transaction": {"description": "mine"}})


async def _spare_user(world: World) -> Values:
    return {"user": await world.api.create_user()}


async def _spare_member(world: World) -> Values:
    return {"member": await world.member(skip_aggregation=True)}


async def _challenged(world: World) -> Values:
    guid = await world.member(password="image_options")
    status = await world.api.get(f"/users/{world.values['user']}/members/{guid}/status")
    (challenge,) = status.json()["member"]["challenges"]
    return {"member": guid, "challenge": challenge["guid"]}


async def _pending(world: World) -> Values:
    user = await world.api.create_user()
    answer = await world.api.post(f"/users/{user}/members", json=OAUTH)
    return {"user": user, "member": answer.json()["member"]["guid"]}


async def _code(world: World) -> Values:
    return {"code": await world.code()}


async def _manual(world: World) -> Values:
    return await world.manual_account()


async def _two_accounts(world: World) -> Values:
    return {"accounts": [(await world.manual_account())["account"] for _ in range(2)]}


async def _arrived(world: World) -> Values:
    return {"micro_deposit": await world.micro_deposit()}


async def _new_token(world: World) -> Values:
    async with world.api.services.db.connection() as connection:
        account = await find_account(connection, world.values["user"], world.values["account"])
        await make_token(world.api.services, account, world.processor)
        token, *_ = await world.api.services.issuer.tokens_of(connection, world.api.caller.guid)
    return {"token": token.guid}


def _amounts(first: float, second: float) -> Values:
    return {"micro_deposit": {"deposit_amount_1": first, "deposit_amount_2": second}}


OAUTH = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}
EXCHANGE = Drive(query={"grant_type": "authorization_code", "code": "{code}"}, making=_code)

DRIVES: dict[str, list[Drive]] = {
    # Processors.
    "exchangeCode": [EXCHANGE],
    "exchangeCodeLegacy": [EXCHANGE],
    "requestAccountNumber": [Drive()],
    "getAccountOwnerInfo": [Drive()],
    "readAccountOwners": [Drive()],
    "readAccountBalance": [Drive()],
    "checkRealTimeAccountBalance": [Drive()],
    # Codes and tokens.
    "requestAuthorizationCode": [
        Drive(
            body=lambda values: {
                "authorization_code": {
                    "scope": f"user-guid:{values['user']} member-guid:{values['member']} "
                    f"account-guid:{values['account']} read-protected"
                }
            }
        )
    ],
    "deprecatedRequestPaymentProcessorAuthorizationCode": [
        Drive(
            body=lambda values: {
                "payment_processor_authorization_code": {
                    f"{name}_guid": values[name] for name in ("user", "member", "account")
                }
            }
        )
    ],
    "listTokens": [Drive(), Drive(body=lambda values: {"scope": {"user_guid": values["user"]}})],
    "listGrants": [Drive()],
    "revokeToken": [Drive(204, making=_new_token)],
    # Users.
    "createUser": [
        Drive(body=lambda _: {"user": {"metadata": "x"}}),
        Drive(body=lambda _: {"user": {"email": "a@example.com", "is_disabled": True}}),
    ],
    "listUsers": [Drive()],
    "readUser": [Drive()],
    "updateUser": [Drive(body=lambda _: {"user": {"email": "ann@example.com"}})],
    "deleteUser": [Drive(204, making=_spare_user)],
    # Institutions.
    "listInstitutions": [Drive(query={"records_per_page": 100}), Drive(query={"name": "no such bank"})],
    "listFavoriteInstitutions": [Drive()],
    "readInstitution": [Drive()],
    "listInstitutionCredentials": [Drive()],
    # Members.
    "createMember": [
        Drive(202, body=lambda values: connecting("another", metadata="x", use_cases=["PFM"])),
        Drive(200, body=lambda _: connecting("a third", skip_aggregation=True)),
        Drive(200, body=lambda _: OAUTH, making=_spare_user),
    ],
    "listMembers": [Drive()],
    "readMember": [Drive(), Drive(making=_challenged), Drive(making=_pending), Drive(making=_manual)],
    "updateMember": [
        Drive(body=lambda _: {"member": {"metadata": "x"}}, making=_spare_member),
        Drive(
            body=lambda _: {"member": {"credentials": [{"guid": PASSWORD, "value": "y"}]}},
            making=_spare_member,
        ),
    ],
    "deleteMember": [Drive(204, making=_spare_member)],
    "listMemberCredentials": [Drive()],
    "readMemberStatus": [Drive(), Drive(making=_challenged), Drive(making=_manual)],
    "listMemberChallenges": [Drive(200, making=_challenged), Drive(204)],
    "resumeAggregation": [
        Drive(
            202,
            body=lambda values: {
                "member": {"challenges": [{"guid": values["challenge"], "value": "correct"}]}
            },
            making=_challenged,
        )
    ],
    "requestOAuthWindowURI": [Drive(query={"referral_source": "APP"}, making=_pending)],
    # Jobs.
    "aggregateMember": [Drive(202, making=_spare_member)],
    "verifyMember": [Drive(200, making=_spare_member)],
    "identifyMember": [Drive(202, making=_spare_member)],
    "checkBalances": [Drive(202, making=_spare_member)],
    "extendHistory": [Drive(202, making=_spare_member)],
    "fetchStatements": [Drive(202, making=_spare_member)],
    # Accounts.
    "mergeAccounts": [
        Drive(body=lambda values: {"account": {"account_guids": values["accounts"]}}, making=_two_accounts)
    ],
    "listUserAccounts": [Drive(), Drive(query={"is_manual": "true"})],
    "createManualAccount": [Drive(body=lambda _: {"account": JAR})],
    "readAccount": [Drive(), Drive(making=_manual)],
    "deleteManualAccount": [Drive(204, making=_manual)],
    "listMemberAccounts": [Drive()],
    "readAccountByMember": [Drive()],
    "updateAccountByMember": [
        Drive(body=lambda _: {"account": {"is_hidden": True}}),
        Drive(body=lambda _: {"account": JAR}, making=_manual),
    ],
    # Numbers and owners.
    "listAccountNumbersByMember": [Drive(), Drive(making=_spare_member)],
    "listAccountNumbersByAccount": [Drive()],
    "listAccountOwnersByMember": [Drive(), Drive(making=_spare_member)],
    # Transactions.
    "listTransactions": [Drive(), Drive(query={"records_per_page": 1000, **EVERYTHING})],
    "listTransactionsByMember": [Drive(query=EVERYTHING)],
    "listTransactionsByAccount": [Drive(query=EVERYTHING)],
    "listTransactionsByAccountPerMember": [Drive(query=EVERYTHING)],
    "readTransaction": [Drive(), Drive(query=EVERYTHING)],
    "updateTransaction": [DESCRIBE],
    "readTransactionByAccount": [Drive(query=EVERYTHING)],
    "updateTransactionByAccount": [DESCRIBE],
    # Statements.
    "listStatementsByMember": [Drive()],
    "readStatementByMember": [Drive()],
    "downloadStatementPDF": [Drive()],
    # Micro-deposits.
    "listUserMicrodeposits": [Drive(making=_arrived)],
    "createMicrodeposit": [
        Drive(
            body=lambda _: {
                "micro_deposit": {
                    "account_number": "7777000042",
                    "account_type": "SAVINGS",
                    "routing_number": "091000019",
                }
            }
        ),
        Drive(
            body=lambda _: {"micro_deposit": {"email": "a@example.com", "first_name": "A", "last_name": "B"}}
        ),
    ],
    "readUserMicrodeposit": [Drive(making=_arrived)],
    "deleteMicrodeposit": [Drive(204, making=_arrived)],
    "verifyMicrodeposit": [
        Drive(body=lambda _: _amounts(0.03, 0.15), making=_arrived),
        Drive(body=lambda _: _amounts(0.01, 0.02), making=_arrived),
    ],
    "listUserVerifications": [Drive()],
    # Categories and merchants.
    "listDefaultCategories": [Drive(query={"records_per_page": 1000})],
    "readDefaultCategory": [Drive()],
    "listDefaultCategoriesByUser": [Drive()],
    "listCategories": [Drive()],
    "readCategory": [Drive()],
    "listMerchants": [Drive(query={"records_per_page": 1000})],
    "readMerchant": [Drive()],
    "readMerchantLocation": [Drive()],
    # The widget.
    "requestWidgetURL": [Drive(body=lambda _: {"widget_url": {"widget_type": "connect_widget"}})],
    "requestConnectWidgetURL": [Drive(body=lambda _: {"config": {"mode": "verification"}})],
    # The server.
    "health": [Drive()],
}


async def furnish(services: Services, http: httpx.AsyncClient, version: str) -> World:
    """A user whose bank has told everything it tells."""
    client = await make_client(services)
    processor = await make_processor(services, client, owners_at_transactions=True)
    api = Api(http, services, client, version)
    user = await api.create_user(id=f"user-{version}", metadata="{}")
    member = await api.connect(user, id=f"member-{version}")
    await api.work()
    for job in ("verify", "identify", "fetch_statements"):
        await api.post(f"/users/{user}/members/{member}/{job}")
        await api.work()
    found = {
        name: (await api.get(f"/users/{user}/{path}")).json()[name]
        for name, path in (
            ("account_numbers", f"members/{member}/account_numbers"),
            ("statements", f"members/{member}/statements"),
        )
    }
    account_guid = found["account_numbers"][0]["account_guid"]
    transactions = (await api.get(f"/users/{user}/accounts/{account_guid}/transactions")).json()
    async with services.db.connection() as connection:
        account = await find_account(connection, user, account_guid)
    merchant = services.registry.merchants()[0]
    values = {
        "user": user,
        "member": member,
        "account": account_guid,
        "transaction": transactions["transactions"][0]["guid"],
        "statement": found["statements"][0]["guid"],
        "institution": "mxbank",
        "category": transactions["transactions"][0]["category_guid"],
        "merchant": merchant.guid,
        "merchant_location": merchant.location_guid,
    }
    return World(api, processor, await make_token(services, account, processor), values)


async def ask(world: World, route: Route, drive: Drive) -> httpx.Response:
    values = world.values | (await drive.making(world) if drive.making else {})
    ways: dict[Caller, Values] = {
        Caller.CLIENT: {"auth": world.api.caller.auth},
        Caller.PROCESSOR: {"auth": world.processor.auth},
        Caller.TOKEN: {"headers": {"Authorization": f"Bearer {world.token}"}},
        Caller.ANYONE: {},
    }
    credentials = ways[route.caller]
    return await world.api.http.request(
        route.method,
        route.path.format_map(values),
        params={name: str(value).format_map(values) for name, value in drive.query.items()},
        headers={**HEADERS[world.api.version], **credentials.get("headers", {})},
        auth=credentials.get("auth"),
        **({"json": drive.body(values)} if drive.body else {}),
    )


def determine_outcome(version: str, route: Route, answer: httpx.Response) -> None:
    """Fails unless the answer is what the spec says, to the key."""
    media_type = answer.headers.get("content-type")
    if route.operation in UNSPECIFIED:
        assert set(answer.json()) == UNSPECIFIED[route.operation]
        return
    operation = OURS.get(route.operation, route.operation)
    if answer.status_code == 204:
        assert answer.content == b""
        assert media_type is None
        return
    # What was asked for is right wherever the spec names plain JSON instead (mx-contract Q24).
    is_wanted = media_type == HEADERS[version]["Accept"]
    validate(version, operation, answer.status_code, answer.content, None if is_wanted else media_type)
    if route.operation != "downloadStatementPDF":
        json.loads(answer.content, parse_constant=pytest.fail)


@pytest.mark.parametrize("version", DIALECTS)
async def test_every_route_answers_as_the_spec_says(
    services: Services, http: httpx.AsyncClient, version: str
) -> None:
    world = await furnish(services, http, version)
    problems: list[str] = []
    for route in ROUTES:
        if version not in route.versions:
            continue
        for drive in DRIVES[route.operation]:
            answer = await ask(world, route, drive)
            try:
                assert answer.status_code == drive.status, answer.text[:500]
                determine_outcome(version, route, answer)
            except (AssertionError, KeyError) as problem:
                problems.append(f"{route.operation}: {problem!r}")
    assert not problems, "\n\n".join(problems)


def test_every_route_is_driven_and_every_drive_has_its_route() -> None:
    assert DRIVES.keys() == {route.operation for route in ROUTES}
    assert all(DRIVES.values())


def test_what_is_not_judged_by_a_spec_is_in_none() -> None:
    for version in DIALECTS:
        assert not (UNSPECIFIED.keys() | OURS.keys()) & spec(version).operations.keys()


@pytest.mark.parametrize("version", DIALECTS)
async def test_a_processors_transactions_have_the_shape_of_a_clients(
    services: Services, http: httpx.AsyncClient, version: str
) -> None:
    """MX's spec has owners there, for a processor that is registered so; all others get transactions."""
    world = await furnish(services, http, version)
    processor = await make_processor(services, world.api.caller)
    async with services.db.connection() as connection:
        account = await find_account(connection, world.values["user"], world.values["account"])
    token = await make_token(services, account, processor)
    answer = await http.get(
        "/account/transactions", headers={**HEADERS[version], "Authorization": f"Bearer {token}"}
    )
    assert answer.json()["transactions"]
    validate(version, "listTransactionsByAccount", 200, answer.content)


@pytest.mark.parametrize("version", DIALECTS)
async def test_a_clients_own_ids_stand_for_guids_in_every_path(
    services: Services, http: httpx.AsyncClient, version: str
) -> None:
    world = await furnish(services, http, version)
    for route in ROUTES:
        if route.method != "GET" or route.caller is not Caller.CLIENT or version not in route.versions:
            continue
        if not re.search("{(user|member)}", route.path):
            continue
        if "{micro_deposit}" in route.path or route.operation == "requestOAuthWindowURI":
            continue  # There is none of it in this world.
        by_guid = await ask(world, route, Drive())
        named = {"user": f"user-{version}", "member": f"member-{version}"}
        by_id = await http.get(
            route.path.format_map(world.values | named),
            headers=HEADERS[version],
            auth=world.api.caller.auth,
        )
        assert (by_id.status_code, by_id.content) == (by_guid.status_code, by_guid.content), route.operation
