"""`coatcheck institution fetch` writes an upstream's list of institutions to the file that the connector reads."""

import json

import pytest

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.connectors.mx.connector import MxConnector
from tests.mx_upstream import MxUpstream


@pytest.fixture
def file(bare_environment, tmp_path):
    file = tmp_path / "institutions.json"
    for name, value in {"CLIENT_ID": "c", "API_KEY": "k", "INSTITUTIONS_FILE": str(file)}.items():
        bare_environment.setenv(f"COATCHECK_CONNECTOR_MX_{name}", value)
    return file


@pytest.fixture
def upstream(bare_environment):
    upstream = MxUpstream()
    build = MxConnector.__init__

    def build_with_upstream(connector, context):
        object.__setattr__(context.http, "_transport", upstream.transport)
        build(connector, context)

    bare_environment.setattr(MxConnector, "__init__", build_with_upstream)
    return upstream


def test_the_list_of_the_upstream_is_written_and_then_listed(terminal, bare_environment, file, upstream):
    bare_environment.setenv("COATCHECK_CONNECTORS", "mx")
    before = [each for each in json.loads(terminal("connectors", "--json").out) if each["name"] == "mx"]
    assert "coatcheck institution fetch mx" in before[0]["problem"]
    fetched = json.loads(terminal("institution", "fetch", "mx", "--json").out)
    assert fetched == {"file": str(file), "institutions": 2}
    after = [each for each in json.loads(terminal("connectors", "--json").out) if each["name"] == "mx"]
    assert (after[0]["institutions"], after[0]["problem"]) == (2, None)


def test_an_upstream_that_refuses_leaves_the_file_as_it_was(terminal, file, upstream):
    file.write_text("[]")
    upstream.refuses["/institutions"] = 401
    answer = terminal("institution", "fetch", "mx")
    assert (answer.code, file.read_text()) == (ExitCode.FAILED, "[]")
    assert "The upstream refused the request. (The upstream answered 401.)" in answer.err


def test_a_connector_that_needs_no_list_is_refused(terminal):
    answer = terminal("institution", "fetch", "sandbox")
    assert answer.code == ExitCode.CONFIGURATION
    assert "The connector sandbox reads no list of institutions." in answer.err


def test_an_unknown_connector_is_refused(terminal):
    answer = terminal("institution", "fetch", "other")
    assert answer.code == ExitCode.CONFIGURATION
    assert "There is no connector other." in answer.err
