"""Fields that the server decides cannot be set by a request, on any endpoint that takes a body (OWASP API3)."""

from typing import Any

import httpx
import pytest

from coatcheck.api.versions import Version
from coatcheck.app import Services
from tests.http.example_requests import EXAMPLES, Example, make_dataset, send
from tests.http.owned_objects import ROUTES, AnyRoute, versions_of

FORGED = "f0f0f0f0-f0f0-4f0f-8f0f-f0f0f0f0f0f0"
"""Part of every forged value, so that one search finds each."""
FIELDS = {
    **{
        name: f"{prefix}-{FORGED}"
        for name, prefix in {
            "guid": "USR",
            "client_guid": "CLT",
            "user_guid": "USR",
            "member_guid": "MBR",
            "account_guid": "ACT",
            "institution_guid": "INS",
            "revoked_by": "CLT",
            "login_hash": "X",
            "connection_status": "X",
        }.items()
    },
    "created_at": f"2020-01-01T00:00:00Z {FORGED}",
    "is_managed_by_user": FORGED,
    "verified_at": FORGED,
}
STRICT = "/coatcheck"
"""Below it, an unknown field is refused. MX's API ignores it."""


def forged(body: Any) -> Any:
    """The body with every field that it does not have yet, in each of its objects."""
    if isinstance(body, list):
        return [forged(each) for each in body]
    if not isinstance(body, dict):
        return body
    return FIELDS | {name: forged(value) for name, value in body.items()}


def routes_with_bodies(version: Version) -> list[tuple[AnyRoute, Example]]:
    return [
        (route, example)
        for route in ROUTES
        if version in versions_of(route)
        for example in EXAMPLES[route.operation]
        if example.body is not None
    ]


async def tables_with(services: Services, text: str) -> list[str]:
    """The tables with a row that contains the text in any column."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT quote_ident(table_name) FROM information_schema.tables
               WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"""
        )
        names = [name for (name,) in await cursor.fetchall()]
        found = []
        for name in names:
            cursor = await connection.execute(
                f"SELECT EXISTS (SELECT FROM {name} t WHERE strpos(t::text, %s) > 0)", (text,)
            )
            if await cursor.fetchone() == (True,):
                found.append(name)
    return found


@pytest.mark.own_database
@pytest.mark.parametrize("version", Version)
async def test_no_request_sets_a_field_that_the_server_decides(
    services: Services, http: httpx.AsyncClient, version: Version
) -> None:
    dataset = await make_dataset(services, http, version)
    problems = []
    for route, example in routes_with_bodies(version):
        body = example.body
        assert body is not None
        altered = Example(
            status=example.status,
            body=lambda values, body=body: forged(body(values)),
            query=example.query,
            prepare=example.prepare,
        )
        answer = await send(dataset, route, altered)
        expected = 400 if route.path.startswith(STRICT) else example.status
        if answer.status_code != expected or FORGED in answer.text:
            problems.append(f"{route.operation}: {answer.status_code} {answer.text[:300]}")
    assert not problems, "\n\n".join(problems)
    assert await tables_with(services, FORGED) == []
