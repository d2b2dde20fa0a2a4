"""Successful requests to every endpoint, on data of the sandbox bank."""

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx

from coatcheck.app import Services
from coatcheck.http.route import Caller, Route
from coatcheck.model.accounts import find_account
from coatcheck.model.users import find_user
from tests.api_client import HEADERS, PASSWORD, Api, connecting
from tests.factories import Keyed, make_client, make_code, make_disclosure, make_processor, make_token
from tests.statement_samples import CSV, OFX

Values: TypeAlias = dict[str, Any]

ENDPOINTS = "/coatcheck/webhook_endpoints"
HOOK = "https://hooks.example.com/coatcheck"


@dataclass(frozen=True)
class Dataset:
    """A client and a processor, and a user whose member has accounts, numbers, owners and statements."""

    api: Api
    processor: Keyed
    token: str
    values: Values
    """The guids that paths and bodies contain."""

    async def member(self, *, run_jobs: bool = True, **more: Any) -> str:
        """Another member of the user."""
        login = f"user-{self.api.version}-{await self._count('member')}"
        guid = await self.api.connect(self.values["user"], login=login, **more)
        if run_jobs:
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
        answer = await self.api.post(
            f"/users/{self.values['user']}/accounts", json={"account": MANUAL_ACCOUNT}
        )
        account = answer.json()["account"]
        return {"account": account["guid"], "member": account["member_guid"]}


Prepare: TypeAlias = Callable[[Dataset], Awaitable[Values]]


@dataclass(frozen=True)
class Example:
    """One successful request."""

    status: int = 200
    body: Callable[[Values], Any] | None = None
    form: Mapping[str, str] | None = None
    """The parameters of a form body."""
    file: bytes | None = None
    """The file of a form with a file."""
    query: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None
    """Creates first what only this request needs or consumes."""


MANUAL_ACCOUNT = {"name": "Jar", "account_type": "CASH", "balance": 12.5, "currency_code": "USD"}
EVERYTHING = {"includes": "repeating_transactions,merchants,classifications,geolocations"}
DESCRIBE = Example(body=lambda _: {"transaction": {"description": "mine"}})


async def _spare_user(dataset: Dataset) -> Values:
    return {"user": await dataset.api.create_user()}


async def _spare_member(dataset: Dataset) -> Values:
    return {"member": await dataset.member(skip_aggregation=True)}


async def _challenged(dataset: Dataset) -> Values:
    guid = await dataset.member(password="image_options")
    status = await dataset.api.get(f"/users/{dataset.values['user']}/members/{guid}/status")
    (challenge,) = status.json()["member"]["challenges"]
    return {"member": guid, "challenge": challenge["guid"]}


async def _pending(dataset: Dataset) -> Values:
    user = await dataset.api.create_user()
    answer = await dataset.api.post(f"/users/{user}/members", json=OAUTH)
    return {"user": user, "member": answer.json()["member"]["guid"]}


async def _last_job(dataset: Dataset) -> Values:
    member = await dataset.api.get(f"/users/{dataset.values['user']}/members/{dataset.values['member']}")
    return {"job": member.json()["member"]["most_recent_job_guid"]}


async def _code(dataset: Dataset) -> Values:
    return {"code": await dataset.code()}


async def _webhooks(dataset: Dataset) -> Values:
    """An endpoint of the client, an event and its delivery."""
    created = await dataset.api.post(ENDPOINTS, json={"webhook_endpoint": {"url": HOOK}})
    await dataset.api.post("/users", json={"user": {"metadata": "announced"}})
    endpoint = created.json()["webhook_endpoint"]["guid"]
    events = await dataset.api.get("/coatcheck/events")
    deliveries = await dataset.api.get(f"/coatcheck/deliveries?endpoint={endpoint}")
    return {
        "webhook_endpoint": endpoint,
        "event": events.json()["events"][0]["guid"],
        "delivery": deliveries.json()["deliveries"][0]["guid"],
    }


async def _manual(dataset: Dataset) -> Values:
    return await dataset.manual_account()


async def _two_accounts(dataset: Dataset) -> Values:
    return {"accounts": [(await dataset.manual_account())["account"] for _ in range(2)]}


async def _spare_account(dataset: Dataset) -> Values:
    """An aggregated account of another member."""
    member = await dataset.member()
    user = dataset.values["user"]
    answer = await dataset.api.get(f"/users/{user}/members/{member}/accounts")
    return {"account": answer.json()["accounts"][0]["guid"]}


async def _arrived(dataset: Dataset) -> Values:
    return {"micro_deposit": await dataset.micro_deposit()}


async def _token(dataset: Dataset) -> Values:
    return {"token": dataset.token}


async def _new_grant(dataset: Dataset) -> Values:
    async with dataset.api.services.db.connection() as connection:
        account = await find_account(connection, dataset.values["user"], dataset.values["account"])
        await make_token(dataset.api.services, account, dataset.processor)
        token, *_ = await dataset.api.services.tokens.list(connection, dataset.api.caller.guid)
    return {"grant": token.guid}


async def _read_grant(dataset: Dataset) -> Values:
    await dataset.api.http.get("/account/balance", headers={"Authorization": f"Bearer {dataset.token}"})
    async with dataset.api.services.db.connection() as connection:
        *_, oldest = await dataset.api.services.tokens.list(connection, dataset.api.caller.guid)
    return {"grant": oldest.guid}


async def _disclosure(dataset: Dataset) -> Values:
    async with dataset.api.services.db.connection() as connection:
        user = await find_user(connection, dataset.api.caller.guid, dataset.values["user"])
    return {"disclosure": await make_disclosure(dataset.api.services, user, dataset.processor)}


async def _deleted_user(dataset: Dataset) -> Values:
    user = await dataset.api.create_user()
    answer = await dataset.api.delete(f"/users/{user}")
    return {"user": user, "attestation": answer.headers["coatcheck-attestation"]}


async def _import(dataset: Dataset) -> Values:
    answer = await dataset.api.post(
        f"/coatcheck/users/{await dataset.api.create_user()}/statement_files",
        files={"file": ("statement.ofx", OFX)},
    )
    return {"statement_import": answer.json()["import"]["guid"]}


def _amounts(first: float, second: float) -> Values:
    return {"micro_deposit": {"deposit_amount_1": first, "deposit_amount_2": second}}


def _for_app(values: Values) -> Values:
    accounts = values.get("accounts", [values["account"]])
    return {"setup_token": {"account_guids": accounts, "app_name": "Actual"}}


async def _setup_token(dataset: Dataset) -> Values:
    answer = await dataset.api.post(
        f"/coatcheck/users/{dataset.values['user']}/setup_tokens", json=_for_app(dataset.values)
    )
    claim_url = b64decode(answer.json()["setup_token"]["token"]).decode()
    return {"setup_token": claim_url.rpartition("/")[2]}


async def _access_url(dataset: Dataset) -> Values:
    token = (await _setup_token(dataset))["setup_token"]
    return {"access_url": (await dataset.api.http.post(f"/simplefin/claim/{token}")).text}


def app_credentials(values: Values) -> tuple[str, str]:
    """The user name and the password of the access URL."""
    url = urlsplit(values["access_url"])
    return url.username or "", url.password or ""


OAUTH = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}
EXCHANGE = Example(query={"grant_type": "authorization_code", "code": "{code}"}, prepare=_code)

EXAMPLES: dict[str, list[Example]] = {
    # Processors.
    "exchangeCode": [EXCHANGE],
    "exchangeCodeLegacy": [EXCHANGE],
    "oauthToken": [
        Example(form={"grant_type": "authorization_code", "code": "{code}"}, prepare=_code),
    ],
    "oauthRevoke": [Example(form={"token": "x"})],
    "oauthIntrospect": [Example(form={"token": "x"}), Example(form={"token": "{token}"}, prepare=_token)],
    "oauthAuthorizationServerMetadata": [Example()],
    "oauthProtectedResourceMetadata": [Example()],
    "requestAccountNumber": [Example()],
    "getAccountOwnerInfo": [Example()],
    "readAccountOwners": [Example()],
    "readAccountOwner": [Example()],
    "readAccountBalance": [Example()],
    "checkRealTimeAccountBalance": [Example()],
    # Codes and tokens.
    "requestAuthorizationCode": [
        Example(
            body=lambda values: {
                "authorization_code": {
                    "scope": f"user-guid:{values['user']} member-guid:{values['member']} "
                    f"account-guid:{values['account']} read-protected"
                }
            }
        )
    ],
    "deprecatedRequestPaymentProcessorAuthorizationCode": [
        Example(
            body=lambda values: {
                "payment_processor_authorization_code": {
                    f"{name}_guid": values[name] for name in ("user", "member", "account")
                }
            }
        )
    ],
    "listTokens": [Example(), Example(body=lambda values: {"scope": {"user_guid": values["user"]}})],
    "listGrants": [Example(), Example(query={"status": "active", "user_guid": "{user}"})],
    "readGrant": [Example(prepare=_new_grant), Example(query={"view": "fdx"}, prepare=_new_grant)],
    "listGrantReads": [Example(prepare=_read_grant), Example(prepare=_new_grant)],
    "narrowGrant": [
        Example(body=lambda _: {"grant": {"permissions": ["balances"], "max_reads": 9}}, prepare=_new_grant),
    ],
    "renewGrant": [Example(prepare=_new_grant)],
    "revokeGrant": [
        Example(prepare=_new_grant),
        Example(body=lambda _: {"reason": "over"}, prepare=_new_grant),
    ],
    "revokeGrants": [
        Example(body=lambda _: {"revocation": {"issued_before": "2026-01-01T00:00:00Z", "reason": "old"}}),
        Example(body=lambda _: {"revocation": {"account_guid": "ACT-unknown"}}),
    ],
    # SimpleFIN.
    "createSetupToken": [Example(201, body=_for_app, prepare=_two_accounts)],
    "simplefinInfo": [Example()],
    "simplefinCreate": [Example()],
    "simplefinClaim": [Example(prepare=_setup_token)],
    "simplefinAccounts": [
        Example(prepare=_access_url),
        Example(query={"balances-only": "1", "account": "{account}"}, prepare=_access_url),
    ],
    # Statement files.
    "importStatementFile": [
        Example(201, file=OFX),
        Example(201, file=CSV, prepare=_spare_user),
        Example(200, file=OFX, query={"dry_run": "true"}),
    ],
    "listImports": [Example(), Example(prepare=_import)],
    "readImport": [Example(prepare=_import)],
    "deleteImport": [Example(204, prepare=_import)],
    # Signed documents.
    "readKeySet": [Example()],
    "createPortalUrl": [Example(201), Example(201, body=lambda _: {"portal_url": {"locale": "es"}})],
    "listDisclosures": [Example(prepare=_disclosure)],
    "readDisclosure": [Example(prepare=_disclosure)],
    "readUserAttestation": [Example(), Example(prepare=_deleted_user)],
    "readAttestation": [Example(prepare=_deleted_user)],
    "exportUser": [Example(), Example(prepare=_spare_user)],
    # Users.
    "createUser": [
        Example(body=lambda _: {"user": {"metadata": "x"}}),
        Example(body=lambda _: {"user": {"email": "a@example.com", "is_disabled": True}}),
    ],
    "listUsers": [Example()],
    "readUser": [Example()],
    "updateUser": [Example(body=lambda _: {"user": {"email": "ann@example.com"}})],
    "deleteUser": [Example(204, prepare=_spare_user)],
    # Institutions.
    "listInstitutions": [Example(query={"records_per_page": 100}), Example(query={"name": "no such bank"})],
    "listFavoriteInstitutions": [Example()],
    "readInstitution": [Example()],
    "listInstitutionCredentials": [Example()],
    # Members.
    "createMember": [
        Example(202, body=lambda values: connecting("another", metadata="x", use_cases=["PFM"])),
        Example(200, body=lambda _: connecting("a third", skip_aggregation=True)),
        Example(200, body=lambda _: OAUTH, prepare=_spare_user),
    ],
    "listMembers": [Example()],
    "readMember": [
        Example(),
        Example(prepare=_challenged),
        Example(prepare=_pending),
        Example(prepare=_manual),
    ],
    "updateMember": [
        Example(body=lambda _: {"member": {"metadata": "x"}}, prepare=_spare_member),
        Example(
            body=lambda _: {"member": {"credentials": [{"guid": PASSWORD, "value": "y"}]}},
            prepare=_spare_member,
        ),
    ],
    "deleteMember": [Example(204, prepare=_spare_member)],
    "listMemberCredentials": [Example()],
    "readMemberStatus": [Example(), Example(prepare=_challenged), Example(prepare=_manual)],
    "listMemberChallenges": [Example(200, prepare=_challenged), Example(204)],
    "resumeAggregation": [
        Example(
            202,
            body=lambda values: {
                "member": {"challenges": [{"guid": values["challenge"], "value": "correct"}]}
            },
            prepare=_challenged,
        )
    ],
    "requestOAuthWindowURI": [Example(query={"referral_source": "APP"}, prepare=_pending)],
    # Jobs.
    "readJob": [Example(prepare=_last_job)],
    "aggregateAllMembers": [Example(202)],
    "aggregateMember": [Example(202, prepare=_spare_member)],
    "verifyMember": [Example(200, prepare=_spare_member)],
    "identifyMember": [Example(202, prepare=_spare_member)],
    "checkBalances": [Example(202, prepare=_spare_member)],
    "extendHistory": [Example(202, prepare=_spare_member)],
    "fetchStatements": [Example(202, prepare=_spare_member)],
    # Accounts.
    "mergeAccounts": [
        Example(body=lambda values: {"account": {"account_guids": values["accounts"]}}, prepare=_two_accounts)
    ],
    "blockAccount": [Example(prepare=_spare_account)],
    "listUserAccounts": [Example(), Example(query={"is_manual": "true"})],
    "createManualAccount": [Example(body=lambda _: {"account": MANUAL_ACCOUNT})],
    "readAccount": [Example(), Example(prepare=_manual)],
    "deleteManualAccount": [Example(204, prepare=_manual)],
    "listMemberAccounts": [Example()],
    "readAccountByMember": [Example()],
    "updateAccountByMember": [
        Example(body=lambda _: {"account": {"is_hidden": True}}),
        Example(body=lambda _: {"account": MANUAL_ACCOUNT}, prepare=_manual),
    ],
    # Numbers and owners.
    "listAccountNumbersByMember": [Example(), Example(prepare=_spare_member)],
    "listAccountNumbersByAccount": [Example()],
    "listAccountOwnersByMember": [Example(), Example(prepare=_spare_member)],
    # Transactions.
    "listTransactions": [Example(), Example(query={"records_per_page": 1000, **EVERYTHING})],
    "listTransactionsByMember": [Example(query=EVERYTHING)],
    "listTransactionsByAccount": [Example(query=EVERYTHING)],
    "listTransactionsByAccountPerMember": [Example(query=EVERYTHING)],
    "readTransaction": [Example(), Example(query=EVERYTHING)],
    "updateTransaction": [DESCRIBE],
    "readTransactionByAccount": [Example(query=EVERYTHING)],
    "updateTransactionByAccount": [DESCRIBE],
    # Webhook endpoints.
    "createWebhookEndpoint": [Example(201, body=lambda _: {"webhook_endpoint": {"url": HOOK}})],
    "listWebhookEndpoints": [Example(prepare=_webhooks)],
    "readWebhookEndpoint": [Example(prepare=_webhooks)],
    "updateWebhookEndpoint": [
        Example(body=lambda _: {"webhook_endpoint": {"events": ["token.*"]}}, prepare=_webhooks)
    ],
    "deleteWebhookEndpoint": [Example(204, prepare=_webhooks)],
    "rotateWebhookSecret": [Example(prepare=_webhooks)],
    "testWebhookEndpoint": [Example(202, body=lambda _: {"type": "token.revoked"}, prepare=_webhooks)],
    "redeliverEvents": [Example(202, body=lambda _: {"since": "2026-01-01T00:00:00Z"}, prepare=_webhooks)],
    "listEvents": [Example(prepare=_webhooks)],
    "readEvent": [Example(prepare=_webhooks)],
    "listDeliveries": [Example(prepare=_webhooks)],
    "redeliver": [Example(202, prepare=_webhooks)],
    # Statements.
    "listStatementsByMember": [Example()],
    "readStatementByMember": [Example()],
    "downloadStatementPDF": [Example()],
    # Micro-deposits.
    "listUserMicrodeposits": [Example(prepare=_arrived)],
    "createMicrodeposit": [
        Example(
            body=lambda _: {
                "micro_deposit": {
                    "account_number": "7777000042",
                    "account_type": "SAVINGS",
                    "routing_number": "091000019",
                }
            }
        ),
        Example(
            body=lambda _: {"micro_deposit": {"email": "a@example.com", "first_name": "A", "last_name": "B"}}
        ),
    ],
    "readUserMicrodeposit": [Example(prepare=_arrived)],
    "deleteMicrodeposit": [Example(204, prepare=_arrived)],
    "verifyMicrodeposit": [
        Example(body=lambda _: _amounts(0.03, 0.15), prepare=_arrived),
        Example(body=lambda _: _amounts(0.01, 0.02), prepare=_arrived),
    ],
    "listUserVerifications": [Example()],
    # Categories and merchants.
    "listDefaultCategories": [Example(query={"records_per_page": 1000})],
    "readDefaultCategory": [Example()],
    "listDefaultCategoriesByUser": [Example()],
    "listCategories": [Example()],
    "readCategory": [Example()],
    "listMerchants": [Example(query={"records_per_page": 1000})],
    "readMerchant": [Example()],
    "readMerchantLocation": [Example()],
    # The widget.
    "requestWidgetURL": [Example(body=lambda _: {"widget_url": {"widget_type": "connect_widget"}})],
    "requestConnectWidgetURL": [Example(body=lambda _: {"config": {"mode": "verification"}})],
    # The server.
    "health": [Example()],
    "ready": [Example(query={"exclude": "worker"})],
}


async def make_dataset(services: Services, http: httpx.AsyncClient, version: str) -> Dataset:
    """A client with a user and a fully read member, and a processor with a token for its account."""
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
    return Dataset(api, processor, await make_token(services, account, processor), values)


async def send(dataset: Dataset, route: Route[Any], example: Example) -> httpx.Response:
    values = dataset.values | (await example.prepare(dataset) if example.prepare else {})
    ways: dict[Caller, Values] = {
        Caller.CLIENT_OR_PROCESSOR: {"auth": dataset.api.caller.auth},
        Caller.CLIENT: {"auth": dataset.api.caller.auth},
        Caller.PROCESSOR: {"auth": dataset.processor.auth},
        Caller.TOKEN: {"headers": {"Authorization": f"Bearer {dataset.token}"}},
        Caller.APP: {"auth": app_credentials(values)} if "access_url" in values else {},
        Caller.ANYONE: {},
    }
    credentials = ways[route.caller]
    return await dataset.api.http.request(
        route.method,
        route.path.format_map(values),
        params={name: str(value).format_map(values) for name, value in example.query.items()},
        headers={**HEADERS[dataset.api.version], **credentials.get("headers", {})},
        auth=credentials.get("auth"),
        data=example.form and {name: value.format_map(values) for name, value in example.form.items()},
        **({"json": example.body(values)} if example.body else {}),
        **({"files": {"file": ("statement.ofx", example.file)}} if example.file else {}),
    )
