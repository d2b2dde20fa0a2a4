"""What each scope may request: the table of docs/reference/scopes.md, tried on every route that takes a token."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, combinations

import httpx
import pytest

from coatcheck import server
from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.restrictions import PROTECTED, Permission
from coatcheck.grants.secrets import Kind, generate
from coatcheck.http.route import Caller
from coatcheck.members.member_rows import change_member
from coatcheck.model.accounts import Account
from coatcheck.model.statuses import ConnectionStatus
from tests.factories import Keyed, make_processor, make_token
from tests.guides import ROOT

DOCUMENT = ROOT / "docs/reference/scopes.md"
HEADING = "## What a token may request"
REGISTERED = " with `owners_at_transactions`"
TOKEN_ROUTES = frozenset(
    (route.method, route.path)
    for group in server.GROUPS
    for route in group.routes
    if route.caller is Caller.TOKEN
)
Row = tuple[str, str, bool]
"""Method, path, and whether the processor is registered with `owners_at_transactions`."""
Column = frozenset[str]
"""The atoms of the scope."""


def written_table() -> dict[Row, dict[Column, int]]:
    """The status of each request by the atoms of the scope, as the document says."""
    section = DOCUMENT.read_text().partition(HEADING)[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    header, _, *body = [[cell.strip() for cell in line] for line in lines]
    columns = [frozenset(re.findall("`([^`]+)`", cell)) for cell in header[1:]]
    table = {}
    for request, *cells in body:
        method, path = request.removesuffix(REGISTERED).strip("`").split(" ")
        statuses = dict(zip(columns, map(int, cells), strict=True))
        table[(method, path, request.endswith(REGISTERED))] = statuses
    return table


TABLE = written_table()


def possible_scopes() -> Iterator[Column]:
    """Every combination of `read-protected` and the kinds of data that is not refused as a contradiction."""
    for protected in (True, False):
        permissions = [each for each in Permission if protected or each not in PROTECTED]
        subsets = chain.from_iterable(combinations(permissions, size) for size in range(len(permissions) + 1))
        for subset in subsets:
            yield frozenset(
                [*(["read-protected"] if protected else []), *(f"read:{each}" for each in subset)]
            )


SCOPES = [*possible_scopes()]


def expected(row: Row, scope: Column) -> int:
    """200 if the column of one of the atoms says so."""
    statuses = TABLE[row]
    kinds = {atom for atom in scope if atom.startswith("read:")}
    if not kinds:
        return statuses[scope]
    of_kinds = [
        status
        for column, status in statuses.items()
        if (in_column := {atom for atom in column if atom.startswith("read:")}) and in_column <= kinds
    ]
    return 200 if 200 in of_kinds else 403


def test_the_table_has_every_route_that_takes_a_token_and_every_atom() -> None:
    assert {(method, path) for method, path, _ in TABLE} == TOKEN_ROUTES
    for statuses in TABLE.values():
        atoms = frozenset(chain.from_iterable(statuses))
        assert atoms == {"read-protected", *(f"read:{each}" for each in Permission)}
        assert frozenset() in statuses
        assert frozenset(["read-protected"]) in statuses
    assert len(SCOPES) == 2**5 + 2**3


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " ".join(map(str, row)))
async def test_every_scope_gets_the_status_that_the_table_says(
    services: Services, http: httpx.AsyncClient, client: Keyed, account: Account, row: Row
) -> None:
    method, path, is_registered = row
    processor = await make_processor(services, client, owners_at_transactions=is_registered)
    for scope in SCOPES:
        token = await make_token(
            services, account, processor, reads_protected=False, atoms=" ".join(sorted(scope))
        )
        answer = await http.request(method, path, headers={"Authorization": f"Bearer {token}"})
        if expected(row, scope) == 200:
            assert answer.status_code == 200, (scope, answer.text)
        else:
            assert error_of(answer) == (403, "insufficient_scope"), scope
            # RFC 6750 3: the scope that the request needs. A token with it is answered.
            challenge = answer.headers["www-authenticate"]
            (needed,) = re.findall(
                '^Bearer realm="coatcheck", error="insufficient_scope", scope="(.+)"$', challenge
            )
            assert expected(row, frozenset(needed.split())) == 200


async def test_a_payment_account_has_the_full_number_only_with_both_kinds_of_data(
    services: Services, http: httpx.AsyncClient, account: Account, processor: Keyed
) -> None:
    for scope in SCOPES:
        token = await make_token(
            services, account, processor, reads_protected=False, atoms=" ".join(sorted(scope))
        )
        answer = await http.get("/payment_account", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == 200:
            is_full = answer.json()["payment_account"]["account_number"] == "1234567890"
            no_kinds = not any(atom.startswith("read:") for atom in scope)
            assert is_full is ("read-protected" in scope and (no_kinds or "read:numbers" in scope)), scope


# --- what refuses a token on every route, whatever its scope --------------------------------------------------


@pytest.fixture(params=sorted(TOKEN_ROUTES), ids=" ".join)
def route(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


async def ask(http: httpx.AsyncClient, route: tuple[str, str], token: str) -> httpx.Response:
    return await http.request(*route, headers={"Authorization": f"Bearer {token}"})


async def test_no_route_answers_a_token_whose_reads_are_used_up(
    services: Services, http: httpx.AsyncClient, account: Account, processor: Keyed, route: tuple[str, str]
) -> None:
    token = await make_token(services, account, processor, atoms="max-reads:1")
    assert (await ask(http, ("GET", "/account/account_numbers"), token)).status_code == 200
    answer = await ask(http, route, token)
    assert error_of(answer) == (403, "reads_exhausted")
    assert answer.headers["www-authenticate"] == 'Bearer realm="coatcheck"'


async def test_no_route_answers_a_token_whose_connection_is_broken(
    services: Services, http: httpx.AsyncClient, account: Account, processor: Keyed, route: tuple[str, str]
) -> None:
    token = await make_token(services, account, processor)
    for status, refused in (
        (ConnectionStatus.DISCONNECTED, True),
        (ConnectionStatus.CONNECTED, False),
        (ConnectionStatus.CLOSED, True),
    ):
        async with services.db.transaction() as connection:
            await change_member(
                connection, account.user_guid, account.member_guid, {"connection_status": status}
            )
        answer = await ask(http, route, token)
        if refused:
            assert error_of(answer) == (403, "connection_broken")
        else:
            assert answer.status_code == 200


async def test_every_route_tells_the_holder_of_a_token_and_nobody_else_how_it_ended(
    services: Services,
    http: httpx.AsyncClient,
    clock: MovableClock,
    account: Account,
    processor: Keyed,
    route: tuple[str, str],
) -> None:
    revoked, expired = [await make_token(services, account, processor) for _ in range(2)]
    async with services.db.connection() as connection:
        _, first = await services.tokens.list(connection, account.client_guid, account_guid=account.guid)
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=first.guid)
    clock.advance(services.settings.token_ttl + timedelta(seconds=1))
    unknown = generate(
        Kind.TOKEN, b"the key of another server", period=services.access.parse_token(revoked).period
    )
    for token, kind, description in (
        (revoked, "token_revoked", ', error_description="token_revoked"'),
        (expired, "token_expired", ', error_description="token_expired"'),
        (unknown.text, "invalid_token", ""),
    ):
        answer = await ask(http, route, token)
        assert error_of(answer) == (401, kind)
        assert answer.headers["www-authenticate"] == (
            f'Bearer realm="coatcheck", error="invalid_token"{description}'
        )
