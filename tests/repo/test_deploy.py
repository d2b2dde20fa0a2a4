"""What `deploy` contains: the Helm chart, the compose file with a cluster, the units of systemd."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from coatcheck.cli import serve
from coatcheck.config import load, names
from coatcheck.worker import GRACE
from tests.guides import ROOT, blocks

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "coatcheck"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PYTHON = ROOT / ".venv-charts" / "bin" / "python"
ELSEWHERE = {
    "create": False,
    "url": "postgresql:///coatcheck?host=pgbouncer",
    "ownerSecret": "owner",
    "pooling": "transaction_prepared",
    "directUrl": "postgresql:///coatcheck?host=db",
}
VALUES = (
    {},
    {"ingress": {"enabled": True}, "serve": {"trustedProxies": "10.0.0.0/8"}, "metrics": {"port": 0}},
    {"database": ELSEWHERE},
)
REFUSED = (
    {"database": {"create": False}},
    {"database": {"instances": 1}},
    {"database": ELSEWHERE | {"url": "postgresql://me:swordfish@db/x"}},
    {"settings": {"base_url": "https://x", "master_key": "mk-1:x"}},
)
needs_charts = pytest.mark.skipif(not PYTHON.exists(), reason="`make setup` installs Helm into .venv-charts")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)


# --- the chart ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart():
    oldest = re.search(r">=(\d+\.\d+)", (CHART / "Chart.yaml").read_text())[1]
    done = subprocess.run(
        [PYTHON, ROOT / "tests" / "charts.py", CHART, oldest],
        input=json.dumps([*VALUES, *REFUSED]),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(params=range(len(VALUES)), ids=["default", "ingress", "database elsewhere"])
def rendered(request, chart):
    result = chart["rendered"][request.param]
    assert "refused" not in result
    return result["objects"]


def of_kind(rendered, kind):
    return {each["metadata"]["name"]: each for each in rendered if each["kind"] == kind}


def pods(rendered):
    """The specification of the pods of each Deployment and Job."""
    return {
        name: each["spec"]["template"]["spec"]
        for kind in ("Deployment", "Job")
        for name, each in of_kind(rendered, kind).items()
    }


def environment(pod):
    return {each["name"]: each for each in pod["containers"][0]["env"]}


@needs_charts
def test_helm_lint_finds_nothing_but_a_missing_icon(chart):
    assert [each["error"] for each in chart["lint"]] == ["icon is recommended"]


@needs_charts
def test_the_chart_refuses_values_that_cannot_work_or_that_contain_a_secret(chart):
    assert all("refused" in result for result in chart["rendered"][len(VALUES) :])


@needs_charts
def test_the_chart_runs_serve_work_and_a_migration_without_privileges(rendered):
    found = pods(rendered)
    assert {pod["containers"][0]["args"][0] for pod in found.values()} == {"serve", "work", "migrate"}
    for pod in found.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@needs_charts
def test_every_setting_in_the_chart_exists_and_is_accepted(rendered):
    for pod in pods(rendered).values():
        given = {name: each["value"] for name, each in environment(pod).items() if "value" in each}
        load(given)
        ours = {name for name in environment(pod) if name.startswith("COATCHECK_")}
        assert {name.removeprefix("COATCHECK_").lower() for name in ours} <= set(names())


@needs_charts
def test_only_the_migration_connects_as_the_owner_of_the_tables(rendered):
    secrets = {
        pod["containers"][0]["args"][0]: environment(pod)["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["name"]
        for pod in pods(rendered).values()
    }
    assert secrets["serve"] == secrets["work"] == "coatcheck-database"
    assert secrets["migrate"] in {"demo-database-app", "owner"}


@needs_charts
def test_the_probes_ask_what_the_operators_guide_says(rendered):
    (shown,) = [
        block.text
        for block in blocks(ROOT / "docs" / "how-to" / "operators.md")
        if "livenessProbe" in block.text
    ]
    container = pods(rendered)["demo-serve"]["containers"][0]
    assert container["ports"][0] == {"name": "http", "containerPort": 8000}
    for name, probe in yaml.safe_load(shown).items():
        assert container[name]["httpGet"]["path"] == probe["httpGet"]["path"]


@needs_charts
def test_a_pod_may_take_longer_to_stop_than_its_process(rendered):
    found = pods(rendered)
    assert found["demo-serve"]["terminationGracePeriodSeconds"] > serve.GRACE.total_seconds() + 5
    assert found["demo-work"]["terminationGracePeriodSeconds"] > GRACE.total_seconds()


@needs_charts
def test_services_disruption_budgets_and_network_policies_select_existing_pods(rendered):
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "Job")
        for each in of_kind(rendered, kind).values()
    ]
    (service,) = of_kind(rendered, "Service").values()
    budgets = of_kind(rendered, "PodDisruptionBudget")
    assert set(budgets) == {"demo-serve", "demo-work"}
    selectors = [service["spec"]["selector"]] + [
        each["spec"]["selector"]["matchLabels"] for each in budgets.values()
    ]
    for selector in selectors:
        assert sum(selector.items() <= each.items() for each in labels) == 1
    policy = of_kind(rendered, "NetworkPolicy")["demo"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert all(policy["podSelector"]["matchLabels"].items() <= each.items() for each in labels)


@needs_charts
def test_the_cluster_answers_a_change_when_a_standby_has_it(chart):
    objects = chart["rendered"][0]["objects"]
    cluster = of_kind(objects, "Cluster")["demo-database"]["spec"]
    assert cluster["instances"] == 3
    assert cluster["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
    }
    (role,) = cluster["managed"]["roles"]
    assert (role["name"], role["inRoles"]) == ("coatcheck", ["pg_read_all_stats"])
    policy = of_kind(objects, "NetworkPolicy")["demo-database"]["spec"]
    assert policy["podSelector"]["matchLabels"] == {"cnpg.io/cluster": "demo-database"}
    assert of_kind(chart["rendered"][2]["objects"], "Cluster") == {}


# --- the compose file with a cluster --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose-ha.yaml").read_text())


def test_the_cluster_of_the_compose_file_has_the_settings_of_the_guide():
    patroni = yaml.safe_load((DEPLOY / "patroni" / "patroni.yaml").read_text())
    (shown,) = [
        yaml.safe_load(block.text)
        for block in blocks(ROOT / "docs" / "how-to" / "high-availability.md")
        if block.text.startswith("ttl:")
    ]
    settings = patroni["bootstrap"]["dcs"]
    assert settings.pop("postgresql")["parameters"].items() >= shown.pop("postgresql")["parameters"].items()
    assert settings == shown


def test_the_compose_file_runs_three_databases_and_two_of_each_process(compose):
    services = compose["services"]
    for name in ("serve", "work"):
        assert services[name]["deploy"] == {"replicas": 2}
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    url = services["serve"]["environment"]["COATCHECK_DATABASE_URL"]
    databases = [name for name in services if re.fullmatch(r"db\d", name)]
    assert f"host={','.join(databases)}&" in url
    assert {services[name]["environment"]["PATRONI_NAME"] for name in databases} == {*databases}
    peers = services["etcd1"]["environment"]["ETCD_INITIAL_CLUSTER"]
    assert [peer.split("=")[0] for peer in peers.split(",")] == [
        name for name in services if name.startswith("etcd")
    ]


def test_every_setting_and_secret_of_the_compose_file_exists(compose, tmp_path):
    given = compose["services"]["serve"]["environment"]
    assert {name.removeprefix("COATCHECK_").lower() for name in given} <= set(names())
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    subprocess.run(["make", "secrets"], cwd=tmp_path, capture_output=True, check=True)
    created = {f"../secrets/{file.name}" for file in (tmp_path / "secrets").iterdir()}
    assert {secret["file"] for secret in compose["secrets"].values()} <= created


def test_the_start_of_patroni_is_a_program():
    assert os.access(DEPLOY / "patroni" / "start", os.X_OK)
    subprocess.run(["sh", "-n", DEPLOY / "patroni" / "start"], check=True)


# --- the units of systemd --------------------------------------------------------------------------------------


@needs_systemd
@each_unit
def test_systemd_accepts_the_unit(unit, tmp_path):
    program = tmp_path / "coatcheck"
    program.write_text("")
    program.chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/coatcheck/bin/coatcheck", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@each_unit
def test_systemd_finds_little_that_the_unit_could_still_give_up(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-300:]
