"""The connector `mx` against a mock of MX's own OpenAPI documents: each request fits them, each example is read."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck.connectors.contract import AuthorizationRequest, JobKind, Secret
from coatcheck.connectors.json_answers import UpstreamRefused
from coatcheck.connectors.mx import rows
from coatcheck.connectors.mx.api import MxApi
from coatcheck.connectors.mx.connector import MxConnector, MxSettings
from coatcheck.connectors.mx.members import JOBS, Members, UpstreamMember
from coatcheck.testing.connectors import connector_context
from tests.http.mx_spec import FOLDER, VERSIONS, needs_specs
from tests.prism import mock_server, needs_prism

pytestmark = [needs_specs, needs_prism]

MEMBER = UpstreamMember("USR-1", "MBR-1")


@pytest.fixture(scope="module", params=VERSIONS)
def upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The version, and the URL of its mock."""
    log = tmp_path_factory.mktemp("prism") / "log"
    with mock_server(FOLDER / f"{request.param}.yml", log) as url:
        yield request.param, url


@pytest.fixture
async def api(upstream: Any) -> AsyncIterator[MxApi]:
    version, url = upstream
    async with httpx.AsyncClient(timeout=60) as http:
        yield MxApi(http, url, ("client", "key"), version)


@pytest.fixture
async def connector(upstream: Any) -> AsyncIterator[MxConnector]:
    version, url = upstream
    settings = MxSettings("client", Secret("key"), Path("none"), base_url=url, api_version=version)
    connector = MxConnector(connector_context(settings, name="mx", transport=httpx.AsyncHTTPTransport()))
    yield connector
    await connector.close()


@pytest.mark.parametrize("job", JOBS.values())
async def test_every_kind_of_job_is_started_as_the_document_says(api: MxApi, job: str) -> None:
    assert (await api.send("POST", f"{MEMBER.path}/{job}"))["member"]


async def test_every_list_is_read(api: MxApi) -> None:
    lists = {
        noun: await api.rows(f"{MEMBER.path}/{noun}", noun)
        for noun in ("accounts", "account_numbers", "account_owners", "transactions", "statements")
    }
    (account,) = map(rows.account, lists["accounts"])
    assert account is not None
    assert (account.id[:4], len(account.account_number_mask or "")) == ("ACT-", 4)
    (numbers,) = map(rows.numbers, lists["account_numbers"])
    assert numbers.account_number
    (owner,) = map(rows.owner, lists["account_owners"])
    assert owner.owner_name
    (transaction,) = map(rows.transaction, lists["transactions"])
    assert (transaction.type in {"CREDIT", "DEBIT"}, transaction.status) == (True, "POSTED")
    assert transaction.amount > 0
    assert lists["statements"][0]["guid"].startswith("STA-")


async def test_a_member_is_created_and_its_questions_are_answered(api: MxApi) -> None:
    members = Members(api)
    user = await members.user("our-user")
    assert await members.find(user, "our-member") is None
    created = await members.create(user, "our-member", "mxbank", {"CRD-1": "ann", "CRD-2": "secret"})
    assert created.guid.startswith("MBR-")
    await members.change_credentials(created, {"CRD-1": "ann", "CRD-2": "other"})
    status = await members.status(created)
    assert status is not None
    body = {"member": {"challenges": [{"guid": status.questions[0].key, "value": "Rex"}]}}
    assert (await api.send("PUT", f"{created.path}/resume", body))["member"]


async def test_a_sign_in_window_is_opened(connector: MxConnector) -> None:
    request = AuthorizationRequest("mxbank", "https://us.example/oauth/callback", "s", "c", "USR-ours")
    page = await connector.authorize(request)
    assert page.url.startswith("https://")
    assert UpstreamMember.decode(page.resume).guid.startswith("MBR-")


async def test_the_institutions_are_listed(connector: MxConnector) -> None:
    (bank,) = await connector.fetch_institutions("MX Bank")
    assert bank.code == "mxbank"
    assert bank.supports > {JobKind.AGGREGATION}


async def test_a_request_that_does_not_fit_is_refused_by_the_mock(api: MxApi) -> None:
    """Without this, the other tests would prove nothing about our requests."""
    with pytest.raises(UpstreamRefused):
        await api.send("POST", "/users/USR-1/members", {"member": {"id": "x"}})
