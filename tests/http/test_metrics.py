"""The metrics of a process: what is counted, where it is shown, and that it discloses nothing."""

import json
import re
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import REGISTRY

from coatcheck.errors import ConfigurationError
from coatcheck.metrics import exposed
from tests.factories import make_account, make_client, make_code, make_processor, make_token, make_user
from tests.processes import free_port, process, serving, text_at

DOCS = Path(__file__).parents[2] / "docs"
BEARER = "Authorization"


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.fixture
async def processor(services, client):
    return await make_processor(services, client)


async def test_a_request_is_counted_by_operation_and_status(api):
    labels = {"surface": "api", "operation": "listUsers", "status": "200"}
    before = value("coatcheck_requests_total", **labels)
    await api.get("/users")
    assert value("coatcheck_requests_total", **labels) == before + 1
    assert value("coatcheck_request_seconds_count", surface="api", operation="listUsers") > before


async def test_a_request_without_valid_credentials_is_counted(api):
    before = value("coatcheck_failed_authentications_total", surface="api")
    await api.http.get("/users", auth=("CLT-1", "wrong"))
    assert value("coatcheck_failed_authentications_total", surface="api") == before + 1


async def test_an_exchange_is_counted_with_its_result(services, api, account, processor):
    code = await make_code(services, account)
    issued = value("coatcheck_exchanges_total", result="issued")
    again = value("coatcheck_exchanges_total", result="retried")
    for _ in range(2):
        await api.http.post(f"/token?grant_type=authorization_code&code={code}", auth=processor.auth)
    assert value("coatcheck_exchanges_total", result="issued") == issued + 1
    assert value("coatcheck_exchanges_total", result="retried") == again + 1


async def test_a_read_that_a_restriction_refuses_is_counted(services, api, account, processor):
    token = await make_token(services, account, processor, reads_protected=False)
    before = sum_of("coatcheck_refused_reads_total")
    refused = await api.http.get("/account/account_numbers", headers={BEARER: f"Bearer {token}"})
    assert refused.status_code == 403
    assert sum_of("coatcheck_refused_reads_total") == before + 1


async def test_an_unknown_method_or_path_creates_no_label(api):
    await api.http.request("BREW", "/users")
    await api.http.get("/not/a/path")
    text = exposition()
    assert "BREW" not in text
    assert "not/a/path" not in text


@pytest.mark.faults
async def test_each_process_shows_its_metrics_at_its_own_port_and_none_by_default(
    services, environment, tmp_path
):
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    token = await make_token(services, account, processor)
    of_serve, of_work = free_port(), free_port()
    log = tmp_path / "work"
    with (
        serving(environment | {"COATCHECK_METRICS_PORT": str(of_serve)}, tmp_path / "serve") as server,
        process("work", environment=environment | {"COATCHECK_METRICS_PORT": str(of_work)}, log=log) as work,
    ):
        async with httpx.AsyncClient(headers={BEARER: f"Bearer {token}"}, timeout=60) as http:
            (await http.get(f"{server.base_url}/account/account_numbers")).raise_for_status()
            assert (await http.get(f"{server.base_url}/metrics")).status_code == 404
            shown = (await http.get(f"http://127.0.0.1:{of_serve}/metrics")).text
        worker = text_at(f"http://127.0.0.1:{of_work}/metrics", work, log)
    assert re.search(r'coatcheck_requests_total\{operation="\w+",status="200",surface="api"\} 1.0', shown)
    assert 'coatcheck_database_connections{state="idle"}' in shown
    assert "coatcheck_oldest_due_seconds" in worker
    for secret in (token, account.guid, processor.guid, "1234567890"):
        assert secret not in shown


def test_a_port_that_is_in_use_is_refused_with_the_setting_to_change():
    port = free_port()
    with (
        exposed("127.0.0.1", port, dict),
        pytest.raises(ConfigurationError, match="Change metrics_port"),
        exposed("127.0.0.1", port, dict),
    ):
        pass


def test_the_reference_lists_every_metric_with_its_labels_and_meaning():
    rows = re.findall(
        r"^\| `(coatcheck_\w+)` \| (.*?) \| (.*?) \|$",
        (DOCS / "reference/metrics.md").read_text(),
        re.MULTILINE,
    )
    listed = {name: meaning for name, _, meaning in rows}
    port = free_port()
    with exposed("127.0.0.1", port, lambda: {"pool_size": 2, "pool_available": 1, "requests_waiting": 0}):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    helped = {
        name: meaning
        for name, meaning in re.findall(r"^# HELP (coatcheck_\w+) (.*)$", text, re.MULTILINE)
        if not name.endswith("_created")
    }
    assert helped == listed


def test_the_dashboard_and_the_alerts_use_metrics_that_exist():
    names = set(re.findall(r"`(coatcheck_\w+)`", (DOCS / "reference/metrics.md").read_text()))
    dashboard = json.loads((DOCS / "monitoring/grafana-dashboard.json").read_text())
    alerts = yaml.safe_load((DOCS / "monitoring/alerts.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    used = {
        name.removesuffix("_bucket") for text in expressions for name in re.findall(r"coatcheck_\w+", text)
    }
    assert used <= names
    assert len(used) >= 10


def exposition():
    return "\n".join(
        f"{sample.name} {sample.labels}" for metric in REGISTRY.collect() for sample in metric.samples
    )


def sum_of(name):
    return sum(
        sample.value for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name
    )
