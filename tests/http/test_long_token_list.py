"""MX's list of tokens, which has no pages, when it is long."""

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.grants.tokens import BATCH
from tests.http.owned_objects import Owner, make_owner

COUNT = 501
"""Several batches, and several pages."""
assert COUNT > 2 * BATCH
COPIES = f"""
INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid,
                          account_guid, atoms, reads_protected, first_characters, created_at, expires_at)
SELECT expires_week, sha256(token_hash || n::text::bytea), left(guid, 28) || lpad(to_hex(n), 12, '0'), client_guid,
       processor_guid, user_guid, member_guid, account_guid, atoms, reads_protected, 'cct_' || n, created_at, expires_at
FROM access_token, generate_series(1, {COUNT - 1}) n WHERE guid = %s
"""


@pytest.fixture
async def owner(services: Services, http: httpx.AsyncClient) -> Owner:
    owner = await make_owner(services, http)
    async with services.db.connection() as connection:
        await connection.execute(COPIES, (owner.guids["grant"],))
    return owner


async def test_a_long_list_is_streamed_complete_and_without_repetition(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    answer = await http.get("/tokens", auth=owner.client.auth)
    assert "content-length" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()["tokens"]
    assert len(tokens) == len({token["access_token"] for token in tokens}) == COUNT
    assert all(token["active"] for token in tokens)


async def test_a_long_list_is_filtered_in_every_batch(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    other = await make_owner(services, http, owner.client)
    for guid, expected in ((owner.guids["account"], COUNT), (other.guids["account"], 1)):
        body = {"scope": {"account_guid": guid}}
        answer = await http.request("GET", "/tokens", json=body, auth=owner.client.auth)
        assert len(answer.json()["tokens"]) == expected


async def test_the_pages_of_a_list_of_grants_have_every_grant_once_and_the_exact_total(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    guids: list[str] = []
    for page in (1, 2, 3):
        answer = (
            await http.get(
                "/coatcheck/grants", params={"page": page, "records_per_page": 200}, auth=owner.client.auth
            )
        ).json()
        assert answer["pagination"] == {
            "current_page": page,
            "per_page": 200,
            "total_entries": COUNT,
            "total_pages": 3,
        }
        guids += [grant["guid"] for grant in answer["grants"]]
    assert len(set(guids)) == len(guids) == COUNT
    assert guids == sorted(guids, reverse=True)
