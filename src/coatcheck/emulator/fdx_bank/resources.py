"""The resources of the FDX bank: the Core reads of FDX 6, and the consent (Consent API 6.3).

An access token opens what its consent's data clusters allow. The controls of the login apply as at the native
connector: those that make a read fail are answered with a status, or with a body that cannot be read.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from coatcheck.app import Services
from coatcheck.connectors.contract import BankAccount, Institution, JobKind, Task
from coatcheck.connectors.sandbox import bank_data, failures, transactions
from coatcheck.connectors.sandbox.bank import SandboxBank
from coatcheck.connectors.sandbox.bank_data import BankRecords
from coatcheck.connectors.sandbox.household import household_of
from coatcheck.connectors.sandbox.logins import Login, parse_login
from coatcheck.connectors.sandbox.sign_in import SignIn
from coatcheck.connectors.sandbox.statements import Statement, statements
from coatcheck.connectors.session import LOOKBACK
from coatcheck.emulator.fdx_bank import data, store
from coatcheck.emulator.fdx_bank.answers import INTERACTION_ID, FdxRefusal, json_response, without_none
from coatcheck.emulator.fdx_bank.store import Consent
from coatcheck.errors import (
    BankError,
    BankFailed,
    BankRateLimited,
    BankTimedOut,
    BankUnavailable,
    ConsentRevoked,
    LoginClosed,
)
from coatcheck.http.bodies import read_body

PAGE, LONGEST_PAGE = 100, 500
MAX_BODY_BYTES = 16 * 1024
STATUSES: dict[type[BankError], tuple[int, int, str]] = {
    BankFailed: (500, 500, "Internal server error"),
    BankUnavailable: (503, 503, "Scheduled maintenance"),
    BankTimedOut: (504, 501, "Subsystem unavailable"),
    BankRateLimited: (429, 1203, "Too many requests"),
    ConsentRevoked: (401, 602, "Customer not authorized"),
    LoginClosed: (404, 601, "Customer not found"),
}
"""The status, the FDX code and the message of each failure. Every other is 403 with code 706."""
FORBIDDEN = (403, 706, "Access forbidden")
INITIATORS = ("DATA_ACCESS_PLATFORM", "DATA_PROVIDER", "DATA_RECIPIENT", "INDIVIDUAL")
REASONS = ("BUSINESS_RULE", "USER_ACTION")


@dataclass(frozen=True, slots=True)
class Reading:
    """An authorized read: the consent, and the bank's records of its customer."""

    consent: Consent
    login: Login
    now: datetime
    records: BankRecords

    @property
    def accounts(self) -> Sequence[BankAccount]:
        return () if self.login.has("empty") else bank_data.accounts(self.records)

    def account(self, account_id: str) -> BankAccount:
        """The account with this FDX id.

        Raises:
            FdxRefusal: the customer has none, or a control makes it unreadable.
        """
        for position, each in enumerate(self.accounts):
            if data.fdx_id(each.id) == account_id:
                if position == 0 and self.login.has("unreadable_account") and self.consent.was_refreshed:
                    raise FdxRefusal(*FORBIDDEN)
                return each
        raise FdxRefusal(404, 701, "Account not found")


class Resources:
    def __init__(self, services: Services, bank: SandboxBank, institution: Institution) -> None:
        self._db = services.db
        self._clock = services.clock
        self._bank = bank
        self._institution = institution

    # --- Core ---------------------------------------------------------------------------------------------

    async def customer(self, request: Request) -> Response:
        reading = await self._reading(request, "CUSTOMER_PERSONAL", "CUSTOMER_CONTACT")
        customer_id = data.fdx_id(f"customer {reading.login.name}")
        first = reading.accounts[0].id if reading.accounts else None
        owners = [each for each in bank_data.owners(reading.records) if each.account_id == first]
        return json_response(data.customer(customer_id, owners))

    async def accounts(self, request: Request) -> Response:
        reading = await self._reading(request, "ACCOUNT_BASIC", "ACCOUNT_DETAILED")
        return _page(request, "accounts", reading.accounts, data.descriptor)

    async def account(self, request: Request) -> Response:
        reading = await self._reading(request, "ACCOUNT_DETAILED")
        return json_response(data.account_entity(reading.account(_account_id(request))))

    async def contact(self, request: Request) -> Response:
        reading = await self._reading(request, "CUSTOMER_CONTACT")
        account = reading.account(_account_id(request))
        owners = [each for each in bank_data.owners(reading.records) if each.account_id == account.id]
        return json_response(data.contact(owners))

    async def payment_networks(self, request: Request) -> Response:
        reading = await self._reading(request, "PAYMENT_SUPPORT")
        account = reading.account(_account_id(request))
        # A token number is that of the app, in every consent of the customer.
        numbers = bank_data.numbers(reading.records, reading.consent.client_id)
        networks = data.payment_networks(
            [each for each in numbers if each.account_id == account.id],
            is_tokenized=reading.login.has("tokenized_number"),
        )
        return _page(request, "paymentNetworks", networks, lambda each: each)

    async def transactions(self, request: Request) -> Response:
        consent = await self._consent_with(request, "TRANSACTIONS")
        today = self._time_at_bank(consent).date()
        since = _day(request, "startTime", "startDate") or today - LOOKBACK[JobKind.AGGREGATION]
        until = _day(request, "endTime", "endDate") or date.max
        if since > until:
            raise FdxRefusal(400, 703, "Invalid date range")
        # Without a limit, the ledger would compute every month since a date in the year 1.
        reading = await self._read(consent, max(since, today - LOOKBACK[JobKind.HISTORY]))
        account = reading.account(_account_id(request))
        if consent.lookback_days is not None:
            since = max(since, today - timedelta(days=consent.lookback_days))
        rows = [
            row
            for page in transactions.pages_of(reading.records, since)
            for row in page
            if row.account_id == account.id and since <= row.date <= until
        ]
        return _page(request, "transactions", rows, lambda row: data.transaction(row, account))

    async def statements(self, request: Request) -> Response:
        reading = await self._reading_statements(request)
        account = reading.account(_account_id(request))
        return _page(
            request,
            "statements",
            _statements_of(reading, account),
            lambda each: {
                "accountId": data.fdx_id(account.id),
                "statementId": _statement_id(each),
                "statementDate": each.end,
                "description": f"Statement of {each.end:%Y-%m}",
                "status": "AVAILABLE",
                "links": [
                    {
                        "href": f"{request.url.path}/{_statement_id(each)}",
                        "rel": "self",
                        "action": "GET",
                        "types": ["application/pdf"],
                    }
                ],
            },
        )

    async def statement(self, request: Request) -> Response:
        from coatcheck.connectors.sandbox import pdf  # noqa: PLC0415 (imports reportlab, which few sandboxes need)

        reading = await self._reading_statements(request)
        account = reading.account(_account_id(request))
        for each in _statements_of(reading, account):
            if _statement_id(each) == request.path_params["statement_id"]:
                return Response(await asyncio.to_thread(pdf.render, each), media_type="application/pdf")
        raise FdxRefusal(404, 1107, "Data not found")

    # --- Consent ------------------------------------------------------------------------------------------

    async def consent(self, request: Request) -> Response:
        """The consent of the access token, also when it has been revoked."""
        consent = await self._own_consent(request)
        accounts: Sequence[BankAccount] = ()
        if consent.status(self._clock.now()) == "ACTIVE":
            accounts = (await self._read(consent, None)).accounts
        return json_response(_consent_entity(consent, accounts, self._clock.now()))

    async def revoke_consent(self, request: Request) -> Response:
        consent = await self._own_consent(request)
        try:
            body = json.loads(await read_body(request, MAX_BODY_BYTES))
            reason, initiator = body["reason"], body["initiator"]
        except (ValueError, TypeError, KeyError) as error:
            raise FdxRefusal(400, 401, "The body needs reason and initiator") from error
        if reason not in REASONS or initiator not in INITIATORS:
            raise FdxRefusal(400, 401, f"reason is one of {', '.join(REASONS)}")
        async with self._db.connection() as connection:
            was_active = await store.revoke(
                connection, consent.id, reason=reason, initiator=initiator, now=self._clock.now()
            )
        if not was_active:
            raise FdxRefusal(409, 1202, "The consent has ended")
        return Response(status_code=204)

    async def revocation(self, request: Request) -> Response:
        consent = await self._own_consent(request)
        if consent.revoked_at is None:
            raise FdxRefusal(404, 1107, "Data not found")
        entity = {
            "status": "REVOKED",
            "reason": consent.revocation_reason,
            "initiator": consent.revocation_initiator,
            "updatedTime": consent.revoked_at,
        }
        return json_response({"revocations": [entity]})

    # --- shared -------------------------------------------------------------------------------------------

    async def _own_consent(self, request: Request) -> Consent:
        consent = await self._consent_of_token(request)
        if consent.id != request.path_params["consent_id"]:
            raise FdxRefusal(404, 1107, "Data not found")
        return consent

    async def _consent_of_token(self, request: Request) -> Consent:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            async with self._db.connection() as connection:
                consent = await store.consent_with_access(connection, token.strip(), self._clock.now())
            if consent is not None:
                return consent
        raise FdxRefusal(401, 602, "Customer not authorized")

    async def _reading(self, request: Request, *clusters: str) -> Reading:
        """The read of a token whose consent has one of the clusters.

        Raises:
            FdxRefusal: the token is invalid, the consent has ended or lacks the clusters, or a control makes the
                read fail.
        """
        return await self._read(await self._consent_with(request, *clusters), None)

    async def _consent_with(self, request: Request, *clusters: str) -> Consent:
        """The consent of the token, if it has one of the clusters.

        Raises:
            FdxRefusal: the token is invalid, or the consent has ended or lacks the clusters.
        """
        consent = await self._consent_of_token(request)
        if consent.status(self._clock.now()) != "ACTIVE":
            raise FdxRefusal(401, 602, "Customer not authorized")
        if not set(clusters) & set(consent.clusters):
            raise FdxRefusal(403, 706, f"The consent does not include {' or '.join(clusters)}")
        return consent

    async def _reading_statements(self, request: Request) -> Reading:
        consent = await self._consent_with(request, "STATEMENTS")
        return await self._read(consent, self._time_at_bank(consent).date() - LOOKBACK[JobKind.STATEMENT])

    def _time_at_bank(self, consent: Consent) -> datetime:
        login = parse_login(consent.login)
        if login.has("clock"):
            return datetime.combine(login.argument("clock"), time(12), UTC)
        return self._clock.now()

    async def _read(self, consent: Consent, since: date | None) -> Reading:
        login, now = parse_login(consent.login), self._time_at_bank(consent)
        await self._fail(consent, login, self._clock.now())
        household = household_of(self._bank.seed, self._institution, login)
        # In a thread, because generating is CPU-bound and would block the event loop.
        records = await asyncio.to_thread(
            bank_data.records_of,
            self._bank.seed,
            self._institution,
            login,
            household,
            since=since or now.date(),
            now=now,
        )
        return Reading(consent, login, now, records)

    async def _fail(self, consent: Consent, login: Login, now: datetime) -> None:
        """Waits or fails as the controls of the login say."""
        await failures.wait(login)
        task = Task(JobKind.AGGREGATION, self._institution.code, consent.id, now)
        try:
            failures.check(login, SignIn(since=consent.created_at), task, seed=self._bank.seed)
        except BankError as error:
            if login.has("truncated_body") or login.has("bad_json"):
                raise UnreadableAnswer from error
            status, code, message = STATUSES.get(type(error), FORBIDDEN)
            headers = {"retry-after": f"{login.argument('http_429'):g}"} if status == 429 else {}
            raise FdxRefusal(status, code, message, headers=headers) from error


class UnreadableAnswer(Exception):
    """A control makes the bank answer with a body that ends in the middle."""


def answered(request: Request, response: Response) -> Response:
    """The response with the interaction id of the request (FAPI 1.0 6.2.1)."""
    if interaction_id := request.headers.get(INTERACTION_ID):
        response.headers[INTERACTION_ID] = interaction_id
    return response


def _page(
    request: Request, name: str, rows: Sequence[Any], entity: Callable[[Any], dict[str, Any]]
) -> Response:
    """One page of a list (FDX 6, offset paging)."""
    try:
        offset = int(request.query_params.get("offset", "0"))
        limit = min(int(request.query_params.get("limit", PAGE)), LONGEST_PAGE)
        if offset < 0 or limit < 1:
            raise ValueError
    except ValueError:
        raise FdxRefusal(400, 401, "offset or limit is invalid") from None
    following = offset + limit
    page = without_none(
        {"nextOffset": str(following) if following < len(rows) else None, "totalElements": len(rows)}
    )
    return json_response({"page": page, name: [entity(each) for each in rows[offset:following]]})


def _day(request: Request, *names: str) -> date | None:
    text = next((value for name in names if (value := request.query_params.get(name))), None)
    try:
        return datetime.fromisoformat(text).date() if text else None
    except ValueError:
        raise FdxRefusal(400, 702, "Invalid start or end date") from None


def _account_id(request: Request) -> str:
    account_id: str = request.path_params["account_id"]
    return account_id


def _statements_of(reading: Reading, account: BankAccount) -> Sequence[Statement]:
    return [each for each in statements(reading.records) if each.account_id == account.id]


def _statement_id(statement: Statement) -> str:
    return data.fdx_id(f"statement {statement.account_id} {statement.end:%Y-%m}")


def _consent_entity(consent: Consent, accounts: Sequence[BankAccount], now: datetime) -> dict[str, Any]:
    return without_none(
        {
            "id": consent.id,
            "status": consent.status(now),
            "createdTime": consent.created_at,
            "expirationTime": consent.expires_at,
            "updatedTime": consent.revoked_at,
            "durationType": "TIME_BOUND",
            "durationPeriod": consent.duration_days,
            "lookbackPeriod": consent.lookback_days,
            "resources": [
                {
                    "resourceType": "ACCOUNT",
                    "resourceId": data.fdx_id(each.id),
                    "dataClusters": list(consent.clusters),
                }
                for each in accounts
            ],
        }
    )
